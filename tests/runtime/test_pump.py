"""The sweeper goes on, whatever one of its looks meets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from hub.runtime import pump
from hub.runtime.services import Services
from tests.support import Hub, running_hub, until


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    async with running_hub(services, redis_url) as running:
        yield running


async def test_a_failing_look_ends_neither_the_sweeper_nor_the_worker(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, looks = pump.find_waiting, 0

    async def fails_at_first(database: Any) -> list[int]:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise asyncpg.DeadlockDetectedError
        return await find(database)

    await hub.stop_worker()
    monkeypatch.setattr(pump, "find_waiting", fails_at_first)
    await hub.connection("desk")
    await hub.sender("desk")(id="1", type="ticket", ticket="t", title="x")
    await hub.start_worker()

    async def swept() -> bool:
        return looks > 1

    await until(swept)
    await hub.quiet()
    assert await hub.database.fetchval("select state from webhooks") == "processed"


async def test_work_goes_on_when_the_job_that_woke_it_has_ended(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub.stop_worker()
    connection = await hub.connection("desk")
    await hub.sender("desk")(id="1", type="ticket", ticket="t", title="x")
    go, normalize = asyncio.Event(), pump.normalize_waiting

    async def slow(*args: Any, **options: Any) -> int:
        await go.wait()
        return await normalize(*args, **options)

    monkeypatch.setattr(pump, "normalize_waiting", slow)
    monkeypatch.setattr(pump, "_WAIT_SECONDS", 0.05)
    deliverer: Any = SimpleNamespace(poke=lambda: None)
    working = pump.Pump(hub.services, deliverer)
    await working.advance([connection])
    assert await hub.database.fetchval("select state from webhooks") == "received"
    go.set()
    await working.close()
    assert await hub.database.fetchval("select state from webhooks") == "processed"
    assert await hub.database.fetchval("select state from events") == "unmatched"
