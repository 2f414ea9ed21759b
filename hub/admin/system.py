"""Health, integrations, API keys, the audit log."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from hub import __version__
from hub.admin.needs import Needs
from hub.admin.paging import Page, number, page
from hub.admin.problems import invalid, missing
from hub.runtime.keeper import STUCK_SECONDS
from hub.sdk.errors import InvalidInput
from hub.sdk.registry import Available
from hub.store import admin, apikeys
from hub.store.pool import NameTaken, StoreAway, transaction


class Check(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One part of the hub's health."""

    status: Literal["ok", "degraded", "down"]
    detail: str = ""
    mend: str = ""
    items: list[dict[str, Any]] = []


class Health(msgspec.Struct, kw_only=True):
    """Whether the hub works: `degraded` works but wants a look, `down` takes nothing in."""

    status: Literal["ok", "degraded", "down"]
    version: str
    checks: dict[str, Check]


class NewKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An API key to make."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    role: Literal["admin", "reader"] = "reader"


class HealthController(Controller):
    """How the hub is."""

    path = "/health"
    tags = ("health",)

    @get(opt={"open": True}, summary="Health", security=[])
    async def health(self, services: Needs) -> Response[Health]:
        """Return the state of each part; 503 while PostgreSQL is away. Needs no key."""
        checks: dict[str, Check] = {}
        try:
            found = await services.watch.health()
            checks["postgres"] = Check(status="ok")
            checks.update(_flow_checks(found))
        except StoreAway as error:
            checks["postgres"] = Check(
                status="down",
                detail=str(error),
                mend="start it; webhooks are answered 503 and sent again until then",
            )
        if await services.queue.ping():
            checks["redis"] = Check(status="ok")
        else:
            checks["redis"] = Check(
                status="degraded",
                detail="does not answer",
                mend="start it; the sweeper does its work slower until then",
            )
        bad = [{"id": item.id, "reason": item.reason} for item in services.registry.unavailable]
        checks["integrations"] = (
            Check(
                status="degraded",
                detail=f"{len(bad)} cannot be used",
                mend="hub integration check",
                items=bad,
            )
            if bad
            else Check(status="ok", detail=f"{len(services.registry)} can be used")
        )
        worst: Literal["ok", "degraded", "down"] = "ok"
        for check in checks.values():
            worst = (
                "down"
                if "down" in (worst, check.status)
                else ("degraded" if "degraded" in (worst, check.status) else "ok")
            )
        status = HTTPStatus.SERVICE_UNAVAILABLE if worst == "down" else HTTPStatus.OK
        return Response(
            Health(status=worst, version=__version__, checks=checks), status_code=status.value
        )


class SystemController(Controller):
    """The hub itself."""

    path = "/"
    tags = ("system",)

    @get("/me", summary="Who am I")
    async def me(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Return the key that is used."""
        key = request.state["key"]
        return {"id": f"ak_{key['id']}", "name": key["name"], "role": key["role"]}

    @get("/integrations", summary="List integrations")
    async def integrations(self, services: Needs) -> Page:
        """Return what can be connected, and what cannot be used with its reason."""
        items = [_integration(item) for item in services.registry.values()]
        items += [
            {"id": bad.id, "title": bad.package, "state": "unavailable", "reason": bad.reason}
            for bad in services.registry.unavailable
        ]
        return Page(items=items, next=None)

    @get("/integrations/{name:str}", summary="Show an integration")
    async def integration(self, services: Needs, name: FromPath[str]) -> dict[str, Any]:
        """Return an integration's manifest: config schema, events, actions with their inputs."""
        available = services.registry.get(name)
        if available is None:
            raise missing(f"integration {name!r}")
        return {"state": "ok", **msgspec.to_builtins(available.manifest)}

    @get("/audit", summary="List the audit log")
    async def audit(self, services: Needs, request: Request[Any, Any, Any]) -> Page:
        """Return a page, newest first. Filters: actor, action, object, since, until."""
        return await page(services, request, "audit")

    @get("/api-keys", summary="List API keys")
    async def keys(self, services: Needs) -> Page:
        """Return the live keys; their values are not stored."""
        async with transaction(services.database) as session:
            rows = await apikeys.live(session)
        return Page(items=rows, next=None)

    @post("/api-keys", summary="Make an API key")
    async def make_key(
        self, services: Needs, request: Request[Any, Any, Any], data: JSONBody[NewKey]
    ) -> dict[str, Any]:
        """Return a new key; its value is shown this once."""
        try:
            async with transaction(services.database) as session:
                row, value = await apikeys.create(session, data.name, data.role)
                await admin.audit(
                    session,
                    request.state["actor"],
                    "api_key.create",
                    f"ak_{row['id']}",
                    {"name": data.name, "role": data.role},
                )
        except NameTaken:
            raise invalid(
                [InvalidInput("name", f"{data.name!r} is taken", "choose another")], "The key"
            ) from None
        return {**row, "id": f"ak_{row['id']}", "key": value}

    @delete("/api-keys/{name:str}", summary="Revoke an API key", status_code=204)
    async def revoke_key(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> None:
        """End a key at once."""
        async with transaction(services.database) as session:
            if await apikeys.revoke(session, number(name, "ak")) is None:
                raise missing(f"API key {name}")
            await admin.audit(session, request.state["actor"], "api_key.revoke", name)


def _integration(item: Available) -> dict[str, Any]:
    manifest = item.manifest
    return {
        "id": manifest.id,
        "title": manifest.title,
        "description": manifest.description,
        "docs_url": manifest.docs_url,
        "state": "ok",
        "receives": sorted(manifest.receives.events) if manifest.receives else [],
        "actions": sorted(manifest.sends.actions) if manifest.sends else [],
        "config": manifest.config,
    }


def _mend_ended(found: dict[str, Any]) -> str:
    if found["dead"]:
        return "GET /dead-letters says why; `hub replay delivery --state dead` tries again"
    for what, name in (("failed", "webhook"), ("failed_events", "event")):
        if found[what]:
            return f"GET /{name}s?state=failed says why; `hub replay {name} --state failed` tries again"
    return ""


def _flow_checks(found: dict[str, Any]) -> dict[str, Check]:
    old = [line for line in found["waiting"] if line.runs and line.oldest_seconds > STUCK_SECONDS]
    return {
        "waiting": Check(
            status="degraded" if old else "ok",
            detail=f"{sum(line.waiting for line in found['waiting'])} waiting",
            mend="see what holds them up: hub lanes list, GET /deliveries?state=pending"
            if old
            else "",
            items=msgspec.to_builtins(found["waiting"]),
        ),
        "dead_letters": Check(
            status="degraded"
            if found["dead"] or found["failed"] or found["failed_events"]
            else "ok",
            detail=f"{found['dead']} dead deliveries, {found['failed']} failed webhooks, "
            f"{found['failed_events']} failed events",
            mend=_mend_ended(found),
        ),
        "connections": Check(
            status="degraded" if found["stopped"] else "ok",
            detail=f"{len(found['stopped'])} stopped",
            mend="mend the cause, then POST /connections/<name>/resume" if found["stopped"] else "",
            items=found["stopped"],
        ),
    }
