"""Deliveries under every kind of answer: retried, parked, dead, once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from hub.runtime.services import Services
from hub.store.replay import replay
from tests.support import Hub, running_hub, until

Make = Callable[[], web.Response]


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    async with running_hub(services, redis_url) as running:
        await running.connection("desk")
        await running.connection("work")
        yield running


async def _one_step(hub: Hub, action: str = "note", **more: Any) -> None:
    inputs = {
        "note": {"ticket": "{{ subject.id }}", "body": "{{ data.title }}"},
        "reply": {"ticket": "{{ subject.id }}", "body": "{{ data.title }}"},
        "create_issue": {"summary": "{{ data.title }}"},
    }[action]
    await hub.route(
        "r",
        on=["feedback.received"],
        steps=[{"name": "s", "connection": "work", "action": action, "inputs": inputs, **more}],
    )


async def _send(hub: Hub, number: int = 1, ticket: str = "t") -> None:
    await hub.sender("desk")(id=f"w{number}", type="ticket", ticket=ticket, title=f"Title {number}")


async def _delivery(hub: Hub, number: int = 1) -> dict[str, Any]:
    row = await hub.database.fetchrow("select * from deliveries where id = $1", number)
    return dict(row) if row else {}


async def _attempts(hub: Hub) -> list[str]:
    return [
        r["outcome"]
        for r in await hub.database.fetch(
            "select outcome from attempts order by delivery_id, number"
        )
    ]


async def _make_due(hub: Hub) -> None:
    """Let the clock of the schedule jump: what waits is due now."""
    await hub.database.execute("update deliveries set due_at = now() where state = 'pending'")
    await hub.database.execute("update lanes set due_at = now()")
    await hub.database.execute("update connections set parked_until = null")


async def _state(hub: Hub, state: str, number: int = 1) -> None:
    await until(lambda: _is(hub, state, number))


async def _is(hub: Hub, state: str, number: int) -> bool:
    return (await _delivery(hub, number)).get("state") == state


def _status(status: int, *, before: bool = True, **headers: str) -> Any:
    async def fault(_: web.Request, make: Make) -> web.Response:
        if not before:
            make()
        return web.Response(
            status=status, text="no", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return fault


async def _hang_up(request: web.Request, make: Make) -> web.Response:
    make()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_a_passing_fault_is_tried_again_after_five_seconds(hub: Hub) -> None:
    await _one_step(hub)
    hub.vendor.faults.append(_status(500))
    await _send(hub)
    await until(lambda: _is_waiting(hub))
    row = await _delivery(hub)
    wait = (row["due_at"] - await hub.database.fetchval("select now()")).total_seconds()
    assert row["attempts"] == 1
    assert 3 < wait < 7
    await _make_due(hub)
    await _state(hub, "delivered")
    assert await _attempts(hub) == ["retry", "delivered"]


async def _is_waiting(hub: Hub) -> bool:
    row = await _delivery(hub)
    return row.get("state") == "pending" and bool(row["attempts"] or row["waits"])


async def test_retry_after_wins_and_costs_no_attempt(hub: Hub) -> None:
    await _one_step(hub)
    hub.vendor.faults.append(_status(429, Retry_After="90"))
    await _send(hub)
    await until(lambda: _is_waiting(hub))
    row = await _delivery(hub)
    now = await hub.database.fetchval("select now()")
    assert (row["attempts"], row["waits"]) == (0, 1)
    assert 80 < (row["due_at"] - now).total_seconds() < 100
    parked = await hub.database.fetchval("select parked_until from connections where name = 'work'")
    assert (parked - now).total_seconds() > 80
    # Nothing of the connection leaves meanwhile.
    await _send(hub, 2, "other")
    await asyncio.sleep(0.4)
    assert hub.vendor.made == []
    await _make_due(hub)
    await hub.quiet()
    assert len(hub.vendor.made) == 2


async def test_a_refusal_is_dead_at_once_and_the_lane_goes_on(hub: Hub) -> None:
    await _one_step(hub)
    hub.vendor.faults.append(_status(400))
    await _send(hub, 1)
    await _send(hub, 2)
    await _state(hub, "delivered", 2)
    row = await _delivery(hub, 1)
    assert row["state"] == "dead"
    assert "HTTP 400: no" in row["reason"]
    assert await replay(hub.database, "delivery", filters={"state": "dead"}) == 1
    await hub.services.wake()
    await _state(hub, "delivered", 1)


async def test_refused_credentials_pause_the_connection_and_lose_nothing(hub: Hub) -> None:
    await _one_step(hub)
    hub.vendor.token = "another"
    await _send(hub)
    await until(lambda: _stopped(hub))
    await _state(hub, "pending")
    assert (await _delivery(hub))["attempts"] == 0
    hub.vendor.token = "sample-token"
    await hub.database.execute("update connections set state = 'active' where name = 'work'")
    await hub.services.wake()
    await _state(hub, "delivered")


async def _stopped(hub: Hub) -> bool:
    return bool(
        await hub.database.fetchval(
            "select state = 'auth_failed' from connections where name = 'work'"
        )
    )


@pytest.mark.parametrize(
    "fault", [_hang_up, _status(500, before=False)], ids=["reset after reading", "500 after doing"]
)
async def test_an_unknown_outcome_is_looked_up_and_not_repeated(hub: Hub, fault: Any) -> None:
    await _one_step(hub, "create_issue")
    hub.vendor.faults.append(fault)
    await _send(hub)
    await until(lambda: _is_waiting(hub))
    assert (await _delivery(hub))["uncertain"]
    await _make_due(hub)
    await _state(hub, "delivered")
    assert len(hub.vendor.of("issues")) == 1
    assert ("GET", "made") in hub.vendor.requests
    assert not (await _delivery(hub))["maybe_duplicate"]
    node = await hub.database.fetchval("select key from nodes where kind = 'issue'")
    assert node == "ACME-1"


async def test_where_nothing_can_be_looked_up_the_delivery_says_it_may_be_a_duplicate(
    hub: Hub,
) -> None:
    await hub.route("r", on=["conversation.replied"], steps=[
        {"name": "s", "connection": "work", "action": "reply", "inputs": {"ticket": "t", "body": "{{ data.body }}"}}])  # fmt: skip
    hub.vendor.faults.append(_hang_up)
    await hub.sender("desk")(id="1", type="reply", ticket="t", body="hello", by="kim")
    await until(lambda: _is_waiting(hub))
    await _make_due(hub)
    await _state(hub, "delivered")
    assert len(hub.vendor.of("replies")) == 2
    assert (await _delivery(hub))["maybe_duplicate"]


async def test_after_the_last_attempt_it_is_dead(hub: Hub) -> None:
    await _one_step(hub)
    hub.vendor.faults += [_status(503) for _ in range(9)]
    await _send(hub)
    for _ in range(8):
        await until(lambda: _is_waiting(hub))
        await _make_due(hub)
        await hub.quiet()
    row = await _delivery(hub)
    assert row["state"] == "dead"
    assert row["reason"].startswith("given up after 9 attempts")


async def test_a_lane_keeps_its_order_and_blocks_only_itself(hub: Hub) -> None:
    await _one_step(hub)
    hub.vendor.faults.append(_status(500))
    await _send(hub, 1)
    await until(lambda: _is_waiting(hub))
    for number in range(2, 6):
        await _send(hub, number)
    await _send(hub, 6, "free")
    await _state(hub, "delivered", 6)
    assert [note["body"] for note in hub.vendor.of("notes")] == ["Title 6"]
    await _make_due(hub)
    await hub.quiet()
    assert [note["body"] for note in hub.vendor.of("notes")] == [
        "Title 6",
        *(f"Title {n}" for n in range(1, 6)),
    ]


async def test_what_waits_under_a_key_is_not_overtaken_once_the_id_is_known(hub: Hub) -> None:
    """The lane is named after what is known of the object; that grows while something waits."""
    await hub.route(
        "up",
        on=["conversation.replied"],
        steps=[{
            "name": "s", "connection": "work", "action": "comment",
            "inputs": {"issue": "PLAN-{{ subject.id }}", "body": "{{ data.body }}"},
        }],
    )  # fmt: skip
    desk, work = hub.sender("desk"), hub.sender("work")
    hub.vendor.faults.append(_status(500))
    await desk(id="w1", type="reply", ticket="5", reply="r1", body="first", by="kim")
    await until(lambda: _is_waiting(hub))
    await work(id="w2", type="issue.created", issue="PLAN-5", title="Now it has an id", by="lee")
    await until(lambda: hub.database.fetchval("select true from nodes where external_id = '5' and key = 'PLAN-5'"))  # fmt: skip
    await desk(id="w3", type="reply", ticket="5", reply="r2", body="second", by="kim")
    await _state(hub, "pending", 2)
    await asyncio.sleep(0.2)
    assert hub.vendor.of("comments") == []
    await _make_due(hub)
    await hub.quiet()
    assert [made["body"] for made in hub.vendor.of("comments")] == ["first", "second"]


async def test_a_worker_that_vanishes_is_taken_over_and_creates_nothing_twice(hub: Hub) -> None:
    """What a killed worker leaves: a lease that ends, a delivery in flight, an attempt without end."""
    await _one_step(hub, "create_issue")
    await hub.stop_worker()
    await _send(hub)
    slow = asyncio.Event()

    async def never(_: web.Request, make: Make) -> web.Response:
        answer = make()
        await slow.wait()
        return answer

    hub.vendor.faults.append(never)
    await hub.start_worker()
    await until(lambda: _is(hub, "in_flight", 1))
    await until(lambda: _made(hub))
    # The other worker's name stands on the lane; its lease has run out.
    await hub.database.execute(
        "update lanes set owner = 'gone', lease_until = now() - interval '1 second'"
    )
    slow.set()
    await _state(hub, "delivered")
    await hub.quiet()
    assert len(hub.vendor.of("issues")) == 1


async def test_a_call_is_given_up_when_its_lease_cannot_be_renewed(hub: Hub) -> None:
    """Before anybody else may look for its effect, so that nothing is in flight twice."""
    await _one_step(hub, "create_issue")
    ended = asyncio.Event()

    async def hang(request: web.Request, make: Make) -> web.Response:
        make()
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.05)
        ended.set()
        return web.Response()

    hub.vendor.faults.append(hang)
    async with hub.database.acquire() as session, session.transaction():
        await _send(hub)
        await until(lambda: _made(hub))
        # Nobody can renew, as when PostgreSQL is away; leases are 2 s in these tests.
        await session.execute("lock table lanes in share row exclusive mode")
        await asyncio.wait_for(ended.wait(), 5)
        assert hub.vendor.requests[-1] == ("POST", "issues")
    await _state(hub, "delivered")
    assert await _attempts(hub) == ["unknown", "found"]
    assert hub.vendor.requests[-1] == ("GET", "made")
    assert len(hub.vendor.of("issues")) == 1


async def test_taking_other_lanes_does_not_keep_the_lease_of_one(hub: Hub) -> None:
    await _one_step(hub)
    ended = asyncio.Event()

    async def hang(request: web.Request, make: Make) -> web.Response:
        make()
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.05)
        ended.set()
        return web.Response()

    hub.vendor.faults.append(hang)
    await _send(hub, 1, "first")
    await until(lambda: _made(hub))
    async with hub.database.acquire() as session, session.transaction():
        # This one lane cannot be renewed; others come and go all the while.
        await session.execute("select from lanes where lane = 'ticket/first' for update")
        for number in range(2, 40):
            if ended.is_set():
                break
            await _send(hub, number, f"other-{number}")
            await asyncio.sleep(0.2)
    assert ended.is_set(), "the call went on after its lease had ended"
    await _state(hub, "delivered", 1)
    await hub.quiet()


async def test_what_was_left_is_not_kept_by_the_leases_of_what_is_at_work(hub: Hub) -> None:
    """A lane whose end could not be stored runs out although its worker is busy and lives."""
    await _one_step(hub)
    free = asyncio.Event()

    async def slow(_: web.Request, make: Make) -> web.Response:
        await free.wait()
        return make()

    hub.vendor.faults.append(slow)
    await _send(hub, 1, "busy")
    await until(lambda: _is(hub, "in_flight", 1))
    worker = await hub.database.fetchval("select owner from lanes")
    await _send(hub, 2, "left")
    await _state(hub, "delivered", 2)
    await hub.database.execute(
        "insert into lanes (connection_id, lane, day, owner, lease_until) "
        "select connection_id, 'ticket/left', day, $1, now() + interval '2 seconds' from lanes",
        worker,
    )
    await until(lambda: _no_lane(hub, "ticket/left"), seconds=8)
    assert await _is(hub, "in_flight", 1)
    free.set()
    await hub.quiet()


@pytest.mark.parametrize("jump", ["1 day", "-1 day"])
async def test_a_clock_that_jumps_neither_strands_a_lane_nor_sends_twice(
    hub: Hub, jump: str
) -> None:
    """Put forward, every lease seems to have run out; put back, one of the dead seems to last."""
    await _one_step(hub)
    free = asyncio.Event()

    async def slow(_: web.Request, make: Make) -> web.Response:
        await free.wait()
        return make()

    hub.vendor.faults.append(slow)
    await _send(hub, 1, "at work")
    await until(lambda: _is(hub, "in_flight", 1))
    await hub.database.execute(
        "update lanes set lease_until = lease_until - $1::text::interval", jump
    )
    await _send(hub, 2, "other")
    await _state(hub, "delivered", 2)
    await hub.database.execute(
        "insert into lanes (connection_id, lane, day, owner, lease_until) select connection_id, "
        "'ticket/dead', day, 'gone', now() - $1::text::interval from lanes",
        jump,
    )
    await until(lambda: _no_lane(hub, "ticket/dead"))
    free.set()
    await _state(hub, "delivered", 1)
    assert hub.vendor.requests.count(("POST", "notes")) == 2


async def _no_lane(hub: Hub, lane: str) -> bool:
    return not await hub.database.fetchval(
        "select exists (select from lanes where lane = $1)", lane
    )


async def _made(hub: Hub) -> bool:
    return bool(hub.vendor.made)


async def test_a_redirect_and_a_private_address_are_refused(hub: Hub) -> None:
    await _one_step(hub)
    hub.vendor.faults.append(_status(302, Location="http://169.254.169.254/"))
    await _send(hub)
    await _state(hub, "dead")
    assert "redirects are not followed" in (await _delivery(hub))["reason"]
    await hub.connection("inside", config={"api_url": "http://10.0.0.1/api"})
    await hub.route("r2", on=["conversation.replied"], steps=[
        {"name": "s", "connection": "inside", "action": "note", "inputs": {"ticket": "t", "body": "x"}}])  # fmt: skip
    await hub.sender("desk")(id="1", type="reply", ticket="t", body="hello", by="kim")
    await _state(hub, "dead", 2)
    assert "HUB_ALLOW_PRIVATE_HOSTS" in (await _delivery(hub, 2))["reason"]


async def test_secrets_are_masked_in_what_attempts_keep(hub: Hub) -> None:
    await _one_step(hub)
    await hub.sender("desk")(
        id="1", type="ticket", ticket="t", title="my password is sample-token ok"
    )
    await _state(hub, "delivered")
    calls = await hub.database.fetchval("select calls::text from attempts")
    assert "sample-token" not in calls
    assert "••••" in calls


async def test_redis_emptied_or_away_costs_latency_only(hub: Hub, redis_url: str) -> None:
    await _one_step(hub)
    await hub.stop_worker()
    await _send(hub)
    from redis.asyncio import Redis

    client = Redis.from_url(redis_url)
    await client.flushall()
    await client.aclose()
    await hub.start_worker()
    await _state(hub, "delivered")
