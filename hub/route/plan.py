"""Which routes an event matches, on which clause the others fail, and what is to be done. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hub.links.ledger import words, writes_to
from hub.route.context import EventView
from hub.route.definition import LINK, Route, Step
from hub.route.render import TemplateFault, render, truth
from hub.route.select import Compiled, Routes
from hub.sdk.integration import ActionManifest, Audience, Manifest
from hub.store.connections import Connection
from hub.store.events import WaitingEvent
from hub.store.graph import Node

_TOLD = 50
"""So many verdicts of routes that did not match are stored with an event."""


@dataclass(slots=True)
class Todo:
    """One step for one event and one target of the fan-out."""

    route_id: int
    route: Route
    version: int
    step: Step
    connection_id: int
    target: str = ""
    report: Node | None = None
    work_item: Node | None = None
    state: str = "pending"
    reason: str = ""
    audience: Audience = "team"
    inputs: dict[str, Any] | None = None
    about: str = ""
    once_key: str | None = None
    target_name: tuple[int, str, str] | None = None
    """(connection, kind, id or key) of what the action writes to."""
    creates: str = ""
    lane: str = ""
    writes_to: str = ""
    words: str = ""


@dataclass(slots=True)
class Plan:
    """What one event leads to: things to do, and each route's verdict for the record.

    `faults` are steps that matched and cannot even be planned: the event has failed, and is
    replayed once they are mended.
    """

    todo: list[Todo] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class World:
    """What planning may look at: connections by name, manifests, and the names of connections."""

    by_name: Mapping[str, Connection]
    manifests: Mapping[str, Manifest]
    systems: Mapping[int, tuple[str, str]]

    def action(self, step: Step) -> ActionManifest | None:
        """Return the manifest of a step's action, or None when there is none such."""
        connection = self.by_name.get(step.connection)
        manifest = None if connection is None else self.manifests.get(connection.integration)
        sends = None if manifest is None else manifest.sends
        return None if sends is None else sends.actions.get(step.action)


def plan_event(
    event: WaitingEvent,
    source: Connection,
    routes: Routes,
    world: World,
    *,
    reports: Sequence[Node],
    work_items: Sequence[Node],
) -> Plan:
    """Meet an event with the routes, in their order.

    `reports` are the things linked to the event's work item, `work_items` those linked to its
    report. One route's fault is that route's alone.
    """
    plan = Plan()
    seen = EventView(event, source.name, world.systems)
    taking = routes.of(event.type, source.name)
    fitting = routes.fitting(event.type, source.name, seen.base("team")) if taking else frozenset()
    # With few routes each is told why it did not match; with many, the first of them are.
    for position in range(len(taking)) if len(taking) <= _TOLD else _shown(fitting, len(taking)):
        compiled = taking[position]
        route = compiled.route
        decision: dict[str, Any] = {
            "route": route.name,
            "version": compiled.version,
            "matched": False,
        }
        plan.decisions.append(decision)
        if route.connections and source.name not in route.connections:
            decision["clause"] = f"connections: {source.name} is not listed"
            continue
        if position not in fitting:
            decision["clause"] = f"when: {route.when}"
            continue
        base = seen.context(
            route, "team", report=reports[0] if reports else None,
            work_item=work_items[0] if work_items else None,
        )  # fmt: skip
        try:
            matched = truth(route.when, base, "when")
        except TemplateFault as fault:
            if fault.undefined:
                decision["clause"] = f"when: {fault.problem}"
                continue
            decision.update(matched=True, fault=str(fault))
            _dead(plan, compiled, route.steps[0], world, str(fault))
            continue
        if not matched:
            decision["clause"] = f"when: {route.when}"
            continue
        decision["matched"] = True
        targets: list[tuple[str, Node | None, Node | None]]
        if route.for_each == "report":
            targets = [(f"nd_{n.id}", n, work_items[0] if work_items else None) for n in reports]
            decision["for_each"] = [name for name, _, _ in targets]
        elif route.for_each == "work_item":
            targets = [(f"nd_{n.id}", None, n) for n in work_items]
            decision["for_each"] = [name for name, _, _ in targets]
        else:
            targets = [("", reports[0] if reports else None, work_items[0] if work_items else None)]
        if not targets:
            decision["clause"] = f"for_each: no linked {route.for_each.replace('_', ' ')}"
        steps: list[dict[str, Any]] = []
        decision["steps"] = steps
        for target, report, work_item in targets:
            todo = Todo(
                route_id=compiled.id, route=route, version=compiled.version, step=route.steps[0],
                connection_id=0, target=target, report=report, work_item=work_item,
            )  # fmt: skip
            _steps(event, seen, compiled, world, todo, plan, steps)
    untold = len(taking) - len(plan.decisions)
    if untold:
        plan.decisions.append({"route": f"{untold} more", "version": 0, "matched": False,
                               "clause": "their conditions name other words, or another connection"})  # fmt: skip
    return plan


