"""Text without markup: taken out of Markdown, put into it, and shortened."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from hub.sdk.text._markdown import parse, tokens, write
from hub.sdk.text._tree import (
    Block,
    Code,
    Heading,
    Listing,
    Paragraph,
    Quote,
    Rule,
    Span,
    Table,
    clean,
    paragraphs,
    text_of,
)

_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
# A word longer than this is cut rather than left out.
_LONGEST_WORD: Final = 40
_LAST_WORD: Final = re.compile(r"\s\S*\Z")
# A link that is cut within its address; an address longer than this is cut.
_LONGEST_ADDRESS: Final = 2000
_ADDRESS: Final = re.compile(r"!?\[[^\[\]\n]*\]\([^()\s]*\Z")
_JOINERS: Final = frozenset("\u200d\ufe0e\ufe0f")


def plain(markdown: str) -> str:
    """Return the words of Markdown without any markup; links keep their text only.

    Paragraphs are separated by an empty line; entries of a list and rows of a table have a line
    each.
    """
    return _joined(parse(markdown), "\n\n")


def from_plain(text: str) -> str:
    """Return Markdown that shows `text` as it is: what looks like markup in it is escaped.

    For text that a person typed into a plain field. An empty line parts paragraphs, a newline stays
    a line break.
    """
    return write(paragraphs([Span(clean(text))]))


def _joined(blocks: Iterable[Block], separator: str) -> str:
    return separator.join(part for block in blocks if (part := _block(block)))


def _block(block: Block) -> str:
    match block:
        case Paragraph(spans) | Heading(_, spans):
            return text_of(spans)
        case Code(text, _):
            return text
        case Rule():
            return ""
        case Quote(inner):
            return _joined(inner, "\n\n")
        case Listing(_, items):
            return "\n".join(part for item in items if (part := _joined(item.blocks, "\n")))
        case Table(rows):
            return "\n".join(" ".join(filter(None, map(text_of, row))) for row in rows)


def shorten(text: str, limit: int) -> str:
    """Return `text` in at most `limit` characters, cut between words and ended with an ellipsis.

    A cut inside a code fence closes the fence, so that what is appended to the text stays outside
    of it; a cut inside a link's address leaves the link out. A limit of 0 or less gives "".
    """
    if len(text) <= max(limit, 0) or len(text := clean(text)) <= max(limit, 0):
        return text
    if limit <= 1:
        return _ELLIPSIS[: max(limit, 0)]
    short = _cut(text, limit - 1) + _ELLIPSIS
    closing, opened = _open_fence(short)
    if not closing:
        return short
    tail = f"\n{_ELLIPSIS}\n{closing}"
    kept = text[: limit - len(tail)].rstrip()
    code = text.find("\n", opened)
    if code < 0 or len(kept) <= code:
        # There is no room for a line of the code, so the code goes.
        kept, tail = _cut(text, max(0, opened - 1)), f"\n{_ELLIPSIS}"
        return kept + (tail if _open_fence(kept + _ELLIPSIS)[0] else _ELLIPSIS)
    return kept + (tail if _open_fence(kept)[0] else f"\n{_ELLIPSIS}")


def _cut(text: str, room: int) -> str:
    while room > 0 and (
        unicodedata.combining(text[room]) or text[room] in _JOINERS or text[room - 1] == "\u200d"
    ):
        room -= 1
    kept = text[:room]
    address = _ADDRESS.search(kept, max(0, room - _LONGEST_ADDRESS))
    if address:
        kept = kept[: address.start()]
    elif not text[room].isspace():
        word = _LAST_WORD.search(kept, max(0, room - _LONGEST_WORD))
        kept = kept[: word.start()] if word else kept
    return kept.rstrip()


def _open_fence(text: str) -> tuple[str, int]:
    """Return what closes the fence that is open at the end, and where it opens; "" for none.

    A fence in a list or a quote ends with it.
    """
    lines = text.split("\n")
    for token in reversed(tokens(text)):
        if token.type != "fence" or token.level or not token.map:
            continue
        first, end = token.map
        if end < len(lines):
            break
        last = lines[-1].strip()
        closed = (
            end - first > 1 and last.startswith(token.markup) and set(last) == {token.markup[0]}
        )
        return ("", 0) if closed else (token.markup, sum(len(line) + 1 for line in lines[:first]))
    return "", 0
