"""Routes: write, order, enable, try on a stored event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, delete, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from hub.admin.needs import Needs
from hub.admin.paging import Page, number
from hub.admin.problems import invalid, missing
from hub.route.check import check_route, read_route
from hub.route.definition import LINK, Route
from hub.route.dry import dry_run
from hub.sdk.errors import InvalidInput
from hub.store import admin
from hub.store.connections import Connection
from hub.store.pool import NameTaken, Row, transaction

VendorCheck = Annotated[
    bool,
    QueryParameter(description="Also ask the vendors whether they would take the steps' inputs"),
]


class RouteView(msgspec.Struct, kw_only=True):
    """A route as it is stored."""

    id: str
    name: str
    position: int
    enabled: bool
    version: int
    route: dict[str, Any]
    created_at: Any
    updated_at: Any


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """Routes in the order they are to run; those not named come after."""

    names: list[str]


class DryRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A route, written out or by name, and a stored event."""

    event: Annotated[str, Meta(examples=["ev_12"])]
    route: dict[str, Any] | None = None
    name: str | None = None


class RoutesController(Controller):
    """Which events are acted on, and how."""

    path = "/routes"
    tags = ("routes",)

    @get(summary="List routes")
    async def list_all(self, services: Needs, limit: FromQuery[int] = 200) -> Page:
        """Return every route in the order they run."""
        async with transaction(services.database) as session:
            rows = await admin.routes(session)
        return Page(items=[_view(row) for row in rows[:limit]], next=None)

    @post(summary="Create a route")
    async def create(
        self,
        services: Needs,
        request: Request[Any, Any, Any],
        data: JSONBody[dict[str, Any]],
        vendor_check: VendorCheck = True,
    ) -> RouteView:
        """Store a route after all others. 422 names every faulty field and its mend."""
        route = await _checked(services, data, vendor_check=vendor_check)
        try:
            async with transaction(services.database) as session:
                made = await admin.create_route(session, msgspec.to_builtins(route))
                await admin.audit(
                    session,
                    request.state["actor"],
                    "route.create",
                    f"rt_{made}",
                    {"name": route.name},
                )
                row = await admin.route(session, f"rt_{made}")
        except NameTaken:
            raise _taken(route.name) from None
        await services.wake()
        return _view(_there(row, route.name))

    @get("/{name:str}", summary="Show a route")
    async def show(self, services: Needs, name: FromPath[str]) -> RouteView:
        """Return one route by its name or id."""
        async with transaction(services.database) as session:
            return _view(_there(await admin.route(session, name), name))

    @put("/{name:str}", summary="Replace a route")
    async def replace(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str], data: JSONBody[dict[str, Any]],
        vendor_check: VendorCheck = True,
    ) -> RouteView:  # fmt: skip
        """Store a route's new definition as its next version."""
        route = await _checked(services, data, vendor_check=vendor_check)
        try:
            async with transaction(services.database) as session:
                row = _there(await admin.route(session, name), name)
                await admin.change_route(session, row["id"], msgspec.to_builtins(route))
                await admin.audit(
                    session, request.state["actor"], "route.change", f"rt_{row['id']}",
                    {"name": route.name, "before": row["definition"]},
                )  # fmt: skip
                row = _there(await admin.route(session, f"rt_{row['id']}"), name)
        except NameTaken:
            raise _taken(route.name) from None
        await services.wake()
        return _view(row)

    @delete("/{name:str}", summary="Delete a route", status_code=204)
    async def remove(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> None:
        """Delete a route; what it delivered stays readable."""
        async with transaction(services.database) as session:
            row = _there(await admin.route(session, name), name)
            await admin.delete_route(session, row["id"])
            await admin.audit(
                session,
                request.state["actor"],
                "route.delete",
                f"rt_{row['id']}",
                {"before": row["definition"]},
            )
        await services.wake()

    @post("/{name:str}/enable", summary="Switch a route on", status_code=200)
    async def enable(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> RouteView:
        """Let the route run on events from now on."""
        return await _switch(services, request, name, enabled=True)

    @post("/{name:str}/disable", summary="Switch a route off", status_code=200)
    async def disable(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> RouteView:
        """Let the route rest; what it has planned still leaves."""
        return await _switch(services, request, name, enabled=False)

    @post("/order", summary="Order the routes", status_code=200)
    async def order(
        self, services: Needs, request: Request[Any, Any, Any], data: JSONBody[Order]
    ) -> Page:
        """Put the named routes first, in this order."""
        async with transaction(services.database) as session:
            known = {row["name"] for row in await admin.routes(session)}
            unknown = [
                InvalidInput(
                    f"names[{n}]",
                    f"there is no route {name!r}",
                    f"there is: {', '.join(sorted(known))}",
                )
                for n, name in enumerate(data.names)
                if name not in known
            ]
            if unknown:
                raise invalid(unknown, "The order")
            await admin.order_routes(session, data.names)
            await admin.audit(
                session, request.state["actor"], "route.order", "routes", {"names": data.names}
            )
            rows = await admin.routes(session)
        await services.wake()
        return Page(items=[_view(row) for row in rows], next=None)

    @post("/dry-run", summary="Try a route on a stored event", status_code=200)
    async def try_out(self, services: Needs, data: JSONBody[DryRun]) -> dict[str, Any]:
        """Say what matches, on which clause not, and what would be sent. Nothing is stored or sent."""
        if data.route is not None:
            route = await _checked(services, data.route, vendor_check=False)
        elif data.name is not None:
            async with transaction(services.database) as session:
                row = _there(await admin.route(session, data.name), data.name)
            route = msgspec.convert(row["definition"], Route)
        else:
            raise InvalidInput("route", "is missing", "give a route, or the name of one")
        found = await dry_run(
            services.database, services.connections, route, number(data.event, "ev")
        )
        if found is None:
            raise missing(f"event {data.event}")
        return found


async def _checked(services: Needs, document: Mapping[str, Any], *, vendor_check: bool) -> Route:
    """Read and check a route. Raises the `Problem` that names every fault."""
    route = read_route(document)
    if isinstance(route, InvalidInput):
        raise invalid([route], "The route")
    services.connections.forget()
    connections = {item.name: item for item in await services.connections.all()}
    faults = check_route(route, services.registry, connections)
    if not faults and vendor_check:
        faults = await _vendor_faults(services, route, connections)
    if faults:
        raise invalid(faults, "The route")
    return route


async def _vendor_faults(
    services: Needs, route: Route, connections: Mapping[str, Connection]
) -> list[InvalidInput]:
    faults: list[InvalidInput] = []
    for index, step in enumerate(route.steps):
        if step.action != LINK:
            found = await services.caller.check(
                connections[step.connection], step.action, step.inputs
            )
            faults += [InvalidInput(f"steps[{index}].{f.field}", f.problem, f.mend) for f in found]
    return faults


async def _switch(
    services: Needs, request: Request[Any, Any, Any], name: str, *, enabled: bool
) -> RouteView:
    async with transaction(services.database) as session:
        row = _there(await admin.route(session, name), name)
        await admin.enable_route(session, row["id"], enabled=enabled)
        action = "route.enable" if enabled else "route.disable"
        await admin.audit(session, request.state["actor"], action, f"rt_{row['id']}")
        row = _there(await admin.route(session, name), name)
    await services.wake()
    return _view(row)


def _there(row: Row | None, name: str) -> Row:
    if row is None:
        raise missing(f"route {name!r}")
    return row


def _taken(name: str) -> Exception:
    return invalid([InvalidInput("name", f"{name!r} is taken", "choose another")], "The route")


def _view(row: Row) -> RouteView:
    return RouteView(
        id=f"rt_{row['id']}", name=row["name"], position=row["position"], enabled=row["enabled"],
        version=row["version"], route=row["definition"], created_at=row["created_at"], updated_at=row["updated_at"],
    )  # fmt: skip
