"""The stand-ins and what belongs to each: its address for webhooks, its faults, its log."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from hub.sandbox.faults import Fault
from hub.sdk import json
from hub.sdk.http import InboundRequest, Response
from hub.sdk.registry import Registry
from hub.sdk.sandbox import Sandbox

_LOG = 200
_EXCERPT = 2000


class Target(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Where a stand-in's webhooks go; without `secret` or `token` the stand-in's own stay."""

    url: str
    secret: str | None = None
    token: str | None = None


class Webhook(msgspec.Struct, kw_only=True):
    """A webhook on its way: exact bytes, and what became of it so far."""

    number: int
    at: str
    body: bytes
    headers: dict[str, str]
    attempts: int = 0
    state: str = "waiting"
    note: str = ""


class Request(msgspec.Struct, kw_only=True):
    """A line of the request log."""

    at: str
    method: str
    path: str
    query: str
    status: int
    body: str
    answer: str
    fault: str = ""


class _Kept(msgspec.Struct, kw_only=True):
    """What is kept of one stand-in over a restart."""

    state: dict[str, Any]
    target: Target | None = None
    pending: list[Webhook] = msgspec.field(default_factory=list)
    sent: int = 0
    numbered: int = 0


class _File(msgspec.Struct, kw_only=True):
    """The state file."""

    integrations: dict[str, _Kept] = msgspec.field(default_factory=dict)


class StateError(Exception):
    """The state file cannot be read; the text says which and what to do."""


@dataclass
class Room:
    """One stand-in with everything around it."""

    id: str
    title: str
    sandbox: Sandbox
    make: Callable[..., Sandbox]
    target: Target | None = None
    faults: list[Fault] = field(default_factory=list)
    pending: deque[Webhook] = field(default_factory=deque)
    webhooks: deque[Webhook] = field(default_factory=lambda: deque(maxlen=_LOG))
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=_LOG))
    handled: int = 0
    sent: int = 0
    numbered: int = 0

    def point(self, target: Target) -> None:
        """Send webhooks to another address from now on, those that wait included."""
        self.target = target
        self.sandbox.secret = target.secret or self.sandbox.secret
        self.sandbox.token = target.token or self.sandbox.token

    def collect(self) -> None:
        """Take what the stand-in wants sent; without an address nobody has subscribed to it."""
        for outgoing in self.sandbox.outbox:
            self.numbered += 1
            webhook = Webhook(
                number=self.numbered,
                at=stamp(),
                body=outgoing.body,
                headers=dict(outgoing.headers),
            )
            self.webhooks.append(webhook)
            if self.target is None:
                webhook.state, webhook.note = "unsent", "no address is set"
            else:
                self.pending.append(webhook)
        self.sandbox.outbox.clear()

    def log(self, request: InboundRequest, response: Response, fault: str = "") -> None:
        """Remember a request of the API."""
        self.handled += 1
        self.requests.append(
            Request(
                at=stamp(),
                method=request.method,
                path=request.path,
                query=request.query,
                status=response.status,
                body=_excerpt(request.body),
                answer=_excerpt(response.body),
                fault=fault,
            )
        )

    def reset(self) -> None:
        """Begin anew: first state, no faults, nothing on its way; the address stays."""
        self.sandbox = self.make(now=_now, secret=self.sandbox.secret, token=self.sandbox.token)
        self.faults.clear()
        self.pending.clear()
        self.webhooks.clear()
        self.requests.clear()
        self.handled = self.sent = 0

    def keep(self) -> _Kept:
        """Return what a restart must not lose."""
        return _Kept(
            state=self.sandbox.state,
            target=self.target,
            pending=list(self.pending),
            sent=self.sent,
            numbered=self.numbered,
        )


class House(Mapping[str, Room]):
    """All stand-ins, by integration. Those that cannot be hosted are in `missing`, with why."""

    def __init__(self, registry: Registry, file: Path | None) -> None:
        self._file = file
        self._rooms: dict[str, Room] = {}
        self.missing: dict[str, str] = {item.id: item.reason for item in registry.unavailable}
        kept = _read(file)
        self._absent = {
            name: value for name, value in kept.integrations.items() if name not in registry
        }
        for name, available in registry.items():
            try:
                make = available.sandbox()
            except Exception as error:  # noqa: BLE001 - one stand-in must not stop the others
                self.missing[name] = f"{type(error).__name__}: {error}"
                continue
            if make is None:
                self.missing[name] = "it has no sandbox.py"
                continue
            room = _room(name, available.manifest.title, make, kept.integrations.get(name))
            self._rooms[name] = room

    def __getitem__(self, name: str) -> Room:
        return self._rooms[name]

    def __iter__(self) -> Any:
        return iter(self._rooms)

    def __len__(self) -> int:
        return len(self._rooms)

    @property
    def waiting(self) -> int:
        """How many webhooks are on their way."""
        return sum(len(room.pending) for room in self.values())

    def save(self) -> None:
        """Write everything to the state file, whole or not at all."""
        if self._file is None:
            return
        rooms = {name: room.keep() for name, room in self.items()}
        content = msgspec.json.encode(_File(integrations={**self._absent, **rooms}))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=".sandbox-", dir=self._file.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            Path(unfinished).replace(self._file)
        except OSError:
            Path(unfinished).unlink(missing_ok=True)
            raise


def stamp() -> str:
    """Return the time as people and logs read it."""
    return _now().isoformat(timespec="milliseconds")


def _now() -> datetime:
    return datetime.now(UTC)


def _room(name: str, title: str, make: Callable[..., Sandbox], kept: _Kept | None) -> Room:
    room = Room(name, title, make(now=_now, state=kept.state if kept else None), make)
    if kept is None:
        return room
    room.sent, room.numbered = kept.sent, kept.numbered
    room.pending.extend(kept.pending)
    room.webhooks.extend(kept.pending)
    if kept.target is not None:
        room.point(kept.target)
    return room


def _read(file: Path | None) -> _File:
    if file is None or not file.exists():
        return _File()
    try:
        return msgspec.json.decode(file.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError) as error:
        message = f"{file} cannot be read ({error}): remove it to begin with empty stand-ins"
        raise StateError(message) from None


def _excerpt(body: bytes) -> str:
    shown = json.clean_text(body[: _EXCERPT * 4].decode("utf-8", "replace"))
    return shown if len(shown) <= _EXCERPT else shown[: _EXCERPT - 1] + "…"
