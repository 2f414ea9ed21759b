"""What the hub's own signature and a receiver's key look like at the receiver."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from hub.runtime.services import Services
from tests.support import TOKEN, Hub, running_hub, until

_SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    async with running_hub(services, redis_url) as running:
        yield running


@pytest.mark.parametrize("header", ["", "X-Mail-Key"])
async def test_a_receiver_gets_the_signature_and_its_own_key(hub: Hub, header: str) -> None:
    seen: list[web.Request] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append(request)
        Webhook(_SECRET).verify(await request.read(), dict(request.headers))
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/email", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        await hub.connection("desk")
        await hub.connection(
            "mail", integration="webhook",
            config={"url": f"http://127.0.0.1:{runner.addresses[0][1]}", "path": "/email",
                    **({"outgoing_header": header} if header else {})},
            secrets=hub.services.vault.seal(
                {"outgoing_secret": [_SECRET], "outgoing_key": [f"Bearer {TOKEN}"]}
            ),
        )  # fmt: skip
        await hub.route("r", on=["feedback.received"], steps=[
            {"name": "mail", "connection": "mail", "action": "send", "inputs": {"document": {"Subject": "{{ data.title }}"}}}])  # fmt: skip
        await hub.sender("desk")(id="1", type="ticket", ticket="t", title="Export")

        async def delivered() -> object:
            return await hub.database.fetchval("select calls from attempts where outcome = 'delivered'")  # fmt: skip

        calls = await until(delivered)
    finally:
        await runner.cleanup()
    assert [request.headers[header or "authorization"] for request in seen] == [f"Bearer {TOKEN}"]
    assert TOKEN not in str(calls)
