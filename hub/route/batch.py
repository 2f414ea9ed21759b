"""One transaction of routing: things, echoes, states, links, plans, deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from hub.links.refs import REPORTS, WORK, Places, texts_of
from hub.route import echo, loops
from hub.route.definition import LINK
from hub.route.plan import Plan, Todo, World, plan_event
from hub.route.select import Routes
from hub.store import deliveries, events, graph
from hub.store.connections import Connection
from hub.store.events import Routed, WaitingEvent
from hub.store.graph import NewLink, Node, Thing
from hub.store.pool import Session


class Config(NamedTuple):
    """What events meet, as of a revision of the configuration or newer."""

    revision: int
    world: World
    places: Places
    routes: Routes


class Batch:
    """The work of one transaction."""

    def __init__(self, session: Session, source: Connection, config: Config) -> None:
        self._session = session
        self._source = source
        self._world = config.world
        self._routes = config.routes
        self._places = config.places

    async def run(self, batch: Sequence[WaitingEvent]) -> None:
        """Decide about events, in their order, and store everything that follows."""
        nodes = await self._save_things(batch)
        verdicts = await loops.verdicts(self._session, self._source, batch)
        late = await self._states(batch, nodes, verdicts)
        await self._link(batch, nodes, verdicts)
        subjects = {event.id: self._node(nodes, event.data["refs"][0]) for event in batch}
        ids = sorted({node.id for node in subjects.values() if node})
        reports, work_items = await graph.linked(self._session, ids)
        routed: list[Routed] = []
        plans: list[tuple[WaitingEvent, Plan, int]] = []
        for event in batch:
            node = subjects[event.id]
            verdict = verdicts[event.id]
            state, reason, decisions = "unmatched", "no route matched", []
            if verdict.echo:
                state, reason = "echo", verdict.reason
            elif event.id in late:
                state, reason = "late", late[event.id]
            else:
                plan = plan_event(
                    event, self._source, self._routes, self._world,
                    reports=reports.get(node.id, []) if node else [],
                    work_items=work_items.get(node.id, []) if node else [],
                )  # fmt: skip
                plans.append((event, plan, verdict.hop))
                decisions = plan.decisions
                if any(decision["matched"] for decision in decisions):
                    state, reason = "routed", ""
                if plan.faults:
                    state, reason = "failed", "; ".join(plan.faults)
            routed.append(
                Routed(
                    event_id=event.id, day=event.day, state=state, reason=reason,
                    node_id=node.id if node else None, hop=min(verdict.hop, 32_000),
                    echo_of=verdict.write.delivery_id if verdict.write else None,
                    decisions=decisions,
                )
            )  # fmt: skip
        await self._plan(plans, subjects)
        await events.decide(self._session, routed)

    async def _save_things(self, batch: Sequence[WaitingEvent]) -> dict[tuple[int, str, str], Node]:
        things: list[Thing] = []
        for event in batch:
            for position, ref in enumerate(event.data["refs"]):
                place = self._places.place_of(ref, self._source)
                if place is None or not (ref["id"] or ref["key"]):
                    continue
                title = event.data.get("title") if position == 0 else None
                customer = event.data.get("customer") if position == 0 else None
                things.append(
                    Thing(
                        connection_id=place, kind=ref["kind"], external_id=ref["id"],
                        key=ref["key"], url=ref["url"],
                        title=title if isinstance(title, dict) and title.get("text") else None,
                        customer=customer if customer and any(customer.values()) else None,
                    )
                )  # fmt: skip
        return await graph.save(self._session, things)

    def _node(
        self, nodes: Mapping[tuple[int, str, str], Node], ref: Mapping[str, Any]
    ) -> Node | None:
        place = self._places.place_of(ref, self._source)
        return None if place is None else nodes.get((place, ref["kind"], ref["id"] or ref["key"]))

    async def _states(
        self, batch: Sequence[WaitingEvent], nodes: Mapping[tuple[int, str, str], Node],
        verdicts: Mapping[int, echo.Verdict],
    ) -> dict[int, str]:  # fmt: skip
        """Keep the newest state of each work item; returns the events that came too late."""
        del verdicts  # an echo tells the state as well as any other event
        newest: dict[int, tuple[str, str, dict[str, datetime]]] = {}
        known: dict[int, dict[str, datetime]] = {}
        late: dict[int, str] = {}
        for event in batch:
            node = self._node(nodes, event.data["refs"][0]) if event.type.startswith(WORK) else None
            if node is None:
                continue
            times = known.setdefault(
                node.id, {k: datetime.fromisoformat(v) for k, v in node.changed.items()}
            )
            changed = [change["field"] for change in event.data.get("changes") or ()]
            if event.type.endswith((".status_changed", ".created", ".deleted")):
                changed.append("status")
            elif event.type.endswith(".commented"):
                changed = []
            fresh = [name for name in changed if name not in times or event.time >= times[name]]
            if changed and not fresh:
                late[event.id] = (
                    f"{', '.join(changed)} changed later than this says ({event.time.isoformat()})"
                )
                continue
            if "status" in changed and "status" not in fresh:
                late[event.id] = (
                    f"the status changed later than this says ({event.time.isoformat()})"
                )
            times.update(dict.fromkeys(fresh, event.time))
            status, category, fields = newest.get(node.id, ("", "", {}))
            if "status" in fresh:
                status, category = event.data["status"]["name"], event.data["status"]["category"]
            newest[node.id] = (status, category, {**fields, **dict.fromkeys(fresh, event.time)})
        await graph.set_state(self._session, newest)
        return late

    async def _link(
        self, batch: Sequence[WaitingEvent], nodes: Mapping[tuple[int, str, str], Node],
        verdicts: Mapping[int, echo.Verdict],
    ) -> None:  # fmt: skip
        """Link reports with the work items they name: by reference, or by a key in a text."""
        links: list[NewLink] = []
        mentioned: dict[int, list[Thing]] = {}
        for event in batch:
            if verdicts[event.id].echo:
                continue
            refs = event.data["refs"]
            subject = self._node(nodes, refs[0])
            if subject is None:
                continue
            report = event.type.startswith(REPORTS)
            for ref in refs[1:]:
                node = self._node(nodes, ref)
                if node is None or node.id == subject.id:
                    continue
                work = self._places.is_work(ref["system"], ref["kind"])
                if report and work:
                    links.append(
                        NewLink(
                            report_id=subject.id,
                            work_id=node.id,
                            origin="reference",
                            event_id=event.id,
                        )
                    )
                elif (
                    event.type.startswith(WORK)
                    and not work
                    and ref["system"] != self._source.integration
                ):
                    links.append(
                        NewLink(
                            report_id=node.id,
                            work_id=subject.id,
                            origin="reference",
                            event_id=event.id,
                        )
                    )
            if report:
                mentioned[event.id] = list(self._places.mentioned(texts_of(event.data)))
        found = await graph.save(
            self._session, [t for things in mentioned.values() for t in things]
        )
        for event in batch:
            subject = self._node(nodes, event.data["refs"][0])
            for thing in mentioned.get(event.id, ()):
                node = found.get(thing.names[0])
                if node is not None and subject is not None and node.id != subject.id:
                    links.append(
                        NewLink(
                            report_id=subject.id,
                            work_id=node.id,
                            origin="mention",
                            event_id=event.id,
                        )
                    )
        await graph.link(self._session, links)

    async def _plan(
        self, plans: Sequence[tuple[WaitingEvent, Plan, int]], subjects: Mapping[int, Node | None]
    ) -> None:
        every = [(event, todo, hop) for event, plan, hop in plans for todo in plan.todo]
        if not every:
            return
        again = sorted({event.id for event, _, _ in every if event.again})
        known = await deliveries.known(self._session, again) if again else {}
        new = [
            (event, todo, hop) for event, todo, hop in every
            if (event.id, todo.route_id, todo.step.name, todo.target) not in known
        ]  # fmt: skip
        ids = await deliveries.take_ids(self._session, len(new))
        await find_lanes(self._session, [todo for _, todo, _ in new])
        once = await deliveries.done_once(
            self._session,
            {
                (t.route_id, t.step.name, t.once_key)
                for _, t, _ in new
                if t.once_key and t.state == "pending"
            },
        )
        claims = await self._claim(new, ids)
        by_step = {**known}
        planned: list[deliveries.Planned] = []
        links: list[NewLink] = []
        for (event, todo, hop), delivery_id in zip(new, ids, strict=True):
            by_step[event.id, todo.route_id, todo.step.name, todo.target] = delivery_id
            subject = subjects[event.id]
            claim_id = node_id = None
            state, reason = todo.state, todo.reason
            if state == "pending" and todo.step.action == LINK:
                state, reason, node_id = await self._link_step(event, todo, subject)
            elif state == "pending" and todo.once_key:
                key = (todo.route_id, todo.step.name, todo.once_key)
                if key in once:
                    state, reason = "skipped", f"already done by dl_{once[key]}"
                else:
                    once[key] = delivery_id
            if state == "pending" and todo.about:
                claim = claims[todo.connection_id, todo.about]
                claim_id, node_id = claim.id, claim.node_id
                if claim.delivery_id != delivery_id:
                    state = "skipped"
                    reason = f"dl_{claim.delivery_id} creates the one about {todo.about!r}"
                if subject is not None and event.type.startswith(REPORTS):
                    links.append(
                        NewLink(
                            report_id=subject.id, work_id=node_id, claim_id=claim_id,
                            origin="created" if state == "pending" else "joined", event_id=event.id,
                        )
                    )  # fmt: skip
            after = by_step.get((event.id, todo.route_id, todo.step.after, todo.target))
            report = todo.report.id if todo.report and todo.target else None
            if report is None and subject is not None and event.type.startswith(REPORTS):
                report = subject.id
            planned.append(
                deliveries.Planned(
                    id=delivery_id, day=event.day, event_id=event.id, route_id=todo.route_id,
                    route=todo.route.name, route_version=todo.version, step=todo.step.name,
                    target=todo.target, connection_id=todo.connection_id, action=todo.step.action,
                    lane=todo.lane, inputs=todo.inputs, audience=todo.audience, state=state,
                    reason=reason, once_key=todo.once_key, claim_id=claim_id, node_id=node_id,
                    depends_on=after if state == "blocked" else None, report_id=report, hop=hop,
                    writes_to=todo.writes_to, words=todo.words,
                )
            )  # fmt: skip
        await deliveries.plan(self._session, planned)
        await graph.link(self._session, links)

    async def _claim(
        self, new: Sequence[tuple[WaitingEvent, Todo, int]], ids: Sequence[int]
    ) -> dict[tuple[int, str], graph.Claim]:
        wanted: dict[tuple[int, str], int] = {}
        for (event, todo, _), delivery_id in zip(new, ids, strict=True):
            if todo.creates and todo.state == "pending":
                manifest = self._world.manifests.get(self._world.systems[todo.connection_id][0])
                work = manifest is not None and self._places.is_work(manifest.id, todo.creates)
                # Only work items are shared by default; every message is one of its own.
                todo.about = todo.about or (event.subject if work else "")
                if todo.about:
                    wanted.setdefault((todo.connection_id, todo.about), delivery_id)
                    todo.lane = f"about/{todo.about}"
        return await graph.claim(self._session, wanted)

    async def _link_step(
        self, event: WaitingEvent, todo: Todo, subject: Node | None
    ) -> tuple[str, str, int | None]:
        """Do the hub's own action: link the event's subject to the work item that is named."""
        named = str((todo.inputs or {}).get("work_item") or "")
        kinds = [
            mention.kind
            for mention in (
                self._world.manifests[self._world.systems[todo.connection_id][0]].receives or _NO
            ).mentions
        ]
        if not named or subject is None or not kinds:
            return "dead", f"steps.{todo.step.name}.inputs.work_item: names no work item", None
        things = [Thing(connection_id=todo.connection_id, kind=kinds[0], key=named)]
        names = [(todo.connection_id, kind, named) for kind in kinds]
        found = await graph.find(self._session, names) or await graph.save(self._session, things)
        node = next(iter(found.values()))
        link = NewLink(report_id=subject.id, work_id=node.id, origin="action", event_id=event.id)
        await graph.link(self._session, [link])
        return "delivered", f"linked to {node.label}", node.id


@dataclass(frozen=True)
class _Empty:
    mentions: tuple[Any, ...] = ()


_NO = _Empty()


async def find_lanes(session: Session, todos: Sequence[Todo]) -> None:
    """Give one lane to what one thing is called by id and by key.

    A thing whose id became known only now keeps the lane that is open under its key, so nothing
    overtakes what waits there.
    """
    wanted = {todo.target_name for todo in todos if todo.target_name}
    nodes = await graph.find(session, wanted)
    twice = {
        (node.connection_id, f"{node.kind}/{node.key}"): node.id
        for node in nodes.values() if node.external_id and node.key
    }  # fmt: skip
    waiting = {twice[place]: place[1] for place in await deliveries.open_among(session, twice)}
    for todo in todos:
        node = nodes.get(todo.target_name) if todo.target_name else None
        if node is not None:
            todo.lane = waiting.get(node.id) or f"{node.kind}/{node.external_id or node.key}"
