"""Events meet the configuration as it was when they came, whichever process changed it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.runtime.services import Services
from hub.store.replay import replay
from tests.support import SECRET, TOKEN, Hub, running_hub

_STEP = {"name": "s", "action": "note", "inputs": {"ticket": "{{ subject.id }}", "body": "x"}}


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    async with running_hub(services, redis_url) as running:
        await running.connection("desk")
        yield running


async def _elsewhere(hub: Hub, *, connection: str, route: str) -> None:
    """Save a connection and a route as another process does: nothing here is told."""
    await hub.database.execute(
        "insert into connections (name, integration, key, config, secrets) values ($1, 'acme', $1, $2, $3)",
        connection, {"api_url": hub.vendor.url},
        hub.services.vault.seal({"secret": [SECRET], "token": [TOKEN]}),
    )  # fmt: skip
    await hub.database.execute(
        "insert into routes (name, position, definition) values ($1, 9, $2)", route, {"name": route, **_route(connection)},
    )  # fmt: skip


def _route(connection: str) -> dict[str, Any]:
    return {"on": ["feedback.received"], "steps": [{**_STEP, "connection": connection}]}


async def test_an_event_meets_what_another_process_saved_a_moment_before(hub: Hub) -> None:
    send = hub.sender("desk")
    for number in range(1, 6):
        await send(id=f"a{number}", type="ticket", ticket=f"a{number}", title="x")
        await hub.quiet()  # everything has just been read, and would do for a second
        before = len(hub.vendor.of("notes"))
        await _elsewhere(hub, connection=f"c{number}", route=f"r{number}")
        await send(id=f"b{number}", type="ticket", ticket=f"b{number}", title="x")
        await hub.quiet()
        assert len(hub.vendor.of("notes")) == before + number


async def test_a_step_whose_connection_is_gone_fails_the_event_and_can_be_replayed(
    hub: Hub,
) -> None:
    await hub.route("r", **_route("work"))
    await hub.sender("desk")(id="1", type="ticket", ticket="t", title="x")
    await hub.quiet()
    event = await hub.database.fetchrow("select state, reason from events")
    assert tuple(event or ()) == ("failed", "route r, steps.s: there is no connection 'work'")
    assert (await hub.services.watch.health())["failed_events"] == 1
    await hub.connection("work")
    assert await replay(hub.database, "event", filters={"state": "failed"}) == 1
    await hub.services.wake()
    await hub.quiet()
    assert await hub.database.fetchval("select state from events") == "routed"
    assert len(hub.vendor.of("notes")) == 1
