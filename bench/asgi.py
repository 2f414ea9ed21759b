"""The hub's web application for a server that is given an application (`granian bench.asgi:app`)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hub.runtime.services import open_services
from hub.runtime.settings import load_settings
from hub.web.app import create_app

_made: list[Any] = []


@asynccontextmanager
async def _opened() -> AsyncIterator[None]:
    settings = load_settings(os.environ)
    async with open_services(
        settings, database_url=settings.database_url or "", redis_url=settings.redis_url or "",
        name="hub-web",
    ) as services:  # fmt: skip
        _made.append(create_app(services))
        yield


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Open the services at the start, then hand every request on."""
    if scope["type"] != "lifespan":
        await _made[0](scope, receive, send)
        return
    await receive()
    async with _opened():
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
