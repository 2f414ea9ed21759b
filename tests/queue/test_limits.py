"""Rate limits: shared by all workers, and kept by each while Redis is away."""

from __future__ import annotations

import asyncio
import time

from hub.queue.limits import Limits


async def _take(limits: Limits, count: int, key: int) -> float:
    began = time.monotonic()
    await asyncio.gather(*(limits.pace(key, requests=10, seconds=0.5) for _ in range(count)))
    return time.monotonic() - began


async def test_two_workers_share_one_rate(redis_url: str) -> None:
    one, two = Limits(redis_url), Limits(redis_url)
    began = time.monotonic()
    await asyncio.gather(_take(one, 15, 1), _take(two, 15, 1))
    took = time.monotonic() - began
    # Ten may come at once, the other twenty at twenty a second.
    assert 0.9 <= took < 2.5
    assert await _take(one, 10, 2) < 0.4
    await one.close()
    await two.close()


async def test_without_redis_each_worker_keeps_the_rate_by_itself() -> None:
    limits = Limits("unix:///nowhere/redis.sock")
    assert 0.4 <= await _take(limits, 20, 1) < 2.0
    await limits.close()
