"""JSON in and out, the same everywhere: fast, and never tripped by what vendors really send."""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

import msgspec

from hub.sdk.errors import MalformedPayload

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

_encoder = msgspec.json.Encoder(enc_hook=str)
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_SURROGATE = re.compile("[\ud800-\udfff]")
# PostgreSQL's text types refuse U+0000, and UTF-8 cannot carry a lone surrogate: both become
# U+FFFD in what is shown and routed. The raw webhook keeps the exact bytes.
_REPLACEMENT = "\ufffd"
_NUL = "\x00"
_NUL_ESCAPE = b"\\u0000"


def loads(raw: bytes | str) -> Any:
    """Parse JSON. NUL characters and lone surrogates come out as U+FFFD.

    Raises `MalformedPayload` at path `$` with the position of the fault for anything that is not
    one JSON document in UTF-8.
    """
    try:
        value = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _clean(_slow_loads(raw))
    if (_NUL_ESCAPE in raw) if isinstance(raw, bytes) else ("\\u0000" in raw):
        return _clean(value)
    return value


def dumps(value: object) -> bytes:
    """Write compact JSON in UTF-8. Structs, dates and UUIDs are understood; anything else: `str`."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_clean(value))


def text(value: object) -> str:
    """Write compact JSON as a string."""
    return dumps(value).decode()


def clean_text(value: str) -> str:
    """Return `value` with NUL characters and lone surrogates replaced, storable anywhere."""
    return _SURROGATE.sub(_REPLACEMENT, value.replace(_NUL, _REPLACEMENT))


def _slow_loads(raw: bytes | str) -> Any:
    # The standard library also reads what the fast parser refuses: lone surrogates, huge numbers.
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", None) or str(error)
        position = getattr(error, "pos", None)
        where = "" if position is None else f" at character {position}"
        raise MalformedPayload("$", "a JSON document", f"{reason}{where}") from None


def _refuse_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(str(key)): _clean(item) for key, item in value.items()}
    return value
