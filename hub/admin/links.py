"""The link graph: things in tools, and which report belongs to which work item."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from hub.admin.needs import Needs
from hub.admin.paging import Page, number, page
from hub.admin.problems import invalid, missing
from hub.sdk.errors import InvalidInput
from hub.store import admin, lists
from hub.store.explain import explain
from hub.store.pool import transaction

_NAMED = "`nd_7`, or `system/kind/id-or-key` such as `jira/issue/APP-12`"


class NewLink(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A report and the work item it belongs to."""

    report: Annotated[str, Meta(description=_NAMED)]
    work_item: Annotated[str, Meta(description=_NAMED)]


class LinksController(Controller):
    """Who asked for what."""

    path = "/"
    tags = ("links",)

    @get("/links", summary="List links")
    async def list_all(self, services: Needs, request: Request[Any, Any, Any]) -> Page:
        """Return a page, newest first. Filters: report, work_item (as nd_7), origin, since, until."""
        return await page(services, request, "links")

    @get("/links/{name:str}", summary="Show a link")
    async def show(self, services: Needs, name: FromPath[str]) -> dict[str, Any]:
        """Return one link."""
        found = await lists.one(services.database, "links", number(name, "ln"))
        if found is None:
            raise missing(f"link {name}")
        return found

    @post("/links", summary="Link by hand")
    async def create(
        self, services: Needs, request: Request[Any, Any, Any], data: JSONBody[NewLink]
    ) -> dict[str, Any]:
        """Say that a report belongs to a work item: its customer is told of what becomes of it."""
        async with transaction(services.database) as session:
            report = await admin.find_node(session, data.report)
            work = await admin.find_node(session, data.work_item)
            faults = [
                InvalidInput(
                    field, f"no thing {name!r} is known", f"name it as {_NAMED}; see GET /things"
                )
                for field, name, found in (
                    ("report", data.report, report),
                    ("work_item", data.work_item, work),
                )
                if found is None
            ]
            if report is None or work is None:
                raise invalid(faults, "The link")
            made = await admin.link(session, report, work)
            await admin.audit(
                session,
                request.state["actor"],
                "link.create",
                f"ln_{made}",
                {"report": data.report, "work_item": data.work_item},
            )
        found = await lists.one(services.database, "links", made)
        return found or {}

    @delete("/links/{name:str}", summary="Remove a link", status_code=204)
    async def remove(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> None:
        """Take a link away; it does not come back by itself."""
        async with transaction(services.database) as session:
            if not await admin.unlink(session, number(name, "ln")):
                raise missing(f"link {name}")
            await admin.audit(session, request.state["actor"], "link.remove", name)

    @get("/things", summary="List things")
    async def things(self, services: Needs, request: Request[Any, Any, Any]) -> Page:
        """Return a page, newest first. Filters: system, connection, kind, key, q (in the title)."""
        return await page(services, request, "things")

    @get("/things/{name:str}", summary="Show a thing")
    async def thing(self, services: Needs, name: FromPath[str]) -> dict[str, Any]:
        """Return one thing: what it is linked with, what happened to it, who was told."""
        found = await explain(services.database, f"nd_{number(name, 'nd')}")
        if found is None:
            raise missing(f"thing {name}")
        return found
