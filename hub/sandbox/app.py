"""The sandbox's HTTP application: the vendors' APIs, the controls, the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, get, route
from litestar.enums import HttpMethod, MediaType
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Response as Page
from litestar.types import ASGIApp

from hub.sandbox.answers import Answer, spoiled
from hub.sandbox.controls import Controls, Running, running
from hub.sandbox.faults import take
from hub.sandbox.house import House, Room
from hub.sandbox.page import render
from hub.sandbox.settings import SandboxSettings
from hub.sdk import discover
from hub.sdk.http import InboundRequest, Response
from hub.sdk.registry import Registry
from hub.sdk.sandbox import answer

_HTML = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "cache-control": "no-store",
}


def create_app(settings: SandboxSettings, registry: Registry | None = None) -> Litestar:
    """Return the application that hosts every integration's stand-in.

    `registry` is what is found on the machine, unless given. Raises `StateError` when the state
    file cannot be read.
    """
    house = House(discover() if registry is None else registry, settings.state)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        run = Running(house)
        app.state["running"] = run
        for name in house:
            run.sender.wake(name)
        try:
            yield
        finally:
            await run.sender.close()
            house.save()

    return Litestar(
        route_handlers=[_page, Controls, _vendor],
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: _fault},
    )


@get("/", media_type=MediaType.HTML)
async def _page(request: Request[Any, Any, Any]) -> Page[str]:
    """Show what each stand-in holds."""
    return Page(render(running(request).house), media_type=MediaType.HTML, headers=_HTML)


@route(
    ["/{integration:str}", "/{integration:str}/{rest:path}"],
    http_method=list(HttpMethod),
    status_code=200,
)
async def _vendor(request: Request[Any, Any, Any], integration: FromPath[str]) -> ASGIApp:
    """Answer as the vendor's API does. Path and query reach the stand-in as they were sent."""
    run = running(request)
    room = run.find(integration)
    asked = InboundRequest(
        method=request.method,
        path=request.scope["raw_path"].decode("ascii", "replace").lstrip("/").partition("/")[2],
        query=request.scope["query_string"].decode("latin-1"),
        headers={
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in request.scope["headers"]
        },
        body=await request.body(),
    )
    fault = take(room.faults, asked.method, asked.path)
    response: Response | None = None
    if fault is None or fault.takes_effect:
        response = _handle(room, asked)
        run.changed(room)
    shown = spoiled(response, fault) if fault else response or Response(status=500)
    room.log(asked, shown, fault.kind if fault else "")
    if fault is not None and fault.kind == "slow":
        await asyncio.sleep(fault.delay)
    return Answer(shown, fault)


def _handle(room: Room, request: InboundRequest) -> Response:
    try:
        return room.sandbox.handle(request)
    except Exception as error:  # noqa: BLE001 - the reason is worth more than a closed connection
        return answer(500, {"error": f"the stand-in failed: {type(error).__name__}: {error}"})


def _fault(_: Request[Any, Any, Any], error: Exception) -> Page[dict[str, str]]:
    if isinstance(error, HTTPException):
        return Page({"error": error.detail}, status_code=error.status_code)
    return Page({"error": f"{type(error).__name__}: {error}"}, status_code=500)
