"""A sandbox over real HTTP with one small stand-in, and a hub that takes its webhooks."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx
import msgspec
import pytest
import uvicorn

from hub.sandbox import SandboxSettings, server
from hub.sdk.http import InboundRequest, Response
from hub.sdk.integration import Manifest
from hub.sdk.registry import Available, Registry, Unavailable
from hub.sdk.sandbox import Sandbox, answer
from hub.sdk.signature import sign


class Notes(Sandbox):
    """A vendor that keeps notes, tells of each, and answers what it was asked."""

    initial: ClassVar[dict[str, Any]] = {"notes": []}

    def handle(self, request: InboundRequest) -> Response:
        if request.header("authorization") != f"Bearer {self.token}":
            return answer(401, {"error": "who are you"})
        if request.path == "notes" and request.method == "POST":
            return answer(201, self.note(str(request.payload()["text"].str())))
        if request.path == "broken":
            raise ZeroDivisionError("it fell over")
        if request.path == "empty":
            return Response(status=204)
        return answer(
            200,
            {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "type": request.header("content-type"),
                "body": request.body.decode(),
            },
        )

    def act(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        if name != "note":
            raise KeyError(f"unknown act {name!r}; known: note")
        return self.note(args["text"])

    def note(self, text: str) -> dict[str, Any]:
        made = {"id": self.number("note"), "text": text, "by": "somebody"}
        self.state["notes"].append(made)
        self.send({"type": "note.made", "note": made})
        return {"id": made["id"]}

    @classmethod
    def sign(cls, body: bytes, secret: str, now: datetime) -> dict[str, str]:
        del now
        return {"content-type": "application/json", "x-signature": sign(secret, body)}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        return {"notes": self.state["notes"]}


class Other(Notes):
    """A second vendor, to see that they are apart."""


@dataclass(frozen=True)
class Hosted(Available):
    """An integration whose stand-in is a class of these tests."""

    kind: type[Sandbox] | None = None

    def sandbox(self) -> type[Sandbox] | None:
        return self.kind


def hosted(name: str, kind: type[Sandbox] | None) -> Hosted:
    manifest = msgspec.convert(
        {"id": name, "title": name.title(), "description": "", "docs_url": "", "config": {}},
        Manifest,
    )
    return Hosted(manifest, "nowhere", Path(), kind)


REGISTRY = Registry(
    [hosted("notes", Notes), hosted("other", Other), hosted("mute", None)],
    [Unavailable("bad", "integrations.bad", "manifest.json is missing")],
)


@asynccontextmanager
async def serving(make: Callable[[int], uvicorn.Server]) -> AsyncIterator[str]:
    """Run a server on a free port of the loopback and give its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        running = make(port)
        task = asyncio.create_task(running.serve(sockets=[listening]))
        while not running.started:
            assert not task.done(), "the server did not start"
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            running.should_exit = True
            await task


@asynccontextmanager
async def a_sandbox(
    state: Path | None = None, registry: Registry = REGISTRY
) -> AsyncIterator[httpx.AsyncClient]:
    """Run a sandbox and give a client of it."""
    async with (
        serving(lambda port: server(SandboxSettings(port=port, state=state), registry)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as client,
    ):
        yield client


@dataclass
class Hub:
    """What takes the webhooks: keeps them and answers with the next of `answers`, else 200."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        return [msgspec.json.decode(body) for _, body in self.got]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.got.append((headers, body))
        status = self.answers.pop(0) if self.answers else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub()

    def make(port: int) -> uvicorn.Server:
        return uvicorn.Server(
            uvicorn.Config(hub, port=port, log_config=None, lifespan="off", access_log=False)
        )

    async with serving(make) as url:
        hub.url = f"{url}/webhooks/notes/key"
        yield hub


@pytest.fixture
async def sandbox() -> AsyncIterator[httpx.AsyncClient]:
    async with a_sandbox() as client:
        yield client


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 5) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.02)


async def idle(client: httpx.AsyncClient) -> None:
    """Wait until no webhook is on its way."""

    async def quiet() -> bool:
        return bool((await client.get("/_sandbox/idle")).json()["idle"])

    await until(quiet)
