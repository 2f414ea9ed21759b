"""Who may read what: the view of an event that a template of a given audience is shown.

Private stays private by leaving out: what an audience may not read is not in the view at all, so
a template that names it fails, and one that guards with `default` shows nothing. Withheld places
are listed, so that the error can say why.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from hub.sdk.events import DATA_TYPES, Text
from hub.sdk.integration import Audience

_TEAM = frozenset({"public", "team"})
_ALWAYS = ("bool", "int", "float", "none", "datetime")


class View(NamedTuple):
    """An event's data as an audience may see it, and the dotted paths that were withheld."""

    data: dict[str, Any]
    withheld: tuple[str, ...]


def view(event_type: str, data: dict[str, Any], audience: Audience) -> View:
    """Return what `audience` may read of an event's data (plain JSON values).

    A team reads `public` and `team` texts. A customer reads `public` texts, and of everything
    else only `Word`s, numbers and times; free strings, other people's names and addresses, and
    values of free-form objects have no label and are withheld.
    """
    if audience == "team" and not _has_unreadable(data):
        return View(data, ())
    withheld: list[str] = []
    shape = _shape(event_type)
    seen = _see(data, shape, "", audience, withheld)
    return View(seen if isinstance(seen, dict) else {}, tuple(withheld))


def _has_unreadable(value: Any) -> bool:
    """Whether anything that looks like a text is not for the team: most events have none."""
    if isinstance(value, dict):
        if "text" in value and value.get("visibility") not in _TEAM:
            return True
        return any(map(_has_unreadable, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_unreadable, value))
    return False


class _Withheld:
    """Marks a value to leave out."""


_NOT = _Withheld()


@cache
def _shape(event_type: str) -> inspect.Type:
    return inspect.type_info(DATA_TYPES[event_type])


def _see(
    value: Any, shape: inspect.Type, path: str, audience: Audience, withheld: list[str]
) -> Any:
    shape, word = _unwrap(shape)
    if isinstance(value, tuple):
        value = list(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(shape, inspect.UnionType):
        for option in shape.types:
            if _fits(value, option):
                return _see(value, option, path, audience, withheld)
    if isinstance(shape, inspect.StructType) and isinstance(value, dict):
        if shape.cls is Text and not _may_read(value, audience):
            withheld.append(path)
            return _NOT
        if shape.cls is Text:
            return value
        fields = {field.encode_name: field.type for field in shape.fields}
        return dict(_members(value, fields, path, audience, withheld))
    if isinstance(shape, (inspect.ListType, inspect.VarTupleType)) and isinstance(value, list):
        items = (
            _see(item, shape.item_type, f"{path}[{n}]", audience, withheld)
            for n, item in enumerate(value)
        )
        return [item for item in items if item is not _NOT]
    if audience == "team" or word or isinstance(shape, (inspect.LiteralType, inspect.DateTimeType)):
        return value
    if value in ("", [], (), {}):
        return value
    withheld.append(path)
    return _NOT


def _members(
    value: dict[str, Any],
    fields: dict[str, inspect.Type],
    path: str,
    audience: Audience,
    withheld: list[str],
) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        place = f"{path}.{name}" if path else name
        seen = _see(item, fields.get(name, inspect.AnyType()), place, audience, withheld)
        if seen is not _NOT:
            yield name, seen


def _may_read(text: dict[str, Any], audience: Audience) -> bool:
    visibility = text.get("visibility", "private")
    return visibility == "public" or (audience == "team" and visibility in _TEAM)


def _unwrap(shape: inspect.Type) -> tuple[inspect.Type, bool]:
    word = False
    while isinstance(shape, inspect.Metadata):
        word = word or bool((shape.extra_json_schema or {}).get("x-word"))
        shape = shape.type
    return shape, word


def _fits(value: Any, shape: inspect.Type) -> bool:
    shape, _ = _unwrap(shape)
    if isinstance(value, dict):
        return isinstance(shape, (inspect.StructType, inspect.DictType))
    if isinstance(value, (list, tuple)):
        return isinstance(shape, (inspect.ListType, inspect.VarTupleType))
    return isinstance(shape, (inspect.StrType, inspect.LiteralType, inspect.DateTimeType))


def to_plain(data: object) -> dict[str, Any]:
    """Return a struct of event data as plain JSON values."""
    plain = msgspec.to_builtins(data)
    return plain if isinstance(plain, dict) else {}
