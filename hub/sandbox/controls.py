"""The controls under `/_sandbox`: what people do, where webhooks go, faults, what is held."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, Request, get, post, put
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath

from hub.sandbox.faults import Fault
from hub.sandbox.house import House, Room, Target
from hub.sandbox.sender import Sender


class Running:
    """The stand-ins of a running application, and the tasks that send their webhooks."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.sender = Sender(house)

    def changed(self, room: Room) -> None:
        """Keep a change, and send the webhooks it brought."""
        room.collect()
        self.house.save()
        self.sender.wake(room.id)

    def find(self, name: str) -> Room:
        """Return a stand-in, or answer 404 with the names that are known."""
        room = self.house.get(name)
        if room is None:
            why = self.house.missing.get(name, "no such integration")
            known = ", ".join(self.house) or "none"
            raise NotFoundException(f"there is no stand-in {name!r}: {why}. Known: {known}")
        return room


def running(request: Request[Any, Any, Any]) -> Running:
    """Return what the application runs."""
    found: Running = request.app.state["running"]
    return found


class Controls(Controller):
    """What a test, the demo and a person may do with the stand-ins."""

    path = "/_sandbox"

    @get("/")
    async def everything(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Return what each stand-in has handled, sent and waits to send."""
        house = running(request).house
        return {
            "integrations": {name: _summary(room) for name, room in house.items()},
            "missing": house.missing,
            "pending": house.waiting,
        }

    @get("/idle")
    async def idle(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Say whether no webhook is on its way."""
        waiting = running(request).house.waiting
        return {"idle": waiting == 0, "pending": waiting}

    @post("/reset", status_code=200)
    async def reset(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Take every stand-in back to its first state; where its webhooks go stays."""
        run = running(request)
        for room in run.house.values():
            room.reset()
            run.sender.hurry(room.id)
        run.house.save()
        return {"reset": list(run.house)}

    @post("/{integration:str}/act/{name:str}", status_code=200)
    async def act(
        self, request: Request[Any, Any, Any], integration: FromPath[str], name: FromPath[str]
    ) -> dict[str, Any]:
        """Do what a person does in the vendor's screens; the body holds the arguments."""
        run = running(request)
        room = run.find(integration)
        args = _decoded(await request.body() or b"{}", dict[str, Any])
        try:
            result = room.sandbox.act(name, args)
        except KeyError as error:
            raise ValidationException(f"{integration} {name}: {error.args[0]}") from error
        finally:
            run.changed(room)
        return result

    @get("/{integration:str}/state")
    async def state(
        self, request: Request[Any, Any, Any], integration: FromPath[str]
    ) -> dict[str, Any]:
        """Return everything a stand-in holds."""
        return running(request).find(integration).sandbox.state

    @put("/{integration:str}/target")
    async def target(
        self, request: Request[Any, Any, Any], integration: FromPath[str]
    ) -> dict[str, Any]:
        """Set where a stand-in's webhooks go, and the secret and token it shares with the hub."""
        run = running(request)
        room = run.find(integration)
        target = _decoded(await request.body(), Target)
        room.point(target)
        run.changed(room)
        run.sender.hurry(room.id)
        return {"url": target.url}

    @put("/{integration:str}/faults")
    async def set_faults(
        self, request: Request[Any, Any, Any], integration: FromPath[str]
    ) -> list[Fault]:
        """Replace the faults that wait for requests."""
        room = running(request).find(integration)
        room.faults[:] = _decoded(await request.body(), list[Fault])
        return room.faults

    @get("/{integration:str}/faults")
    async def faults(
        self, request: Request[Any, Any, Any], integration: FromPath[str]
    ) -> list[Fault]:
        """Return the faults, with how often each will still be used."""
        return running(request).find(integration).faults

    @get("/{integration:str}/requests")
    async def requests(
        self, request: Request[Any, Any, Any], integration: FromPath[str]
    ) -> list[Any]:
        """Return the last requests of the API, the oldest first."""
        room = running(request).find(integration)
        return [msgspec.to_builtins(item) for item in room.requests]

    @get("/{integration:str}/webhooks")
    async def webhooks(
        self, request: Request[Any, Any, Any], integration: FromPath[str]
    ) -> list[Any]:
        """Return the last webhooks, the oldest first, and what became of each."""
        return [
            {**msgspec.to_builtins(item), "body": item.body.decode("utf-8", "replace")}
            for item in running(request).find(integration).webhooks
        ]


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


def _decoded(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ValidationException(str(error)) from None
