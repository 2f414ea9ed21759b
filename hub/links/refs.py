"""From references in events to things of connections: whose is it, and who mentions whom. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from hub.sdk.integration import Manifest
from hub.store.connections import Connection
from hub.store.graph import Thing

REPORTS = ("feedback.", "survey.", "conversation.")
"""Families of events whose subject is a customer's report."""
WORK = "work_item."
"""The family of events whose subject is a piece of work."""
_MOST_MENTIONS = 20


class Places:
    """Which connections hold the things of which tool, and how their work items are named."""

    def __init__(
        self, connections: Sequence[Connection], manifests: Mapping[str, Manifest]
    ) -> None:
        self._by_system: dict[str, list[Connection]] = {}
        for connection in connections:
            self._by_system.setdefault(connection.integration, []).append(connection)
        self._manifests = manifests

    def place_of(self, ref: Mapping[str, Any], own: Connection) -> int | None:
        """Return the connection that holds a referenced thing, or None when it cannot be told.

        A reference to the event's own tool is the event's own connection; to another tool, the
        one connection there is of it.
        """
        if ref["system"] == own.integration:
            return own.id
        there = self._by_system.get(str(ref["system"]), [])
        return there[0].id if len(there) == 1 else None

    def is_work(self, system: str, kind: str) -> bool:
        """Whether such things are pieces of work: their integration declares how to mention them."""
        return any(mention.kind == kind for mention in self._mentions(system))

    def mentioned(self, texts: Iterable[str]) -> Iterator[Thing]:
        """Yield the work items that texts mention by key or address, each once, at most twenty."""
        seen: set[tuple[int, str, str]] = set()
        for text in texts:
            for system, connections in self._by_system.items():
                for mention in self._mentions(system):
                    for connection in connections:
                        for key in _keys(
                            mention.key, mention.url, text, _allowed(mention.keys_from, connection)
                        ):
                            name = (connection.id, mention.kind, key)
                            if name not in seen and len(seen) < _MOST_MENTIONS:
                                seen.add(name)
                                yield Thing(connection_id=connection.id, kind=mention.kind, key=key)

    def _mentions(self, system: str) -> Sequence[Any]:
        manifest = self._manifests.get(system)
        receives = None if manifest is None else manifest.receives
        return () if receives is None else receives.mentions


def texts_of(value: Any) -> Iterator[str]:
    """Yield every labelled text and every survey answer inside an event's data."""
    if isinstance(value, dict):
        if "visibility" in value and isinstance(value.get("text"), str):
            yield value["text"]
            return
        if isinstance(value.get("question"), str) and isinstance(value.get("value"), str):
            yield value["value"]
        for item in value.values():
            yield from texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)


def _allowed(keys_from: str, connection: Connection) -> tuple[str, ...] | None:
    """Return the accepted prefixes of keys, or None when any is accepted."""
    if not keys_from:
        return None
    listed = connection.config.get(keys_from) or ()
    return tuple(str(item) for item in listed)


def _keys(key: str, url: str, text: str, allowed: tuple[str, ...] | None) -> Iterator[str]:
    for pattern in (key, url):
        if pattern:
            for match in _compiled(pattern).finditer(text):
                found = match.group(match.lastindex or 0)
                if allowed is None or found.rpartition("-")[0] in allowed:
                    yield found


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