def _shown(fitting: frozenset[int], count: int) -> list[int]:
    """Return the positions whose verdict is stored: all that fit, and the first that do not."""
    others = (position for position in range(count) if position not in fitting)
    return sorted((*fitting, *islice(others, _TOLD)))


def _steps(
    event: WaitingEvent, seen: EventView, compiled: Compiled, world: World, like: Todo, plan: Plan,
    notes: list[dict[str, Any]],
) -> None:  # fmt: skip
    """Plan every step of a route for one target."""
    left_out: set[str] = set()
    for step in compiled.route.steps:
        connection = world.by_name.get(step.connection)
        if connection is None:
            fault = f"there is no connection {step.connection!r}"
            notes.append({"step": step.name, "target": like.target, "fault": fault})
            plan.faults.append(f"route {compiled.route.name}, steps.{step.name}: {fault}")
            left_out.add(step.name)
            continue
        if step.after in left_out:
            notes.append(
                {
                    "step": step.name,
                    "target": like.target,
                    "clause": f"after: {step.after} was left out",
                }
            )
            left_out.add(step.name)
            continue
        todo = Todo(
            route_id=compiled.id, route=compiled.route, version=compiled.version, step=step,
            connection_id=connection.id, target=like.target, report=like.report,
            work_item=like.work_item,
        )  # fmt: skip
        if step.after:
            todo.state = "blocked"
            todo.reason = f"waits for step {step.after}"
        else:
            fill(todo, event, seen, world, steps={})
        if todo.state == "left_out":
            notes.append({"step": step.name, "target": like.target, "clause": todo.reason})
            left_out.add(step.name)
            continue
        if not step.after:
            notes.append({"step": step.name, "target": like.target, "inputs": todo.inputs} if todo.state == "pending"
                         else {"step": step.name, "target": like.target, "fault": todo.reason})  # fmt: skip
        plan.todo.append(todo)


def fill(
    todo: Todo,
    event: WaitingEvent,
    seen: EventView,
    world: World,
    *,
    steps: Mapping[str, Mapping[str, Any]],
) -> None:
    """Decide a step's condition and render its inputs; sets state, reason, inputs, lane parts.

    The state becomes `pending`, `dead` (a fault, named), or `left_out` (its condition is false).
    """
    step, route = todo.step, todo.route
    place = f"steps.{step.name}"

    def context(audience: Audience) -> dict[str, Any]:
        return seen.context(
            route, audience, report=todo.report, work_item=todo.work_item, steps=steps
        )

    team = context("team")
    try:
        if not truth(step.when, team, f"{place}.when"):
            todo.state, todo.reason = "left_out", f"when: {step.when}"
            return
    except TemplateFault as fault:
        todo.state, todo.reason = ("left_out" if fault.undefined else "dead"), str(fault)
        return
    action = world.action(step)
    try:
        if step.action == LINK:
            todo.inputs = _object(render(dict(step.inputs), team, f"{place}.inputs"))
            todo.state = "pending"
            return
        if action is None:
            todo.state, todo.reason = (
                "dead",
                f"{place}: {step.connection} has no action {step.action!r}",
            )
            return
        todo.audience = action.audience_of(step.inputs)
        shown = context(todo.audience)
        inputs = _object(render(dict(step.inputs), shown, f"{place}.inputs"))
        # A template may decide the audience itself; what was rendered for the team stays there.
        if action.audience_of(inputs) == "customer" and todo.audience != "customer":
            todo.audience = "customer"
            inputs = _object(render(dict(step.inputs), context("customer"), f"{place}.inputs"))
        todo.inputs = {name: value for name, value in inputs.items() if value is not None}
        todo.creates = action.creates
        if action.creates and step.about:
            todo.about = str(render(step.about, team, f"{place}.about"))
        if step.once:
            todo.once_key = str(render(step.once, team, f"{place}.once"))
        elif todo.target and event.type == "work_item.status_changed":
            todo.once_key = f"{todo.target}:{event.data['status']['name']}"
    except TemplateFault as fault:
        todo.state, todo.reason = "dead", str(fault)
        return
    todo.state = "pending"
    todo.writes_to, todo.words = writes_to(action, todo.inputs), words(action, todo.inputs)
    names = action.lane or ((action.target.input,) if action.target else ())
    todo.lane = "/".join(str(todo.inputs.get(name, "")) for name in names) or event.subject
    if action.target is not None and not action.lane:
        name = str(todo.inputs.get(action.target.input, ""))
        todo.target_name = (todo.connection_id, action.target.kind, name)
        todo.lane = f"{action.target.kind}/{name}"


def _dead(plan: Plan, compiled: Compiled, step: Step, world: World, reason: str) -> None:
    """Keep a route's fault as a dead letter of its first step."""
    connection = world.by_name.get(step.connection)
    if connection is None:
        plan.faults.append(f"route {compiled.route.name}: {reason}")
        return
    plan.todo.append(
        Todo(
            route_id=compiled.id, route=compiled.route, version=compiled.version, step=step,
            connection_id=connection.id, state="dead", reason=reason,
        )
    )  # fmt: skip


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
