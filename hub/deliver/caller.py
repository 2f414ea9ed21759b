"""Send what an integration asks for: base address, auth, timeouts, guard, redaction, record."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import httpx
from aiohttp import (
    ClientConnectorError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
)
from httpx_aiohttp import AiohttpTransport
from standardwebhooks.webhooks import Webhook as StandardWebhook
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_fixed

from hub.deliver.guard import Guard, GuardedResolver, PrivateAddress
from hub.queue.limits import Limits
from hub.sdk import Registry, json
from hub.sdk.actions import (
    Account,
    AuthFailed,
    Call,
    Delivered,
    Outcome,
    Rejected,
    RetryLater,
    Unknown,
    exhausted_for,
    unreadable,
)
from hub.sdk.errors import HubError, InvalidInput, MalformedPayload
from hub.sdk.http import Request, Response
from hub.sdk.integration import Sends
from hub.store.connections import Connection, fill

_T = TypeVar("_T")
_MOST_CALLS = 25
"""Calls one action may make; more means that a generator never ends."""
_MOST_BYTES = 10 * 1024 * 1024
_EXCERPT = 2000
_MOST_CONNECTIONS = 200
_HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate"}


@dataclass(slots=True, eq=False)
class Record:
    """What was sent and answered, with secrets masked: what the attempt stores."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    wrote: bool = False
    """Whether a request that could change something has left."""
    found: bool = False
    """Whether what an earlier attempt made was found, so that nothing was done again."""
    withheld: bool = False
    """Whether a request was not sent because `may_send` said no, before any had left."""
    limited_for: float = 0.0
    """Seconds for which the vendor's own headers say that no more calls are left."""
    may_send: Callable[[], bool] | None = None
    waiting: asyncio.Timeout | None = None

    def cut(self) -> None:
        """Wait no longer for the answer that is being waited for."""
        if self.waiting is not None:
            self.waiting.reschedule(asyncio.get_running_loop().time())


