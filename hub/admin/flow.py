"""What flows: webhooks, events, deliveries, attempts, dead letters; replay, skip, explain."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from hub.admin.needs import Needs
from hub.admin.paging import Page, number, page
from hub.admin.problems import Problem, missing
from hub.sdk.errors import InvalidInput
from hub.store import admin, lists
from hub.store.explain import explain
from hub.store.pool import transaction
from hub.store.replay import Kind, replay

_PREFIX = {"webhook": "wh", "event": "ev", "delivery": "dl"}


class Replay(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to replay: by id, or by the filters of its list, in a time range."""

    kind: Kind
    ids: tuple[str, ...] = ()
    filters: Annotated[
        dict[str, str],
        Meta(description="As in the list of that kind", examples=[{"state": "dead"}]),
    ] = {}
    since: datetime | None = None
    until: datetime | None = None
    force: Annotated[
        bool, Meta(description="Also send again what was delivered, as a new delivery")
    ] = False
    limit: Annotated[int, Meta(ge=1, le=100_000)] = 10_000


class ReplayOne(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to replay one."""

    force: bool = False


class Replayed(msgspec.Struct):
    """How many were replayed."""

    replayed: int


class Skip(msgspec.Struct, forbid_unknown_fields=True):
    """Why a delivery is not to be sent."""

    reason: Annotated[str, Meta(max_length=500)] = "skipped by hand"


class FlowController(Controller):
    """Everything that came in, what it became, and what went out."""

    path = "/"
    tags = ("flow",)

    @get("/webhooks", summary="List webhooks")
    async def webhooks(self, services: Needs, request: Request[Any, Any, Any]) -> Page:
        """Return a page, newest first. Filters: state, connection, q (in the reason, or the vendor's id), since, until."""
        return await page(services, request, "webhooks")

    @get("/webhooks/{name:str}", summary="Show a webhook")
    async def webhook(self, services: Needs, name: FromPath[str]) -> dict[str, Any]:
        """Return a webhook whole: headers (secrets masked), body, how it ended, its events."""
        found = await lists.webhook(services.database, number(name, "wh"))
        return _there(found, f"webhook {name}")

    @get("/events", summary="List events")
    async def events(self, services: Needs, request: Request[Any, Any, Any]) -> Page:
        """Return a page, newest first. Filters: state, type, subject, connection, q (anywhere in its data), since, until."""
        return await page(services, request, "events")

    @get("/events/{name:str}", summary="Show an event")
    async def event(self, services: Needs, name: FromPath[str]) -> dict[str, Any]:
        """Return an event as a CloudEvent, with each route's verdict."""
        found = await lists.event(services.database, number(name, "ev"))
        return _there(found, f"event {name}")

    @get("/deliveries", summary="List deliveries")
    async def deliveries(self, services: Needs, request: Request[Any, Any, Any]) -> Page:
        """Return a page, newest first. Filters: state, route, action, connection, event, lane, q (in the reason), since, until."""
        return await page(services, request, "deliveries")

    @get("/deliveries/{name:str}", summary="Show a delivery")
    async def delivery(self, services: Needs, name: FromPath[str]) -> dict[str, Any]:
        """Return a delivery with its attempts, what it wrote, and what it waits for."""
        found = await explain(services.database, f"dl_{number(name, 'dl')}")
        return _there(found, f"delivery {name}")

    @get("/attempts", summary="List attempts")
    async def attempts(self, services: Needs, request: Request[Any, Any, Any]) -> Page:
        """Return a page, newest first. Filters: delivery, outcome, q (in the error), since, until."""
        return await page(services, request, "attempts")

    @get("/dead-letters", summary="List dead letters")
    async def dead(self, services: Needs, request: Request[Any, Any, Any]) -> Page:
        """Deliveries that will not be tried again without a person. Filters as in deliveries."""
        return await page(services, request, "dead-letters")

    @get("/explain/{name:path}", summary="Explain", tags=["explain"])
    async def explained(self, services: Needs, name: FromPath[str]) -> dict[str, Any]:
        """Explain wh_1, ev_1, dl_1, nd_1, or a thing as `system/kind/key` (`jira/issue/APP-12`).

        What came in, what it became, which routes matched and on which clause the others did not,
        what was sent and answered, what waits behind what, and who was told.
        """
        name = name.strip("/")
        return _there(
            await explain(services.database, name), f"webhook, event, delivery or thing {name!r}"
        )

    @post("/replay", summary="Replay many", status_code=200)
    async def replay_many(
        self, services: Needs, request: Request[Any, Any, Any], data: JSONBody[Replay]
    ) -> Replayed:
        """Replay by id, filter and time range. Nothing that has taken effect is done twice."""
        ids = [number(name, _PREFIX[data.kind]) for name in data.ids]
        if not (ids or data.filters or data.since or data.until):
            raise InvalidInput("ids", "nothing is named", "give ids, filters, or since and until")
        return await _replay(services, request, data.kind, data, ids)

    @post("/webhooks/{name:str}/replay", summary="Replay a webhook", status_code=200)
    async def replay_webhook(
        self,
        services: Needs,
        request: Request[Any, Any, Any],
        name: FromPath[str],
        data: JSONBody[ReplayOne],
    ) -> Replayed:
        """Normalize it again; its events meet today's routes."""
        return await _replay(
            services,
            request,
            "webhook",
            Replay(kind="webhook", force=data.force),
            [number(name, "wh")],
        )

    @post("/events/{name:str}/replay", summary="Replay an event", status_code=200)
    async def replay_event(
        self,
        services: Needs,
        request: Request[Any, Any, Any],
        name: FromPath[str],
        data: JSONBody[ReplayOne],
    ) -> Replayed:
        """Let it meet today's routes; what it led to before is not done again."""
        return await _replay(
            services, request, "event", Replay(kind="event", force=data.force), [number(name, "ev")]
        )

    @post("/deliveries/{name:str}/replay", summary="Replay a delivery", status_code=200)
    async def replay_delivery(
        self,
        services: Needs,
        request: Request[Any, Any, Any],
        name: FromPath[str],
        data: JSONBody[ReplayOne],
    ) -> Replayed:
        """Try a dead or skipped delivery again, or with `force` send a delivered one once more."""
        return await _replay(
            services,
            request,
            "delivery",
            Replay(kind="delivery", force=data.force),
            [number(name, "dl")],
        )

    @post("/deliveries/{name:str}/skip", summary="Skip a delivery", status_code=200)
    async def skip(
        self,
        services: Needs,
        request: Request[Any, Any, Any],
        name: FromPath[str],
        data: JSONBody[Skip],
    ) -> dict[str, Any]:
        """End a waiting or dead delivery unsent; the lane behind it goes on."""
        found = number(name, "dl")
        async with transaction(services.database) as session:
            was = await admin.skip(session, found, data.reason)
            if was is None:
                raise Problem(
                    HTTPStatus.CONFLICT,
                    f"{name} is not waiting or dead; only those can be skipped.",
                )
            await admin.audit(
                session,
                request.state["actor"],
                "delivery.skip",
                name,
                {"was": was, "reason": data.reason},
            )
        await services.wake()
        return _there(await explain(services.database, name), name)


async def _replay(
    services: Needs, request: Request[Any, Any, Any], kind: Kind, data: Replay, ids: list[int]
) -> Replayed:
    count = await replay(
        services.database, kind, ids=ids, filters=data.filters, since=data.since, until=data.until,
        force=data.force, limit=data.limit,
    )  # fmt: skip
    async with transaction(services.database) as session:
        detail = {
            "ids": list(ids)[:100],
            "filters": data.filters,
            "count": count,
            "force": data.force,
        }
        await admin.audit(session, request.state["actor"], f"{kind}.replay", kind, detail)
    await services.wake()
    return Replayed(count)


def _there(found: dict[str, Any] | None, what: str) -> dict[str, Any]:
    if found is None:
        raise missing(what)
    return found
