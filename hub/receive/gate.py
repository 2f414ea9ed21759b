"""Refuse before accepting: what cannot be held is answered 429, and the vendor sends it again."""

from __future__ import annotations

import asyncio
import logging
import time

from hub.store.pool import Database, StoreAway
from hub.store.watch import backlog

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0
MOST_BYTES = 64 * 1024 * 1024
"""Bodies that one process may hold while they are being committed."""


class Gate:
    """Open while there is room: for bodies in memory, and for webhooks that wait in the database.

    The backlog is counted in the background, at most every five seconds and only while webhooks
    come in.
    """

    def __init__(self, database: Database, *, max_waiting: int) -> None:
        self._database = database
        self._max_waiting = max_waiting
        self._held = 0
        self._full = False
        self._looked_at = time.monotonic()
        self._looking: asyncio.Task[None] | None = None

    def enter(self, size: int) -> str:
        """Take room for a body; returns why there is none, or an empty string."""
        if self._held and self._held + size > MOST_BYTES:
            return "too many webhooks are being stored at this moment"
        now = time.monotonic()
        if self._looking is None and now - self._looked_at > _LOOK_SECONDS:
            self._looked_at = now
            self._looking = asyncio.create_task(self._look())
        if self._full:
            return f"{self._max_waiting} webhooks wait to be processed (HUB_MAX_WAITING)"
        self._held += size
        return ""

    def leave(self, size: int) -> None:
        """Give the room of a body back."""
        self._held -= size

    async def _look(self) -> None:
        try:
            full = await backlog(self._database, self._max_waiting) >= self._max_waiting
            if full != self._full:
                _log.warning(
                    "webhooks are %s", "answered 429: too many wait" if full else "taken in again"
                )
            self._full = full
        except StoreAway:
            pass  # the webhook itself is answered 503
        finally:
            self._looking = None
