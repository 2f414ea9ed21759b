"""The public endpoint: `/webhooks/{integration}/{key}[/sub/path]`.

A bare ASGI application, mounted into the Litestar app: this is the hot path, and it needs the raw
bytes, its own answers per vendor, and nothing else of a framework.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from hub.queue.batch import Batcher
from hub.queue.jobs import Queue
from hub.receive.gate import Gate
from hub.sdk import json
from hub.sdk.errors import MalformedPayload, SignatureInvalid, WrongEndpoint
from hub.sdk.http import InboundRequest, Reply
from hub.sdk.integration import Context, Inbound, Receives
from hub.store import webhooks
from hub.store.connections import Connection, Connections, count_refused, note_webhooks
from hub.store.pool import Database, StoreAway
from hub.store.watch import Watch

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

_log = logging.getLogger(__name__)
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_RETRY_SECONDS = "5"
_BUSY_SECONDS = "10"
_NOTE_SECONDS = 10.0
_METHODS = "POST"
_ASKING = frozenset({"GET", "HEAD"})
_TOKEN_QUERY = ("token", "secret", "key", "api_key", "apikey", "access_token")


class Problem(Exception):
    """An answer that is not an acknowledgment, as RFC 9457 problem details."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


class _Address(NamedTuple):
    """What the path names."""

    integration: str
    key: str
    rest: str


class WebhookApp:
    """Takes webhooks in.

    Answers: the vendor's own acknowledgment once the webhook is durable; 401 for a bad signature
    (counted, not kept); 404 for an unknown key; 405 and 415 for the wrong method or content type;
    413 over the limit; 429 with `Retry-After` while there is no room; 503 with `Retry-After` while PostgreSQL is away.
    """

    def __init__(
        self, database: Database, connections: Connections, queue: Queue, *, max_body: int,
        max_waiting: int, watch: Watch,
    ) -> None:  # fmt: skip
        self._watch = watch
        self._database = database
        self._connections = connections
        self._queue = queue
        self._max_body = max_body
        self._came: set[int] = set()
        self._noting: asyncio.Task[None] | None = None
        self._noted_at = float("-inf")
        self._gate = Gate(database, max_waiting=max_waiting)
        self._batcher: Batcher[webhooks.NewWebhook, int | None] = Batcher(self._keep)
        self.counts: Counter[str] = Counter()
        """Answers given, by `<integration> <what>`: accepted, duplicate, forged, unknown_key …"""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        try:
            reply = await self._answer(scope, receive)
        except Problem as problem:
            reply = _problem(problem)
        except StoreAway as error:
            self.counts["- store_away"] += 1
            self._watch.refused(str(error))
            _log.warning("webhook refused, the sender retries: %s", error)
            reply = _problem(
                Problem(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "The hub cannot store webhooks right now; send it again.",
                    {"retry-after": _RETRY_SECONDS},
                )
            )
        headers = [
            (name.encode(), value.encode("latin-1", "replace"))
            for name, value in reply.headers.items()
        ]
        headers.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        body = b"" if scope.get("method") == "HEAD" else reply.body
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def drain(self) -> None:
        """Wait until everything taken in is committed."""
        await self._batcher.drain()

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        address = _address(str(scope["path"]))
        connection = await self._connections.by_key(address.key)
        if connection is None or connection.integration != address.integration:
            self.counts["- unknown_key"] += 1
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "No connection has this address; copy it again from the connection's settings.",
            )
        available = self._connections.registry.get(connection.integration)
        receives = None if available is None else available.manifest.receives
        inbound = None if available is None or receives is None else available.code.inbound
        if receives is None or inbound is None:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"The integration {connection.integration!r} cannot take webhooks now.",
                {"retry-after": _RETRY_SECONDS},
            )
        if not connection.receives:
            return _removed(receives)
        method = str(scope.get("method", ""))
        headers = _headers(scope)
        request = InboundRequest(
            method=method,
            path=address.rest,
            query=scope.get("query_string", b"").decode("latin-1"),
            headers=headers,
            body=await self._body(headers, receive) if method == "POST" else b"",
        )
        context = Context(
            connection=connection.name,
            config=connection.config,
            received_at=datetime.now(UTC),
            account=connection.account,
        )
        if method != "POST":
            return _handshake(inbound, request, context)
        content_type = (headers.get("content-type") or "").partition(";")[0].strip().lower()
        if content_type and content_type not in receives.content_types:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"{content_type} is not what {connection.integration} sends; "
                f"expected {' or '.join(receives.content_types)}.",
            )
        await self._verify(connection, receives, inbound, request, context)
        return await self._accept(connection, receives, inbound, request, context)

    async def _verify(
        self, connection: Connection, receives: Receives, inbound: Inbound, request: InboundRequest,
        context: Context,
    ) -> None:  # fmt: skip
        secrets = connection.secrets.get(receives.secret, ()) if receives.secret else ()
        try:
            inbound.verify(request, secrets, context)
        except SignatureInvalid as error:
            self.counts[f"{connection.integration} forged"] += 1
            try:
                await count_refused(self._database, connection.id, 1)
            except (StoreAway, OSError):
                _log.warning("a refused webhook of %s could not be counted", connection.name)
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                f"The signature was not accepted: {error.reason}. Compare the secret in the "
                f"connection {connection.name!r} with the one at the sender.",
            ) from None

    async def _accept(
        self, connection: Connection, receives: Receives, inbound: Inbound, request: InboundRequest,
        context: Context,
    ) -> Reply:  # fmt: skip
        state, reason, vendor_id = "received", "", None
        try:
            if inbound.reply is not None and (reply := inbound.reply(request, context)) is not None:
                return reply
            vendor_id = inbound.delivery_id(request, context)
        except MalformedPayload as error:
            state, reason = "failed", str(error)
        except WrongEndpoint as error:
            raise Problem(HTTPStatus.BAD_REQUEST, error.mend) from None
        size = len(request.body)
        if full := self._gate.enter(size):
            self.counts[f"{connection.integration} refused_full"] += 1
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"The hub takes nothing in right now: {full}; send it again.",
                {"retry-after": _BUSY_SECONDS},
            )
        try:
            kept = await self._keep_one(connection, request, vendor_id, state, reason)
        finally:
            self._gate.leave(size)
        outcome = "duplicate" if kept is None else "accepted"
        self.counts[f"{connection.integration} {outcome}"] += 1
        acknowledge = receives.acknowledge
        return Reply(
            status=acknowledge.status,
            headers={"content-type": acknowledge.content_type},
            body=acknowledge.body.encode(),
        )

    async def _keep_one(
        self, connection: Connection, request: InboundRequest, vendor_id: str | None, state: str,
        reason: str,
    ) -> int | None:  # fmt: skip
        key = vendor_id or "sha256:" + hashlib.sha256(request.body).hexdigest()
        return await self._batcher.submit(
            webhooks.NewWebhook(
                connection_id=connection.id,
                dedupe_key=json.clean_text(key[:500]),
                path=json.clean_text(request.path),
                query=_masked_query(request.query),
                headers=_masked(request.headers),
                body=request.body,
                state=state,
                reason=reason,
            )
        )

    async def _keep(self, batch: Sequence[webhooks.NewWebhook]) -> list[int | None]:
        kept = await webhooks.keep(self._database, batch)
        new = {
            item.connection_id
            for item, webhook_id in zip(batch, kept, strict=True)
            if webhook_id is not None and item.state == "received"
        }
        if new:
            self._queue.wake(new)
        self._came |= {item.connection_id for item in batch}
        if self._noting is None and time.monotonic() - self._noted_at > _NOTE_SECONDS:
            self._noted_at = time.monotonic()
            self._noting = asyncio.create_task(self._note())
        return kept

    async def _note(self) -> None:
        """Write down which connections are alive, every ten seconds or so while webhooks come."""
        came, self._came = self._came, set()
        try:
            await note_webhooks(self._database, sorted(came))
        except StoreAway:
            self._came |= came
        finally:
            self._noting = None

    def _too_large(self) -> Problem:
        return Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body is larger than {self._max_body} bytes (HUB_MAX_BODY_BYTES).",
        )

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_body:
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Problem(HTTPStatus.BAD_REQUEST, "The request ended before its body did.")
            part = message.get("body", b"")
            size += len(part)
            if size > self._max_body:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                break
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if declared.isdigit() and len(body) < int(declared):
            raise Problem(HTTPStatus.BAD_REQUEST, "The request ended before its body did.")
        return body


