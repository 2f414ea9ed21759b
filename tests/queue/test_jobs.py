"""Wake-ups: heard of at once, and found all the same by a worker that did not hear."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from redis.asyncio import Redis

from hub.queue.jobs import Listener, Queue


async def _woken(redis_url: str, *, poll_seconds: float, deaf: bool) -> list[int]:
    heard: asyncio.Queue[Sequence[int]] = asyncio.Queue()
    listener = Listener(redis_url, heard.put, poll_seconds=poll_seconds)
    queue, redis = Queue(redis_url), Redis.from_url(redis_url)
    listening = asyncio.create_task(listener.run())
    try:
        while await redis.pubsub_numsub("hub:woken") != [(b"hub:woken", 1)]:
            await asyncio.sleep(0.01)
        if deaf:
            await redis.client_kill_filter(_type="pubsub")
        queue.wake([7, 8, 7])
        async with asyncio.timeout(20):
            return list(await heard.get())
    finally:
        listener.stop()
        await listening
        await queue.close()
        await redis.aclose()


async def test_a_worker_hears_of_a_job_without_looking(redis_url: str) -> None:
    assert await _woken(redis_url, poll_seconds=3600, deaf=False) == [7, 8]


async def test_a_worker_that_does_not_hear_looks(redis_url: str) -> None:
    assert await _woken(redis_url, poll_seconds=0.2, deaf=True) == [7, 8]
