"""Rate limits of connections, shared by all workers through Redis."""

from __future__ import annotations

import asyncio
import logging
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

_log = logging.getLogger(__name__)
_AWAY = (RedisError, OSError, TimeoutError)
_AGAIN_SECONDS = 5.0
# The generic cell rate algorithm: one number says when the next call would be on time. Up to
# `burst` calls may come early; the answer is how many milliseconds this one has to wait.
_SCRIPT = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + now[2] / 1000
local step, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or ms), ms)
local wait = math.max(0, due - ms - step * (burst - 1))
redis.call('SET', KEYS[1], due + step, 'PX', math.ceil(due + step - ms) + 1000)
return math.ceil(wait)
"""


class Limits:
    """Makes calls wait so that a connection keeps its rate. While Redis is away, each worker for
    itself.
    """  # noqa: D205

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._script = self._redis.register_script(_SCRIPT)
        self._due: dict[int, float] = {}
        self._away_until = 0.0

    async def pace(self, connection_id: int, *, requests: int, seconds: float) -> None:
        """Wait until a call of this connection may leave; each waiting call has taken its place."""
        wait = await self._shared(connection_id, requests, seconds)
        if wait is None:
            wait = self._own(connection_id, requests, seconds)
        if wait > 0:
            await asyncio.sleep(wait)

    async def close(self) -> None:
        """Disconnect."""
        await self._redis.aclose(close_connection_pool=True)

    async def _shared(self, connection_id: int, requests: int, seconds: float) -> float | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            step = seconds / requests * 1000
            waited = await self._script(keys=[f"hub:rate:{connection_id}"], args=[step, requests])
        except _AWAY as error:
            _log.warning("rate limits are each worker's own while Redis is away: %s", error)
            self._away_until = time.monotonic() + _AGAIN_SECONDS
            return None
        return int(waited) / 1000

    def _own(self, connection_id: int, requests: int, seconds: float) -> float:
        now, step = time.monotonic(), seconds / requests
        due = max(self._due.get(connection_id, now), now)
        self._due[connection_id] = due + step
        return max(0.0, due - now - step * (requests - 1))
