"""Check that no secret gets out in an error, an event, a request or an outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.sdk.actions import Call
from hub.sdk.contract.actions import ANSWERS
from hub.sdk.contract.driving import Answering, new_sandbox, recorded, through
from hub.sdk.contract.guard import pure
from hub.sdk.contract.pipeline import attempt, documents, normalized
from hub.sdk.contract.subject import RECEIVED_AT, Fault, Sample, Subject
from hub.sdk.http import InboundRequest, Response
from hub.sdk.integration import Inbound

# A part of a signature that nothing else in a text could be.
_PROOF = re.compile(r"[A-Za-z0-9+/=_-]{20,}")


def check(subject: Subject) -> Iterator[Fault]:
    """Find the example config's secrets, or a sample's signature, where people can read them."""
    if subject.inbound is not None:
        for sample in subject.samples:
            yield from _inbound(subject, subject.inbound, sample)
    yield from _outbound(subject)


def _inbound(subject: Subject, inbound: Inbound, sample: Sample) -> Iterator[Fault]:
    package, request = subject.available.package, sample.request
    secrets = {*subject.secrets, sample.secret} - {""}
    proofs = {proof for value in request.headers.values() for proof in _PROOF.findall(value)}
    tampered = InboundRequest(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body=request.body + b" ",
    )
    for what, tried_request, held in (
        ("a wrong secret", request, ["another-secret"]),
        ("a changed body", tampered, [sample.secret]),
    ):
        with pure(package):
            refused = attempt(inbound.verify, tried_request, held, sample.context).error
        for word in (secrets | proofs) if refused is not None else ():
            if word in str(refused) or word in repr(refused):
                yield Fault(
                    f"{sample.place} with {what}",
                    "the error of verify holds the secret or the signature",
                    "Say in words what does not fit",
                )
                break
    done = normalized(inbound, package, request, sample.context)
    shown = str(done.error) if done.error is not None else repr(documents(done.value))
    for secret in secrets:
        if secret in shown:
            yield Fault(sample.place, "an event holds a secret of the config", "Leave it out")


def _outbound(subject: Subject) -> Iterator[Fault]:
    sends = subject.manifest.sends
    for name, manifest in (sends.actions if sends else {}).items():
        code = subject.code.actions.get(name)
        examples = manifest.inputs.get("examples")
        if code is None or not isinstance(examples, list) or not examples:
            continue
        call = Call(
            inputs=examples[0], config=subject.settings, marker="hub-1111-aaaa", now=RECEIVED_AT
        )
        sandbox = new_sandbox(subject)
        answerings = [_always(response) for response in ANSWERS.values()]
        answerings += [through(subject, sandbox)] if sandbox else []
        for answering in answerings:
            run = recorded(subject, lambda call=call, code=code: code.run(call), answering)  # type: ignore[misc]
            shown = f"{run.requests!r} {run.value!r} {run.error} {run.error!r}"
            if any(secret in shown for secret in subject.secrets):
                yield Fault(
                    f"action {name}",
                    "a request or an outcome holds a secret of the config",
                    "Leave signing in to the core (sends.auth), and do not repeat what it answers",
                )
                break


def _always(response: Response) -> Answering:
    return lambda _: response
