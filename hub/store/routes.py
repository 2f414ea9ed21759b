"""Routes as they are stored, and those that are enabled kept for the routing stage."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub.store.pool import Database, away_as_error

REVISION = "select revision from configuration"
"""A number that rises with every change of a connection or a route."""


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
    """Every enabled route in order, read again when the configuration has changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: Sequence[StoredRoute] = ()
        self._lock = asyncio.Lock()
        self._revision = -1

    async def at(self, revision: int) -> Sequence[StoredRoute]:
        """Return the enabled routes by position, as of a revision or newer. Raises `StoreAway`.

        The same object until one changes.
        """
        if self._revision >= revision:
            return self._rows
        async with self._lock, away_as_error():
            if self._revision < revision:
                # Read before the routes: they are then at least as new.
                current = await self._database.fetchval(REVISION)
                rows = await self._database.fetch(
                    "select id, name, position, enabled, version, definition from routes "
                    "where enabled order by position, id"
                )
                fresh = tuple(StoredRoute(*row.values()) for row in rows)
                if fresh != self._rows:
                    self._rows = fresh
                self._revision = current
        return self._rows