def _address(path: str) -> _Address:
    parts = path.removeprefix("/webhooks").strip("/").split("/", 2)
    if len(parts) < 2:  # noqa: PLR2004
        raise Problem(
            HTTPStatus.NOT_FOUND, "A webhook address reads /webhooks/<integration>/<key>."
        )
    return _Address(parts[0], parts[1], parts[2] if len(parts) > 2 else "")  # noqa: PLR2004


def _headers(scope: Scope) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }


def _masked(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        json.clean_text(name): "(masked)" if name in _SECRET_HEADERS else json.clean_text(value)
        for name, value in headers.items()
    }


def _masked_query(query: str) -> str:
    parts = []
    for part in query.split("&") if query else []:
        name, equals, _ = part.partition("=")
        parts.append(f"{name}{equals}(masked)" if name.lower() in _TOKEN_QUERY else part)
    return json.clean_text("&".join(parts))


def _handshake(inbound: Inbound, request: InboundRequest, context: Context) -> Reply:
    if inbound.reply is not None and request.method in _ASKING:
        try:
            reply = inbound.reply(request, context)
        except MalformedPayload as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
        if reply is not None:
            return reply
    raise Problem(
        HTTPStatus.METHOD_NOT_ALLOWED, "Webhooks are sent with POST.", {"allow": _METHODS}
    )


def _removed(receives: Receives) -> Reply:
    status = HTTPStatus(receives.when_removed)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return Reply(status=status)
    headers = {"retry-after": "3600"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    raise Problem(status, "The connection was removed; remove the webhook at the sender.", headers)


def _problem(problem: Problem) -> Reply:
    document = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
    }
    return Reply(
        status=problem.status.value,
        headers={"content-type": "application/problem+json", **problem.headers},
        body=json.dumps(document),
    )
