"""The one shape that every text format is read into and written from.

Blocks form a shallow tree; the text inside a block is a flat run of spans that carry their marks,
so crossing and repeated marks need no repair, and no writer recurses over inline text. A reader
never nests deeper than `MAX_DEPTH`, which bounds the recursion of every writer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import quote

from hub.sdk.json import clean_text

MAX_DEPTH: Final = 10
"""Levels of quotes and lists that are kept; what lies deeper joins the level above it."""

ATTACHMENT: Final = "[attachment]"
"""Stands for an image or a file that has no address another tool could open."""

OPEN, DONE = "\N{BALLOT BOX}", "\N{BALLOT BOX WITH CHECK}"
"""Begin a task's text in formats that have no task lists of their own."""

STRONG, EM, STRIKE, CODE = "strong", "em", "strike", "code"
NO_MARKS: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text with its marks. A newline in `text` is a line break."""

    text: str
    marks: frozenset[str] = NO_MARKS
    link: str = ""
    image: bool = False


Spans: TypeAlias = list[Span]


@dataclass(slots=True)
class Paragraph:
    """Running text."""

    spans: Spans


@dataclass(slots=True)
class Heading:
    """A heading of level 1 to 6."""

    level: int
    spans: Spans


@dataclass(slots=True)
class Code:
    """A block of code, without a newline at its end."""

    text: str
    language: str = ""


@dataclass(slots=True)
class Rule:
    """A line across the page."""


@dataclass(slots=True)
class Quote:
    """Blocks quoted from somewhere else."""

    blocks: list[Block]


@dataclass(slots=True)
class Item:
    """One entry of a list; `done` is None for an entry that is no task."""

    blocks: list[Block] = field(default_factory=list)
    done: bool | None = None


@dataclass(slots=True)
class Listing:
    """A list: numbered from `start`, or bulleted where `start` is None."""

    start: int | None
    items: list[Item] = field(default_factory=list)


@dataclass(slots=True)
class Table:
    """Rows of cells, the first row being the heads. All rows have the same length."""

    rows: list[list[Spans]]


Block: TypeAlias = "Paragraph | Heading | Code | Rule | Quote | Listing | Table"

_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_SAFE_URL = re.compile(r"(?:https?://[^/?#]|mailto:|tel:)", re.IGNORECASE)
_URL_NOISE = re.compile("[\x00-\x20\x7f-\xa0\u200b\u2028\u2029\ufeff\ufffd]")
# What may stand in a URL unescaped. Left out on purpose: spaces, quotes, angle brackets, the bar
# (it ends an address in chat markup), the backslash and the caret.
_URL_KEPT = "%:/?#[]@!$&()*+,;=-._~"
_BARE_URL = re.compile(r"(?<![\w@])https?://[^\s<>\"'`|\\]+", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z0-9+#_.-]{1,40}")


def clean(text: object) -> str:
    """Return `text` storable and sendable: Unix newlines, no control characters, no surrogates."""
    if not isinstance(text, str):
        return ""
    return _CONTROL.sub("", clean_text(text).replace("\r\n", "\n").replace("\r", "\n"))


def safe_url(url: object) -> str:
    """Return an address that may be shown to a person as a link, percent-encoded, or "".

    Only absolute http, https, mailto and tel addresses pass. Relative ones mean nothing in another
    tool, and `javascript:` and its kin must not travel between tools.
    """
    if not isinstance(url, str):
        return ""
    # Browsers ignore control characters inside a scheme; so does this check.
    text = _URL_NOISE.sub("", clean_text(url.strip().replace(" ", "%20")))
    if text[:2] == "//":
        text = f"https:{text}"
    elif text[:4].lower() == "www.":
        text = f"https://{text}"
    return quote(text, safe=_URL_KEPT) if _SAFE_URL.match(text) else ""


def language(name: object) -> str:
    """Return the name of a programming language when it is one that any format can carry."""
    found = _LANGUAGE.fullmatch(name.split()[0]) if isinstance(name, str) and name.split() else None
    return found[0] if found else ""


def autolink(spans: Iterable[Span]) -> Spans:
    """Turn bare http and https addresses in the text into links."""
    linked: Spans = []
    for span in spans:
        if span.link or CODE in span.marks or "://" not in span.text:
            linked.append(span)
            continue
        end = 0
        for found in _BARE_URL.finditer(span.text):
            shown = _without_tail(found[0])
            href = safe_url(shown)
            if not href:
                continue
            linked.append(Span(span.text[end : found.start()], span.marks))
            linked.append(Span(shown, span.marks, href))
            end = found.start() + len(shown)
        linked.append(Span(span.text[end:], span.marks))
    return [span for span in linked if span.text]


def _without_tail(url: str) -> str:
    # A full stop or a closing bracket after an address belongs to the sentence.
    while url and (
        url[-1] in ".,;:!?*_~]}\u2026" or (url[-1] == ")" and url.count(")") > url.count("("))
    ):
        url = url[:-1]
    return url


def merged(spans: Iterable[Span]) -> Spans:
    """Join neighbours that look alike and drop empty ones."""
    joined: Spans = []
    parts: list[str] = []
    for span in spans:
        if not span.text:
            continue
        last = joined[-1] if joined else None
        if (
            last
            and not span.image
            and not last.image
            and last.marks == span.marks
            and last.link == span.link
        ):
            parts.append(span.text)
            continue
        _settle(joined, parts)
        joined.append(span)
        parts = [span.text]
    _settle(joined, parts)
    return joined


def _settle(joined: Spans, parts: list[str]) -> None:
    if len(parts) > 1:
        last = joined[-1]
        joined[-1] = Span("".join(parts), last.marks, last.link)


def lines(spans: Iterable[Span]) -> list[Spans]:
    """Split at line breaks; every line comes merged and without blanks at its ends."""
    rows: list[Spans] = [[]]
    for span in spans:
        for number, part in enumerate(span.text.split("\n")):
            if number:
                rows.append([])
            if part:
                rows[-1].append(Span(part, span.marks, span.link, span.image))
    return [_trimmed(merged(row)) for row in rows]


def _trimmed(row: Spans) -> Spans:
    start, end = 0, len(row)
    while start < end and not row[start].text.strip():
        start += 1
    while start < end and not row[end - 1].text.strip():
        end -= 1
    row = row[start:end]
    if row:
        first = row[0]
        row[0] = Span(first.text.lstrip(), first.marks, first.link, first.image)
        last = row[-1]
        row[-1] = Span(last.text.rstrip(), last.marks, last.link, last.image)
    return row


def paragraphs(spans: Iterable[Span]) -> list[Block]:
    """Make paragraphs of spans: an empty line ends one, a single newline stays a line break."""
    made: list[Block] = []
    current: Spans = []
    for row in lines(spans):
        if row:
            if current:
                current.append(Span("\n"))
            current.extend(row)
        elif current:
            made.append(Paragraph(current))
            current = []
    if current:
        made.append(Paragraph(current))
    return made


def one_line(spans: Iterable[Span]) -> Spans:
    """Put spans on one line, for headings and cells."""
    flat: Spans = []
    for row in lines(spans):
        if row and flat:
            flat.append(Span(" "))
        flat.extend(row)
    return flat


def text_of(spans: Iterable[Span]) -> str:
    """Return the bare text of spans."""
    return "".join(span.text for span in spans)


def table(rows: Sequence[Sequence[list[Block]]]) -> list[Block]:
    """Make a table of cells that hold blocks, or lay the blocks out when it is no table of data.

    Mail is often laid out with tables: a table with one column, or with a list, code or a table in
    a cell, gives its content in reading order.
    """
    width = max((len(row) for row in rows), default=0)
    cells = [cell for row in rows for cell in row]
    if width > 1 and all(isinstance(block, Paragraph) for cell in cells for block in cell):
        return [
            Table([[_cell(row[column : column + 1]) for column in range(width)] for row in rows])
        ]
    return [block for cell in cells for block in cell]


def _cell(found: Sequence[list[Block]]) -> Spans:
    spans: Spans = []
    for block in found[0] if found else ():
        if isinstance(block, Paragraph):
            spans.append(Span("\n"))
            spans.extend(block.spans)
    return one_line(spans)


def mark_tasks(listing: Listing) -> None:
    """Read a task's box (`[ ]`, `[x]`, or its sign) off the front of each entry's text."""
    for item in listing.items:
        first = item.blocks[0] if item.blocks else None
        if item.done is not None or not isinstance(first, Paragraph) or not first.spans:
            continue
        span = first.spans[0]
        for box, done in (
            ("[ ]", False),
            ("[x]", True),
            ("[X]", True),
            (OPEN, False),
            (DONE, True),
        ):
            if span.text.startswith(f"{box} ") and not span.marks and not span.link:
                item.done = done
                first.spans[0] = Span(span.text[len(box) :].lstrip())
                first.spans = [part for part in first.spans if part.text]
                break


class Outline:
    """Builds nested lists from entries that only say how deep they stand."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._open: list[Listing] = []

    def add(self, level: int, start: int | None, spans: Spans) -> None:
        """Add an entry at `level` (0 is outermost), numbered from `start` or bulleted for None."""
        level = min(level, len(self._open), MAX_DEPTH - 1)
        del self._open[level + 1 :]
        if len(self._open) > level and (self._open[level].start is None) != (start is None):
            del self._open[level:]
        if len(self._open) == level:
            listing = Listing(start)
            home = self._open[-1].items[-1].blocks if self._open else self.blocks
            home.append(listing)
            self._open.append(listing)
        self._open[level].items.append(Item(paragraphs(spans)))

    def more(self, spans: Spans) -> None:
        """Add a further line to the newest entry."""
        blocks = self._open[-1].items[-1].blocks
        last = blocks[-1] if blocks else None
        if isinstance(last, Paragraph):
            last.spans.append(Span("\n"))
            last.spans.extend(spans)
        else:
            blocks.extend(paragraphs(spans))

    def close(self) -> list[Block]:
        """Return what was built and begin anew."""
        built, self.blocks, self._open = self.blocks, [], []
        for block in built:
            _mark_all(block)
        return built

    def __bool__(self) -> bool:
        return bool(self._open)


