"""The far side: keeps every effect in the order it took place, and misbehaves by a seed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN = "sample-token"
ACCOUNT = "hub-bot"
_CREATED_FROM = 100_000
"""Keys of created issues begin here, so that none is one that the sender makes up."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that took place at the vendor; `text` is what it is told apart by."""

    number: int
    connection: str
    kind: str
    target: str
    text: str
    body: str
    marker: str
    id: str
    key: str
    first: bool

    @property
    def delivery(self) -> int:
        """The hub's delivery that caused it."""
        return int(self.marker.rpartition("-")[2])


@dataclass
class Weather:
    """How often each fault is chosen, out of 1. What is rare by nature is counted instead."""

    slow: float = 0.10
    reset_after: float = 0.05
    reset_before: float = 0.04
    limited: float = 0.02
    burst: float = 0.015
    malformed: float = 0.03
    truncated: float = 0.03
    error_in_200: float = 0.02
    redirect: float = 0.01
    unauthorized: float = 0.01
    most: dict[str, int] = field(default_factory=lambda: {"unauthorized": 2, "limited_plain": 2})


class Vendor:
    """Serves `/<connection>/<what>`; every request may meet a fault while `wild` is set."""

    def __init__(self, chance: random.Random, weather: Weather) -> None:
        self.log: list[Effect] = []
        self.wild = False
        self.url = ""
        self.faults: Counter[str] = Counter()
        self.redirected: set[str] = set()
        self.on_effect: Callable[[Effect], None] = lambda _: None
        self._chance = chance
        self._weather = weather
        self._by_marker: dict[tuple[str, str], Effect] = {}
        self._status: dict[tuple[str, str], str] = {}
        self._burst = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        _, connection, what = request.path.split("/", 2)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "who are you?"}, status=401)
        raw = await request.read()
        if what == "me":
            return web.json_response({"id": ACCOUNT})
        if what == "made":
            return await self._found(request, connection)
        body: dict[str, Any] = json.loads(raw)
        # On a starved machine a call may lie here for seconds. One that nobody waits for any more is
        # not done: it may have been looked up meanwhile, and nobody could tell (see "slow").
        await asyncio.sleep(0)
        if request.transport is None or request.transport.is_closing():
            self.faults["nobody waits"] += 1
            return web.Response(status=503)

        def make() -> dict[str, Any]:
            return self._apply(connection, what, body)

        fault = self._choose() if self.wild else ""
        if fault:
            self.faults[fault] += 1
            return await self._misbehave(request, fault, body["marker"], make)
        return web.json_response(make(), status=201)

    async def _found(self, request: web.Request, connection: str) -> web.StreamResponse:
        if self.wild and self._chance.random() < 0.05:
            self.faults["lookup failed"] += 1
            if self._chance.random() < 0.5:
                return self._cut(request)
            return web.json_response({"error": "not now"}, status=503)
        found = self._by_marker.get((connection, request.query["marker"]))
        return web.json_response({} if found is None else {"id": found.id, "key": found.key})

    def _choose(self) -> str:
        weather, left = self._weather, self._weather.most
        if self._burst:
            self._burst -= 1
            return "error, with effect" if self._chance.random() < 0.4 else "error"
        roll = self._chance.random()
        for name in (
            "slow", "reset_after", "reset_before", "limited", "burst", "malformed", "truncated",
            "error_in_200", "redirect", "unauthorized",
        ):  # fmt: skip
            roll -= getattr(weather, name)
            if roll >= 0:
                continue
            if name == "burst":
                self._burst = self._chance.randint(2, 6)
                return "error"
            if name == "limited" and self._chance.random() < 0.2 and left["limited_plain"] > 0:
                left["limited_plain"] -= 1
                return "limited, without Retry-After"
            if name == "unauthorized":
                if left["unauthorized"] <= 0:
                    return ""
                left["unauthorized"] -= 1
            return name
        return ""

    async def _misbehave(
        self, request: web.Request, fault: str, marker: str, make: Callable[[], dict[str, Any]]
    ) -> web.StreamResponse:
        match fault:
            case "slow":
                # What a vendor has not done when it is looked up must not be done later: nobody
                # could tell. So the effect is there soon, and only the answer takes its time.
                await asyncio.sleep(self._chance.uniform(0, 0.1))
                made = make()
                await asyncio.sleep(self._chance.uniform(0.1, 1.5))
                return web.json_response(made, status=201)
            case "reset_after":
                make()
                return self._cut(request)
            case "reset_before":
                return self._cut(request)
            case "limited":
                return web.json_response({}, status=429, headers={"retry-after": "1"})
            case "limited, without Retry-After":
                return web.json_response({}, status=429)
            case "error":
                return web.json_response({"error": "oops"}, status=500)
            case "error, with effect":
                make()
                return web.json_response({"error": "oops"}, status=502)
            case "malformed":
                if self._chance.random() < 0.7:
                    make()
                return web.Response(text='{"id": "1', status=201, content_type="application/json")
            case "truncated":
                text = json.dumps(make())
                answer = web.StreamResponse(
                    status=201,
                    headers={"content-length": str(len(text)), "content-type": "application/json"},
                )
                with contextlib.suppress(ConnectionResetError):  # the hub may have given it up
                    await answer.prepare(request)
                    await answer.write(text[: len(text) // 2].encode())
                return self._cut(request)
            case "error_in_200":
                return web.json_response({"ok": False, "error": "internal"})
            case "redirect":
                self.redirected.add(marker)
                return web.Response(status=302, headers={"location": "/elsewhere"})
            case "unauthorized":
                return web.json_response({"error": "who are you?"}, status=401)
        raise AssertionError(fault)

    @staticmethod
    def _cut(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is not None:
            transport.abort()
        return web.Response()

    def _apply(self, connection: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        number = len(self.log) + 1
        marker = str(body["marker"])
        target = str(body.get("issue") or body.get("ticket") or "")
        made = number + _CREATED_FROM
        effect = Effect(
            number=number,
            connection=connection,
            kind=kind,
            target=target,
            text=str(body.get("status") or body.get("summary") or body.get("body") or ""),
            body=str(body.get("body") or ""),
            marker=marker,
            id=str(made),
            key=f"ACME-{made}" if kind == "issues" else "",
            first=(connection, marker) not in self._by_marker,
        )
        self.log.append(effect)
        self._by_marker.setdefault((connection, marker), effect)
        changed = True
        if kind == "transitions":
            changed = self._status.get((connection, target)) != effect.text
            self._status[connection, target] = effect.text
        if changed:
            self.on_effect(effect)
        return {"id": effect.id, "key": effect.key, **body}


@asynccontextmanager
async def running_vendor(chance: random.Random, weather: Weather) -> AsyncIterator[Vendor]:
    """Serve a `Vendor` on a free loopback port."""
    vendor = Vendor(chance, weather)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", vendor.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield vendor
    finally:
        await runner.cleanup()
