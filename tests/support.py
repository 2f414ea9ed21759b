"""What tests of the whole path share: a recording vendor over real HTTP, and a running hub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiohttp import web

from hub.sdk.signature import sign

SECRET = "sample-secret"
TOKEN = "sample-token"


@dataclass
class Vendor:
    """The far side: keeps what was made, and can be told to misbehave.

    `faults` are taken one by one, each a function that may answer in place of the vendor; it is
    given the request and a function that does what the vendor would have done.
    """

    made: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Callable[[web.Request, Callable[[], web.Response]], Awaitable[web.StreamResponse]]] = field(
        default_factory=list
    )
    url: str = ""
    token: str = TOKEN

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return what was made of a kind (`issues`, `comments`, `replies`, `notes`, …)."""
        return [item for item in self.made if item["kind"] == kind]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        kind = request.path.rpartition("/")[2]
        self.requests.append((request.method, kind))
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return web.json_response({"error": "who are you?"}, status=401)
        if kind == "me":
            return web.json_response({"id": "hub-bot"})
        if kind == "made":
            found = [m for m in self.made if m["marker"] == request.query["marker"]]
            return web.json_response(found[-1] if found else {})
        body = json.loads(await request.read())

        def make() -> web.Response:
            number = len(self.made) + 1
            item = {"kind": kind, "id": str(number), "key": f"ACME-{number}" if kind == "issues" else "", **body}
            self.made.append(item)
            return web.json_response(item, status=201)

        if self.faults:
            return await self.faults.pop(0)(request, make)
        return make()


@asynccontextmanager
async def running_vendor() -> AsyncIterator[Vendor]:
    """Serve a `Vendor` on a free loopback port."""
    vendor = Vendor()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", vendor.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    vendor.url = f"http://127.0.0.1:{port}/api"
    try:
        yield vendor
    finally:
        await runner.cleanup()


class Sender:
    """Sends signed webhooks to a running hub, as the vendor would."""

    def __init__(self, client: httpx.AsyncClient, address: str) -> None:
        self.client = client
        self.address = address

    async def __call__(self, **body: Any) -> httpx.Response:
        """Send one webhook; `id` and `type` are part of the body."""
        raw = json.dumps(body).encode()
        headers = {"x-acme-signature": "sha256=" + sign(SECRET, raw), "content-type": "application/json"}
        return await self.client.post(self.address, content=raw, headers=headers)


async def until(what: Callable[[], Awaitable[Any]], *, seconds: float = 10.0) -> Any:
    """Wait until `what` gives something true; returns it. Fails with the last value otherwise."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        value = await what()
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            message = f"did not happen within {seconds} s; last value: {value!r}"
            raise AssertionError(message)
        await asyncio.sleep(0.02)
