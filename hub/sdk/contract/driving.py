"""Drive an action's generator without a network: against answers, or the stand-in."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from hub.sdk import json
from hub.sdk.contract.guard import ImpureError, pure
from hub.sdk.contract.subject import RECEIVED_AT, Subject
from hub.sdk.http import InboundRequest, Request, Response
from hub.sdk.sandbox import Sandbox

_T = TypeVar("_T")
Answering = Callable[[Request], Response]

STEPS = 100
"""More requests than this in one action is taken for a loop without an end."""


class EndlessError(Exception):
    """The generator yielded `STEPS` requests and would go on."""


@dataclass
class Run:
    """One drive: the exchanges so far, and how it ended."""

    requests: list[Request] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    value: Any = None
    error: BaseException | None = None


def drive(steps: Generator[Request, Response, _T], answering: Answering) -> _T:
    """Send every request to `answering` and return what the generator returns.

    Raises what the generator raises, and `EndlessError` after `STEPS` requests.
    """
    try:
        request = next(steps)
        for _ in range(STEPS):
            request = steps.send(answering(request))
    except StopIteration as stop:
        value: _T = stop.value
        return value
    finally:
        steps.close()
    raise EndlessError(f"{STEPS} requests and no end")


def recorded(
    subject: Subject,
    start: Callable[[], Generator[Request, Response, object]],
    answering: Answering,
) -> Run:
    """Drive under the guard and keep everything, whatever is raised."""
    run = Run()

    def answer(request: Request) -> Response:
        run.requests.append(request)
        response = answering(request)
        run.responses.append(response)
        return response

    try:
        with pure(subject.available.package):
            run.value = drive(start(), answer)
    except (Exception, ImpureError) as error:  # noqa: BLE001 - it is what is looked for
        run.error = error
    return run


def through(subject: Subject, sandbox: Sandbox) -> Answering:
    """Return a way to the stand-in: requests arrive as the core would send them."""
    headers = subject.auth_headers()
    base = _base_path(subject)

    def answer(request: Request) -> Response:
        content = request.content or b""
        sent = {**headers, **{name.lower(): value for name, value in request.headers.items()}}
        if request.json is not None:
            content = json.dumps(request.json)
            sent.setdefault("content-type", "application/json")
        path, _, query = request.path.partition("?")
        query = "&".join(part for part in (query, urlencode(request.query)) if part)
        return sandbox.handle(
            InboundRequest(
                method=request.method,
                path=(base + path).lstrip("/"),
                query=query,
                headers=sent,
                body=content,
            )
        )

    return answer


def new_sandbox(subject: Subject) -> Sandbox | None:
    """Return a stand-in in its first state, with the example config's credentials."""
    if subject.stand_in is None:
        return None
    auth = subject.manifest.sends.auth if subject.manifest.sends else None
    token = str(subject.config.get(auth.password or auth.token, "")) if auth else ""
    return subject.stand_in(
        now=lambda: RECEIVED_AT, secret=subject.secret, token=token or "sample-token"
    )


def _base_path(subject: Subject) -> str:
    if subject.manifest.sends is None:
        return ""
    try:
        base = subject.manifest.sends.base_url.format_map(subject.config)
    except KeyError:
        return ""
    return urlsplit(base).path.rstrip("/")
