"""Check that the vendor's stand-in can be hosted."""

from __future__ import annotations

from collections.abc import Iterator

from hub.sdk import json
from hub.sdk.contract.driving import new_sandbox, through
from hub.sdk.contract.guard import ImpureError, pure
from hub.sdk.contract.pipeline import attempt
from hub.sdk.contract.subject import Fault, Subject
from hub.sdk.http import InboundRequest, Method, Request, Response
from hub.sdk.sandbox import Sandbox

_METHODS: tuple[Method, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")
_NO_ACT = "an act that nobody knows"
_REQUESTS = (
    InboundRequest(method="GET", path=""),
    InboundRequest(method="POST", path="no/such/place", body=b"{"),
    InboundRequest(method="DELETE", path="%2e%2e/x%zz", query="a=%ff&&=b"),
    InboundRequest(method="PUT", path="x", body=b"\xff", headers={"authorization": "Basic !"}),
)


def check(subject: Subject) -> Iterator[Fault]:
    """Find a stand-in that is missing, holds what is not JSON, or raises at odd requests."""
    if not subject.folder.joinpath("sandbox.py").is_file():
        yield Fault("sandbox.py", "is missing", "Write a small stand-in of the vendor's API")
        return
    if subject.stand_in is None:
        yield Fault("sandbox.py", "its Sandbox is no hub.sdk.sandbox.Sandbox", "Derive it")
        return
    sandbox = new_sandbox(subject)
    if sandbox is None:
        return
    with pure(subject.available.package):
        found = list(_check(subject, sandbox))
    yield from found


def _check(subject: Subject, sandbox: Sandbox) -> Iterator[Fault]:
    for request in _REQUESTS:
        yield from _answered(sandbox, request, "without credentials")
    if subject.manifest.sends is not None:
        signed_in = through(subject, sandbox)
        for path in ("/", "/no/such/place", "/%2e%2e/%zz"):
            for method in _METHODS:
                tried = attempt(signed_in, Request(method=method, path=path))
                if not isinstance(tried.value, Response):
                    yield _odd(f"{method} {path} with credentials", tried.error)
    if json.loads(json.dumps(sandbox.state)) != sandbox.state:
        yield Fault("sandbox.py", "its state is not plain JSON", "Keep only JSON in self.state")
    rows = attempt(sandbox.tables)
    shown = rows.value if isinstance(rows.value, dict) else None
    if shown is None or not all(isinstance(table, list) for table in shown.values()):
        yield _odd("tables()", rows.error)
    act = attempt(sandbox.act, _NO_ACT, {})
    if not isinstance(act.error, KeyError):
        yield Fault("sandbox.py", "an unknown act does not raise KeyError", "Name the known acts")


def _answered(sandbox: Sandbox, request: InboundRequest, how: str) -> Iterator[Fault]:
    tried = attempt(sandbox.handle, request)
    if not isinstance(tried.value, Response):
        yield _odd(f"{request.method} /{request.path} {how}", tried.error)


def _odd(what: str, error: BaseException | None) -> Fault:
    if isinstance(error, ImpureError):
        return Fault("sandbox.py", f"{what} called {error}", "Keep it free of I/O and clocks")
    got = "nothing usable" if error is None else f"{type(error).__name__}: {error}"
    return Fault("sandbox.py", f"{what} gave {got}", "Answer with the vendor's own fault")
