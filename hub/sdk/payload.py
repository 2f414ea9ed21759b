"""Read a vendor's JSON through accessors that know where they are."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from hub.sdk.errors import MalformedPayload

_T = TypeVar("_T")
_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number",
          float: "number", type(None): "null"}  # fmt: skip


class _Missing:
    """Stands for a key that is not there."""

    def __bool__(self) -> bool:
        return False


_MISSING = _Missing()


class Payload:
    """A JSON value and its path.

    `payload["issue"]["key"].str()` gives a string or raises `MalformedPayload` that reads
    `issue.key: expected string, got null`. Indexing never raises for an absent key, so optional
    parts read as `payload["user"]["accountId"].opt_str()`.
    """

    __slots__ = ("path", "raw")

    def __init__(self, raw: Any, path: builtins.str = "") -> None:
        self.raw = raw
        self.path = path

    def __repr__(self) -> builtins.str:
        return f"Payload({self.path or '$'}: {self._got()})"

    def __getitem__(self, key: builtins.str | builtins.int) -> Payload:
        """Step into an object by name or an array by index; an absent part stays absent."""
        if isinstance(key, int):
            path = f"{self.path}[{key}]"
            if isinstance(self.raw, list) and -len(self.raw) <= key < len(self.raw):
                return Payload(self.raw[key], path)
            return Payload(_MISSING, path)
        path = f"{self.path}.{key}" if self.path else key
        if isinstance(self.raw, dict):
            return Payload(self.raw.get(key, _MISSING), path)
        return Payload(_MISSING, path)

    def __bool__(self) -> builtins.bool:
        """Whether the value is there and not null."""
        return self.raw is not _MISSING and self.raw is not None

    def __iter__(self) -> Iterator[Payload]:
        """Iterate over an array; absent and null count as empty. Raises `MalformedPayload`."""
        if not self:
            return
        if not isinstance(self.raw, list):
            raise self._wrong("array")
        for index, item in enumerate(self.raw):
            yield Payload(item, f"{self.path}[{index}]")

    def keys(self) -> tuple[builtins.str, ...]:
        """Return an object's names; absent and null count as empty. Raises `MalformedPayload`."""
        if not self:
            return ()
        if not isinstance(self.raw, dict):
            raise self._wrong("object")
        return tuple(self.raw)

    def str(self) -> builtins.str:
        """Return a string. Raises `MalformedPayload`."""
        if isinstance(self.raw, str):
            return self.raw
        raise self._wrong("string")

    def id(self) -> builtins.str:
        """Return an identifier given as a string or an integer, as a string."""
        if isinstance(self.raw, str) and self.raw:
            return self.raw
        if isinstance(self.raw, int) and not isinstance(self.raw, bool):
            return f"{self.raw}"
        raise self._wrong("identifier")

    def int(self) -> builtins.int:
        """Return a whole number. Raises `MalformedPayload`."""
        if isinstance(self.raw, int) and not isinstance(self.raw, bool):
            return self.raw
        raise self._wrong("whole number")

    def number(self) -> float:
        """Return a number. Raises `MalformedPayload`."""
        if isinstance(self.raw, (int, float)) and not isinstance(self.raw, bool):
            return self.raw
        raise self._wrong("number")

    def bool(self) -> builtins.bool:
        """Return a boolean. Raises `MalformedPayload`."""
        if isinstance(self.raw, bool):
            return self.raw
        raise self._wrong("boolean")

    def opt_str(self) -> builtins.str | None:
        """Return a string, or None when absent or null."""
        return self.str() if self else None

    def opt_id(self) -> builtins.str | None:
        """Return an identifier as a string, or None when absent or null."""
        return self.id() if self else None

    def opt_int(self) -> builtins.int | None:
        """Return a whole number, or None when absent or null."""
        return self.int() if self else None

    def opt_number(self) -> float | None:
        """Return a number, or None when absent or null."""
        return self.number() if self else None

    def opt_bool(self) -> builtins.bool | None:
        """Return a boolean, or None when absent or null."""
        return self.bool() if self else None

    def strings(self) -> tuple[builtins.str, ...]:
        """Return an array of strings; absent and null count as empty."""
        return tuple(item.str() for item in self)

    def iso_time(self) -> datetime:
        """Return an ISO 8601 time, UTC when it names no zone. Raises `MalformedPayload`."""
        raw = self.str()
        try:
            return _utc(datetime.fromisoformat(raw))
        except (ValueError, OverflowError):
            raise self._wrong("ISO 8601 time") from None

    def unix_time(self) -> datetime:
        """Return a time given in seconds since 1970. Raises `MalformedPayload`."""
        return self._epoch(1)

    def unix_millis(self) -> datetime:
        """Return a time given in milliseconds since 1970. Raises `MalformedPayload`."""
        return self._epoch(1000)

    def one_of(self, table: dict[builtins.str, _T], default: _T) -> _T:
        """Look a vendor's word up in `table`; unknown, absent and null give `default`."""
        return table.get(self.raw, default) if isinstance(self.raw, str) else default

    def _epoch(self, per_second: builtins.int) -> datetime:
        raw = self.number()
        try:
            return datetime.fromtimestamp(raw / per_second, UTC)
        except (ValueError, OverflowError, OSError):
            raise self._wrong("unix time") from None

    def _got(self) -> builtins.str:
        if self.raw is _MISSING:
            return "nothing"
        return _NAMES.get(type(self.raw), type(self.raw).__name__)

    def _wrong(self, expected: builtins.str) -> MalformedPayload:
        return MalformedPayload(self.path or "$", expected, self._got())


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
