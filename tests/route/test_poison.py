"""One bad event, route or secret stops nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.route import batch
from hub.runtime.services import Services
from hub.store.vault import Vault
from tests.support import Hub, running_hub


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    async with running_hub(services, redis_url) as running:
        await running.connection("desk")
        await running.route("r", on=["feedback.received"], steps=[
            {"name": "s", "connection": "desk", "action": "note", "inputs": {"ticket": "{{ subject.id }}", "body": "{{ data.title }}"}}])  # fmt: skip
        yield running


async def test_an_event_that_breaks_the_router_fails_alone(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = batch.plan_event

    def breaks(event: Any, *args: Any, **kwargs: Any) -> Any:
        if event.data["title"]["text"] == "poison":
            message = "boom"
            raise RuntimeError(message)
        return plan(event, *args, **kwargs)

    monkeypatch.setattr(batch, "plan_event", breaks)
    await hub.stop_worker()
    for number, title in enumerate(("one", "poison", "two", "three")):
        await hub.sender("desk")(id=str(number), type="ticket", ticket=f"t{number}", title=title)
    await hub.start_worker()
    await hub.quiet()
    assert sorted(note["body"] for note in hub.vendor.of("notes")) == ["one", "three", "two"]
    row = await hub.database.fetchrow("select reason from events where state = 'failed'")
    assert "RuntimeError: boom" in row["reason"]


async def test_a_route_that_cannot_be_read_is_passed_over(hub: Hub) -> None:
    await hub.database.execute(
        "insert into routes (name, position, definition) values ('bad', 0, '{\"nonsense\": 1}')"
    )
    await hub.sender("desk")(id="1", type="ticket", ticket="t", title="x")
    await hub.quiet()
    assert len(hub.vendor.of("notes")) == 1


async def test_a_connection_whose_secrets_cannot_be_read_is_closed_and_the_others_go_on(
    hub: Hub,
) -> None:
    await hub.connection("lost", secrets=Vault([Vault.new_key()]).seal({"secret": ["x"]}))
    assert (
        await hub.sender("desk")(id="1", type="ticket", ticket="t", title="x")
    ).status_code == 200
    assert (
        await hub.sender("lost")(id="1", type="ticket", ticket="t", title="x")
    ).status_code == 401
    lost = await hub.services.connections.by_name("lost")
    assert lost is not None
    assert lost.state == "auth_failed"
    assert "HUB_SECRET_KEYS" in lost.reason