class Caller:
    """Drives actions: sends each request they yield, and turns every failure into an outcome."""

    def __init__(
        self,
        registry: Registry,
        *,
        allow_private: tuple[str, ...] = (),
        limits: Limits | None = None,
    ) -> None:
        self._registry = registry
        self._limits = limits
        self._guard = Guard(allow_private)
        self._transport: AiohttpTransport | None = None

    async def close(self) -> None:
        """Close the connections to the vendors."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def act(
        self, connection: Connection, action: str, call: Call, record: Record, *,
        find_first: bool = False,
    ) -> Outcome:  # fmt: skip
        """Run one action once. With `find_first`, look up what an earlier attempt may have made.

        What is sent is kept in `record`; its `may_send` is asked before each request, and its no
        ends the action. Never raises for anything a vendor or an integration does.
        """
        available = self._registry.get(connection.integration)
        sends = None if available is None else available.manifest.sends
        code = None if available is None else available.code.actions.get(action)
        if sends is None or code is None:
            return Rejected(reason=f"{connection.integration} has no action {action!r}")
        try:
            if find_first and code.find is not None:
                found = await self._drive(connection, sends, code.find(call), call, record)
                if isinstance(found, Outcome):
                    record.found = isinstance(found, Delivered)
                    return found
            outcome = await self._drive(connection, sends, code.run(call), call, record)
        except InvalidInput as error:
            return Rejected(reason=str(error), field=error.field)
        except MalformedPayload as error:
            return (
                unreadable(error) if record.wrote else RetryLater(reason=str(error), effect=False)
            )
        except _Ended as ended:
            return ended.outcome
        except Exception as error:  # noqa: BLE001 - an integration's fault must not stop the worker
            reason = f"the integration {connection.integration!r} has a fault: {type(error).__name__}: {error}"
            return Unknown(reason=reason) if record.wrote else Rejected(reason=reason)
        return outcome

    async def probe(self, connection: Connection) -> Account | Outcome:
        """Ask the vendor who the connection's credentials belong to."""
        available = self._registry.get(connection.integration)
        if available is None or available.manifest.sends is None or available.code.probe is None:
            return Rejected(reason=f"{connection.integration} has nothing to test")
        call = Call(inputs={}, config=connection.config, now=datetime.now(UTC))
        try:
            return await self._drive(
                connection, available.manifest.sends, available.code.probe(call), call, Record()
            )
        except _Ended as ended:
            return ended.outcome
        except HubError as error:
            return RetryLater(reason=str(error))

    async def check(
        self, connection: Connection, action: str, inputs: Mapping[str, Any]
    ) -> tuple[InvalidInput, ...]:
        """Compare a step's inputs with what the vendor demands; nothing is changed there."""
        available = self._registry.get(connection.integration)
        code = None if available is None else available.code.actions.get(action)
        sends = None if available is None else available.manifest.sends
        if code is None or code.check is None or sends is None:
            return ()
        call = Call(
            inputs=inputs,
            config=connection.config,
            account=connection.account,
            now=datetime.now(UTC),
        )
        try:
            return await self._drive(connection, sends, code.check(call), call, Record())
        except _Ended as ended:
            reason = getattr(ended.outcome, "reason", "no answer")
            return (InvalidInput("connection", f"{connection.name} could not be asked: {reason}",
                                 "test the connection, or save with vendor_check=false"),)  # fmt: skip
        except HubError as error:
            return (InvalidInput("connection", str(error), "test the connection"),)

    async def _drive(
        self, connection: Connection, sends: Sends, steps: Generator[Request, Response, _T],
        call: Call, record: Record,
    ) -> _T:  # fmt: skip
        response: Response | None = None
        for _ in range(_MOST_CALLS):
            try:
                request = next(steps) if response is None else steps.send(response)
            except StopIteration as stop:
                result: _T = stop.value
                return result
            response = await self._send(connection, sends, request, call, record)
        steps.close()
        reason = f"the action made more than {_MOST_CALLS} calls"
        raise _Ended(Unknown(reason=reason) if record.wrote else Rejected(reason=reason))

    async def _send(
        self, connection: Connection, sends: Sends, request: Request, call: Call, record: Record
    ) -> Response:
        url = fill(sends.base_url, connection.config).rstrip("/") + request.path
        content = request.content
        headers = {**sends.headers, **request.headers}
        headers.setdefault("user-agent", "productops-hub")
        if request.json is not None:
            content = json.dumps(request.json)
            headers.setdefault("content-type", "application/json")
        _authorize(headers, sends, connection, call, content or b"")
        if self._limits is not None:
            limit = sends.rate_limit
            await self._limits.pace(
                connection.id, requests=limit.of(connection.config), seconds=limit.seconds
            )
        if record.may_send is not None and not record.may_send():
            record.withheld = not record.wrote
            raise _Ended(
                Unknown(reason="the worker stopped between two calls")
                if record.wrote
                else RetryLater(reason="the worker stopped", effect=False)
            )
        note: dict[str, Any] = {"method": request.method, "url": _masked(url, connection)}
        if content:
            note["body"] = _masked(
                json.clean_text(content[:_EXCERPT].decode("utf-8", "replace")), connection
            )
        record.calls.append(note)
        began = time.perf_counter()
        try:
            response = await self._exchange(
                request, url, headers, content, sends.timeout_seconds, record
            )
        except (httpx.HTTPError, PrivateAddress, OSError, httpx.InvalidURL, ValueError) as error:
            note["error"] = _masked(str(error) or type(error).__name__, connection)
            note["ms"] = round((time.perf_counter() - began) * 1000, 1)
            raise _Ended(_read_error(error, note["error"], wrote=record.wrote)) from None
        note.update(
            status=response.status,
            ms=round((time.perf_counter() - began) * 1000, 1),
            answer=_masked(response.excerpt(_EXCERPT), connection),
        )
        if (wait := exhausted_for(response, now=datetime.now(UTC))) is not None:
            record.limited_for = max(record.limited_for, wait)
        return response

    async def _exchange(
        self, request: Request, url: str, headers: Mapping[str, str], content: bytes | None,
        seconds: float, record: Record,
    ) -> Response:  # fmt: skip
        parts = urlsplit(url)
        self._guard.check(
            parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        )
        try:
            return await self._once(request, url, headers, content, seconds, record)
        except httpx.TransportError as error:
            if not _harmless(request, error):
                raise
        # Sent again at once only when nothing can have happened, or nothing more can.
        retrying = AsyncRetrying(
            stop=stop_after_attempt(2),
            wait=wait_fixed(0.2),
            retry=retry_if_exception(lambda error: _harmless(request, error)),
            reraise=True,
        )
        await asyncio.sleep(0.2)
        return await retrying(self._once, request, url, headers, content, seconds, record)

    async def _once(
        self, request: Request, url: str, headers: Mapping[str, str], content: bytes | None,
        seconds: float, record: Record,
    ) -> Response:  # fmt: skip
        # Only a connection that never came to be is sure to have changed nothing.
        wrote_before = record.wrote
        record.wrote = record.wrote or not request.safe
        target = _url(url)
        if request.query:
            target = target.copy_merge_params(dict(request.query))
        # The transport itself: cookies, redirects and sign-in flows of a client are not wanted
        # here, and cost more than the call.
        sent = httpx.Request(
            request.method, target, headers={**_HEADERS, **headers}, content=content or b"",
            extensions={"timeout": {"connect": seconds, "read": seconds, "pool": seconds}},
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds) as record.waiting:
                answer = await self._open().handle_async_request(sent)
                return await _read_answer(answer)
        except httpx.TransportError as error:
            if _never_connected(error):
                record.wrote = wrote_before
            raise
        finally:
            record.waiting = None

    def _open(self) -> AiohttpTransport:
        if self._transport is None:
            guard = self._guard
            self._transport = AiohttpTransport(
                client=lambda: ClientSession(
                    connector=TCPConnector(
                        limit=_MOST_CONNECTIONS, resolver=GuardedResolver(guard), ttl_dns_cache=60,
                        keepalive_timeout=30,
                    ),
                    cookie_jar=DummyCookieJar(),
                    timeout=ClientTimeout(total=None),
                    auto_decompress=False,
                )
            )  # fmt: skip
        return self._transport


