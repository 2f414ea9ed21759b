"""A connection that fails is left alone, tried by one, and told of; others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from hub.runtime.services import Services
from hub.sdk.actions import exhausted_for
from hub.sdk.http import Response
from hub.store.lanes import BREAKER_FAILURES
from tests.support import Hub, Vendor, running_hub, running_vendor, until

Make = Callable[[], web.Response]
STEP = {
    "name": "s", "connection": "work", "action": "note",
    "inputs": {"ticket": "{{ subject.id }}", "body": "{{ data.title }}"},
}  # fmt: skip


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    async with running_hub(services, redis_url) as running:
        await running.connection("desk")
        await running.connection("work")
        yield running


@pytest.fixture
async def other() -> AsyncIterator[Vendor]:
    async with running_vendor() as vendor:
        yield vendor


async def _tickets(hub: Hub, numbers: range) -> None:
    for number in numbers:
        await hub.sender("desk")(
            id=f"w{number}", type="ticket", ticket=f"t{number}", title=f"T{number}"
        )


async def _work(hub: Hub) -> dict[str, Any]:
    return dict(await hub.database.fetchrow("select * from connections where name = 'work'") or {})


async def _types(hub: Hub) -> list[str]:
    rows = await hub.database.fetch("select type from events where type like 'hub.%' order by id")
    return [row["type"] for row in rows]


def _answers(status: int, count: int, headers: dict[str, str] | None = None) -> list[Any]:
    async def fault(_: web.Request, __: Make) -> web.Response:
        return web.Response(status=status, text="down", headers=headers)

    return [fault] * count


async def test_a_failing_connection_is_tried_by_one_delivery_at_a_time(hub: Hub) -> None:
    await hub.route("r", on=["feedback.received"], steps=[STEP])
    hub.vendor.faults += _answers(503, 40)
    await _tickets(hub, range(10))

    async def opened() -> bool:
        return int((await _work(hub))["failures"]) >= BREAKER_FAILURES

    await until(opened)
    await until(lambda: _told(hub, "hub.connection.failing"))
    await until(lambda: _none_in_flight(hub))
    before = await hub.database.fetchval("select count(*) from attempts")
    # Everything is due, but the breaker is open: nothing leaves.
    await hub.database.execute("update lanes set due_at = now()")
    await hub.database.execute("update deliveries set due_at = now() where state = 'pending'")
    await asyncio.sleep(0.5)
    assert await hub.database.fetchval("select count(*) from attempts") == before
    # Half open: one delivery tries, fails, and the breaker stays open for longer.
    await hub.database.execute("update connections set parked_until = now() where name = 'work'")

    async def tried() -> bool:
        return int(await hub.database.fetchval("select count(*) from attempts")) > before

    await until(tried)
    await asyncio.sleep(0.5)
    assert await hub.database.fetchval("select count(*) from attempts") == before + 1
    now = await hub.database.fetchval("select now()")
    assert ((await _work(hub))["parked_until"] - now).total_seconds() > 4
    # It answers again: the next probe closes the breaker and the line runs off.
    hub.vendor.faults.clear()

    async def probed() -> bool:
        await hub.database.execute(
            "update connections set parked_until = now() where name = 'work'"
        )
        await hub.database.execute("update deliveries set due_at = now() where state = 'pending'")
        await hub.database.execute("update lanes set due_at = now()")
        await asyncio.sleep(0.5)
        return await _delivered(hub, 10)

    await until(probed)
    assert (await _work(hub))["failures"] == 0
    parked = (await _work(hub))["parked_until"]
    assert parked is None or parked <= await hub.database.fetchval("select now()")


async def _none_in_flight(hub: Hub) -> bool:
    return not await hub.database.fetchval(
        "select exists (select from deliveries where state = 'in_flight')"
    )


async def _told(hub: Hub, event_type: str) -> bool:
    return event_type in await _types(hub)


async def _delivered(hub: Hub, count: int) -> bool:
    found = await hub.database.fetchval("select count(*) from deliveries where state = 'delivered'")
    return int(found) == count


async def test_a_dead_destination_with_a_long_line_slows_no_other(hub: Hub, other: Vendor) -> None:
    await hub.connection("alive", config={"api_url": other.url})
    await hub.route("dead", on=["feedback.received"], steps=[STEP])
    await hub.route("live", on=["conversation.replied"], steps=[
        {**STEP, "connection": "alive", "inputs": {"ticket": "{{ subject.id }}", "body": "{{ data.body }}"}}])  # fmt: skip

    async def hang(_: web.Request, __: Make) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    hub.vendor.faults += [hang] * 500
    await _tickets(hub, range(200))
    await until(lambda: _waiting(hub, 200), seconds=30)
    await hub.database.execute(
        # A line of 20,000 more lanes, all due.
        "with d as (insert into deliveries (day, event_id, route_id, route, route_version, step, target,"
        " connection_id, action, lane, inputs, state) select day, id, 1, 'dead', 1, 's', 'x' || n,"
        " (select id from connections where name = 'work'), 'note', 'ticket/x' || n,"
        ' \'{"ticket": "x", "body": "b"}\', \'pending\' from events, generate_series(1, 100) n'
        " where type = 'feedback.received' returning connection_id, lane, day)"
        " insert into lanes select connection_id, lane, min(day) from d group by 1, 2 on conflict do nothing"
    )
    began = asyncio.get_running_loop().time()
    for number in range(20):
        await hub.sender("desk")(
            id=f"r{number}", type="reply", ticket=f"a{number}", body="hello", by="kim"
        )
    await until(lambda: _notes(other, 20), seconds=10)
    assert asyncio.get_running_loop().time() - began < 10
    assert len({note["ticket"] for note in other.of("notes")}) == 20


async def _waiting(hub: Hub, count: int) -> bool:
    found = await hub.database.fetchval("select count(*) from deliveries")
    return int(found) >= count


async def _notes(vendor: Vendor, count: int) -> bool:
    return len(vendor.of("notes")) >= count


async def test_an_exhausted_quota_in_a_success_parks_the_connection(hub: Hub) -> None:
    await hub.route("r", on=["feedback.received"], steps=[STEP])

    async def last_one(_: web.Request, make: Make) -> web.Response:
        answer = make()
        answer.headers["X-RateLimit-Remaining"] = "0"
        answer.headers["X-RateLimit-Reset"] = str(int(datetime.now(UTC).timestamp()) + 120)
        return answer

    hub.vendor.faults.append(last_one)
    await _tickets(hub, range(1))
    await until(lambda: _delivered(hub, 1))
    now = await hub.database.fetchval("select now()")
    assert 100 < ((await _work(hub))["parked_until"] - now).total_seconds() < 130
    await _tickets(hub, range(1, 2))
    await asyncio.sleep(0.5)
    assert len(hub.vendor.of("notes")) == 1


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("30", 30.0),
        ("1762000060", 60.0),
        ("1762000060000", 60.0),
        ("2025-11-01T12:27:40Z", 60.0),
        ("1761999000", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_the_forms_of_a_reset_in_use(reset: str, seconds: float | None) -> None:
    now = datetime.fromtimestamp(1_762_000_000, UTC)
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    assert exhausted_for(Response(status=200, headers=headers), now=now) == seconds
    left = Response(status=200, headers={**headers, "x-ratelimit-remaining": "3"})
    assert exhausted_for(left, now=now) is None


async def test_refused_credentials_are_told_and_a_route_can_send_it_on(
    hub: Hub, other: Vendor
) -> None:
    await hub.connection("chat", config={"api_url": other.url})
    await hub.route("r", on=["feedback.received"], steps=[STEP])
    await hub.route("alerts", on=["hub.*"], steps=[
        {"name": "tell", "connection": "chat", "action": "note",
         "inputs": {"ticket": "ops", "body": "{{ data.title }}: {{ data.body }}"}}])  # fmt: skip
    hub.vendor.token = "another"
    await _tickets(hub, range(3))
    await until(lambda: _notes(other, 1))
    assert "work is failing: the credentials were refused" in other.of("notes")[0]["body"]
    assert await _types(hub) == ["hub.connection.failing"]


async def test_the_dead_are_told_once_for_a_route_and_never_of_telling_itself(hub: Hub) -> None:
    await hub.route("r", on=["feedback.received"], steps=[STEP])
    await hub.route("alerts", on=["hub.*"], steps=[
        {**STEP, "inputs": {"ticket": "ops", "body": "{{ data.title }}"}}])  # fmt: skip
    hub.vendor.faults += _answers(400, 20)
    await _tickets(hub, range(3))
    await until(lambda: _dead(hub, 4))
    await hub.quiet()
    await asyncio.sleep(0.3)
    assert await _types(hub) == ["hub.delivery.dead"]


async def _dead(hub: Hub, count: int) -> bool:
    found = await hub.database.fetchval("select count(*) from deliveries where state = 'dead'")
    return int(found) == count
