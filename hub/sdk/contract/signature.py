"""Check that `verify` accepts what the vendor signs, and refuses all else in one way."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from hub.sdk.contract.guard import pure
from hub.sdk.contract.pipeline import attempt
from hub.sdk.contract.subject import Fault, Sample, Subject
from hub.sdk.errors import SignatureInvalid
from hub.sdk.http import InboundRequest
from hub.sdk.integration import Context, Inbound

OTHER = "another-secret"
_GARBAGE = (
    "", " ", "x", ",", "=", "v0=", "v1,", "sha256=", "sha1=00", "t=,v1=", "t=x,v1=y", "t=1,t=1",
    "v1,!!!!", "v1,====", "sha256=é", "☃", "\x00", "\udcff", "Basic !!!!", "Basic Og==", "Bearer",
    "Bearer  ", "0", "-1", "nan", "1e400", "٣", "9" * 40, "a" * 100_000, "," * 5000, "=" * 5000,
)  # fmt: skip
_BODIES = (b"", b"{", b"\xff\xfe\x00", b"[" * 2000)
_MEND = "Use hub.sdk.signature, whose functions raise SignatureInvalid for any input"
_DAY = timedelta(days=1)


def check(subject: Subject) -> Iterator[Fault]:
    """Find requests that are wrongly accepted or refused, and errors of another kind."""
    receives, inbound = subject.manifest.receives, subject.inbound
    if receives is None or inbound is None:
        return
    for sample in subject.samples:
        trial = _Trial(inbound, subject.available.package, sample)
        refused = trial.refusal(sample.request, [sample.secret])
        if refused:
            problem = f"its own signature is not accepted: {refused}"
            mend = f"Sign the body with {sample.secret!r} at {sample.context.received_at}"
            yield Fault(sample.place, problem, mend)
            continue
        checked = trial.refusal(sample.request, [OTHER]) != ""
        if receives.signature == "required" and not checked:
            yield Fault(sample.place, "is accepted with any secret", "Check the signature")
        yield from _garbage(trial, checked=checked)
        if checked:
            yield from _secrets(trial)
            yield from _tampering(trial)
    yield from _stand_in(subject, inbound)


class _Trial:
    """One sample's request, and what `verify` says about changes of it."""

    def __init__(self, inbound: Inbound, package: str, sample: Sample) -> None:
        self.inbound, self.package, self.sample = inbound, package, sample
        self.odd: list[tuple[str, str]] = []
        with_all = sample.request
        self.signing = tuple(
            name
            for name in with_all.headers
            if self.refusal(_with(with_all, headers=_less(with_all.headers, name)), [sample.secret])
        )
        """The headers without which the request is refused."""
        self.odd.clear()

    def refusal(
        self, request: InboundRequest, secrets: Sequence[str], context: Context | None = None
    ) -> str:
        """Return why the request is refused, empty when it is accepted; odd errors are kept."""
        with pure(self.package):
            tried = attempt(self.inbound.verify, request, secrets, context or self.sample.context)
        if tried.error is None:
            return ""
        if not isinstance(tried.error, SignatureInvalid):
            self.odd.append((type(tried.error).__name__, tried.raised))
        return str(tried.error) or "no reason"

    def odd_errors(self, what: str) -> Iterator[Fault]:
        """Yield the errors other than `SignatureInvalid` since the last call, each kind once."""
        for _, raised in sorted(dict(self.odd).items()):
            yield Fault(self.sample.place, f"{what}: {raised}", _MEND)
        self.odd.clear()


def _secrets(trial: _Trial) -> Iterator[Fault]:
    request, secret, place = trial.sample.request, trial.sample.secret, trial.sample.place
    for held in ([OTHER, secret], [secret, OTHER]):
        if trial.refusal(request, held):
            problem = "with two secrets one of them is not tried"
            yield Fault(place, problem, "Accept a request that any of `secrets` signs")
    for none in ((), ("",)):
        if not trial.refusal(request, none):
            yield Fault(place, "is accepted without a secret", "No secret means closed")
    yield from trial.odd_errors("with other secrets")


