"""Actions: what the hub does in another tool, written without I/O.

An action is a generator. It yields `Request`s, is sent their `Response`s, and returns an
`Outcome`:

    def comment(call: Call) -> Sending:
        response = yield Request(method="POST", path=f"/issue/{quote(call.text('issue'))}/comment",
                                 json={"body": call.text("body")})
        if not response.ok:
            return failed(response)
        return Delivered(ref=Ref(system="acme", kind="comment", id=response.payload()["id"].id()))

The core sends the requests, so timeouts, retries, rate limits, redaction, the guard against
private addresses and the record of attempts exist once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias
from urllib.parse import quote as _quote

import msgspec

from hub.sdk.errors import InvalidInput, MalformedPayload
from hub.sdk.events import Ref
from hub.sdk.http import Request, Response

_TOO_MANY = 429
_TRANSIENT = frozenset({408, 409, 423, 425, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 529})


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a call to another tool ended. One of the six classes below."""


class Delivered(Outcome, frozen=True, kw_only=True):
    """It took effect.

    `ref` is the thing created or written to; `written` are the ids of what was written on it (a
    comment, a reply, a changelog entry), by which the echo is recognised when it comes back.
    `before` and `after` are what the effects ledger shows, as small JSON objects.
    """

    ref: Ref | None = None
    written: tuple[Ref, ...] = ()
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    note: str = ""


class Nothing(Outcome, frozen=True, kw_only=True):
    """There was nothing to do: the tool already holds what was asked for."""

    reason: str
    ref: Ref | None = None


class RetryLater(Outcome, frozen=True, kw_only=True):
    """A passing fault. `after` (seconds) is the vendor's word and costs no attempt.

    `limited` says the whole connection is over its rate: every delivery of it waits.
    `effect` is False only when the vendor surely did nothing with the request.
    """

    reason: str
    after: float | None = None
    limited: bool = False
    effect: bool = True


class Rejected(Outcome, frozen=True, kw_only=True):
    """Refused for good: the same request will be refused again. `field` names the input."""

    reason: str
    field: str = ""


class AuthFailed(Outcome, frozen=True, kw_only=True):
    """The credentials were refused. The connection pauses until a person mends it."""

    reason: str


