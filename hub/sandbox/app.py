"""The sandbox's HTTP application: the vendors' APIs, and the controls under `/_sandbox`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar import Litestar, Request, get, post, put, route
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.response import Response as LitestarResponse
from litestar.types import ASGIApp

from hub.sandbox.answers import Answer, spoiled
from hub.sandbox.faults import Fault, take
from hub.sandbox.house import House, Room, Target
from hub.sandbox.page import render
from hub.sandbox.sender import Sender
from hub.sandbox.settings import SandboxSettings
from hub.sdk import discover
from hub.sdk.http import InboundRequest, Response
from hub.sdk.registry import Registry
from hub.sdk.sandbox import answer

_ANY = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
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
    sender: list[Sender] = []

    def changed(room: Room) -> None:
        room.collect()
        house.save()
        sender[0].wake(room.id)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        sender[:] = [Sender(house, house.save)]
        for name in house:
            sender[0].wake(name)
        try:
            yield
        finally:
            await sender[0].close()
            house.save()

    return Litestar(
        route_handlers=[
            *_pages(house),
            *_controls(house, changed, sender),
            _vendors(house, changed),
        ],
        lifespan=[lifespan],
        openapi_config=None,
        exception_handlers={Exception: _fault},
    )


def _vendors(house: House, changed: Callable[[Room], None]) -> Any:
    @route(
        ["/{integration:str}", "/{integration:str}/{rest:path}"],
        http_method=list(_ANY),
        status_code=200,
    )
    async def vendor(request: Request[Any, Any, Any], integration: str) -> ASGIApp:
        """Answer as the vendor's API does. The path reaches the stand-in as it was sent."""
        room = _find(house, integration)
        raw = request.scope["raw_path"].decode("ascii", "replace")
        asked = InboundRequest(
            method=request.method,
            path=raw.lstrip("/").partition("/")[2],
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
            changed(room)
        shown = spoiled(response, fault) if fault else response or Response(status=500)
        room.log(asked, shown, fault.kind if fault else "")
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.delay)
        return Answer(shown, fault)

    return vendor


def _handle(room: Room, request: InboundRequest) -> Response:
    try:
        return room.sandbox.handle(request)
    except Exception as error:  # noqa: BLE001 - the reason is worth more than a closed connection
        return answer(500, {"error": f"the stand-in failed: {type(error).__name__}: {error}"})


def _controls(house: House, changed: Callable[[Room], None], sender: list[Sender]) -> list[Any]:
    @get("/_sandbox")
    async def everything() -> dict[str, Any]:
        """Return what each stand-in has handled, sent and waits to send."""
        return {
            "integrations": {name: _summary(room) for name, room in house.items()},
            "missing": house.missing,
            "pending": house.waiting,
        }

    @get("/_sandbox/idle")
    async def idle() -> dict[str, Any]:
        """Say whether no webhook is on its way."""
        return {"idle": house.waiting == 0, "pending": house.waiting}

    @post("/_sandbox/reset", status_code=200)
    async def reset() -> dict[str, Any]:
        """Take every stand-in back to its first state; where webhooks go stays."""
        for room in house.values():
            room.reset()
            sender[0].hurry(room.id)
        house.save()
        return {"reset": list(house)}

    @post("/_sandbox/{integration:str}/act/{name:str}", status_code=200)
    async def act(request: Request[Any, Any, Any], integration: str, name: str) -> Any:
        """Do what a person does in the vendor's screens."""
        room = _find(house, integration)
        args = _decoded(await request.body() or b"{}", dict[str, Any])
        try:
            result = room.sandbox.act(name, args)
        except KeyError as error:
            raise ValidationException(f"{integration} {name}: {error.args[0]}") from error
        finally:
            changed(room)
        return result

    @get("/_sandbox/{integration:str}/state")
    async def state(integration: str) -> dict[str, Any]:
        """Return everything a stand-in holds."""
        return _find(house, integration).sandbox.state

    @put("/_sandbox/{integration:str}/target")
    async def target(request: Request[Any, Any, Any], integration: str) -> dict[str, Any]:
        """Set where a stand-in's webhooks go, and the secret and token it shares with the hub."""
        room = _find(house, integration)
        room.point(_decoded(await request.body(), Target))
        changed(room)
        sender[0].hurry(room.id)
        return {"url": room.target.url if room.target else ""}

    @put("/_sandbox/{integration:str}/faults")
    async def set_faults(request: Request[Any, Any, Any], integration: str) -> list[Fault]:
        """Replace the faults that wait for requests."""
        room = _find(house, integration)
        room.faults[:] = _decoded(await request.body(), list[Fault])
        return room.faults

    @get("/_sandbox/{integration:str}/faults")
    async def faults(integration: str) -> list[Fault]:
        """Return the faults, with how often each will still be used."""
        return _find(house, integration).faults

    @get("/_sandbox/{integration:str}/requests")
    async def requests(integration: str) -> list[Any]:
        """Return the last requests of the API, the oldest first."""
        return [msgspec.to_builtins(item) for item in _find(house, integration).requests]

    @get("/_sandbox/{integration:str}/webhooks")
    async def webhooks(integration: str) -> list[Any]:
        """Return the last webhooks, the oldest first."""
        return [
            {**msgspec.to_builtins(item), "body": item.body.decode("utf-8", "replace")}
            for item in _find(house, integration).webhooks
        ]

    return [
        everything, idle, reset, act, state, target, set_faults, faults, requests, webhooks,
    ]  # fmt: skip


def _pages(house: House) -> list[Any]:
    @get("/", media_type=MediaType.HTML)
    async def page() -> LitestarResponse[str]:
        """Show what each stand-in holds."""
        return LitestarResponse(render(house), media_type=MediaType.HTML, headers=_HTML)

    return [page]


def _summary(room: Room) -> dict[str, Any]:
    return {
        "title": room.title,
        "requests": room.handled,
        "webhooks_sent": room.sent,
        "pending": len(room.pending),
        "faults": sum(fault.times for fault in room.faults),
        "target": room.target.url if room.target else None,
        "tables": {name: len(rows) for name, rows in room.sandbox.tables().items()},
    }


def _find(house: House, name: str) -> Room:
    room = house.get(name)
    if room is None:
        why = house.missing.get(name, "no such integration")
        known = ", ".join(house) or "none"
        raise NotFoundException(f"there is no stand-in {name!r}: {why}. Known: {known}")
    return room


def _decoded(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ValidationException(str(error)) from None


def _fault(_: Request[Any, Any, Any], error: Exception) -> LitestarResponse[dict[str, str]]:
    if isinstance(error, HTTPException):
        return LitestarResponse({"error": error.detail}, status_code=error.status_code)
    reason = f"{type(error).__name__}: {error}"
    return LitestarResponse({"error": reason}, status_code=500)
