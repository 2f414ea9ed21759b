"""What a route would do with an event that is there already."""

from __future__ import annotations

from typing import Any

from hub.route.definition import Route
from hub.route.plan import plan_event
from hub.route.select import Compiled, Routes
from hub.route.stage import manifests_of, world_of
from hub.store import events, graph
from hub.store.connections import Connections
from hub.store.pool import Database, transaction


async def dry_run(
    database: Database, connections: Connections, route: Route, event_id: int
) -> dict[str, Any] | None:
    """Say what a route would do with a stored event; nothing is stored or sent.

    Returns `{event, matched, clause?, fault?, steps: [{step, target, action, connection, audience,
    inputs, after?, once?, about?} | {step, clause} | {step, fault}]}`, or None for an unknown
    event. A step after another shows its inputs as templates: they need the result.
    """
    world = world_of(await connections.all(), manifests_of(connections))
    async with transaction(database) as session:
        event = (await events.by_ids(session, [event_id])).get(event_id)
        if event is None:
            return None
        node = await session.fetchval("select node_id from events where id = $1", event_id)
        ids = [node] if node else []
        reports, work_items = await graph.linked(session, ids)
    source = await connections.by_id(event.connection_id)
    if source is None:
        return None
    plan = plan_event(
        event, source, Routes([Compiled(0, 0, route)]), world,
        reports=reports.get(node, []), work_items=work_items.get(node, []),
    )  # fmt: skip
    if not plan.decisions:
        clause = f"on: {event.type} is not among {', '.join(route.on)}"
        return {"event": f"ev_{event_id}", "matched": False, "clause": clause, "steps": []}
    decision = {
        name: value for name, value in plan.decisions[0].items() if name not in {"route", "version"}
    }
    would = [
        {
            "step": todo.step.name, "target": todo.target, "action": todo.step.action,
            "connection": todo.step.connection, "state": todo.state, "reason": todo.reason,
            "audience": todo.audience, "after": todo.step.after, "once": todo.once_key,
            "about": todo.about,
            "inputs": todo.step.inputs if todo.state == "blocked" else todo.inputs,
        }
        for todo in plan.todo
    ]  # fmt: skip
    left_out = [note for note in decision.get("steps", []) if "clause" in note or "fault" in note]
    return {"event": f"ev_{event_id}", **decision, "steps": would, "left_out": left_out}
