"""Serve the sandbox: one process, one event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hub.sandbox.answers import TRANSPORT
from hub.sandbox.app import create_app
from hub.sandbox.settings import SandboxSettings
from hub.sdk.registry import Registry


class BreakableProtocol(H11Protocol):
    """HTTP/1.1 whose requests carry their transport, so that an ordered fault can break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[TRANSPORT] = transport
            await inner(scope, receive, send)

        self.app = cast("Any", app)


def server(settings: SandboxSettings, registry: Registry | None = None) -> uvicorn.Server:
    """Return a server of the stand-ins, to be run with `Server.serve(sockets)`."""
    config = uvicorn.Config(
        create_app(settings, registry),
        host=settings.host,
        port=settings.port,
        http=BreakableProtocol,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def serve(settings: SandboxSettings, registry: Registry | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Raises `OSError` for a used port, `StateError`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.create_server((settings.host, settings.port), family=family) as listening:
        server(settings, registry).run(sockets=[listening])
