"""Check that no bent payload gets out as anything but events or a declared error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hub.sdk import json
from hub.sdk.contract.guard import pure
from hub.sdk.contract.mutations import Mutation, mutations
from hub.sdk.contract.pipeline import DECLARED, attempt, envelopes_of, faults_of, normalize
from hub.sdk.contract.subject import Fault, Sample, Subject
from hub.sdk.errors import MalformedPayload, UnsupportedEvent
from hub.sdk.events import DATA_TYPES
from hub.sdk.http import InboundRequest
from hub.sdk.integration import Envelope, Inbound
from hub.sdk.schemas import validate_data

# About 4 s of a slow integration; what is left out repeats a place another sample has.
LIMIT = 8_000
# One finding for a place tells enough; a hundred would hide the others.
_TOLD = 25
_BODIES = (b"", b" ", b"{", b"[]", b"{}", b"null", b"7", b'"x"', b"[null]", b"[[]]", b"\xff\xfe",
           b"payload=x", b'{"a":"\\ud800"}', b"[" * 5000)  # fmt: skip
UNKNOWN = "a type that no vendor sends"


def check(subject: Subject) -> Iterator[Fault]:
    """Find keys whose absence, null or other type raises an undeclared error or a bad event."""
    inbound = subject.inbound
    if inbound is None:
        return
    chosen, samples = tuple(_chosen(subject)), subject.samples
    for name in DATA_TYPES:
        validate_data(name, {})  # reads the schema's file now, as the guard lets nobody read one
    with pure(subject.available.package):
        found = [*_bent(inbound, chosen), *_whole_bodies(inbound, samples)]
    yield from found


def _bent(inbound: Inbound, chosen: Iterable[tuple[Sample, Mutation]]) -> Iterator[Fault]:
    told: set[tuple[str, str]] = set()
    for sample, mutation in chosen:
        problem = _problem(inbound, sample, json.dumps(mutation.document))
        if problem and (sample.name, mutation.place) not in told:
            told.add((sample.name, mutation.place))
            yield Fault(
                f"{sample.place} {mutation.place} ({mutation.change})",
                problem,
                "Read it through Payload's accessors, `opt_…` where it may be missing",
            )
        if len(told) >= _TOLD:
            return


def _whole_bodies(inbound: Inbound, samples: Iterable[Sample]) -> Iterator[Fault]:
    for sample in samples:
        for body in _BODIES:
            problem = _problem(inbound, sample, body)
            if problem:
                place = f"{sample.place} with the body {body[:20]!r}"
                yield Fault(place, problem, "Let `request.payload()` raise MalformedPayload")


def check_unknown(subject: Subject) -> Iterator[Fault]:
    """Find an event type that is not in the table and not refused as unsupported."""
    inbound = subject.inbound
    if inbound is None or not subject.samples:
        return
    sample = subject.samples[0]
    opened = envelopes_of(inbound, subject.available.package, sample.request, sample.context)
    for envelope in (opened.value or ())[:1]:
        other = Envelope(type=UNKNOWN, id=envelope.id, payload=envelope.payload)
        with pure(subject.available.package):
            tried = attempt(inbound.normalize, other, sample.context)
        if "*" in inbound.normalize.types:
            if tried.error is not None and not isinstance(
                tried.error, (MalformedPayload, UnsupportedEvent)
            ):
                yield Fault("normalize.py", f"an unknown type: {tried.raised}", "Correct row `*`")
        elif not isinstance(tried.error, UnsupportedEvent):
            yield Fault(
                "normalize.py",
                "an event type without a row is not refused with UnsupportedEvent",
                "Dispatch with hub.sdk.EventTable",
            )


def _problem(inbound: Inbound, sample: Sample, body: bytes) -> str:
    old = sample.request
    request = InboundRequest(
        method=old.method, path=old.path, query=old.query, headers=old.headers, body=body
    )
    if inbound.reply is not None:
        replied = attempt(inbound.reply, request, sample.context)
        if replied.error is not None and not isinstance(replied.error, DECLARED):
            return f"in reply, {replied.raised}"
        if replied.value is not None:
            return ""
    tried = attempt(normalize, inbound, request, sample.context)
    if tried.error is not None:
        return "" if isinstance(tried.error, DECLARED) else tried.raised
    for event in tried.value:
        for problem in faults_of(event):
            return f"the event {event.type} is not valid: {problem}"
    return ""


def _chosen(subject: Subject) -> Iterator[tuple[Sample, Mutation]]:
    fresh: list[tuple[Sample, Mutation]] = []
    repeated: list[tuple[Sample, Mutation]] = []
    seen: set[tuple[str, str, str]] = set()
    for sample in subject.samples:
        document = _document(sample)
        if document is None:
            continue
        event = sample.name.rpartition("__")[0]
        for mutation in mutations(document):
            key = (event, mutation.place, mutation.change)
            (repeated if key in seen else fresh).append((sample, mutation))
            seen.add(key)
    room = LIMIT - len(fresh)
    if room < 0:
        step = -(-len(fresh) // LIMIT)
        yield from fresh[::step]
        return
    yield from fresh
    if repeated and room:
        yield from repeated[:: -(-len(repeated) // room)]


def _document(sample: Sample) -> object | None:
    try:
        value: object = json.loads(sample.request.body)
    except MalformedPayload:
        return None  # a form or XML: only the whole bodies below apply
    return value
