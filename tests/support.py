"""What tests of the whole path share: a recording vendor over real HTTP, and a running hub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from aiohttp import web

from hub.receive.app import WebhookApp
from hub.runtime.services import Services
from hub.runtime.worker import run_worker
from hub.sdk.signature import sign
from hub.store.pool import Database

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
    faults: list[
        Callable[[web.Request, Callable[[], web.Response]], Awaitable[web.StreamResponse]]
    ] = field(default_factory=list)
    url: str = ""
    token: str = TOKEN
    on_made: Callable[[str, dict[str, Any]], None] | None = None
    """Told of each thing that is made: the path it was made at, and the thing."""

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
            item = {
                "kind": kind,
                "id": str(number),
                "key": f"ACME-{number}" if kind == "issues" else "",
                **body,
            }
            self.made.append(item)
            if self.on_made is not None:
                self.on_made(request.path, item)
            return web.json_response(item, status=201)

        if self.faults:
            return await self.faults.pop(0)(request, make)
        return make()


@asynccontextmanager
async def running_vendor() -> AsyncIterator[Vendor]:
    """Serve a `Vendor` on a free loopback port."""
    vendor = Vendor()
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", vendor.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
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
        headers = {
            "x-acme-signature": "sha256=" + sign(SECRET, raw),
            "content-type": "application/json",
        }
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


class Hub:
    """A running hub for a test: the real endpoint on a loopback port and a real worker."""

    def __init__(self, services: Services, redis_url: str, vendor: Vendor) -> None:
        self.services = services
        self.vendor = vendor
        self.redis_url = redis_url
        self.url = ""
        self.client = httpx.AsyncClient(timeout=10)
        self._stop = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    @property
    def database(self) -> Database:
        """The database."""
        return self.services.database

    async def connection(self, name: str, **columns: Any) -> int:
        """Store a connection of the made-up vendor; its webhook key is `key-<name>`."""
        config = {"api_url": self.vendor.url, **columns.pop("config", {})}
        values = {
            "name": name, "integration": "acme", "key": f"key-{name}", "config": config,
            "secrets": self.services.vault.seal({"secret": [SECRET], "token": [TOKEN]}), **columns,
        }  # fmt: skip
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        made = await self.database.fetchval(
            f"insert into connections ({', '.join(values)}) values ({places}) returning id",
            *values.values(),
        )
        self.services.connections.forget()
        return int(made)

    async def route(self, name: str, **definition: Any) -> int:
        """Store a route."""
        made = await self.database.fetchval(
            "insert into routes (name, position, definition) "
            "values ($1, (select count(*) from routes), $2) returning id",
            name,
            {"name": name, **definition},
        )
        return int(made)

    def sender(self, connection: str) -> Sender:
        """Return what sends webhooks to a connection."""
        return Sender(self.client, f"{self.url}/webhooks/acme/key-{connection}")

    async def start_worker(self) -> None:
        """Start the worker."""
        self._stop = asyncio.Event()
        self._worker = asyncio.create_task(
            run_worker(self.services, self.redis_url, stop=self._stop)
        )

    async def stop_worker(self) -> None:
        """Stop the worker; what it sends ends first."""
        if self._worker is not None:
            self._stop.set()
            await self._worker
            self._worker = None

    async def quiet(self, *, seconds: float = 10.0) -> None:
        """Wait until nothing waits: no webhook, event or delivery that is due."""
        await until(self._is_quiet, seconds=seconds)

    async def _is_quiet(self) -> bool:
        waiting = await self.database.fetchval(
            "select (select count(*) from webhooks where state = 'received')"
            " + (select count(*) from events where state = 'waiting')"
            " + (select count(*) from deliveries where state = 'in_flight' or state = 'pending' and due_at <= now())"
            " + (select count(*) from deliveries d join deliveries p on p.id = d.depends_on"
            "    where d.state = 'blocked' and p.state = 'delivered')"
        )
        return int(waiting) == 0


@asynccontextmanager
async def running_hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    """Run a hub and a vendor for a test."""
    app = WebhookApp(
        services.database,
        services.connections,
        services.queue,
        max_body=services.settings.max_body_bytes,
        max_waiting=services.settings.max_waiting,
        watch=services.watch,
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    async with running_vendor() as vendor:
        hub = Hub(services, redis_url, vendor)
        while not server.started:
            await asyncio.sleep(0.01)
        hub.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        await hub.start_worker()
        try:
            yield hub
        finally:
            await hub.stop_worker()
            await hub.client.aclose()
            server.should_exit = True
            await serving
