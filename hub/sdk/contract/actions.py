"""Check that an action ends in an outcome, whatever the vendor answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hub.sdk import json
from hub.sdk.actions import (
    Account,
    Action,
    AuthFailed,
    Call,
    Delivered,
    Outcome,
    RetryLater,
    Unknown,
)
from hub.sdk.contract.driving import Answering, Run, new_sandbox, recorded, through
from hub.sdk.contract.guard import ImpureError
from hub.sdk.contract.mutations import mutations
from hub.sdk.contract.subject import RECEIVED_AT, Fault, Subject
from hub.sdk.errors import InvalidInput, MalformedPayload
from hub.sdk.http import Request, Response
from hub.sdk.integration import ActionManifest

_JSON = {"content-type": "application/json"}
_AFTER = 7.0
_DEPTH = 5
# Bent answers for one action: about 1 s for ten actions of four requests each.
_BENT = 400
_TOLD = 4
_NASTY = (
    "# Héading ☃ 👩‍🚀\n\n**bold *both*** _x_ `code` ~~gone~~ [link](https://a.example/?a=1&b=<2>) "
    "![img](x)\n\n- one\n  - two\n    1. three\n\n> quote\n\n```py\n</pre><script>\n```\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n<b>html</b> &amp; <!-- --> *unclosed **[also](\n\x00\ufffd"
)


def _json(status: int, value: object, **headers: str) -> Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status=status, headers={**_JSON, **named}, body=json.dumps(value))


def _text(status: int, body: bytes, **headers: str) -> Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status=status, headers={"content-type": "text/html", **named}, body=body)


_ERRORS = {"errors": {"summary": "is required"}, "errorMessages": ["no"], "message": "no",
           "code": "BAD", "type": "error.list", "ok": False, "error": "invalid"}  # fmt: skip
_ODD = {"id": None, "key": 7, "ok": "yes", "errors": 7, "message": {"a": 1}, "items": {}, "data": 1,
        "error": ["x"], "channel": [], "values": "x", "transitions": 3, "type": None}  # fmt: skip

ANSWERS: dict[str, Response] = {
    "200 {}": _json(200, {}),
    "200 []": _json(200, []),
    "200 null": _json(200, None),
    "200 with a number": _json(200, 7),
    "200 with wrong types": _json(200, _ODD),
    "200 with an error in it": _json(200, _ERRORS),
    "200 without a body": Response(status=200),
    "200 with HTML": _text(200, b"<html>Welcome</html>"),
    "200 not UTF-8": _text(200, b"\xff\xfe{}"),
    "200 cut off": Response(status=200, headers=_JSON, body=b'{"id": "1'),
    "201 {}": _json(201, {}),
    "204": Response(status=204),
    "301": _text(301, b"", location="https://elsewhere.example/"),
    "302": _text(302, b"", location="/login"),
    "400 with errors": _json(400, _ERRORS),
    "400 with wrong types": _json(400, _ODD),
    "400 []": _json(400, []),
    "400 without a body": Response(status=400),
    "401": _json(401, _ERRORS),
    "401 without a body": Response(status=401),
    "403": _json(403, _ERRORS),
    "404": _json(404, _ERRORS),
    "404 with HTML": _text(404, b"<html>Not here</html>"),
    "405": _text(405, b""),
    "409": _json(409, _ERRORS),
    "410": _json(410, {}),
    "413": _text(413, b"too large"),
    "422": _json(422, _ERRORS),
    "429 in 7 s": _json(429, _ERRORS, retry_after="7"),
    "429 until a date": _text(
        429, b"", retry_after="Mon, 02 Nov 2026 09:00:07 GMT", date="Mon, 02 Nov 2026 09:00:00 GMT"
    ),
    "429 bare": Response(status=429),
    "429 with garbage": _text(429, b"\xff", retry_after="soon"),
    "500": _json(500, _ERRORS),
    "500 with garbage": _text(500, b"\xff\xfe\x00"),
    "502 with HTML": _text(502, b"<html>Bad gateway</html>"),
    "503 in 7 s": _text(503, b"", retry_after="7"),
    "504": Response(status=504),
    "529": Response(status=529),
}
"""Every class of answer an action must survive, by a name for findings."""

_ENDS = "Return an Outcome; raise only MalformedPayload or InvalidInput"
Start = Callable[[], Generator[Request, Response, object]]


@dataclass(frozen=True, slots=True)
class _Trial:
    """One generator of an action (or the probe) with one set of inputs."""

    place: str
    start: Start
    allowed: tuple[type, ...]
    kind: str


def check(subject: Subject) -> Iterator[Fault]:
    """Find answers and inputs that an action, its `find`, its `check` or the probe trips over."""
    sends = subject.manifest.sends
    actions = sends.actions if sends else {}
    for name, manifest in actions.items():
        code = subject.code.actions.get(name)
        if code is None:
            continue  # the check `declared` says so
        for inputs in _examples(manifest):
            for trial in _trials(subject, name, code, inputs):
                yield from islice(_against_answers(subject, trial), _TOLD)
            yield from islice(_odd_inputs(subject, name, code, manifest, inputs), _TOLD)
            yield from _once(subject, name, code, manifest, inputs)
    if subject.code.probe is not None:
        probe, call = subject.code.probe, _call(subject, {})
        trial = _Trial("probe", lambda: probe(call), (Account, Outcome), "probe")
        yield from islice(_against_answers(subject, trial), _TOLD)


def _trials(
    subject: Subject, name: str, code: Action, inputs: Mapping[str, Any]
) -> Iterator[_Trial]:
    call = _call(subject, inputs)
    yield _Trial(f"action {name}", lambda: code.run(call), (Outcome,), "run")
    if code.find is not None:
        find = code.find
        yield _Trial(f"find of {name}", lambda: find(call), (Outcome, type(None)), "find")
    if code.check is not None:
        verify = code.check
        yield _Trial(f"check of {name}", lambda: verify(call), (tuple,), "check")
        templated = _call(subject, {key: _template(value) for key, value in inputs.items()})
        place = f"check of {name} with templates"
        yield _Trial(place, lambda: verify(templated), (tuple,), "check")


def _against_answers(subject: Subject, trial: _Trial) -> Iterator[Fault]:
    good = _good_run(subject, trial)
    yield from _judge(trial, good, "the stand-in's answers")
    if good.requests:
        again = _good_run(subject, trial)
        if again.requests != good.requests:
            yield Fault(trial.place, "two runs send different requests", "Keep no state")
    for name, response in ANSWERS.items():
        run = recorded(subject, trial.start, lambda _, response=response: response)  # type: ignore[misc]
        yield from _judge(trial, run, name)
        yield from _meaning(trial, run, name, response)
    for depth in range(1, min(len(good.responses), _DEPTH)):
        for name, response in ANSWERS.items():
            run = recorded(subject, trial.start, _after(subject, depth, response))
            yield from _judge(trial, run, f"{name} to request {depth + 1}")
    yield from _bent_answers(subject, trial, good)


def _bent_answers(subject: Subject, trial: _Trial, good: Run) -> Iterator[Fault]:
    bent: list[tuple[int, str, Response]] = []
    for depth, response in enumerate(good.responses[:_DEPTH]):
        try:
            document = json.loads(response.body)
        except MalformedPayload:
            continue
        for mutation in mutations(document):
            changed = Response(
                status=response.status,
                headers=response.headers,
                body=json.dumps(mutation.document),
            )
            bent.append((depth, f"{mutation.place} ({mutation.change})", changed))
    step = max(1, -(-len(bent) // _BENT))
    for depth, place, response in bent[::step]:
        run = recorded(subject, trial.start, _after(subject, depth, response, once=True))
        yield from _judge(trial, run, f"the answer {depth + 1} with {place}")


def _good_run(subject: Subject, trial: _Trial) -> Run:
    sandbox = new_sandbox(subject)
    if sandbox is None:
        return recorded(subject, trial.start, lambda _: ANSWERS["200 {}"])
    return recorded(subject, trial.start, through(subject, sandbox))


def _after(subject: Subject, depth: int, response: Response, *, once: bool = False) -> Answering:
    """Answer `depth` requests from a fresh stand-in, and then with `response`."""
    sandbox = new_sandbox(subject)
    good = through(subject, sandbox) if sandbox else None
    count = 0

    def answer(request: Request) -> Response:
        nonlocal count
        count += 1
        genuine = good is not None and (count <= depth or (once and count > depth + 1))
        return good(request) if good is not None and genuine else response

    return answer


def _judge(trial: _Trial, run: Run, name: str) -> Iterator[Fault]:
    """Find an end that is not allowed, and requests that cannot be sent."""
    place = f"{trial.place} on {name}"
    if run.error is not None and not isinstance(run.error, (MalformedPayload, InvalidInput)):
        said = str(run.error) or "without a text"
        what = "called the world" if isinstance(run.error, ImpureError) else "was raised"
        yield Fault(place, f"{type(run.error).__name__} {what}: {said}", _ENDS)
    elif run.error is None and not isinstance(run.value, trial.allowed):
        yield Fault(place, f"it ended in {type(run.value).__name__}", _ENDS)
    elif trial.kind == "check" and run.error is None:
        others = [item for item in run.value if not isinstance(item, InvalidInput)]
        if others:
            yield Fault(place, f"it found {others[0]!r}", "Return a tuple of InvalidInput")
    for request in run.requests:
        problem = _request_fault(request)
        if problem:
            yield Fault(place, problem, "Quote path parts with hub.sdk.quote")
            return


def _meaning(trial: _Trial, run: Run, name: str, response: Response) -> Iterator[Fault]:
    """Find outcomes that tell the core the wrong thing about a plain HTTP fault."""
    if trial.kind == "find" and run.error is None and run.value is None and run.requests:
        if response.status in (401, 429) or response.status >= 500:  # noqa: PLR2004
            yield Fault(
                f"{trial.place} on {name}",
                "it says that nothing is there, though it could not look: it would be made twice",
                "Raise MalformedPayload when the answer is not 2xx; the core tries again",
            )
        return
    if trial.kind not in ("run", "probe") or not run.requests or run.error is not None:
        return
    end, status = run.value, response.status
    place = f"{trial.place} on {name}"
    if status == 401 and not isinstance(end, AuthFailed):  # noqa: PLR2004
        yield _wrong(place, end, "AuthFailed, which pauses the connection")
    elif status == 429:  # noqa: PLR2004
        if not isinstance(end, RetryLater):
            yield _wrong(place, end, "RetryLater")
        elif end.after != _AFTER and ("7 s" in name or "date" in name):
            yield Fault(place, f"Retry-After is read as {end.after}", "Use hub.sdk.retry_after")
    elif status >= 500 and not isinstance(end, (RetryLater, Unknown)):  # noqa: PLR2004
        yield _wrong(place, end, "RetryLater: the fault passes")
    elif status in (301, 302, 400, 403, 405, 413, 422) and isinstance(end, (Delivered, Account)):
        yield _wrong(place, end, "a failure: nothing took effect")


def _wrong(place: str, end: object, wanted: str) -> Fault:
    return Fault(place, f"it ended in {end!r}", f"Expected {wanted}; hub.sdk.failed does it")


def _request_fault(request: object) -> str:
    if not isinstance(request, Request):
        return f"it yielded {type(request).__name__}, not a Request"
    if not request.path.startswith("/") or request.path.startswith("//"):
        return f"the path {request.path!r} does not start with one slash"
    if any(letter <= " " or letter > "~" for letter in request.path):
        return f"the path {request.path!r} is not quoted"
    if request.json is not None and request.content is not None:
        return "a request has both json and content"
    heads = [*request.headers, *request.headers.values()]
    if any(letter in head for head in heads for letter in "\r\n\x00"):
        return "a header has a line break in it"
    return ""


def _odd_inputs(
    subject: Subject,
    name: str,
    code: Action,
    manifest: ActionManifest,
    inputs: Mapping[str, Any],
) -> Iterator[Fault]:
    """Leave every input out, and put difficult Markdown in every text."""
    cases = [
        (f"without the input {key}", {k: v for k, v in inputs.items() if k != key})
        for key in inputs
    ]
    cases += [
        (f"with a difficult {key}", {**inputs, key: _NASTY}) for key in manifest.text_inputs()
    ]
    cases += [
        (f"with a path in {key}", {**inputs, key: "../../admin?x=1#é \n"})
        for key, value in inputs.items()
        if isinstance(value, str) and "enum" not in manifest.inputs["properties"].get(key, {})
    ]
    for what, changed in cases:
        call = _call(subject, changed)
        trial = _Trial(f"action {name} {what}", lambda call=call: code.run(call), (Outcome,), "run")  # type: ignore[misc]
        yield from _judge(trial, _good_run(subject, trial), "the stand-in's answers")


def _once(
    subject: Subject,
    name: str,
    code: Action,
    manifest: ActionManifest,
    inputs: Mapping[str, Any],
) -> Iterator[Fault]:
    """Find a promise to take effect once that the requests do not keep."""
    if manifest.once not in ("idempotency_key", "marker"):
        return
    runs = []
    for marker in ("hub-1111-aaaa", "hub-2222-bbbb"):
        call = _call(subject, inputs, marker)
        trial = _Trial(name, lambda call=call: code.run(call), (Outcome,), "run")  # type: ignore[misc]
        runs.append(_good_run(subject, trial))
    signs = subject.manifest.sends is not None and (
        subject.manifest.sends.auth.kind == "standard_webhooks"
    )
    if signs or not all(isinstance(run.value, Delivered) for run in runs):
        return  # the core sends the marker itself, or the example does not get that far
    if runs[0].requests == runs[1].requests:
        yield Fault(
            f"action {name}",
            f"is `once: {manifest.once}`, and its requests do not hold the marker",
            "Send `call.marker` as the key, or write it into what is created",
        )


def _call(subject: Subject, inputs: Mapping[str, Any], marker: str = "hub-1111-aaaa") -> Call:
    return Call(
        inputs=dict(inputs),
        config=subject.settings,
        marker=marker,
        now=RECEIVED_AT,
    )


def _examples(manifest: ActionManifest) -> list[dict[str, Any]]:
    found = manifest.inputs.get("examples")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _template(value: object) -> object:
    return "{{ event.data.title.text }}" if isinstance(value, str) else value
