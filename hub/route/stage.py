"""Events meet the routes: links, echoes, decisions and deliveries of a batch in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import msgspec

from hub.links.refs import Places
from hub.route.batch import Batch, Config, find_lanes
from hub.route.context import EventView, result_of
from hub.route.definition import Route
from hub.route.plan import Todo, World, fill
from hub.route.select import Compiled, Routes
from hub.sdk.integration import Manifest
from hub.store import deliveries, events, graph
from hub.store.connections import Connection, Connections
from hub.store.events import Routed
from hub.store.locks import STAGES, holding
from hub.store.pool import Collision, Database, Session, StoreAway, again, transaction
from hub.store.routes import RouteTable, StoredRoute

_log = logging.getLogger(__name__)
_DECIDED = (*Collision, deliveries.OnceTaken)
_READINGS = (False, False, True)
"""How often the configuration is read again when it changes all the while; then it is new enough."""


class Router:
    """Routes events of one connection at a time, in their order."""

    def __init__(self, database: Database, connections: Connections, table: RouteTable) -> None:
        self._database = database
        self._connections = connections
        self._table = table
        self._source: Sequence[StoredRoute] = ()
        self._compiled = Routes(())
        self._known: tuple[Sequence[Connection], World, Places] | None = None
        self._config: Config | None = None

    async def route_waiting(self, connection: Connection, *, limit: int = 100) -> int:
        """Route up to `limit` events of a connection; returns how many. Raises `StoreAway`.

        Should a batch fail by a fault of the hub's own, its events are taken one by one, and the
        one that fails alone ends `failed`, so that it stops nobody else.
        """
        if not connection.runs:
            return 0
        try:
            # Another connection's events may decide the same thing at the same moment.
            return await again(lambda: self._route(connection, limit), on=_DECIDED)
        except StoreAway:
            raise
        except Exception as error:  # noqa: BLE001 - logged; one by one from here
            _log.exception("routing events of %s failed", connection.name)
            if limit == 1:
                return await self._fail_first(connection, f"{type(error).__name__}: {error}")
        done = 0
        while done < limit and await self.route_waiting(connection, limit=1):
            done += 1
        return done

    async def _fail_first(self, connection: Connection, reason: str) -> int:
        async with holding(self._database, STAGES.route, connection.id) as session:
            batch, _ = await events.waiting(session, connection.id, 1)
            if batch:
                reason = f"the hub has a fault: {reason}; replay it after an upgrade"
                await events.decide(
                    session,
                    [Routed(event_id=batch[0].id, day=batch[0].day, state="failed", reason=reason)],
                )
        return len(batch)

    async def resume(self, *, limit: int = 100, after: Sequence[int] | None = None) -> int:
        """Let steps go on whose earlier step has ended; returns how many. Raises `StoreAway`.

        With `after`, only those that waited for these deliveries.
        """
        revision = 0
        for last in _READINGS:
            config = await self._at(revision)
            async with transaction(self._database) as session:
                blocked, revision = await deliveries.unblocked(session, limit, after)
                if last or config.revision >= revision:
                    if blocked:
                        await self._resume(session, blocked, config.world)
                    return len(blocked)
        return 0

    async def _route(self, source: Connection, limit: int) -> int:
        revision = 0
        for last in _READINGS:
            config = await self._at(revision)
            async with holding(self._database, STAGES.route, source.id) as session:
                batch, revision = await events.waiting(session, source.id, limit)
                if last or config.revision >= revision:
                    if batch:
                        await Batch(session, source, config).run(batch)
                    return len(batch)
        return 0

    async def _at(self, revision: int) -> Config:
        """Return connections and routes as of a revision or newer. Raises `StoreAway`.

        An event meets every route that was saved before it came, whichever process saved it.
        """
        if self._config is None or self._config.revision < revision:
            connections = await self._connections.at(revision)
            routes = self._compile(await self._table.at(revision))
            if self._known is None or self._known[0] is not connections:
                world = world_of(connections, manifests_of(self._connections))
                self._known = (connections, world, Places(connections, world.manifests))
            self._config = Config(revision, *self._known[1:], routes)
        return self._config

    def _compile(self, rows: Sequence[StoredRoute]) -> Routes:
        if rows is not self._source:
            compiled = []
            for row in rows:
                try:
                    route = msgspec.convert(row.definition, Route)
                except msgspec.ValidationError:
                    _log.exception("route %s cannot be read and is passed over", row.name)
                    continue
                compiled.append(Compiled(row.id, row.version, route))
            self._source, self._compiled = rows, Routes(compiled)
        return self._compiled

    async def _resume(
        self, session: Session, blocked: Sequence[deliveries.Blocked], world: World
    ) -> None:
        found = await events.by_ids(session, [item.event_id for item in blocked])
        ended = await deliveries.steps_of(session, list(found))
        nodes = await graph.by_ids(
            session,
            {row["node_id"] for row in ended if row["node_id"]}
            | {item.report_id for item in blocked if item.report_id},
        )
        for item in blocked:
            event = found[item.event_id]
            source = await self._connections.by_id(event.connection_id)
            route = msgspec.convert(item.definition, Route) if item.definition else None
            step = route.step(item.step) if route else None
            if source is None or route is None or step is None:
                await deliveries.release(
                    session, item, state="skipped",
                    reason="the route or its step was removed meanwhile",
                )  # fmt: skip
                continue
            mine = [
                row for row in ended
                if row["event_id"] == item.event_id and row["route_id"] == item.route_id
                and row["target"] == item.target
            ]  # fmt: skip
            earlier = next(row for row in mine if row["step"] == step.after)
            if earlier["state"] == "skipped" and earlier["node_id"] is None:
                if earlier["joined"]:
                    continue  # the one it joined has not been created yet
                await deliveries.release(
                    session, item, state="skipped",
                    reason=f"step {step.after} was skipped: {earlier['reason']}",
                )  # fmt: skip
                continue
            steps = {
                row["step"]: result_of(nodes.get(row["node_id"]), joined=row["joined"], delivered=row["result"])
                for row in mine
            }  # fmt: skip
            work_item = nodes.get(earlier["node_id"])
            todo = Todo(
                route_id=item.route_id, route=route, version=item.route_version, step=step,
                connection_id=item.connection_id, target=item.target,
                report=nodes.get(item.report_id or 0), work_item=work_item,
            )  # fmt: skip
            fill(todo, event, EventView(event, source.name, world.systems), world, steps=steps)
            state = "skipped" if todo.state == "left_out" else todo.state
            await find_lanes(session, [todo])
            await deliveries.release(
                session, item, state=state, reason=todo.reason, lane=todo.lane,
                inputs=todo.inputs, audience=todo.audience, writes_to=todo.writes_to,
                words=todo.words,
            )  # fmt: skip


def world_of(connections: Sequence[Connection], manifests: Mapping[str, Manifest]) -> World:
    """Return what planning may look at."""
    return World(
        by_name={item.name: item for item in connections},
        manifests=manifests,
        systems={item.id: (item.integration, item.name) for item in connections},
    )


def manifests_of(connections: Connections) -> dict[str, Manifest]:
    """Return every integration's manifest by its id."""
    return {name: item.manifest for name, item in connections.registry.items()}
