"""Answer an API request over ASGI, rightly or with an ordered fault."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

from litestar.types import Receive, Scope, Send

from hub.sandbox.faults import Fault
from hub.sdk.http import Response

TRANSPORT = "hub.transport"
"""Under this name of `scope["extensions"]` the server puts the connection's transport."""

_OWN = frozenset({"content-length", "transfer-encoding", "connection"})
_HALF = b'{"id": "1", "unfinished": '


class Answer:
    """An ASGI application that gives one answer of a stand-in."""

    def __init__(self, response: Response, fault: Fault | None = None) -> None:
        self._response = response
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or what the fault makes of it."""
        del receive
        kind = self._fault.kind if self._fault else ""
        if kind == "reset":
            await _reset(scope)
            return
        response = self._response
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in response.headers.items()
            if name.lower() not in _OWN
        ]
        body = response.body
        length = len(body)
        if kind == "truncated":
            body, length = body[: length // 2], max(length, 2)
        bodiless = response.status in (204, 304) or response.status < 200  # noqa: PLR2004
        if not bodiless:
            headers.append((b"content-length", str(length).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if kind == "truncated":
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await _hang_up(scope)
            return
        shown = b"" if bodiless or scope.get("method") == "HEAD" else body
        await send({"type": "http.response.body", "body": shown, "more_body": False})


def spoiled(response: Response | None, fault: Fault) -> Response:
    """Return what is answered instead; `response` is None when the request was not carried out."""
    right = response or Response(status=200, headers={"content-type": "application/json"})
    if fault.kind == "status":
        headers = {"content-type": "application/json"}
        if fault.retry_after is not None:
            headers["retry-after"] = str(fault.retry_after)
        return Response(
            status=fault.status or 500, headers=headers, body=b'{"error":"an ordered fault"}'
        )
    if fault.kind == "redirect":
        return Response(status=fault.status or 302, headers={"location": "/_sandbox/elsewhere"})
    if fault.kind == "malformed":
        headers = {**right.headers, "content-type": "application/json"}
        return Response(status=fault.status or right.status, headers=headers, body=_HALF)
    return right


def _transport(scope: Scope) -> asyncio.Transport:
    extensions = cast("dict[str, object]", scope.get("extensions") or {})
    found = extensions.get(TRANSPORT)
    if found is None:
        message = "this server cannot break a connection: serve the sandbox with hub.sandbox.serve"
        raise RuntimeError(message)
    return cast("asyncio.Transport", found)


async def _reset(scope: Scope) -> None:
    transport = _transport(scope)
    raw = transport.get_extra_info("socket")
    if raw is not None:
        # With this the kernel sends RST when the socket is closed, as a crashed peer's would.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await asyncio.sleep(0)  # the server learns of it before this request ends


async def _hang_up(scope: Scope) -> None:
    transport = _transport(scope)
    transport.close()
    await asyncio.sleep(0)
