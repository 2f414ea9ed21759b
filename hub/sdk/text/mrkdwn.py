"""Slack's mrkdwn, both ways.

Source of the rules: https://docs.slack.dev/messaging/formatting-message-text/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from hub.sdk.text._markdown import parse, write
from hub.sdk.text._tree import (
    CODE,
    DONE,
    EM,
    OPEN,
    STRIKE,
    STRONG,
    Block,
    Code,
    Delimiter,
    Heading,
    Item,
    Listing,
    Outline,
    Paragraph,
    Quote,
    Rule,
    Span,
    Spans,
    Table,
    clean,
    delimiter,
    merged,
    pair,
    paragraphs,
    safe_url,
    text_of,
)

# A mark must stand at a word's edge; between letters this invisible blank makes the edge.
_EDGE: Final = "\u200b"
_SIGNS: Final = ((CODE, "`"), (STRIKE, "~"), (EM, "_"), (STRONG, "*"))
_INDENT: Final = "    "
_RULE: Final = "\u2014" * 3
# Wider cells are not padded, so that one long cell does not blow the table up.
_WIDEST_CELL: Final = 30
_NOBODY: Final[Mapping[str, str]] = MappingProxyType({})


def to_mrkdwn(markdown: str) -> str:
    """Render Markdown as mrkdwn that can never notify anybody.

    Every `<`, `>` and `&` of the text is escaped, in code too, and only http, https, mailto and tel
    links are written, so `<!channel>`, `<@U1>` and the like come out as the letters they are. (The
    sender must leave `link_names` and `parse` at their defaults: with these, Slack turns a plain
    `@channel` into a mention.) A heading becomes a bold line, a table a code block.
    """
    return "\n\n".join(_parts(parse(markdown), quoted=False))


def _parts(blocks: Iterable[Block], *, quoted: bool) -> list[str]:
    return [part for block in blocks if (part := _block(block, quoted=quoted))]


def _block(block: Block, *, quoted: bool) -> str:
    match block:
        case Paragraph(spans):
            return _inline(spans)
        case Heading(_, spans):
            return _inline(merged(Span(s.text, s.marks | {STRONG}, s.link, s.image) for s in spans))
        case Code(text, _):
            return _fenced(text, quoted=quoted)
        case Rule():
            return _RULE
        case Quote(inner):
            text = "\n\n".join(_parts(inner, quoted=True))
            # A quote within a quote has no form of its own.
            return text if quoted else "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
        case Listing(start, items):
            return "\n".join(
                ("• " if start is None else f"{number}. ") + _item(item, quoted=quoted)
                for number, item in enumerate(items, start or 0)
            )
        case Table(rows):
            return _fenced(_aligned(rows), quoted=quoted)


def _item(item: Item, *, quoted: bool) -> str:
    box = "" if item.done is None else f"{DONE if item.done else OPEN} "
    text = box + "\n".join(_parts(item.blocks, quoted=quoted))
    return text.replace("\n", f"\n{_INDENT}")


def _aligned(rows: Sequence[Sequence[Spans]]) -> str:
    cells = [[text_of(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [min(_WIDEST_CELL, max(map(len, column))) for column in zip(*cells, strict=True)]
    return "\n".join(
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _fenced(text: str, *, quoted: bool) -> str:
    # A code block cannot stand in a quote; there its lines are quoted as they are.
    escaped = _escape(text.replace("```", _EDGE.join("```")))
    return escaped if quoted else f"```\n{escaped}\n```"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _inline(spans: Iterable[Span]) -> str:
    out: list[str] = []
    last, closed = "", False
    for span in spans:
        core = span.text.strip()
        if not core:
            out.append(span.text)
            last, closed = span.text[-1:] or last, False
            continue
        lead = span.text[: len(span.text) - len(span.text.lstrip())]
        tail = span.text[len(span.text.rstrip()) :]
        shown = _shown(core, span)
        marked = shown[0] != "<" and bool(span.marks)
        touches = (closed or last.isalnum()) if marked else (closed and core[0].isalnum())
        out.extend((_EDGE if touches and not lead else "", lead, shown, tail))
        last, closed = (tail or core)[-1], marked and not tail
    return "".join(out)


def _shown(core: str, span: Span) -> str:
    if not core:
        return ""
    if CODE in span.marks:
        core = core.replace("`", "'")
    text = _escape(core)
    if span.link:
        href = _escape(span.link)
        text = f"<{href}>" if span.text == span.link else f"<{href}|{text}>"
    for mark, sign in _SIGNS:
        if mark in span.marks:
            text = f"{sign}{text}{sign}"
    return text


_QUOTED: Final = re.compile(r"(?:>|&gt;)(?P<all>(?:>|&gt;){2})?[ \t]?")
_BULLET: Final = re.compile(r"([ \t]*)[\u2022\u25e6\u25aa\u2023\u2043-][ \t]+(?=\S)")
_NUMBER: Final = re.compile(r"([ \t]*)(\d{1,9})[.)][ \t]+(?=\S)")
_PIECE: Final = re.compile(r"<([^<>\n]*)>|`([^`\n]+)`|([*_~])")
_DELIMITERS: Final = {"*": STRONG, "_": EM, "~": STRIKE}


def from_mrkdwn(text: str, *, users: Mapping[str, str] = _NOBODY) -> str:
    """Read mrkdwn, as Slack's events carry it, as Markdown.

    A mention becomes `@name`, the name taken from `users` (Slack's user id to a name), else from
    the mention, else the id; `<!here>` becomes `@here`. Emoji codes such as `:tada:` stay.
    """
    reader = _Reader(users)
    parts = clean(text).split("```")
    if len(parts) % 2 == 0:
        # The last fence is never closed, so it is text.
        parts[-2:] = ["```".join(parts[-2:])]
    for number, part in enumerate(parts):
        read = reader.code if number % 2 else reader.text
        read(part)
    return write(reader.finished())


class _Reader:
    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users
        self._blocks: list[Block] = []
        self._quoted: list[str] | None = None
        self._rest_quoted = False
        self._outline = Outline()
        self._indents: list[int] = []
        self._spans: Spans = []

    def code(self, text: str) -> None:
        self._settle()
        self._blocks.append(Code(_unescape(text).strip("\n")))

    def text(self, text: str) -> None:
        for line in text.split("\n"):
            found = None if self._rest_quoted else _QUOTED.match(line)
            if found or self._rest_quoted:
                self._flush()
                self._quoted = self._quoted or []
                self._quoted.append(line[found.end() :] if found else line)
                self._rest_quoted = self._rest_quoted or bool(found and found["all"])
                continue
            self._unquote()
            self._line(line)

    def finished(self) -> list[Block]:
        self._settle()
        return self._blocks

    def _line(self, line: str) -> None:
        found = _BULLET.match(line) or _NUMBER.match(line)
        if found:
            self._end_paragraph()
            indent = len(found[1].expandtabs(4))
            while self._indents and self._indents[-1] >= indent:
                self._indents.pop()
            start = int(found[2]) if found.re is _NUMBER else None
            self._outline.add(len(self._indents), start, self._inline(line[found.end() :]))
            self._indents.append(indent)
        elif self._outline and line[:1].isspace() and line.strip():
            self._outline.more(self._inline(line.strip()))
        elif line.strip() == _RULE:
            self._flush()
            self._blocks.append(Rule())
        else:
            self._end_list()
            self._spans.extend((*self._inline(line), Span("\n")))

    def _settle(self) -> None:
        self._unquote()
        self._flush()

    def _unquote(self) -> None:
        if self._quoted is not None:
            inner = _Reader(self._users)
            for line in self._quoted:
                inner._line(line)
            blocks = inner.finished()
            if blocks:
                self._blocks.append(Quote(blocks))
            self._quoted, self._rest_quoted = None, False

    def _flush(self) -> None:
        self._end_paragraph()
        self._end_list()

    def _end_paragraph(self) -> None:
        self._blocks.extend(paragraphs(self._spans))
        self._spans = []

    def _end_list(self) -> None:
        self._blocks.extend(self._outline.close())
        self._indents = []

    def _inline(self, line: str) -> Spans:
        pieces: list[Span | Delimiter] = []
        end = 0
        for found in _PIECE.finditer(line):
            pieces.append(Span(_unescape(line[end : found.start()])))
            end = found.end()
            if found[3]:
                pieces.append(delimiter(line, found.start(), end, _DELIMITERS[found[3]]))
            elif found[2]:
                pieces.append(Span(_unescape(found[2]), frozenset({CODE})))
            else:
                pieces.append(self._reference(found[1]))
        pieces.append(Span(_unescape(line[end:])))
        return pair([piece for piece in pieces if piece.text])

    def _reference(self, inside: str) -> Span:
        """Read what stands between angle brackets: a mention, a channel, a command or a link."""
        target, _, shown = inside.partition("|")
        shown = _unescape(shown)
        kind, name = target[:1], target[1:]
        if kind == "@":
            who = clean(self._users.get(name)) or shown or name
            return Span(f"@{who.removeprefix('@')}")
        if kind == "#":
            return Span(f"#{(shown or name).removeprefix('#')}")
        if kind == "!":
            return Span(shown or f"@{name.partition('^')[0]}")
        target = _unescape(target)
        url = safe_url(target)
        return Span(shown or target.removeprefix("mailto:") or f"<{inside}>", link=url)


def _unescape(text: str) -> str:
    # Slack escapes these three and no others; `&amp;lt;` is `&lt;` typed by a person.
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    # The invisible blank has done its work: the edges of marks, and the fences, are found.
    return text.replace(_EDGE, "")
