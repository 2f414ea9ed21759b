"""Atlassian Document Format, both ways.

Source of the node and mark rules:
https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/ and, for what an entry
of a list may begin with, https://developer.atlassian.com/platform/framework/adf-builder/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from hub.sdk.text._markdown import parse, write
from hub.sdk.text._tree import (
    ATTACHMENT,
    CODE,
    DONE,
    EM,
    MAX_DEPTH,
    NO_MARKS,
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

_MARKS: Final = {"strong": STRONG, "em": EM, "strike": STRIKE, "code": CODE}


def to_adf(markdown: str) -> dict[str, object]:
    """Render Markdown as an ADF document.

    Holds to what Jira accepts: no empty text node, no mark but a link beside `code`, and in lists
    and quotes only the blocks allowed there (a heading becomes a bold paragraph, a table its rows,
    an inner quote its text). An image becomes a link to it. Mentions are plain text, so nobody is
    notified. An empty text gives a document with one empty paragraph.
    """
    content = _nodes(parse(markdown))
    return {"version": 1, "type": "doc", "content": content or [{"type": "paragraph"}]}


def _nodes(blocks: Iterable[Block]) -> list[object]:
    made: list[object] = []
    for block in blocks:
        match block:
            case Heading(level, spans):
                made.extend(_node("heading", _inline(spans), level=level))
            case Rule():
                made.append({"type": "rule"})
            case Quote(inner):
                made.extend(_node("blockquote", _inner(inner)))
            case Table(rows):
                made.append(_table(rows))
            case _:
                made.extend(_inner([block]))
    return made


def _inner(blocks: Iterable[Block]) -> list[object]:  # noqa: PLR0912 - a case a block
    """Make nodes that may stand in a list entry and in a quote."""
    made: list[object] = []
    for block in blocks:
        match block:
            case Paragraph(spans):
                made.extend(_node("paragraph", _inline(spans)))
            case Heading(_, spans):
                strong = [Span(s.text, s.marks | {STRONG}, s.link, s.image) for s in spans]
                made.extend(_node("paragraph", _inline(strong)))
            case Code(text, name):
                code: dict[str, object] = {"type": "codeBlock"}
                if name:
                    code["attrs"] = {"language": name}
                if text:
                    code["content"] = [{"type": "text", "text": text}]
                made.append(code)
            case Quote(inner):
                made.extend(_inner(inner))
            case Listing(start, items):
                content: list[object] = [_item(item) for item in items]
                if start is None:
                    made.extend(_node("bulletList", content))
                else:
                    made.extend(_node("orderedList", content, order=start))
            case Table(rows):
                for row in rows:
                    cells = [[Span(" | "), *cell] if number else cell
                             for number, cell in enumerate(row)]  # fmt: skip
                    joined = [span for cell in cells for span in cell]
                    made.extend(_node("paragraph", _inline(joined)))
            case Rule():
                pass
    return made


def _item(item: Item) -> object:
    blocks = list(item.blocks)
    if item.done is not None:
        box = Span(f"{DONE if item.done else OPEN} ")
        if blocks and isinstance(blocks[0], Paragraph):
            blocks[0] = Paragraph([box, *blocks[0].spans])
        else:
            blocks.insert(0, Paragraph([box]))
    content = _inner(blocks)
    # An entry must hold something, and must not begin with a list.
    if not content or _kind(content[0]) in {"bulletList", "orderedList"}:
        content.insert(0, {"type": "paragraph"})
    return {"type": "listItem", "content": content}


def _table(rows: Sequence[Sequence[Spans]]) -> object:
    content: list[object] = []
    for number, row in enumerate(rows):
        kind = "tableCell" if number else "tableHeader"
        cells: list[object] = [
            {"type": kind, "content": _node("paragraph", _inline(cell)) or [{"type": "paragraph"}]}
            for cell in row
        ]
        content.append({"type": "tableRow", "content": cells})
    return {"type": "table", "content": content}


def _node(kind: str, content: list[object], **attrs: int) -> list[object]:
    """Make a node, or none when it would be empty."""
    if not content:
        return []
    node: dict[str, object] = {"type": kind, "content": content}
    if attrs:
        node["attrs"] = dict(attrs)
    return [node]


def _inline(spans: Iterable[Span]) -> list[object]:
    nodes: list[object] = []
    for span in spans:
        if span.text == "\n":
            nodes.append({"type": "hardBreak"})
            continue
        marks: list[object] = []
        if span.link:
            marks.append({"type": "link", "attrs": {"href": span.link}})
        names = {CODE} if CODE in span.marks else span.marks
        marks.extend({"type": name} for name in _MARKS.values() if name in names)
        text = span.text.replace("\n", " ")
        if text:
            node: dict[str, object] = {"type": "text", "text": text}
            if marks:
                node["marks"] = marks
            nodes.append(node)
    return nodes


def from_adf(document: object) -> str:
    """Read an ADF document, or any node or list of nodes of one, as Markdown.

    Takes any JSON value: what it does not know gives its inner text, a string is read as plain
    text, and None gives "". Mentions become `@name`, cards their address, media `[attachment]`,
    panels quotes, tasks `- [ ]` entries.
    """
    if isinstance(document, str):
        return write(paragraphs([Span(clean(document))]))
    return write(_Reader().blocks([document], 0))


class _Reader:
    """Reads nodes into blocks; loose inline nodes gather into paragraphs."""

    def blocks(self, nodes: object, depth: int, marks: frozenset[str] = NO_MARKS) -> list[Block]:
        if depth > 2 * MAX_DEPTH:
            return paragraphs([Span(_all_text(nodes), marks)])
        made: list[Block] = []
        loose: Spans = []
        for node in _items(nodes):
            kind = _kind(node)
            spans = _INLINE[kind](_attrs(node)) if kind in _INLINE else None
            if kind == "text":
                spans = [_text(node)]
            elif kind not in _BLOCKS and spans is None and not _has_block(node):
                spans = self.inline(_content(node)) or _fallback(node)
            if spans is not None:
                loose.extend(Span(s.text, s.marks | marks, s.link, s.image) for s in spans)
                continue
            made.extend(paragraphs(loose))
            loose = []
            made.extend(self.block(node, kind, depth))
        made.extend(paragraphs(loose))
        return made

    def block(self, node: object, kind: str, depth: int) -> list[Block]:
        attrs, content = _attrs(node), _content(node)
        match kind:
            case "paragraph" | "caption":
                return paragraphs(self.inline(content))
            case "heading":
                level = attrs.get("level")
                spans = one_line(self.inline(content))
                known = level if isinstance(level, int) and level in range(1, 7) else 1
                return [Heading(known, spans)] if spans else []
            case "codeBlock":
                return [
                    Code(clean(_all_text(content)).strip("\n"), language(attrs.get("language")))
                ]
            case "rule":
                return [Rule()]
            case "bulletList" | "orderedList" | "taskList" | "decisionList":
                return self.listing(content, attrs, kind, depth)
            case "blockquote" | "panel":
                inner = self.blocks(content, depth + 1)
                return [Quote(inner)] if inner and depth < MAX_DEPTH else inner
            case "expand" | "nestedExpand":
                title = clean(attrs.get("title"))
                head = paragraphs([Span(title, frozenset({STRONG}))])
                return [*head, *self.blocks(content, depth + 1)]
            case "table":
                rows = [
                    [
                        self.blocks(_inside(cell, _CELLS), depth + 1)
                        for cell in _items(_inside(row, _ROWS))
                    ]
                    for row in _items(content)
                ]
                return table(rows)
            case _:
                return self.blocks(content, depth + 1)

    def listing(
        self, content: object, attrs: dict[str, object], kind: str, depth: int
    ) -> list[Block]:
        order = attrs.get("order", 1)
        start = order if isinstance(order, int) and 0 <= order < 10**9 else 1
        made = Listing(start if kind == "orderedList" else None)
        for node in _items(content):
            # A nested task list stands beside the task it belongs to, not in it.
            nested = _kind(node) in {"taskList", "bulletList", "orderedList"}
            inner = self.blocks(_inside(node, _ENTRIES), depth + 1)
            if nested and made.items:
                made.items[-1].blocks.extend(inner)
                continue
            task = _kind(node) in {"taskItem", "blockTaskItem"}
            done = _attrs(node).get("state") == "DONE" if task else None
            if inner:
                made.items.append(Item(inner, done))
        mark_tasks(made)
        if depth >= MAX_DEPTH:
            return [block for item in made.items for block in item.blocks]
        return [made] if made.items else []

    def inline(self, nodes: object) -> Spans:
        spans: Spans = []
        for node in _items(nodes):
            kind = _kind(node)
            if kind == "text":
                spans.append(_text(node))
            elif kind in _INLINE:
                spans.extend(_INLINE[kind](_attrs(node)))
            else:
                inner = clean(_all_text(_content(node)))
                spans.extend([Span(inner)] if inner else _fallback(node))
        return spans


def _kind(node: object) -> str:
    kind = node.get("type") if isinstance(node, dict) else ""
    return kind if isinstance(kind, str) else ""


def _attrs(node: object) -> dict[str, object]:
    attrs = node.get("attrs") if isinstance(node, dict) else None
    return attrs if isinstance(attrs, dict) else {}


def _content(node: object) -> object:
    return node.get("content") if isinstance(node, dict) else None


def _inside(node: object, kinds: frozenset[str]) -> object:
    """Return what a node of these kinds holds; a node of another kind stands for itself."""
    return _content(node) if _kind(node) in kinds else node


def _items(nodes: object) -> list[object]:
    return nodes if isinstance(nodes, list) else [nodes] if isinstance(nodes, dict) else []


def _has_block(node: object) -> bool:
    return any(
        _kind(child) not in _INLINE and _kind(child) != "text" for child in _items(_content(node))
    )


def _all_text(nodes: object) -> str:
    """Gather the text below, in reading order and without recursion."""
    parts: list[str] = []
    waiting = [nodes]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(reversed(node))
        elif isinstance(node, dict):
            if isinstance(node.get("text"), str):
                parts.append(node["text"])
            elif _kind(node) == "hardBreak":
                parts.append("\n")
            elif _kind(node) in _INLINE:
                parts.extend(span.text for span in _INLINE[_kind(node)](_attrs(node)))
            waiting.append(node.get("content"))
    return "".join(parts)


def _text(node: object) -> Span:
    text = clean(node.get("text")) if isinstance(node, dict) else ""
    names: set[str] = set()
    link = ""
    for mark in _items(node.get("marks") if isinstance(node, dict) else None):
        if _kind(mark) in _MARKS:
            names.add(_MARKS[_kind(mark)])
        elif _kind(mark) == "link":
            link = safe_url(_attrs(mark).get("href"))
    return Span(text, frozenset(names), link)


def _mention(attrs: dict[str, object]) -> Spans:
    name = clean(attrs.get("text")) or clean(attrs.get("id"))
    return [Span(f"@{name.removeprefix('@')}")]


def _emoji(attrs: dict[str, object]) -> Spans:
    return [Span(clean(attrs.get("text")) or clean(attrs.get("shortName")))]


def _card(attrs: dict[str, object]) -> Spans:
    data = attrs.get("data")
    url = safe_url(attrs.get("url") or (data.get("url") if isinstance(data, dict) else None))
    return [Span(url, link=url)]


def _media(attrs: dict[str, object]) -> Spans:
    url = safe_url(attrs.get("url"))
    return [Span(clean(attrs.get("alt")) or url, link=url, image=True) if url else Span(ATTACHMENT)]


def _date(attrs: dict[str, object]) -> Spans:
    # Milliseconds since 1970, as a string.
    try:
        moment = datetime.fromtimestamp(int(str(attrs.get("timestamp"))) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return []
    return [Span(moment.date().isoformat())]


def _named(attrs: dict[str, object]) -> Spans:
    return [Span(clean(attrs.get("text")))]


def _fallback(node: object) -> Spans:
    attrs = _attrs(node)
    return _card(attrs) if safe_url(attrs.get("url")) else _named(attrs)


_INLINE: Final[dict[str, Callable[[dict[str, object]], Spans]]] = {
    "hardBreak": lambda _: [Span("\n")],
    "mention": _mention,
    "emoji": _emoji,
    "inlineCard": _card,
    "blockCard": _card,
    "embedCard": _card,
    "media": _media,
    "mediaInline": _media,
    "date": _date,
    "status": _named,
    "placeholder": _named,
    "inlineExtension": _named,
}
_BLOCKS: Final = frozenset(
    [
        "paragraph",
        "caption",
        "heading",
        "codeBlock",
        "rule",
        "bulletList",
        "orderedList",
        "taskList",
        "decisionList",
        "blockquote",
        "panel",
        "expand",
        "nestedExpand",
        "table",
        "mediaSingle",
        "mediaGroup",
        "doc",
    ]
)
_ENTRIES: Final = frozenset({"listItem", "taskItem", "blockTaskItem", "decisionItem"})
_ROWS: Final = frozenset({"tableRow"})
_CELLS: Final = frozenset({"tableCell", "tableHeader"})
