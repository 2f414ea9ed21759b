"""What goes wrong: at random moments, by a seed, one after another and into each other's middle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import redis.asyncio

from tests.chaos.house import House

Fault = Callable[[], Awaitable[None]]


class Faults:
    """Does things to a house. `away` is how long servers stay away, in seconds."""

    def __init__(self, house: House, chance: random.Random, *, away: float) -> None:
        self._house = house
        self._chance = chance
        self._away = away
        self.done: list[tuple[float, str]] = []
        self.every: dict[str, Fault] = {
            "kill the web process": self._kill_web,
            "kill a worker": self._kill_worker,
            "end a session of PostgreSQL": self._end_session,
            "kill a session of PostgreSQL": self._kill_session,
            "empty Redis": self._empty_redis,
            "restart Redis": self._restart_redis,
            "keep Redis away": self._keep_redis_away,
            "stop PostgreSQL": self._stop_postgres,
            "make PostgreSQL read-only": self._read_only,
            "terminate a worker": self._terminate_worker,
            "terminate the web process": self._terminate_web,
            "roll to a new generation": self._roll,
        }

    async def run(self, names: Sequence[str], gap: tuple[float, float]) -> None:
        """Do these one after another, with random pauses between."""
        began = time.monotonic()
        for name in names:
            await asyncio.sleep(self._chance.uniform(*gap))
            self.done.append((round(time.monotonic() - began, 1), name))
            self._house.counts[name] += 1
            await self.every[name]()

    async def heal(self) -> None:
        """Put everything right that a fault may have left behind."""
        if not self._house.postgres.alive:
            await self._house.by_hand(self._house.postgres.start)
        if not self._house.redis.alive:
            await self._house.by_hand(self._house.redis.start)
        await self._set_read_only(on=False)
        await self._house.ready()

    async def _kill_web(self) -> None:
        if found := self._house.of("web"):
            await self._house.kill(self._chance.choice(found))

    async def _kill_worker(self) -> None:
        if found := self._house.of("worker"):
            await self._house.kill(self._chance.choice(found))

    async def _terminate_web(self) -> None:
        if found := self._house.of("web"):
            await self._house.terminate(self._chance.choice(found), again=True)

    async def _terminate_worker(self) -> None:
        if found := self._house.of("worker"):
            await self._house.terminate(self._chance.choice(found), again=True)

    async def _roll(self) -> None:
        house = self._house
        old = [p for p in house.processes if p.wanted]
        await house.generation()
        with contextlib.suppress(AssertionError):
            await house.ready(10)
        await asyncio.sleep(self._chance.uniform(0.2, 1.0))
        for process in old:
            if process in house.processes:
                await house.terminate(process, again=False)

    async def _backend(self) -> int | None:
        """Return the process of one of the hub's sessions."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
            rows = await self._house.fetch(
                "select pid from pg_stat_activity where application_name like 'hub-%' order by pid"
            )
            return int(self._chance.choice(rows)["pid"]) if rows else None
        return None

    async def _end_session(self) -> None:
        if (pid := await self._backend()) is not None:
            with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
                await self._house.fetch("select pg_terminate_backend($1)", pid)

    async def _kill_session(self) -> None:
        """PostgreSQL takes a killed session for a crash: it ends all others and recovers."""
        if (pid := await self._backend()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _empty_redis(self) -> None:
        client = redis.asyncio.Redis.from_url(self._house.redis_url)
        with contextlib.suppress(redis.RedisError, OSError):
            await client.flushall()
        await client.aclose()

    async def _restart_redis(self) -> None:
        await self._house.by_hand(self._house.redis.stop)
        await self._house.by_hand(self._house.redis.start)

    async def _keep_redis_away(self) -> None:
        await self._house.by_hand(self._house.redis.stop)
        await asyncio.sleep(self._away)
        await self._house.by_hand(self._house.redis.start)

    async def _stop_postgres(self) -> None:
        house = self._house
        await self._answering()
        await house.by_hand(lambda: house.postgres.stop(immediate=True))
        await asyncio.sleep(self._chance.uniform(0.5, 1.5))
        await house.by_hand(house.postgres.start)

    async def _read_only(self) -> None:
        """Stand in for a disk that is full: no session of the hub can write any more."""
        await self._answering()
        await self._set_read_only(on=True)
        await asyncio.sleep(self._chance.uniform(0.5, 1.5))
        await self._set_read_only(on=False)

    async def _answering(self) -> None:
        """Wait for a web process: what nobody asks during a fault, nobody refuses."""
        with contextlib.suppress(AssertionError):
            await self._house.ready(5)

    async def _set_read_only(self, *, on: bool) -> None:
        change = (
            "set default_transaction_read_only = on"
            if on
            else "reset default_transaction_read_only"
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                await self._house.fetch(f"alter system {change}")
                await self._house.fetch("select pg_reload_conf()")
            except (OSError, asyncpg.PostgresError, TimeoutError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                return
