"""HTML as support tools and mail carry it, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from html.parser import HTMLParser
from typing import Final

import nh3

from hub.sdk.text._markdown import parse, write
from hub.sdk.text._tree import (
    ATTACHMENT,
    CODE,
    DONE,
    EM,
    MAX_DEPTH,
    OPEN,
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
    clean,
    language,
    mark_tasks,
    one_line,
    paragraphs,
    safe_url,
    table,
)

_TAGS: Final = ((STRIKE, "s"), (STRONG, "strong"), (EM, "em"), (CODE, "code"))


def to_html(markdown: str) -> str:
    """Render Markdown as HTML of the plainest tags, without newlines between them.

    Tags: p, h1-h6, strong, em, s, code, pre, a, ul, ol, li, blockquote, br, hr. All text is
    escaped, HTML written in the Markdown included; links are http, https, mailto and tel only. An
    image becomes a link to it, so that reading a message fetches nothing; a table becomes one
    paragraph a row, since support tools drop tables.
    """
    return _blocks(parse(markdown))


def _blocks(blocks: Iterable[Block]) -> str:
    return "".join(_block(block) for block in blocks)


def _block(block: Block) -> str:
    match block:
        case Paragraph(spans):
            return f"<p>{_inline(spans)}</p>"
        case Heading(level, spans):
            return f"<h{level}>{_inline(spans)}</h{level}>"
        case Code(text, name):
            kind = f' class="language-{name}"' if name else ""
            return f"<pre><code{kind}>{escape(text)}</code></pre>"
        case Rule():
            return "<hr>"
        case Quote(inner):
            return f"<blockquote>{_blocks(inner)}</blockquote>"
        case Listing(start, items):
            tag = "ul" if start is None else "ol"
            first = "" if start in {None, 1} else f' start="{start}"'
            return f"<{tag}{first}>{''.join(map(_item, items))}</{tag}>"
        case Table(rows):
            return "".join(f"<p>{' | '.join(map(_inline, row))}</p>" for row in rows)


def _item(item: Item) -> str:
    box = "" if item.done is None else f"{DONE if item.done else OPEN} "
    first = item.blocks[0] if item.blocks else None
    if isinstance(first, Paragraph):
        # The first paragraph goes without its tag, as in the lists that people write.
        return f"<li>{box}{_inline(first.spans)}{_blocks(item.blocks[1:])}</li>"
    return f"<li>{box}{_blocks(item.blocks)}</li>"


def _inline(spans: Iterable[Span]) -> str:
    return "".join(map(_span, spans))


def _span(span: Span) -> str:
    text = escape(span.text).replace("\n", "<br>")
    if text == "<br>":
        return text
    for mark, tag in reversed(_TAGS):
        if mark in span.marks:
            text = f"<{tag}>{text}</{tag}>"
    return f'<a href="{escape(span.link)}">{text}</a>' if span.link else text


# Whatever looks like a tag; void ones, and those whose end is often left out, add no depth.
_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
_FLAT: Final = frozenset(
    [
        "br",
        "hr",
        "img",
        "p",
        "li",
        "dd",
        "dt",
        "td",
        "th",
        "tr",
        "meta",
        "link",
        "input",
        "option",
        "wbr",
        "col",
    ]
)
_UNREAD: Final = {"script", "style", "title", "template", "noscript", "svg", "math", "object"}
_DEEPEST: Final = 200

_MARKS: Final = {
    **dict.fromkeys(("strong", "b"), STRONG),
    **dict.fromkeys(("em", "i"), EM),
    **dict.fromkeys(("s", "del", "strike"), STRIKE),
    **dict.fromkeys(("code", "kbd", "tt", "samp"), CODE),
}
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_PLAIN: Final = frozenset(
    [
        "p",
        "div",
        "section",
        "article",
        "header",
        "footer",
        "main",
        "aside",
        "nav",
        "figure",
        "figcaption",
        "address",
        "center",
        "form",
        "dl",
        "dt",
        "dd",
        "details",
        "summary",
        "fieldset",
        "caption",
    ]
)
_TABLES: Final = frozenset(["table", "thead", "tbody", "tfoot", "tr", "td", "th"])
_OTHER: Final = frozenset(
    ["a", "img", "video", "audio", "br", "hr", "pre", "blockquote", "ul", "ol", "li"]
)
_ALLOWED: Final = {*_MARKS, *_HEADINGS, *_PLAIN, *_TABLES, *_OTHER}
_ATTRIBUTES: Final = {
    "a": {"href"},
    "img": {"src", "alt"},
    "video": {"src"},
    "audio": {"src"},
    "ol": {"start"},
    "pre": {"class"},
    "code": {"class"},
}


def from_html(html: str) -> str:
    """Read HTML, or anything that claims to be, as Markdown.

    The input is sanitized by an HTML5 parser first: scripts, styles and comments go, and only
    http, https, mailto and tel addresses stay. An image becomes `![alt](address)`, or
    `[attachment]` where it has no such address. A table that only lays out a mail gives its text.
    """
    if not isinstance(html, str):
        return ""
    text = nh3.clean(
        _shallow(clean(html)),
        tags=_ALLOWED,
        clean_content_tags=_UNREAD,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel=None,
    )
    reader = _Reader()
    # Only well-formed markup comes here: on hostile markup the standard parser of Python 3.11.7 was
    # measured to take two minutes for 100 KB.
    reader.feed(text)
    reader.close()
    return write(reader.finished())


def _shallow(html: str) -> str:
    """Flatten hostile nesting, which costs an HTML5 parser the square of its depth.

    People and mail programs stay below `_DEEPEST` open tags. Above it, all tags become line
    breaks, so the words stay.
    """
    depth = 0
    for found in _TAG.finditer(html):
        if found[2].lower() not in _FLAT:
            depth = max(0, depth - 1) if found[1] else depth + 1
        if depth > _DEEPEST:
            return _TAG.sub(lambda tag: tag[0] if tag[2].lower() in _UNREAD else "<br ", html)
    return html


class _Reader(HTMLParser):
    """Builds blocks from sanitized HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._root: list[Block] = []
        self._homes: list[list[Block]] = [self._root]
        self._tags: list[str] = []
        self._listings: list[Listing] = []
        self._tables: list[list[list[list[Block]]]] = []
        self._spans: Spans = []
        self._marks: list[str] = []
        self._links: list[str] = []
        self._code: list[str] | None = None
        self._language = ""

    def finished(self) -> list[Block]:
        self._flush()
        return self._root

    def handle_data(self, data: str) -> None:
        if self._code is not None:
            self._code.append(data)
            return
        text = re.sub(r"[ \t\n\r\f\xa0]+", " ", data)
        self._spans.append(
            Span(text, frozenset(self._marks), self._links[-1] if self._links else "")
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "br":
            self._break()
        elif tag in {"img", "video", "audio"}:
            self._image(found)
        elif tag == "a":
            self._links.append(safe_url(found.get("href")))
        elif self._code is not None:
            self._language = self._language or _named(found)
        elif tag in _MARKS:
            self._marks.append(_MARKS[tag])
        elif tag == "hr":
            self._flush()
            self._homes[-1].append(Rule())
        else:
            self._flush()
            self._open(tag, found)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._unlink()
        elif tag == "pre":
            self._end_code()
        elif tag in _MARKS:
            if self._code is None and _MARKS[tag] in self._marks:
                self._marks.remove(_MARKS[tag])
        elif tag in _HEADINGS:
            spans = one_line(self._spans)
            self._spans = []
            if spans:
                self._homes[-1].append(Heading(_HEADINGS[tag], spans))
        else:
            self._flush()
            self._close(tag)

    def _open(self, tag: str, attrs: dict[str, str]) -> None:
        if tag == "pre":
            self._code, self._language = [], _named(attrs)
        elif tag == "blockquote":
            self._homes.append([])
        elif tag in {"ul", "ol"}:
            first = attrs.get("start", "")
            number = int(first) if re.fullmatch("[0-9]{1,9}", first) else 1
            self._listings.append(Listing(number if tag == "ol" else None))
            self._homes.append([])
        elif tag == "li":
            self._take_loose()
            self._homes.append([])
        elif tag == "table":
            self._tables.append([])
        elif tag == "tr" and self._tables:
            self._tables[-1].append([])
        elif tag in {"td", "th"} and self._tables:
            self._homes.append([])
        else:
            return
        self._tags.append(tag)

    def _close(self, tag: str) -> None:
        if not self._tags or self._tags[-1] != tag:
            return
        self._take_loose()
        self._tags.pop()
        # A list counts twice, as it does for the parser of Markdown.
        deep = len(self._homes) > 2 * MAX_DEPTH
        if tag == "blockquote":
            blocks = self._homes.pop()
            self._homes[-1].extend([Quote(blocks)] if blocks and not deep else blocks)
        elif tag == "li":
            blocks = self._homes.pop()
            if blocks and self._in_list():
                self._listings[-1].items.append(Item(blocks))
            else:
                self._homes[-1].extend(blocks)
        elif tag in {"ul", "ol"}:
            self._homes.pop()
            listing = self._listings.pop()
            mark_tasks(listing)
            if deep:
                self._homes[-1].extend(block for item in listing.items for block in item.blocks)
            elif listing.items:
                self._homes[-1].append(listing)
        elif tag in {"td", "th"}:
            blocks = self._homes.pop()
            if self._tables[-1]:
                self._tables[-1][-1].append(blocks)
            else:
                self._homes[-1].extend(blocks)
        elif tag == "table":
            self._homes[-1].extend(table(self._tables.pop()))

    def _in_list(self) -> bool:
        return bool(self._tags) and self._tags[-1] in {"ul", "ol"}

    def _take_loose(self) -> None:
        """Give what stands in a list outside of its entries, often a list, to the last entry."""
        loose = self._homes[-1]
        if not loose or not self._in_list():
            return
        items = self._listings[-1].items
        if items:
            items[-1].blocks.extend(loose)
        else:
            items.append(Item(loose))
        self._homes[-1] = []

    def _flush(self) -> None:
        if self._spans:
            self._homes[-1].extend(paragraphs(_collapsed(self._spans)))
            self._spans = []

    def _break(self) -> None:
        if self._code is not None:
            self._code.append("\n")
        else:
            self._spans.append(Span("\n"))

    def _image(self, attrs: dict[str, str]) -> None:
        source = safe_url(attrs.get("src"))
        shown = re.sub(r"\s+", " ", clean(attrs.get("alt"))).strip()
        span = Span(shown or source, link=source, image=True) if source else Span(ATTACHMENT)
        if self._code is None:
            self._spans.append(span)

    def _unlink(self) -> None:
        link = self._links.pop() if self._links else ""
        last = self._spans[-1].link if self._spans else ""
        if link and last != link and self._code is None and not self._shown(link):
            self._spans.append(Span(link, link=link))

    def _shown(self, link: str) -> bool:
        # A link around an image shows the image; one around nothing shows its address.
        return bool(self._spans and self._spans[-1].image) or any(
            span.link == link for span in self._spans[-8:]
        )

    def _end_code(self) -> None:
        if self._tags and self._tags[-1] == "pre":
            self._tags.pop()
        if self._code is not None:
            text = "".join(self._code).replace("\xa0", " ").strip("\n")
            if text:
                self._homes[-1].append(Code(text, self._language))
        self._code, self._language = None, ""


def _named(attrs: dict[str, str]) -> str:
    for name in attrs.get("class", "").split():
        if name.startswith(("language-", "lang-")):
            return language(name.partition("-")[2])
    return ""


def _collapsed(spans: Spans) -> Spans:
    """Collapse blanks across tags, as a browser does."""
    made: Spans = []
    blank = True
    for span in spans:
        text = span.text[1:] if blank and span.text[:1] == " " else span.text
        if text:
            blank = text[-1] in " \n"
            made.append(Span(text, span.marks, span.link, span.image))
    return made