def _tampering(trial: _Trial) -> Iterator[Fault]:
    sample, request = trial.sample, trial.sample.request
    secrets = [sample.secret]
    # A shared token that is sent as it is vouches for the sender, not for the body.
    if not _is_token(request, sample.secret):
        size = len(request.body)
        for position in sorted({0, size // 2, size - 1}) if size else ():
            body = bytearray(request.body)
            body[position] ^= 1
            if not trial.refusal(_with(request, body=bytes(body)), secrets):
                problem = f"is accepted with byte {position} of the body changed"
                yield Fault(sample.place, problem, "Check the signature over the raw body")
                break
    for name in trial.signing:
        value = request.headers[name]
        for other in (f"{value}0", f"0{value}", value[:-1], value[::-1]):
            changed = {**request.headers, name: other}
            refused = trial.refusal(_with(request, headers=changed), secrets)
            if not refused and other.strip() != value.strip():
                problem = f"is accepted with the header {name} changed to {other[:40]!r}"
                yield Fault(sample.place, problem, "Compare the whole value")
    yield from trial.odd_errors("with a changed request")


def _garbage(trial: _Trial, *, checked: bool) -> Iterator[Fault]:
    sample, request = trial.sample, trial.sample.request
    secrets = [sample.secret]
    names = dict.fromkeys([*request.headers, *trial.signing])
    for name in names:
        for value in _GARBAGE:
            changed = {**request.headers, name: value}
            refused = trial.refusal(_with(request, headers=changed), secrets)
            if checked and name in trial.signing and not refused:
                problem = f"is accepted with {value[:20]!r} in the header {name}"
                yield Fault(sample.place, problem, "Refuse what cannot be checked")
        yield from trial.odd_errors(f"with garbage in the header {name}")
    trial.refusal(_with(request, headers={}), secrets)
    for body in _BODIES:
        trial.refusal(_with(request, body=body), secrets)
    for shift in (_DAY, -_DAY, 36500 * _DAY):
        moved = Context(
            config=sample.context.config, received_at=sample.context.received_at + shift
        )
        trial.refusal(request, secrets, moved)
    yield from trial.odd_errors("without headers, with another body or time")


def _stand_in(subject: Subject, inbound: Inbound) -> Iterator[Fault]:
    """Hold the stand-in's signature to `verify`, and see by it whether the vendor signs a time."""
    if subject.stand_in is None or not subject.secrets:
        return
    body, now = b'{"hello":"hub"}', subject.context().received_at
    try:
        headers = dict(subject.stand_in.sign(body, subject.secret, now))
        later = dict(subject.stand_in.sign(body, subject.secret, now + _DAY))
    except NotImplementedError:
        yield Fault("sandbox.py", "Sandbox.sign is missing", "Sign as the vendor does")
        return
    sample = Sample(
        name="sandbox.py",
        request=InboundRequest(headers=headers, body=body),
        context=subject.context(),
        secret=subject.secret,
        expected=[],
    )
    trial = _Trial(inbound, subject.available.package, sample)
    refused = trial.refusal(sample.request, [subject.secret])
    if refused:
        yield Fault("sandbox.py", f"verify refuses what Sandbox.sign signs: {refused}",
                    "Sign as the vendor does")  # fmt: skip
        return
    timed = any(headers[name] != later.get(name) for name in trial.signing)
    for shift in (_DAY, -_DAY) if timed else ():
        moved = subject.context(now + shift)
        if not trial.refusal(sample.request, [subject.secret], moved):
            problem = "the vendor signs a time, and a request a day old or ahead is accepted"
            yield Fault("webhook.py", problem, "Use hub.sdk.signature.check_age")
            break
    yield from trial.odd_errors("with a request of the stand-in")


def _with(
    request: InboundRequest, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> InboundRequest:
    return InboundRequest(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=request.headers if headers is None else headers,
        body=request.body if body is None else body,
    )


def _less(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {other: value for other, value in headers.items() if other != name}


def _is_token(request: InboundRequest, secret: str) -> bool:
    return any(secret in _basic(value) for value in (*request.headers.values(), request.query))


def _basic(value: str) -> str:
    if value[:6].lower() != "basic ":
        return value
    try:
        return base64.b64decode(value[6:]).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return value
