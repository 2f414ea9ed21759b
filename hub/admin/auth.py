"""API keys: `Authorization: Bearer hub_…` or `X-API-Key: hub_…`. Readers read, admins change."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from hub.admin.problems import Problem
from hub.runtime.services import Services
from hub.store import apikeys

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


async def require_key(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Let a request pass whose key is live and may do what it asks. Raises `Problem`."""
    if handler.opt.get("open"):
        return
    services: Services = connection.app.state["services"]
    given = connection.headers.get("x-api-key", "")
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given = value.strip()
    if not given:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "An API key is needed: send `Authorization: Bearer hub_…`. "
            "The first one is in admin.key in the data folder.",
            headers={"www-authenticate": "Bearer"},
        )
    found = await apikeys.find(services.database, given)
    if found is None:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "This API key is not known or was revoked; make another with POST /api/v1/api-keys.",
            headers={"www-authenticate": "Bearer"},
        )
    if found["role"] != "admin" and connection.scope.get("method") not in _READING:
        raise Problem(
            HTTPStatus.FORBIDDEN, f"The key {found['name']!r} may read only; use an admin key."
        )
    connection.state["actor"] = found["name"]
    connection.state["key"] = found
