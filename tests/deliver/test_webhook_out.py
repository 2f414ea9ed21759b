"""What the hub's own signature and a receiver's key look like at the receiver."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from asyncpg import Record
from redis.asyncio import Redis
from standardwebhooks.webhooks import Webhook

from hub.runtime.services import Services
from tests.support import TOKEN, Hub, running_hub, until

_SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    async with running_hub(services, redis_url) as running:
        yield running


@asynccontextmanager
async def _receiver(take: Callable[[web.Request], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve a receiver that takes everything; gives its address."""

    async def receive(request: web.Request) -> web.Response:
        await take(request)
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/email", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _send_one(hub: Hub) -> Record:
    """Let one event leave by the connection `mail`; returns its attempt."""
    await hub.connection("desk")
    await hub.route("r", on=["feedback.received"], steps=[
        {"name": "mail", "connection": "mail", "action": "send", "inputs": {"document": {"Subject": "{{ data.title }}"}}}])  # fmt: skip
    await hub.sender("desk")(id="1", type="ticket", ticket="t", title="Export")

    async def delivered() -> object:
        return await hub.database.fetchrow("select * from attempts where outcome = 'delivered'")

    row: Record = await until(delivered)
    return row


@pytest.mark.parametrize("header", ["", "X-Mail-Key"])
async def test_a_receiver_gets_the_signature_and_its_own_key(hub: Hub, header: str) -> None:
    seen: list[web.Request] = []

    async def take(request: web.Request) -> None:
        seen.append(request)
        Webhook(_SECRET).verify(await request.read(), dict(request.headers))

    async with _receiver(take) as address:
        await hub.connection(
            "mail", integration="webhook",
            config={"url": address, "path": "/email", **({"outgoing_header": header} if header else {})},
            secrets=hub.services.vault.seal(
                {"outgoing_secret": [_SECRET], "outgoing_key": [f"Bearer {TOKEN}"]}
            ),
        )  # fmt: skip
        attempt = await _send_one(hub)
    assert [request.headers[header or "authorization"] for request in seen] == [f"Bearer {TOKEN}"]
    assert TOKEN not in str(attempt["calls"])


@pytest.mark.parametrize(("config", "step"), [({}, 1), ({"outgoing_rate": 1}, 1000)])
async def test_a_connection_says_how_many_calls_its_receiver_takes(
    hub: Hub, redis_url: str, config: dict[str, int], step: int
) -> None:
    due: list[float] = []
    redis = Redis.from_url(redis_url)

    async def take(_: web.Request) -> None:
        (key,) = await redis.keys("hub:rate:*")
        due.append(float(await redis.get(key) or 0))

    async with _receiver(take) as address:
        await hub.connection(
            "mail", integration="webhook", config={"url": address, "path": "/email", **config}
        )
        attempt = await _send_one(hub)
    await redis.aclose()
    # When the next call may leave, counted from before this one was let go.
    assert due[0] - attempt["started_at"].timestamp() * 1000 >= step
