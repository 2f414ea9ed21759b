"""Refused before it is accepted: too many wait, or too much is held; and what odd payloads leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from hub.receive.gate import MOST_BYTES, Gate
from hub.runtime.services import Services
from hub.store import webhooks
from tests.support import Hub, running_hub, until


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    small = msgspec.structs.replace(services.settings, max_waiting=100)
    object.__setattr__(services, "settings", small)
    async with running_hub(services, redis_url) as running:
        await running.connection("desk")
        yield running


async def test_a_full_backlog_is_429_until_it_has_run_off(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.receive.gate._LOOK_SECONDS", 0.05)
    await hub.stop_worker()
    send = hub.sender("desk")
    refused = 0
    for number in range(300):
        answer = await send(id=f"w{number}", type="ticket", ticket=f"t{number}", title="T")
        if answer.status_code == 429:
            refused += 1
            assert answer.headers["retry-after"] == "10"
            assert "HUB_MAX_WAITING" in answer.json()["detail"]
            break
        await asyncio.sleep(0.001)
    assert refused, "more than the limit was taken in"
    kept = await hub.database.fetchval("select count(*) from webhooks")
    assert kept >= 100
    await hub.start_worker()
    await hub.quiet()

    async def taken() -> bool:
        return (await send(id="again", type="ticket", ticket="x", title="T")).status_code == 200

    await until(taken)


async def test_bodies_in_memory_are_bounded(services: Services) -> None:
    gate = Gate(services.database, max_waiting=100)
    assert gate.enter(MOST_BYTES + 1) == ""  # one alone always fits
    assert "too many" in gate.enter(1)
    gate.leave(MOST_BYTES + 1)
    assert gate.enter(1) == ""


@pytest.mark.parametrize(
    "title",
    [
        "nul \x00 inside",
        "lone \ud800 surrogate",
        "x" * (5 * 1024 * 1024),
        "right \u202e to left",
        "\ufffe\uffff",
    ],
    ids=["nul", "surrogate", "five megabytes", "direction", "noncharacters"],
)
async def test_odd_texts_survive_storing_routing_and_showing(hub: Hub, title: str) -> None:
    await hub.connection("work")
    await hub.route("r", on=["feedback.received"], steps=[
        {"name": "s", "connection": "work", "action": "note", "inputs": {"ticket": "t", "body": "{{ data.title }}"}}])  # fmt: skip
    answer = await hub.sender("desk")(id="odd", type="ticket", ticket="t", title=title)
    assert answer.status_code == 200

    async def delivered() -> bool:
        return bool(await hub.database.fetchval("select count(*) from deliveries where state = 'delivered'"))  # fmt: skip

    await until(delivered, seconds=20)
    body = await hub.database.fetchval("select body from webhooks")
    assert json.loads(body)["title"] == title
    sent = hub.vendor.of("notes")[0]["body"]
    assert len(sent) == len(title)
    assert "\x00" not in sent


async def test_huge_numbers_do_not_trip_the_flow(hub: Hub) -> None:
    answer = await hub.sender("desk")(
        id="big", type="ticket", ticket="t", title="T", rating=10**400, other=1e308
    )
    assert answer.status_code == 200

    async def ended() -> str:
        return str(await hub.database.fetchval("select state from webhooks where state <> 'received'") or "")  # fmt: skip

    assert await until(ended) in {"processed", "failed"}


async def test_what_fails_to_be_read_is_kept_with_the_place(hub: Hub) -> None:
    await hub.sender("desk")(id="w1", type="ticket", ticket="t")

    async def failed() -> str:
        return str(await hub.database.fetchval("select reason from webhooks where state = 'failed'") or "")  # fmt: skip

    assert "title: expected string" in await until(failed)
    assert await webhooks.find_waiting(hub.database) == []