def _mark_all(block: Block) -> None:
    if isinstance(block, Listing):
        mark_tasks(block)
        for item in block.items:
            for inner in item.blocks:
                _mark_all(inner)


@dataclass(frozen=True, slots=True)
class Delimiter:
    """A character in a line that may begin or end a mark, as chat and wiki markup have them."""

    text: str
    mark: str
    opens: bool
    closes: bool


def delimiter(line: str, start: int, end: int, mark: str) -> Delimiter:
    """Judge the delimiter `line[start:end]` by its neighbours: marks hug their text."""
    before, after = line[start - 1 : start], line[end : end + 1]
    return Delimiter(
        line[start:end],
        mark,
        opens=bool(after) and not after.isspace() and not before.isalnum(),
        closes=bool(before) and not before.isspace() and not after.isalnum(),
    )


def pair(pieces: Sequence[Span | Delimiter]) -> Spans:
    """Apply the delimiters of one line that find a partner; the others are plain text.

    An empty mark ("" as a delimiter's mark) takes its delimiters away and marks nothing.
    """
    waiting: dict[str, int] = {}
    partner: dict[int, int] = {}
    for position, piece in enumerate(pieces):
        if not isinstance(piece, Delimiter):
            continue
        opened = waiting.get(piece.text)
        if piece.closes and opened is not None and opened < position - 1:
            partner[opened] = position
            partner[position] = opened
            del waiting[piece.text]
        elif piece.opens:
            waiting[piece.text] = position
    spans: Spans = []
    marks = NO_MARKS
    for position, piece in enumerate(pieces):
        if isinstance(piece, Span):
            spans.append(Span(piece.text, piece.marks | marks, piece.link, piece.image))
        elif position not in partner:
            spans.append(Span(piece.text, marks))
        elif piece.mark and partner[position] > position:
            marks |= {piece.mark}
        else:
            marks -= {piece.mark}
    return spans