@lru_cache(maxsize=1024)
def _url(url: str) -> httpx.URL:
    return httpx.URL(url)


async def _read_answer(answer: httpx.Response) -> Response:
    """Read up to `_MOST_BYTES` of an answer; the rest of a longer one is not waited for."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    stream = cast("httpx.AsyncByteStream", answer.stream)
    parts: list[bytes] = []
    size = 0
    try:
        encoded = headers.get("content-encoding", "identity") != "identity"
        chunks: AsyncIterable[bytes] = answer.aiter_bytes() if encoded else stream
        async for part in chunks:
            parts.append(part)
            size += len(part)
            if size > _MOST_BYTES:
                break
    finally:
        await stream.aclose()
    return Response(status=answer.status_code, headers=headers, body=b"".join(parts)[:_MOST_BYTES])


def _harmless(request: Request, error: BaseException) -> bool:
    return _never_connected(error) or (request.safe and isinstance(error, httpx.TransportError))


class _Ended(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def _never_connected(error: BaseException) -> bool:
    """Whether no connection came to be, so that nothing can have happened.

    The transport tells a connection that was cut as a failed one too; only the cause is exact.
    """
    return isinstance(
        error.__cause__, (ClientConnectorError, ClientSSLError, ConnectionTimeoutError)
    )


def _read_error(error: Exception, said: str, *, wrote: bool) -> Outcome:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PrivateAddress):
            return Rejected(reason=str(cause))
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError)):
        return Rejected(reason=f"the address cannot be called: {said}")
    if wrote:
        return Unknown(reason=f"no answer came: {type(error).__name__}: {said}")
    return RetryLater(reason=f"{type(error).__name__}: {said}", effect=False)


def _authorize(
    headers: dict[str, str], sends: Sends, connection: Connection, call: Call, content: bytes
) -> None:
    """Add the credentials. Raises `_Ended` when there are none."""
    auth = sends.auth
    if auth.kind == "none":
        return
    token = connection.secret(auth.token)
    if auth.kind == "standard_webhooks":
        # An unsigned receiver needs the id as well, to tell a repeat from a second message.
        headers["webhook-id"] = call.marker
        if auth.value and (own := connection.secret(auth.value)):
            headers[str(connection.config.get(auth.header) or "authorization").lower()] = own
        if not token:
            return
        now = datetime.now(UTC)
        try:
            signer = StandardWebhook(token)
        except (ValueError, RuntimeError):
            reason = (
                f"{connection.name}.{auth.token} is no Standard Webhooks secret (whsec_ and base64)"
            )
            raise _Ended(AuthFailed(reason=reason)) from None
        headers["webhook-timestamp"] = str(int(now.timestamp()))
        headers["webhook-signature"] = signer.sign(
            call.marker, now, content.decode("utf-8", "replace")
        )
        return
    if auth.kind == "basic":
        user = connection.secret(auth.username) or str(connection.config.get(auth.username, ""))
        pair = f"{user}:{connection.secret(auth.password)}"
        token = connection.secret(auth.password)
        value, name = "Basic " + base64.b64encode(pair.encode()).decode(), "authorization"
    elif auth.kind == "bearer":
        value, name = f"Bearer {token}", "authorization"
    else:
        value, name = token, auth.name.lower()
    if not token:
        field_name = auth.token or auth.password
        raise _Ended(
            AuthFailed(reason=f"{connection.name} has no {field_name}; set it in its config")
        )
    headers[name] = value


def _masked(text: str, connection: Connection) -> str:
    for values in connection.secrets.values():
        for value in values:
            if len(value) >= 4:  # noqa: PLR2004 - shorter ones would mask ordinary words
                text = text.replace(value, "••••")
    return text
