"""Jira's wiki markup, which its webhooks carry, read as Markdown.

Source of the notation: https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all
"""

from __future__ import annotations

import re
from typing import Final

from hub.sdk.text._markdown import write
from hub.sdk.text._tree import (
    ATTACHMENT,
    CODE,
    EM,
    MAX_DEPTH,
    STRIKE,
    STRONG,
    Block,
    Code,
    Delimiter,
    Heading,
    Outline,
    Paragraph,
    Quote,
    Rule,
    Span,
    Spans,
    autolink,
    clean,
    delimiter,
    language,
    one_line,
    pair,
    paragraphs,
    safe_url,
    table,
)

_VERBATIM: Final = re.compile(r"\{(code|noformat)(?::([^{}\n]*))?\}")
_BOX: Final = re.compile(r"\{(quote|panel|info|note|tip|warning|expand)(?::([^{}\n]*))?\}")
_HEADING: Final = re.compile(r"[ \t]*h([1-6])\.[ \t]+(.*)")
_SHORT_QUOTE: Final = re.compile(r"[ \t]*bq\.[ \t]+(.*)")
_RULE: Final = re.compile(r"[ \t]*-{4,}[ \t]*")
# Two or three dashes are a dash, not a list.
_ENTRY: Final = re.compile(r"[ \t]*(?!-{2,3}[ \t])([*#-]{1,40})[ \t]+(?=\S)")
_ROW: Final = re.compile(r"[ \t]*\|(?=.*\|[ \t]*$|\|)")
_CELL: Final = re.compile(
    r"\[[^\[\]\n]*\]|\{\{[^{}\n]*\}\}|\\.|!\S[^!\n]*\|[^!|\n]*!|(\|\|?)|[^|\[{\\!]+|."
)
_PIECE: Final = re.compile(
    r"(?P<break>\\\\(?!\\))"
    r"|\\(?P<literal>[^\w\s])"
    r"|\{\{(?P<mono>[^\n{}]+)\}\}"
    r"|\{(?:color|anchor)(?::[^{}\n]*)?\}"
    r"|\[(?P<link>[^\[\]\n]+)\]"
    r"|(?<![^\W_])!(?P<file>[^\s!|][^!|\n]*\.\w{1,5}|https?://[^\s!|]+)(?:\|[^!\n]*)?!"
    r"|(?P<url>https?://[^\s|\[\]{}<>\"]+)"
    r"|(?P<sign>\?\?|[*_+^~-])",
    re.IGNORECASE,
)
# Jira's underline, superscript and subscript have no Markdown; their signs go, the text stays.
_SIGNS: Final = {"*": STRONG, "_": EM, "-": STRIKE, "??": EM, "+": "", "^": "", "~": ""}


def from_wiki(text: str) -> str:
    """Read Jira wiki markup, or plain text, as Markdown.

    Mentions become `@` and the account id, attached files `[attachment]`, panels and their kin
    quotes that begin with the title. Markup that is not closed is text.
    """
    reader = _Reader()
    source = clean(text)
    end = 0
    unclosed: set[str] = set()
    while found := _VERBATIM.search(source, end):
        closing = f"{{{found[1]}}}"
        stop = -1 if closing in unclosed else source.find(closing, found.end())
        if stop < 0:
            # Looked for once: searching again from every such tag would cost the square.
            unclosed.add(closing)
            reader.text(source[end : found.end()], cut=True)
            end = found.end()
            continue
        reader.text(source[end : found.start()])
        reader.code(source[found.end() : stop], found[1], found[2] or "")
        end = stop + len(closing)
    reader.text(source[end:])
    return write(reader.finished())


