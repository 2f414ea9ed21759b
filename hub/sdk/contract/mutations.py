"""Bend a JSON document one key at a time: removed, null, of another type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

Path: TypeAlias = "tuple[str | int, ...]"

_Other: TypeAlias = "tuple[str, Any]"
_TEXT: _Other = ("a text", "x")
_NO_TEXT: _Other = ("an empty text", "")
_NUMBER: _Other = ("a number", 7)
# Far beyond any time a vendor can mean, so that a conversion without a guard overflows.
_HUGE: _Other = ("a huge number", 1e300)
_TRUTH: _Other = ("a truth", True)
_LIST: _Other = ("a list", ["x"])
_NO_LIST: _Other = ("an empty list", [])
_NULLS: _Other = ("a list of nulls", [None])
_OBJECT: _Other = ("an object", {"x": 1})
_NO_OBJECT: _Other = ("an empty object", {})
_OTHERS: dict[type, tuple[_Other, ...]] = {
    str: (_NO_TEXT, _NUMBER, _TRUTH, _LIST, _OBJECT),
    int: (_TEXT, _HUGE, _LIST, _OBJECT),
    float: (_TEXT, _HUGE, _LIST, _OBJECT),
    bool: (_TEXT, _NUMBER, _LIST),
    list: (_NO_LIST, _TEXT, _OBJECT, _NULLS),
    dict: (_NO_OBJECT, _TEXT, _NUMBER, _LIST),
    type(None): (_TEXT, _NUMBER, _LIST, _OBJECT),
}


class Mutation(NamedTuple):
    """A document with one place changed."""

    path: Path
    change: str
    document: object

    @property
    def place(self) -> str:
        """The changed place, such as `issue.fields.labels[0]`."""
        return dotted(self.path)


def dotted(path: Path) -> str:
    """Write a path with dots and brackets; the whole document is `$`."""
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown or "$"


def mutations(document: object) -> Iterator[Mutation]:
    """Yield every mutation; of a long list only the first and the last item are bent."""
    for path, value in _places(document, ()):
        if path:
            yield Mutation(path, "removed", _without(document, path))
        if value is not None:
            yield Mutation(path, "null", _put(document, path, None))
        for change, other in _OTHERS[type(value)]:
            yield Mutation(path, change, _put(document, path, other))


def _places(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    yield path, value
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _places(item, (*path, name))
    elif isinstance(value, list) and value:
        for index in sorted({0, len(value) - 1}):
            yield from _places(value[index], (*path, index))


def _put(document: Any, path: Path, value: object) -> Any:
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = _put(document[path[0]], path[1:], value)
    return copy


def _without(document: Any, path: Path) -> Any:
    copy = document.copy()
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = _without(document[path[0]], path[1:])
    return copy
