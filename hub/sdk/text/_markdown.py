"""Markdown (CommonMark, tables, strikethrough) read into the tree, and the tree written back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from hub.sdk.text._tree import (
    CODE,
    EM,
    MAX_DEPTH,
    NO_MARKS,
    STRIKE,
    STRONG,
    Block,
    Code,
    Heading,
    Item,
    Listing,
    Paragraph,
    Quote,
    Rule,
    Span,
    Spans,
    Table,
    autolink,
    clean,
    language,
    lines,
    mark_tasks,
    merged,
    one_line,
    paragraphs,
    safe_url,
)

# A list takes two of the parser's levels, its entry included, a quote one; a quote may hold a list
# of full depth. Each level also multiplies what a row of opening brackets costs.
_PARSER_DEPTH: Final = 2 * MAX_DEPTH + 2
_MARKS: Final = {"strong": STRONG, "em": EM, "s": STRIKE}
_DELIMITERS: Final = ((STRIKE, "~~"), (STRONG, "**"), (EM, "*"))
_ORDER: Final = [mark for mark, _ in _DELIMITERS]


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _PARSER_DEPTH})
    parser.enable(["table", "strikethrough"])
    # A refused link would show its whole source; `safe_url` keeps the words and drops the address.
    parser.validateLink = bool  # type: ignore[method-assign,assignment]
    # `safe_url` encodes; the parser's own encoding would encode twice.
    parser.normalizeLink = str  # type: ignore[method-assign,assignment]
    parser.normalizeLinkText = str  # type: ignore[method-assign,assignment]
    return parser


_PARSER: Final = _parser()
_TEXT_ONLY: Final = MarkdownIt("zero").enable(["newline"])


def tokens(markdown: str) -> list[Token]:
    """Parse Markdown into block tokens; used where positions in the source matter."""
    return _PARSER.parse(clean(markdown))


def parse(markdown: object) -> list[Block]:
    """Read Markdown into blocks. Anything but a string is an empty text.

    The parser drops what is nested too deeply; such a text is read as plain lines instead, so that
    no word is lost.
    """
    text = clean(markdown)
    parsed = _PARSER.parse(text)
    if any(
        token.level >= _PARSER_DEPTH - 1 and token.type in {"blockquote_open", "list_item_open"}
        for token in parsed
    ):
        parsed = _TEXT_ONLY.parse(text)
    return _blocks(parsed)


def _blocks(parsed: Sequence[Token]) -> list[Block]:  # noqa: C901, PLR0912 - a case a token
    root: list[Block] = []
    homes: list[list[Block]] = [root]
    listings: list[Listing] = []
    rows: list[list[Spans]] = []
    kind, level = "", 0
    for token in parsed:
        match token.type:
            case "paragraph_open" | "heading_open" | "th_open" | "td_open":
                kind, level = token.tag, int(token.tag[1]) if token.type == "heading_open" else 0
            case "inline":
                spans = autolink(_spans(token.children or ()))
                if kind in {"th", "td"}:
                    rows[-1].append(one_line(spans))
                elif level:
                    homes[-1].append(Heading(level, one_line(spans)))
                else:
                    homes[-1].extend(paragraphs(spans))
            case "fence" | "code_block":
                homes[-1].append(Code(token.content.removesuffix("\n"), language(token.info)))
            case "hr":
                homes[-1].append(Rule())
            case "blockquote_open":
                quoted = Quote([])
                homes[-1].append(quoted)
                homes.append(quoted.blocks)
            case "bullet_list_open" | "ordered_list_open":
                start = token.attrs.get("start", 1) if token.tag == "ol" else None
                listings.append(Listing(None if start is None else int(start)))
                homes[-1].append(listings[-1])
            case "list_item_open":
                item = Item()
                listings[-1].items.append(item)
                homes.append(item.blocks)
            case "blockquote_close" | "list_item_close":
                homes.pop()
            case "bullet_list_close" | "ordered_list_close":
                mark_tasks(listings.pop())
            case "table_open":
                rows = []
            case "tr_open":
                rows.append([])
            case "table_close":
                homes[-1].append(Table(rows))
            case _:
                pass
    return root


def _spans(children: Sequence[Token]) -> Spans:
    spans: Spans = []
    depth = dict.fromkeys(_MARKS, 0)
    marks, link = NO_MARKS, ""
    for token in children:
        name = token.type.partition("_")[0]
        if name in depth:
            depth[name] += token.nesting
            marks = frozenset(mark for key, mark in _MARKS.items() if depth[key])
        elif token.type == "link_open":
            link = safe_url(token.attrs.get("href"))
        elif token.type == "link_close":
            link = ""
        elif token.type == "image":
            source = safe_url(token.attrs.get("src"))
            shown = "".join(child.content for child in token.children or ()).replace("\n", " ")
            spans.append(Span(shown.strip() or source, marks, source, image=bool(source)))
        elif token.type in {"softbreak", "hardbreak"}:
            spans.append(Span("\n"))
        elif token.type == "code_inline":
            spans.append(Span(token.content, marks | {CODE}, link))
        else:
            spans.append(Span(token.content, marks, link))
    return merged(spans)


def write(blocks: Sequence[Block]) -> str:
    """Write blocks as Markdown; "" when there is nothing to say."""
    return _written(blocks, tight=False)


def _written(blocks: Sequence[Block], *, tight: bool) -> str:
    parts = [part for block in blocks if (part := _block(block))]
    return ("\n" if tight else "\n\n").join(parts)


def _block(block: Block) -> str:
    match block:
        case Paragraph(spans):
            return inline(spans)
        case Heading(level, spans):
            text = re.sub(r"#+$", r"\\\g<0>", _inline([one_line(spans)]))
            return f"{'#' * level} {text}" if text else ""
        case Code(text, name):
            fence = "`" * max(3, _longest_ticks(text) + 1)
            return f"{fence}{name}\n{text}\n{fence}" if text else f"{fence}{name}\n{fence}"
        case Rule():
            # Not `---`: that would end a list entry, or make a heading of the line above.
            return "***"
        case Quote(inner):
            return _indented(_written(inner, tight=False), "> ", "> ")
        case Listing():
            return _listing(block)
        case Table(rows):
            return _table(rows)


def _listing(listing: Listing) -> str:
    tight = all(
        _interrupts(block) if position else isinstance(block, (Listing, Paragraph))
        for item in listing.items
        for position, block in enumerate(item.blocks)
    )
    parts = []
    number = min(max(listing.start or 0, 0), 10**9 - 1 - len(listing.items))
    for offset, item in enumerate(listing.items):
        lead = "- " if listing.start is None else f"{number + offset}. "
        text = _written(item.blocks, tight=tight)
        # A box is read only in front of text.
        box = "" if item.done is None else "[x] " if item.done else "[ ] "
        box = box if item.blocks and isinstance(item.blocks[0], Paragraph) else ""
        parts.append(_indented(box + text, lead, " " * len(lead)) if box or text else lead.rstrip())
    return ("\n" if tight else "\n\n").join(parts)


def _interrupts(block: Block) -> bool:
    # Only such a list is seen as a list right under a line of text.
    return isinstance(block, Listing) and block.start in {None, 1} and bool(block.items[0].blocks)


def _indented(text: str, first: str, rest: str) -> str:
    if not text:
        return ""
    head, *tail = text.split("\n")
    return "\n".join([first + head, *((rest + line if line else rest.rstrip()) for line in tail)])


def _table(rows: Sequence[Sequence[Spans]]) -> str:
    width = max((len(row) for row in rows), default=0)
    if not width:
        return ""
    written = []
    for row in rows:
        cells = [_inline([one_line(cell)]).replace("|", "\\|") for cell in row]
        cells += [""] * (width - len(cells))
        written.append(f"| {' | '.join(cells)} |")
    written.insert(1, "|" + " --- |" * width)
    return "\n".join(written)


def inline(spans: Spans) -> str:
    """Write the spans of a paragraph, line by line, so that no line reads as another block."""
    return _inline([row for row in lines(spans) if row], starts=True)


def _inline(rows: list[Spans], *, starts: bool = False) -> str:
    # Emphasis next to letters and punctuation has corners where Markdown reads something else.
    # What was written is read again; if it differs, the emphasis goes and the words stay.
    for kept in ({STRONG, EM, STRIKE, CODE, "link"}, {CODE, "link"}, set[str]()):
        ready = [_hugging(_keeping(row, kept)) for row in rows]
        written = [_line(row) for row in ready]
        if starts:
            written = [_line_start(line) for line in written]
        text = "\\\n".join(written)
        if not kept or all(not span.marks and not span.link for row in ready for span in row):
            return text
        expected = [span for row in ready for span in [*row, Span("\n")]][:-1]
        if _shape(_spans(_PARSER.parseInline(text)[0].children or ())) == _shape(expected):
            return text
    return ""  # pragma: no cover - the last turn of the loop returns


def _shape(spans: Spans) -> list[tuple[str, frozenset[str], bool, bool]]:
    flat = [Span(span.text, span.marks, "x" if span.link else "", span.image) for span in spans]
    return [(span.text, span.marks, bool(span.link), span.image) for span in merged(flat)]


def _keeping(row: Spans, kept: set[str]) -> Spans:
    link = "link" in kept
    return merged(
        Span(span.text, span.marks & kept, span.link if link else "", link and span.image)
        for span in row
    )


_PIECES = re.compile(r"\s+|[^\W_]+|(?:[^\w\s]|_)+")


def _hugging(row: Spans) -> Spans:
    """Move blanks, and punctuation that touches a letter outside, out of the emphasis."""
    pieces: Spans = []
    for span in row:
        if span.image or CODE in span.marks or not span.marks:
            pieces.append(span)
        else:
            pieces.extend(
                Span(found, span.marks, span.link) for found in _PIECES.findall(span.text)
            )
    for mark in _ORDER:
        _hug(pieces, mark)
        pieces.reverse()
        _hug(pieces, mark, edge=0)
        pieces.reverse()
    return merged(pieces)


def _hug(pieces: Spans, mark: str, edge: int = -1) -> None:
    # `edge` is the end of a piece that faces the text before it: -1 forwards, 0 backwards.
    before = " "
    inside = False
    around: object = None
    outer = _ORDER[: _ORDER.index(mark)]
    for position, piece in enumerate(pieces):
        # Where a mark around this one begins or ends, this one ends and begins anew.
        last, around = around, (piece.link, [name in piece.marks for name in outer])
        if mark not in piece.marks:
            inside = False
        elif not inside or around != last:
            inside = False
            plain = CODE not in piece.marks and not piece.image
            facing = piece.text[-1 - edge]
            if plain and (facing.isspace() or (before.isalnum() and not facing.isalnum())):
                pieces[position] = Span(piece.text, piece.marks - {mark}, piece.link)
            else:
                inside = True
        before = piece.text[edge]


def _line(row: Spans) -> str:
    out: list[str] = []
    opened: list[tuple[str, str]] = []
    for span in row:
        # A bare address reads better as `<address>`, and needs no escapes.
        bare = span.link == span.text and not span.image and CODE not in span.marks
        wanted = [] if not span.link or span.image or bare else [("link", span.link)]
        wanted += [(mark, sign) for mark, sign in _DELIMITERS if mark in span.marks]
        same = sum(
            1 for _ in takewhile(lambda both: both[0] == both[1], zip(opened, wanted, strict=False))
        )
        out.extend(_close(*mark) for mark in reversed(opened[same:]))
        for mark, value in wanted[same:]:
            if mark == "link" and out and out[-1].endswith("!"):
                out[-1] = f"{out[-1][:-1]}\\!"
            out.append("[" if mark == "link" else value)
        opened = wanted
        out.append(f"<{span.text}>" if bare and span.text else _text(span))
    out.extend(_close(*mark) for mark in reversed(opened))
    return "".join(out)


def _close(mark: str, value: str) -> str:
    return f"]({_target(value)})" if mark == "link" else value


def _target(url: str) -> str:
    url = re.sub(r"&(?=#?\w+;)", "&amp;", url)
    return f"<{url}>" if "(" in url or ")" in url else url


_ESCAPES = re.compile(
    r"[\\`*]"
    r"|(?<![^\W_])_|_(?![^\W_])"
    r"|~(?=~)|(?<=~)~"
    r"|<(?=[A-Za-z/!?])"
    r"|&(?=#?\w+;)"
    r"|\](?=[(\[:])"
)
_BRACKETS = re.compile(r"(?<!\\)[\[\]]")


def escape(text: str) -> str:
    """Escape what Markdown would read as inline markup."""
    return _ESCAPES.sub(r"\\\g<0>", text)


def _text(span: Span) -> str:
    if CODE in span.marks:
        return _code(span.text)
    text = escape(span.text)
    if span.link:
        text = _BRACKETS.sub(r"\\\g<0>", text)
    return f"![{text}]({_target(span.link)})" if span.image else text


def _code(text: str) -> str:
    ticks = "`" * (_longest_ticks(text) + 1)
    padded = f" {text} " if text[0] in "` " or text[-1] in "` " else text
    return f"{ticks}{padded if text.strip() else text}{ticks}"


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


_LINE_START = re.compile(
    r"(?P<mark>[-+](?=\s|$)|\#{1,6}(?=\s|$)|>|~{3}|[-:|=](?=[-:|=\s]*$))"
    r"|(?P<number>\d{1,9})(?=[.)](?:\s|$))"
)


def _line_start(line: str) -> str:
    found = _LINE_START.match(line)
    if not found:
        return line
    if found["number"]:
        return f"{found['number']}\\{line[found.end() :]}"
    return f"\\{line}"