class _Reader:
    def __init__(self) -> None:
        self._homes: list[list[Block]] = [[]]
        self._boxes: list[str] = []
        self._outline = Outline()
        self._spans: Spans = []
        self._rows: list[list[list[Block]]] = []
        self._held = ""

    def text(self, text: str, *, cut: bool = False) -> None:
        """Read a stretch of text; `cut` says that its last line goes on in the next stretch."""
        text, self._held = self._held + text, ""
        if cut:
            text, newline, self._held = text.rpartition("\n")
            if not newline:
                return
        end = 0
        for found in _BOX.finditer(text):
            self._lines(text[end : found.start()])
            self._box(found[1], found[2] or "")
            end = found.end()
        self._lines(text[end:])

    def code(self, text: str, kind: str, params: str) -> None:
        self._flush()
        # `{code:python}` or `{code:title=x.py|python}`; noformat has no language.
        names = [part for part in params.split("|") if "=" not in part]
        name = language(names[0]) if names and kind == "code" else ""
        self._homes[-1].append(Code(text.strip("\n"), name))

    def finished(self) -> list[Block]:
        self._flush()
        while self._boxes:
            self._end_box()
        return self._homes[0]

    def _box(self, kind: str, params: str) -> None:
        self._flush()
        if kind in self._boxes and not params:
            while self._end_box() != kind:
                pass
        elif len(self._boxes) < MAX_DEPTH:
            self._boxes.append(kind)
            self._homes.append([])
            title = next((p[6:] for p in params.split("|") if p.startswith("title=")), "")
            self._homes[-1].extend(paragraphs([Span(title, frozenset({STRONG}))]))

    def _end_box(self) -> str:
        blocks = self._homes.pop()
        if blocks:
            self._homes[-1].append(Quote(blocks))
        return self._boxes.pop()

    def _lines(self, text: str) -> None:
        for line in text.split("\n"):
            self._line(line)

    def _line(self, line: str) -> None:
        if found := _ROW.match(line):
            self._end_text()
            self._rows.append(_row(line[found.end() - 1 :]))
            return
        self._end_table()
        if found := _HEADING.fullmatch(line):
            self._end_text()
            spans = one_line(_inline(found[2]))
            if spans:
                self._homes[-1].append(Heading(int(found[1]), spans))
        elif found := _SHORT_QUOTE.fullmatch(line):
            self._end_text()
            self._homes[-1].append(Quote(paragraphs(_inline(found[1]))))
        elif _RULE.fullmatch(line):
            self._end_text()
            self._homes[-1].append(Rule())
        elif found := _ENTRY.match(line):
            self._end_paragraph()
            start = 1 if found[1][-1] == "#" else None
            self._outline.add(len(found[1]) - 1, start, _inline(line[found.end() :]))
        elif not line.strip():
            self._end_text()
        elif self._outline:
            self._outline.more(_inline(line.strip()))
        else:
            self._spans.extend((*_inline(line), Span("\n")))

    def _flush(self) -> None:
        self._end_text()
        self._end_table()

    def _end_text(self) -> None:
        self._end_paragraph()
        self._homes[-1].extend(self._outline.close())

    def _end_paragraph(self) -> None:
        self._homes[-1].extend(paragraphs(self._spans))
        self._spans = []

    def _end_table(self) -> None:
        if self._rows:
            self._homes[-1].extend(table(self._rows))
            self._rows = []


def _row(line: str) -> list[list[Block]]:
    cells: list[list[str]] = []
    for found in _CELL.finditer(line):
        if found[1]:
            cells.append([])
        elif cells:
            cells[-1].append(found[0])
    texts = ["".join(parts).strip() for parts in cells]
    if texts and not texts[-1]:
        texts.pop()
    return [[Paragraph(one_line(_inline(text)))] for text in texts]


def _inline(line: str) -> Spans:
    pieces: list[Span | Delimiter] = []
    end = 0
    for found in _PIECE.finditer(line):
        pieces.append(Span(line[end : found.start()]))
        end = found.end()
        kind = found.lastgroup
        if kind == "break":
            pieces.append(Span("\n"))
        elif kind == "literal":
            pieces.append(Span(found["literal"]))
        elif kind == "mono":
            pieces.append(Span(found["mono"], frozenset({CODE})))
        elif kind == "link":
            pieces.append(_link(found["link"]))
        elif kind == "file":
            url = safe_url(found["file"])
            pieces.append(Span(url, link=url, image=True) if url else Span(ATTACHMENT))
        elif kind == "url":
            pieces.extend(autolink([Span(found["url"])]))
        elif kind == "sign":
            pieces.append(delimiter(line, found.start(), end, _SIGNS[found["sign"]]))
    pieces.append(Span(line[end:]))
    return pair([piece for piece in pieces if piece.text])


def _link(inside: str) -> Span:
    """Read what stands between square brackets: a mention, a file, or a link."""
    shown, bar, rest = inside.partition("|")
    # A third part says how Jira shows the link (`smart-link`).
    target = (rest.partition("|")[0] if bar else shown).strip()
    if target.startswith("~"):
        who = shown.strip() if bar else target[1:].removeprefix("accountid:")
        return Span(f"@{who or target}")
    if target.startswith("^"):
        return Span(ATTACHMENT)
    url = safe_url(target)
    if url:
        return Span(
            shown.strip() if bar and shown.strip() else target.removeprefix("mailto:"), link=url
        )
    # Square brackets that hold no address are text.
    return Span(f"[{inside}]")
