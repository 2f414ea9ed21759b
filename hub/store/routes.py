"""Routes as they are stored, and a cache of them for the routing stage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub.store.pool import Database, away_as_error

_FRESH_SECONDS = 1.0
# Changes whenever a route does, and is read faster than all of them.
_MARK = """
select count(*), max(updated_at), sum(hashtext(concat_ws(':', id, version, position, enabled)))
from routes
"""


@dataclass(frozen=True, slots=True)
class StoredRoute:
    """A route's row: its definition is the JSON of `hub.route.definition.Route`."""

    id: int
    name: str
    position: int
    enabled: bool
    version: int
    definition: dict[str, Any]


class RouteTable:
    """Every enabled route in order, read at most once a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: Sequence[StoredRoute] = ()
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self._forgotten = 0
        self._mark: tuple[object, ...] = ()

    async def enabled(self) -> Sequence[StoredRoute]:
        """Return the enabled routes by position. The same object until one changes."""
        if time.monotonic() - self._read_at < _FRESH_SECONDS:
            return self._rows
        async with self._lock, away_as_error():
            if time.monotonic() - self._read_at >= _FRESH_SECONDS:
                began = self._forgotten
                mark = tuple(await self._database.fetchrow(_MARK) or ())
                if mark == self._mark:
                    if began == self._forgotten:
                        self._read_at = time.monotonic()
                    return self._rows
                rows = await self._database.fetch(
                    "select id, name, position, enabled, version, definition from routes "
                    "where enabled order by position, id"
                )
                fresh = tuple(StoredRoute(*row.values()) for row in rows)
                if fresh != self._rows:
                    self._rows = fresh
                self._mark = mark
                if began == self._forgotten:
                    self._read_at = time.monotonic()
        return self._rows

    def forget(self) -> None:
        """Read again at the next question."""
        self._read_at = float("-inf")
        self._forgotten += 1
