"""Fit rendered templates to the shared structs, so that a mapping can be written without types.

A text becomes a `Text` with the mapping's visibility, a number where text is wanted its digits,
`a, b` where a list is wanted its parts; what rendered to nothing is left out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from msgspec import inspect

from hub.sdk import json
from hub.sdk.events import Data, Text

# Seconds since 1970 reach this number in the year 5138; a greater one is in milliseconds.
MILLIS_FROM = 1e11


def fit(value: Any, struct: type[Data], visibility: str) -> Any:
    """Return `value` (plain JSON) nearer to `struct`; what does not fit is left for the check."""
    return _fit(value, _shape(struct), visibility)


@cache
def _shape(struct: type[Data]) -> inspect.Type:
    return inspect.type_info(struct)


def _fit(value: Any, shape: inspect.Type, visibility: str) -> Any:
    shape = _bare(shape)
    if isinstance(shape, inspect.StructType):
        return _struct(value, shape, visibility)
    if isinstance(shape, inspect.VarTupleType):
        return _list(value, _bare(shape.item_type), visibility)
    if isinstance(shape, inspect.DictType) and isinstance(value, dict):
        return _free_form(value, _bare(shape.value_type))
    return _single(value, shape)


def _single(value: Any, shape: inspect.Type) -> Any:
    if isinstance(shape, inspect.StrType):
        return _word(value)
    if isinstance(shape, inspect.LiteralType) and isinstance(value, str):
        lower = value.strip().lower()
        return lower if lower in shape.values else value
    if isinstance(shape, inspect.DateTimeType) and _is_number(value):
        seconds = value / 1000 if abs(value) >= MILLIS_FROM else value
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            return value
    return value


def _list(value: Any, item: inspect.Type, visibility: str) -> Any:
    if isinstance(value, str) and isinstance(item, inspect.StrType):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        return value
    return [_fit(one, item, visibility) for one in value if one is not None]


def _free_form(value: dict[str, Any], item: inspect.Type) -> dict[str, Any]:
    free = isinstance(item, inspect.AnyType)
    return {
        name: one if free or isinstance(one, (str, bool, int, float)) else json.text(one)
        for name, one in value.items()
        if one is not None
    }


def _struct(value: Any, shape: inspect.StructType, visibility: str) -> Any:
    if shape.cls is Text:
        if isinstance(value, dict):
            value = {"visibility": visibility, **value}
        else:
            value = {"text": value, "visibility": visibility}
    if not isinstance(value, dict):
        return value
    fields = {field.encode_name: field for field in shape.fields}
    fitted: dict[str, Any] = {}
    for name, item in value.items():
        field = fields.get(name)
        if field is None:
            fitted[name] = item  # the check names it
        elif not _is_nothing(item, field.type):
            fitted[name] = _fit(item, field.type, visibility)
    return fitted


def _bare(shape: inspect.Type) -> inspect.Type:
    """Take the annotations off, and the "or none" of an optional field."""
    while isinstance(shape, inspect.Metadata):
        shape = shape.type
    if isinstance(shape, inspect.UnionType):
        options = [one for one in shape.types if not isinstance(one, inspect.NoneType)]
        if len(options) == 1:
            return _bare(options[0])
    return shape


def _is_nothing(value: Any, shape: inspect.Type) -> bool:
    if value is None:
        return True
    texts = (inspect.StrType, inspect.AnyType)
    return value == "" and not isinstance(_bare(shape), texts)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _word(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if _is_number(value) else value
