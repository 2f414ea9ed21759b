"""Waiting lines, and the loss audit."""

from __future__ import annotations

from datetime import date
from http import HTTPStatus
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from litestar import Controller, Request, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from hub.admin.flow import Skip
from hub.admin.needs import Needs
from hub.admin.paging import Page, number
from hub.admin.problems import Problem, invalid, missing
from hub.links.ledger import words, writes_to
from hub.sdk.errors import InvalidInput
from hub.sdk.integration import ActionManifest
from hub.sdk.schemas import explain as explain_schema
from hub.store import admin, audit, lines
from hub.store.explain import explain
from hub.store.pool import transaction


class Fix(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Inputs that replace a waiting delivery's own; the others stay as they are."""

    inputs: dict[str, Any]


class SkipLine(Skip, kw_only=True, forbid_unknown_fields=True):
    """Which line to skip."""

    connection: str
    lane: str


class LaneController(Controller):
    """What waits behind what: look at a line, retry, skip or fix what holds it up."""

    path = "/"
    tags = ("flow",)

    @get("/lanes", summary="List waiting lines")
    async def lanes(self, services: Needs, connection: FromQuery[str | None] = None) -> Page:
        """Return the lanes in which something waits, the longest line first, with its head."""
        return Page(items=await lines.lanes(services.database, connection), next=None)

    @get("/lanes/line", summary="Show a waiting line")
    async def line(self, services: Needs, connection: FromQuery[str], lane: FromQuery[str]) -> Page:
        """Return what waits in one lane of a connection, in the order it will leave."""
        return Page(items=await lines.line(services.database, connection, lane), next=None)

    @post("/lanes/skip", summary="Skip a waiting line", status_code=200)
    async def skip_line(
        self, services: Needs, request: Request[Any, Any, Any], data: JSONBody[SkipLine]
    ) -> dict[str, int]:
        """End everything that waits in a lane unsent. Each can be replayed afterwards."""
        async with transaction(services.database) as session:
            count = await lines.skip_line(session, data.connection, data.lane, data.reason)
            await admin.audit(
                session, request.state["actor"], "lane.skip", f"{data.connection}/{data.lane}",
                {"count": count, "reason": data.reason},
            )  # fmt: skip
        await services.wake()
        return {"skipped": count}

    @post("/deliveries/{name:str}/retry", summary="Try a delivery now", status_code=200)
    async def retry(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> dict[str, Any]:
        """Do not wait for the schedule. A dead one is replayed instead."""
        async with transaction(services.database) as session:
            if not await lines.retry_now(session, number(name, "dl")):
                raise Problem(
                    HTTPStatus.CONFLICT,
                    f"{name} is not waiting; a dead or skipped one is tried again with replay.",
                )
            await admin.audit(session, request.state["actor"], "delivery.retry", name)
        await services.wake()
        return await _shown(services, name)

    @post("/deliveries/{name:str}/fix", summary="Fix a delivery", status_code=200)
    async def fix(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str],
        data: JSONBody[Fix],
    ) -> dict[str, Any]:  # fmt: skip
        """Change the inputs of a waiting or dead delivery and try it at once.

        What it writes to stays the same, so that its lane keeps its order.
        """
        async with transaction(services.database) as session:
            row = await lines.to_fix(session, number(name, "dl"))
            if row is None:
                raise Problem(
                    HTTPStatus.CONFLICT, f"{name} is not waiting or dead, or was never rendered."
                )
            available = services.registry.get(row["integration"])
            sends = None if available is None else available.manifest.sends
            action = None if sends is None else sends.actions.get(row["action"])
            if action is None:
                raise missing(f"action {row['action']!r} of {row['integration']}")
            inputs = {**row["inputs"], **data.inputs}
            _check(action, row["inputs"], inputs, row["audience"])
            await lines.fix(
                session, row, inputs, writes_to=writes_to(action, inputs),
                words=words(action, inputs),
            )  # fmt: skip
            await admin.audit(
                session, request.state["actor"], "delivery.fix", name,
                {"inputs": sorted(data.inputs)},
            )  # fmt: skip
        await services.wake()
        return await _shown(services, name)

    @get("/flow/audit", summary="Audit the flow")
    async def audit(self, services: Needs, since: FromQuery[date | None] = None) -> dict[str, Any]:
        """Add up what was accepted and what became of it, and look for what breaks a promise.

        `ok` is false when something is lost, doubled or out of order; `examples` name it.
        """
        repeatable = [
            f"{available.id}/{name}"
            for available in services.registry.values() if available.manifest.sends
            for name, action in available.manifest.sends.actions.items() if action.once == "natural"
        ]  # fmt: skip
        found = await audit.audit(services.database, since=since, repeatable=repeatable)
        return {
            "ok": found.ok,
            "since": found.since.isoformat(),
            "counts": found.counts,
            "sums": [{**msgspec.to_builtins(item), "holds": item.holds} for item in found.sums],
            "checks": msgspec.to_builtins(found.checks),
        }


def _check(
    action: ActionManifest, before: dict[str, Any], inputs: dict[str, Any], audience: str
) -> None:
    faults = explain_schema(Draft202012Validator(action.inputs), inputs)
    if faults:
        path, _, problem = faults[0].partition(": ")
        raise invalid(
            [InvalidInput(f"inputs.{path}", problem, "see the action's schema")], "The fix"
        )
    if action.target is not None and before.get(action.target.input) != inputs.get(
        action.target.input
    ):
        field = f"inputs.{action.target.input}"
        raise invalid(
            [InvalidInput(field, "names another object than before", "skip it and route it anew")],
            "The fix",
        )
    if action.audience_of(inputs) == "customer" and audience != "customer":
        raise invalid(
            [InvalidInput("inputs", "would reach the customer with what was made for the team",
                          "skip it and route it anew")], "The fix",
        )  # fmt: skip


async def _shown(services: Needs, name: str) -> dict[str, Any]:
    found = await explain(services.database, name)
    if found is None:
        raise missing(name)
    return found
