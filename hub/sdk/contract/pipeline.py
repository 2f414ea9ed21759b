"""Run the inbound functions as the stages do, and hold what comes out to the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from hub.sdk.contract.guard import ImpureError, pure
from hub.sdk.errors import MalformedPayload, UnsupportedEvent, WrongEndpoint
from hub.sdk.events import Event
from hub.sdk.http import InboundRequest
from hub.sdk.integration import Context, Envelope, Inbound
from hub.sdk.schemas import validate_data

DECLARED = (MalformedPayload, UnsupportedEvent, WrongEndpoint)
"""What an inbound function may raise for a request that is not what the vendor documents."""


class Tried(NamedTuple):
    """How a call ended: its value, or what it raised."""

    value: Any
    error: BaseException | None

    @property
    def raised(self) -> str:
        """What it raised, as a finding says it."""
        if isinstance(self.error, ImpureError):
            return f"{self.error} was called, which pure code must not"
        return f"{type(self.error).__name__} was raised: {self.error}"


def attempt(function: Callable[..., Any], *args: Any) -> Tried:
    """Call and keep whatever is raised."""
    try:
        return Tried(function(*args), None)
    except (Exception, ImpureError) as error:  # noqa: BLE001 - it is what is looked for
        return Tried(None, error)


def envelopes_of(
    inbound: Inbound, package: str, request: InboundRequest, context: Context
) -> Tried:
    """Open a request under the guard."""
    with pure(package):
        return attempt(inbound.envelopes, request, context)


def normalized(inbound: Inbound, package: str, request: InboundRequest, context: Context) -> Tried:
    """Open and normalize a request under the guard; the value is a tuple of events."""
    with pure(package):
        return attempt(normalize, inbound, request, context)


def normalize(inbound: Inbound, request: InboundRequest, context: Context) -> tuple[Event, ...]:
    """Open and normalize a request. Raises what the integration's functions raise."""
    named = inbound.delivery_id(request, context)
    if named is not None and not isinstance(named, str):
        message = f"delivery_id gave {type(named).__name__}, not a text or None"
        raise TypeError(message)
    events: list[Event] = []
    for envelope in inbound.envelopes(request, context):
        events += inbound.normalize(_checked(envelope), context)
    return tuple(events)


def documents(events: tuple[Event, ...]) -> list[dict[str, Any]]:
    """Return events as `events.json` holds them."""
    return [
        {
            "type": event.type,
            "subject": msgspec.to_builtins(event.subject),
            "time": msgspec.to_builtins(event.time),
            "data": msgspec.to_builtins(event.data),
        }
        for event in events
    ]


def faults_of(event: Event) -> Iterator[str]:
    """Yield what is wrong with an event: its schema, its subject, its time."""
    try:
        data = msgspec.to_builtins(event.data)
        subject = msgspec.to_builtins(event.subject)
    except (TypeError, ValueError) as error:
        yield f"it cannot be written as JSON: {error}"
        return
    yield from validate_data(event.type, data)
    if not (event.subject.id or event.subject.key):
        yield "subject: has neither id nor key"
    refs = data.get("refs") or []
    if not refs or refs[0] != subject:
        yield "refs[0]: is not the subject"
    if event.time.tzinfo is None:
        yield "time: has no zone"


def _checked(envelope: Envelope) -> Envelope:
    if not isinstance(envelope.type, str) or not isinstance(envelope.id, (str, type(None))):
        message = f"an envelope's type and id must be texts, got {envelope.type!r}, {envelope.id!r}"
        raise TypeError(message)
    return envelope
