"""Rate limits of connections, shared by all workers through Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from hub.queue.batch import Batcher

_log = logging.getLogger(__name__)
_AWAY = (RedisError, OSError, TimeoutError)
_AGAIN_SECONDS = 5.0
# The generic cell rate algorithm: one number says when the next call would be on time. Up to
# `burst` calls may come early. `count` calls take their places at once; the answer is how many
# milliseconds the first would have to wait were there no burst (it may be negative for none).
_SCRIPT = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + now[2] / 1000
local step, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or ms), ms)
local next = due + step * count
redis.call('SET', KEYS[1], next, 'PX', math.ceil(next - ms) + 1000)
return tostring(due - ms)
"""


class _Place(NamedTuple):
    """A call that wants to leave: its connection, and milliseconds between two calls."""

    connection_id: int
    step: float


class Limits:
    """Makes calls wait so that a connection keeps its rate. While Redis is away, each worker for
    itself. Calls that come together ask Redis once for each connection.
    """  # noqa: D205

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._script = self._redis.register_script(_SCRIPT)
        self._batcher: Batcher[_Place, float] = Batcher(self._take)
        self._due: dict[int, float] = {}
        self._away_until = 0.0

    async def pace(self, connection_id: int, *, requests: int, seconds: float) -> None:
        """Wait until a call of this connection may leave; each waiting call has taken its place."""
        step = seconds / requests * 1000
        behind = await self._batcher.submit(_Place(connection_id, step))
        wait = (behind - step * (requests - 1)) / 1000
        if wait > 0:
            await asyncio.sleep(wait)

    async def close(self) -> None:
        """Disconnect."""
        await self._redis.aclose(close_connection_pool=True)

    async def _take(self, batch: Sequence[_Place]) -> list[float]:
        """Return for each call how many milliseconds it comes before its even turn."""
        counts = Counter(batch)
        firsts = await self._shared(counts)
        if firsts is None:
            firsts = {place: self._own(place, count) for place, count in counts.items()}
        result: list[float] = []
        for place in batch:
            result.append(firsts[place])
            firsts[place] += place.step
        return result

    async def _shared(self, counts: Mapping[_Place, int]) -> dict[_Place, float] | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            if len(counts) == 1:
                ((place, count),) = counts.items()
                answers = [await self._script(**_arguments(place, count))]
            else:
                async with self._redis.pipeline(transaction=False) as pipe:
                    for place, count in counts.items():
                        await self._script(**_arguments(place, count), client=pipe)
                    answers = await pipe.execute()
        except _AWAY as error:
            _log.warning("rate limits are each worker's own while Redis is away: %s", error)
            self._away_until = time.monotonic() + _AGAIN_SECONDS
            return None
        return {place: float(answer) for place, answer in zip(counts, answers, strict=True)}

    def _own(self, place: _Place, count: int) -> float:
        now = time.monotonic() * 1000
        due = max(self._due.get(place.connection_id, now), now)
        self._due[place.connection_id] = due + place.step * count
        return due - now


def _arguments(place: _Place, count: int) -> dict[str, Any]:
    return {"keys": [f"hub:rate:{place.connection_id}"], "args": [place.step, count]}
