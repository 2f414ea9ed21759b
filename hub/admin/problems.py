"""Every error as RFC 9457 problem details: what is wrong, where, and the mend."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from hub.sdk import json
from hub.sdk.errors import InvalidInput
from hub.store.pool import StoreAway
from hub.store.replay import UnknownFilter

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"


class Fault(msgspec.Struct, frozen=True):
    """One faulty field: a dotted path, what is wrong with it, and what to do."""

    field: str
    problem: str
    mend: str = ""


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error (RFC 9457). `errors` names every faulty field."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    errors: tuple[Fault, ...] = ()


class Problem(Exception):
    """Ends a request with a problem."""

    def __init__(
        self, status: HTTPStatus, detail: str, faults: Sequence[InvalidInput] = (),
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = headers or {}


def invalid(faults: Sequence[InvalidInput], what: str) -> Problem:
    """Return the 422 that names every fault."""
    count = len(faults)
    detail = (
        f"{what} has {count} fault{'' if count == 1 else 's'}: {'; '.join(str(f) for f in faults)}"
    )
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, faults)


def missing(what: str) -> Problem:
    """Return the 404 for something that is not there."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no {what}.")


def _answer(
    request: Request[Any, Any, Any], status: HTTPStatus, detail: str,
    faults: Sequence[InvalidInput] = (), headers: dict[str, str] | None = None,
) -> Response[bytes]:  # fmt: skip
    problem = ProblemDetails(
        type="about:blank",
        title=status.phrase,
        status=status.value,
        detail=detail,
        instance=request.url.path,
        errors=tuple(Fault(f.field, f.problem, f.mend) for f in faults),
    )
    return Response(
        json.dumps(problem), status_code=status.value, media_type=MEDIA_TYPE, headers=headers or {}
    )


def _ours(request: Request[Any, Any, Any], error: Problem) -> Response[bytes]:
    return _answer(request, error.status, error.detail, error.faults, error.headers)


def _input(request: Request[Any, Any, Any], error: InvalidInput) -> Response[bytes]:
    return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, str(error), [error])


def _filter(request: Request[Any, Any, Any], error: UnknownFilter) -> Response[bytes]:
    return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def _away(request: Request[Any, Any, Any], error: StoreAway) -> Response[bytes]:
    _log.warning("%s %s: %s", request.method, request.url.path, error)
    return _answer(
        request, HTTPStatus.SERVICE_UNAVAILABLE, "PostgreSQL does not answer; try again.",
        headers={"retry-after": "5"},
    )  # fmt: skip


def _validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    faults = [
        InvalidInput(str(item.get("key") or "body"), str(item.get("message", "")), "see /docs")
        for item in (error.extra if isinstance(error.extra, list) else [])
        if isinstance(item, dict)
    ] or [InvalidInput("body", str(error.detail), "see /docs")]
    return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(map(str, faults)), faults)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    status = HTTPStatus(error.status_code)
    detail = error.detail or status.phrase
    if status == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {request.url.path}; the API is described at /docs."
    return _answer(request, status, detail, headers=dict(error.headers or {}))


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    number = secrets.token_hex(4)
    _log.error("error %s at %s %s", number, request.method, request.url.path, exc_info=error)
    detail = f"The hub has a fault; its log says more under {number}."
    return _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)


HANDLERS: ExceptionHandlersMap = {
    Problem: _ours,
    InvalidInput: _input,
    UnknownFilter: _filter,
    StoreAway: _away,
    ValidationException: _validation,
    HTTPException: _http,
    Exception: _unexpected,
}
"""How each kind of error is answered."""
