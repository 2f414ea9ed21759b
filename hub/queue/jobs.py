"""Wake-ups between processes, as arq jobs. Losing one costs latency, never data."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker, func
from redis.exceptions import RedisError

from hub.queue.batch import Batcher

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

_log = logging.getLogger(__name__)
_AWAY = (RedisError, OSError, TimeoutError)
_JOB = "advance"
QUEUE = "hub:jobs"
_WOKEN = "hub:woken"
"""The channel on which workers hear at once that a job was enqueued."""
EVERYTHING = 0
"""In place of a connection's number: look at what waits whatever its connection."""
_SPACING_SECONDS = 0.01

Advance = Callable[[Sequence[int]], Awaitable[None]]


def redis_settings(url: str) -> RedisSettings:
    """Read `redis://`, `rediss://` or `unix://` addresses."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        database = int(parse_qs(parts.query).get("db", ["0"])[0])
        return RedisSettings(unix_socket_path=parts.path, database=database, conn_retries=0)
    settings = RedisSettings.from_dsn(url)
    settings.conn_retries = 0
    settings.conn_timeout = 2
    return settings


class Queue:
    """Says that connections have work waiting. One job for many wake-ups that come together."""

    def __init__(self, url: str) -> None:
        self._settings = redis_settings(url)
        self._redis: ArqRedis | None = None
        self._batcher: Batcher[int, None] = Batcher(self._enqueue, most=10_000)
        self._tasks: set[asyncio.Task[None]] = set()
        self.away = False

    def wake(self, connection_ids: Iterable[int]) -> None:
        """Say so, without waiting for Redis. The sweeper finds the work should this fail."""
        for connection_id in connection_ids:
            task = asyncio.create_task(self._batcher.submit(connection_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            redis = await self._connect()
            return bool(await asyncio.wait_for(redis.ping(), 2))
        except _AWAY:
            return False

    async def close(self) -> None:
        """Send what waits and disconnect."""
        await self._batcher.drain()
        if self._redis is not None:
            await self._redis.aclose(close_connection_pool=True)

    async def _connect(self) -> ArqRedis:
        if self._redis is None:
            self._redis = await create_pool(
                self._settings,
                default_queue_name=QUEUE,
                job_serializer=msgspec.json.encode,
                job_deserializer=msgspec.json.decode,
            )
        return self._redis

    async def _enqueue(self, connection_ids: Sequence[int]) -> list[None]:
        try:
            redis = await self._connect()
            async with asyncio.timeout(2):
                await redis.enqueue_job(_JOB, sorted(set(connection_ids)))
                await redis.publish(_WOKEN, "")
            self.away = False
            # What comes meanwhile shares the next job: at most a hundred jobs a second.
            await asyncio.sleep(_SPACING_SECONDS)
        except _AWAY as error:
            if not self.away:
                _log.warning("Redis is away, work waits for the sweeper: %s", error)
            self.away = True
        return [None] * len(connection_ids)


class _Worker(Worker):
    """An arq worker that looks for jobs when it is told of one, and now and then.

    arq itself only looks now and then: a short time makes an idle worker busy, a long one late.
    """

    def __init__(self, *, look_seconds: float, **options: Any) -> None:
        super().__init__(poll_delay=0, **options)
        self._look_seconds = look_seconds
        self.woken = asyncio.Event()

    async def _poll_iteration(self) -> None:
        self.woken.clear()
        await super()._poll_iteration()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._look_seconds):
                await self.woken.wait()


class Listener:
    """Runs `advance` for every wake-up, and goes on trying while Redis is away."""

    def __init__(self, url: str, advance: Advance, *, poll_seconds: float) -> None:
        self._settings = redis_settings(url)
        self._advance = advance
        self._poll_seconds = poll_seconds
        self._worker: _Worker | None = None
        self._stopping = False
        self.away = False

    def stop(self) -> None:
        """Take no more wake-ups; `run` returns once those being worked on have ended."""
        self._stopping = True
        if self._worker is not None:
            # A worker in burst mode that may start no more jobs ends between two polls.
            self._worker.burst = True
            self._worker.max_burst_jobs = 0
            self._worker.woken.set()

    async def run(self) -> None:
        """Listen until `stop`."""
        while not self._stopping:
            try:
                await self._listen()
            except _AWAY as error:
                if not self.away:
                    _log.warning("Redis is away, the sweeper finds the work: %s", error)
                self.away = True
                await asyncio.sleep(1)

    async def _listen(self) -> None:
        async def advance(_: dict[Any, Any], connection_ids: list[int]) -> None:
            await self._advance(connection_ids)

        redis = await create_pool(
            self._settings,
            default_queue_name=QUEUE,
            job_serializer=msgspec.json.encode,
            job_deserializer=msgspec.json.decode,
        )
        self.away = False
        worker = self._worker = _Worker(
            look_seconds=self._poll_seconds,
            functions=[
                func(cast("WorkerCoroutine", advance), name=_JOB, keep_result=0, max_tries=1)
            ],
            queue_name=QUEUE,
            redis_pool=redis,
            max_jobs=50,
            job_timeout=60,
            handle_signals=False,
            health_check_interval=60,
            job_serializer=msgspec.json.encode,
            job_deserializer=msgspec.json.decode,
            log_results=False,
        )
        hearing = asyncio.create_task(_hear(redis, worker.woken))
        try:
            if not self._stopping:
                await worker.async_run()
        finally:
            self._worker = None
            hearing.cancel()
            await asyncio.wait([hearing])
            await worker.close()


async def _hear(redis: ArqRedis, woken: asyncio.Event) -> None:
    """Set the event at each message. While this connection is away jobs are found all the same."""
    while True:
        channel = redis.pubsub(ignore_subscribe_messages=True)
        try:
            await channel.subscribe(_WOKEN)
            async for _ in channel.listen():
                woken.set()
        except _AWAY:
            await asyncio.sleep(1)
        finally:
            with contextlib.suppress(*_AWAY):
                await channel.aclose()  # type: ignore[no-untyped-call]  # redis 5 has no types here