class Unknown(Outcome, frozen=True, kw_only=True):
    """The request left and no readable answer came: it may or may not have taken effect."""

    reason: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whose credentials a connection holds: the vendor's answer to "who am I".

    `id` is what the vendor names as the actor of the hub's own writes. `aliases` are further ids
    for the same account (a bot has a user id and a bot id). `workspace` makes a connection unique.
    """

    id: str
    label: str = ""
    aliases: tuple[str, ...] = ()
    workspace: str = ""

    def is_actor(self, actor_id: str) -> bool:
        """Whether an actor id in a webhook is this account."""
        return bool(actor_id) and (actor_id == self.id or actor_id in self.aliases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an action gets: the connection's config, the rendered inputs, and its marker.

    `marker` is an opaque token, unique for this delivery and the same over all its attempts. It
    serves as the vendor's idempotency key, or is written into what is created so that it can be
    found again. `config` holds no secrets.
    """

    inputs: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    marker: str = ""
    account: Account | None = None
    now: datetime = field(default_factory=lambda: datetime.fromtimestamp(0, UTC))

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text input. Raises `InvalidInput` when absent and there is no default."""
        value = self.inputs.get(name)
        if value is None or value == "":
            if default is not None:
                return default
            raise InvalidInput(name, "is missing", f"give the step an input {name!r}")
        return value if isinstance(value, str) else str(value)

    def has(self, name: str) -> bool:
        """Whether an input is there and not empty."""
        return self.inputs.get(name) not in (None, "", [], {})

    def setting(self, name: str, default: str = "") -> str:
        """Return a config value as text."""
        value = self.config.get(name)
        return default if value is None else str(value)

    def is_template(self, name: str) -> bool:
        """Whether the input still holds a template (only so while a route is being checked)."""
        value = self.inputs.get(name)
        return isinstance(value, str) and ("{{" in value or "{%" in value)


Sending: TypeAlias = Generator[Request, Response, Outcome]
Finding: TypeAlias = Generator[Request, Response, "Outcome | None"]
Checking: TypeAlias = "Generator[Request, Response, tuple[InvalidInput, ...]]"
Probing: TypeAlias = "Generator[Request, Response, Account | Outcome]"


@dataclass(frozen=True, slots=True)
class Action:
    """One action's code. What it is called, takes and promises stands in the manifest.

    `find` looks for what an earlier attempt with the same marker may have made, and returns it as
    `Delivered`, or None when it is surely not there; a look that failed returns `failed(response)`.
    It is required when the manifest says `"once": "marker"`. `check` compares a step's inputs with what the
    vendor demands (required fields, existing projects) when a route is saved.
    """

    run: Callable[[Call], Sending]
    find: Callable[[Call], Finding] | None = None
    check: Callable[[Call], Checking] | None = None


def quote(part: str) -> str:
    """Quote one part of a path, slashes included."""
    return _quote(part, safe="")


def failed(response: Response, *, reason: str = "", field: str = "") -> Outcome:
    """Read an answer that is not 2xx by its status, as most vendors mean it.

    401 -> AuthFailed; 429 -> RetryLater(limited); 408, 409, 423, 425, 5xx -> RetryLater; every
    other status, redirects included -> Rejected.
    """
    why = reason or response.excerpt() or "no text"
    said = f"HTTP {response.status}: {why}"
    if response.status == 401:  # noqa: PLR2004
        return AuthFailed(reason=said)
    if response.status == _TOO_MANY:
        after = retry_after(response)
        if after is None:
            after = exhausted_for(response)
        return RetryLater(reason=said, after=after, limited=True, effect=False)
    if response.status in _TRANSIENT or response.status >= 500:  # noqa: PLR2004
        return RetryLater(reason=said, after=retry_after(response))
    if 300 <= response.status < 400:  # noqa: PLR2004
        return Rejected(reason=f"HTTP {response.status}: redirects are not followed; "
                        "give the final address in the connection's config", field=field)  # fmt: skip
    return Rejected(reason=said, field=field)


def retry_after(response: Response, *, now: datetime | None = None) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110 10.2.3: seconds or a date), or None.

    A date is read against `now`, else against the answer's own `Date` header.
    """
    raw = response.header("retry-after")
    if not raw:
        return None
    try:
        return max(0.0, float(raw))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(raw)
        base = now or parsedate_to_datetime(response.header("date") or "")
        return max(0.0, (until - base).total_seconds())
    except (ValueError, TypeError):
        return None


_RESETS = (
    "ratelimit-reset",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-requests-reset",
)
_REMAINS = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining",
            "x-ratelimit-requests-remaining")  # fmt: skip
_MILLISECONDS, _EPOCH = 1e11, 1e8


def exhausted_for(response: Response, *, now: datetime | None = None) -> float | None:
    """Return the seconds until calls are allowed again, when the answer says that none are left.

    Reads `X-RateLimit-Remaining` and `X-RateLimit-Reset` in the forms in use: seconds from now
    (RateLimit headers of the IETF draft), seconds or milliseconds since 1970, or an ISO 8601 time.
    A time is read against `now`, else against the answer's own `Date` header. None when calls are
    left, or the answer does not tell.
    """
    left = next((response.header(name) for name in _REMAINS if response.header(name)), None)
    try:
        if left is None or float(left) > 0:
            return None
    except ValueError:
        return None
    raw = next((response.header(name) for name in _RESETS if response.header(name)), None)
    if not raw:
        return None
    try:
        base = now or parsedate_to_datetime(response.header("date") or "")
    except (ValueError, TypeError):
        base = None
    try:
        number = float(raw)
    except ValueError:
        try:
            until = datetime.fromisoformat(raw)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return None if base is None else max(0.0, (until - base).total_seconds())
    if number < _EPOCH:
        return max(0.0, number)
    seconds = number / 1000 if number > _MILLISECONDS else number
    return None if base is None else max(0.0, seconds - base.timestamp())


def unreadable(error: MalformedPayload) -> RetryLater:
    """Say that a 2xx answer could not be read: it probably took effect."""
    return RetryLater(reason=f"the answer could not be read: {error}")
