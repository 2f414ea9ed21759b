"""Check that the samples give exactly their events, and that every event type has one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.sdk import json
from hub.sdk.contract.pipeline import (
    Tried,
    attempt,
    documents,
    envelopes_of,
    faults_of,
    normalized,
)
from hub.sdk.contract.subject import Fault, Sample, Subject
from hub.sdk.integration import Inbound

_SHOWN = 160


def check(subject: Subject) -> Iterator[Fault]:
    """Find samples whose events differ, change between two runs, or break the schema."""
    yield from subject.unreadable
    inbound = subject.inbound
    if inbound is None:
        return
    for sample in subject.samples:
        yield from _sample(subject, inbound, sample)


def check_coverage(subject: Subject) -> Iterator[Fault]:
    """Find event types without a sample, and folders that are not named for their event."""
    receives, inbound = subject.manifest.receives, subject.inbound
    if receives is None or inbound is None:
        return
    seen: set[str] = set()
    for sample in subject.samples:
        opened = envelopes_of(inbound, subject.available.package, sample.request, sample.context)
        if opened.error is not None or not opened.value:
            continue  # `check` tells of an error; a handshake has no envelope
        types = {envelope.type for envelope in opened.value}
        seen |= {name if name in receives.events else "*" for name in types}
        known = types & set(receives.events)
        if known and not any(_folder_fits(sample.name, name) for name in known):
            yield Fault(
                sample.place,
                f"is not named for its event, {', '.join(sorted(known))}",
                f"Rename it to {_flat(min(known))}__<variant>",
            )
    for name in sorted(set(receives.events) - seen):
        yield Fault(
            f"manifest.json receives.events.{name}",
            "has no sample",
            f"Add samples/{_flat(name) or 'any'}__<variant>/, or take the event out",
        )


def _sample(subject: Subject, inbound: Inbound, sample: Sample) -> Iterator[Fault]:
    package = subject.available.package
    before = (sample.request.body, dict(sample.request.headers), json.text(sample.context.config))
    first = normalized(inbound, package, sample.request, sample.context)
    if first.error is not None:
        yield Fault(sample.place, first.raised, "Correct webhook.py or normalize.py")
        return
    if not isinstance(first.value, tuple):
        yield Fault(sample.place, "normalize gave no tuple", "Return a tuple of events")
        return
    made = attempt(documents, first.value)
    if made.error is not None:
        yield Fault(sample.place, f"an event is not plain values: {made.error}", "Correct it")
        return
    yield from _differences(sample, made)
    again = normalized(inbound, package, sample.request, sample.context)
    if again.value != first.value:
        yield Fault(sample.place, "a second run gives other events", "Keep no state")
    after = (sample.request.body, dict(sample.request.headers), json.text(sample.context.config))
    if after != before:
        yield Fault(sample.place, "the run changed the request or the config", "Copy first")
    yield from _unchanged_payloads(inbound, package, sample)
    declared = subject.manifest.receives.events if subject.manifest.receives else {}
    allowed = {shared for names in declared.values() for shared in names}
    for index, event in enumerate(first.value):
        place = f"{sample.place} event {index} ({event.type})"
        if event.type not in allowed:
            yield Fault(place, "is not declared in the manifest", "Add it to receives.events")
        for problem in faults_of(event):
            yield Fault(place, problem, "Correct normalize.py")


def _differences(sample: Sample, made: Tried) -> Iterator[Fault]:
    expected, got = sample.expected, json.loads(json.dumps(made.value))
    if expected == got:
        return
    if not isinstance(expected, list) or len(expected) != len(got):
        count = len(expected) if isinstance(expected, list) else 0
        types = ", ".join(document["type"] for document in got) or "none"
        problem = f"expected {count} events, got {len(got)} ({types})"
        yield Fault(f"{sample.place}/events.json", problem, "Correct the file or normalize.py")
        return
    for path, wanted, found in _compare(expected, got, ""):
        problem = f"expected {wanted[:_SHOWN]}, got {found[:_SHOWN]}"
        yield Fault(
            f"{sample.place}/events.json {path}", problem, "Correct the file or normalize.py"
        )


def _compare(wanted: object, got: object, path: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(wanted, dict) and isinstance(got, dict):
        for name in sorted({*wanted, *got}):
            inside = f"{path}.{name}" if path else name
            if name not in wanted or name not in got:
                shown = [json.text(d[name]) if name in d else "nothing" for d in (wanted, got)]
                yield inside, shown[0], shown[1]
            else:
                yield from _compare(wanted[name], got[name], inside)
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        for index, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from _compare(one, other, f"{path}[{index}]")
    elif wanted != got:
        yield path, json.text(wanted), json.text(got)


def _unchanged_payloads(inbound: Inbound, package: str, sample: Sample) -> Iterator[Fault]:
    opened = envelopes_of(inbound, package, sample.request, sample.context)
    for envelope in opened.value or ():
        before = json.text(envelope.payload.raw)
        attempt(inbound.normalize, envelope, sample.context)
        if json.text(envelope.payload.raw) != before:
            yield Fault(sample.place, "normalize changed its payload", "Copy before changing")


def _folder_fits(folder: str, event_type: str) -> bool:
    return _flat(folder).startswith(f"{_flat(event_type)}__")


def _flat(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name).strip("_") if name != "*" else ""
