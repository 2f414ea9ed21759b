"""Why did this happen, why did nothing happen: the whole chain of one webhook, event or thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.store.lanes import BREAKER_FAILURES
from hub.store.pool import Database, Row, Session, transaction

_WEBHOOK = """
select w.id, c.name as connection, c.integration, w.dedupe_key, w.received_at, w.state, w.reason,
    w.duplicates, w.finished_at
from webhooks w join connections c on c.id = w.connection_id where w.id = $1
"""
_EVENTS = """
select e.id, e.webhook_id, c.name as connection, e.type, e.subject, e.time, e.state, e.reason,
    e.node_id, e.echo_of, e.hop, e.decisions, e.created_at, e.routed_at
from events e join connections c on c.id = e.connection_id where {} order by e.id desc limit {}
"""
_DELIVERIES = """
select d.id, d.event_id, d.route, d.route_version, d.step, d.target, d.replay,
    c.name as connection, c.state as connection_state, c.reason as connection_reason,
    c.parked_until, d.action, d.lane, d.inputs, d.audience, d.state, d.reason, d.due_at, d.attempts,
    d.waits, d.once_key, d.depends_on, d.claim_id, d.report_id, d.maybe_duplicate, d.result,
    d.node_id, d.created_at, d.finished_at, d.tries as tried, d.worker, d.started_at,
    c.failures as connection_failures, w.before, w.after,
    (select min(o.id) from deliveries o where o.connection_id = d.connection_id and o.lane = d.lane
        and o.state in ('pending', 'in_flight') and o.id < d.id
        and d.state in ('pending', 'in_flight')) as behind
from deliveries d join connections c on c.id = d.connection_id
left join lateral (select before, after from writes where delivery_id = d.id order by day desc
    limit 1) w on true
where {} order by d.id limit 500
"""
_ATTEMPTS = """
select id, delivery_id, number, worker, started_at, finished_at, outcome, status, error, calls
from attempts where delivery_id = any($1::bigint[]) order by delivery_id, number
"""
_NODE = """
select n.id, c.name as connection, c.integration as system, n.kind, n.external_id, n.key, n.url,
    n.title, n.customer, n.status, n.category, n.changed, n.created_at
from nodes n join connections c on c.id = n.connection_id where n.id = any($1::bigint[])
"""
_LINKS = """
select id, report_id, work_id, claim_id, origin, event_id, created_at, removed_at
from links where report_id = $1 or work_id = $1 order by id
"""


async def explain(database: Database, name: str) -> dict[str, Any] | None:
    """Explain `wh_1`, `ev_1`, `dl_1`, `nd_1`, or `system/kind/id-or-key`; None when unknown.

    Raises `StoreAway`.
    """
    prefix, _, number = name.partition("_")
    async with transaction(database) as session:
        if number.isdigit() and len(number) < 19:  # noqa: PLR2004 - a bigint has 19 digits
            found = int(number)
            if prefix == "wh":
                return await _webhook(session, found)
            if prefix == "ev":
                return next(iter(await _events(session, "e.id = $1", found)), None)
            if prefix == "dl":
                return next(iter(await _deliveries(session, "d.id = $1", found)), None)
            if prefix == "nd":
                return await _node(session, found)
        if name.count("/") == 2:  # noqa: PLR2004
            system, kind, key = name.split("/")
            node = await session.fetchval(
                "select n.id from nodes n join connections c on c.id = n.connection_id "
                "where c.integration = $1 and n.kind = $2 and (n.external_id = $3 or n.key = $3) "
                "order by (n.external_id = $3) desc, n.id desc limit 1",
                system, kind, key,
            )  # fmt: skip
            return None if node is None else await _node(session, node)
    return None


async def explain_webhook(database: Database, webhook_id: int) -> dict[str, Any] | None:
    """Return a webhook, what it became, and what came of that."""
    return await explain(database, f"wh_{webhook_id}")


async def explain_event(database: Database, event_id: int) -> dict[str, Any] | None:
    """Return an event, each route's verdict, and its deliveries with their attempts."""
    return await explain(database, f"ev_{event_id}")


async def explain_node(database: Database, node_id: int) -> dict[str, Any] | None:
    """Return a thing, what is linked to it, what happened to it, and who was told of it."""
    return await explain(database, f"nd_{node_id}")


async def _webhook(session: Session, webhook_id: int) -> dict[str, Any] | None:
    row = await session.fetchrow(_WEBHOOK, webhook_id)
    if row is None:
        return None
    found = _named(row, id="wh")
    found["events"] = (await _events(session, "e.webhook_id = $1", webhook_id))[::-1]
    return found


async def _events(
    session: Session, where: str, value: Any, limit: int = 100
) -> list[dict[str, Any]]:
    rows = await session.fetch(_EVENTS.format(where, limit), value)
    ids = [row["id"] for row in rows]
    grouped: dict[str, list[dict[str, Any]]] = {}
    for delivery in await _deliveries(session, "d.event_id = any($1::bigint[])", ids):
        grouped.setdefault(delivery["event_id"], []).append(delivery)
    found = [_named(row, id="ev", webhook_id="wh", node_id="nd", echo_of="dl") for row in rows]
    for event in found:
        event["deliveries"] = grouped.get(event["id"], [])
    return found


async def _deliveries(session: Session, where: str, value: Any) -> list[dict[str, Any]]:
    rows = await session.fetch(_DELIVERIES.format(where), value)
    found = [
        _named(
            row, id="dl", event_id="ev", depends_on="dl", behind="dl", node_id="nd", report_id="nd"
        )
        for row in rows
    ]
    attempts: dict[int, list[dict[str, Any]]] = {}
    for row in await session.fetch(_ATTEMPTS, [row["id"] for row in rows]):
        attempts.setdefault(row["delivery_id"], []).append(_named(row, id="at", delivery_id="dl"))
    for row, delivery in zip(rows, found, strict=True):
        delivery["tries"] = attempts.get(row["id"], []) + _under_way(row)
        for name in ("tried", "worker", "started_at"):
            del delivery[name]
        delivery["waits_for"] = _waits_for(delivery)
    return found


async def _node(session: Session, node_id: int) -> dict[str, Any] | None:
    links = await session.fetch(_LINKS, node_id)
    others = {n for row in links for n in (row["report_id"], row["work_id"]) if n}
    nodes = {
        row["id"]: _named(row, id="nd") for row in await session.fetch(_NODE, [node_id, *others])
    }
    found = nodes.get(node_id)
    if found is None:
        return None
    found = dict(found)
    found["links"] = [
        {
            **_named(row, id="ln", report_id="nd", work_id="nd", event_id="ev"),
            "report": nodes.get(row["report_id"]),
            "work_item": nodes.get(row["work_id"]),
        }
        for row in links
    ]
    found["events"] = (await _events(session, "e.node_id = $1", node_id))[::-1]
    told = await _deliveries(
        session,
        "(d.node_id = $1 or d.report_id = $1 or d.report_id in "
        "(select report_id from links where work_id = $1)) and d.state <> 'skipped'",
        node_id,
    )
    here = {delivery["id"] for event in found["events"] for delivery in event["deliveries"]}
    found["told"] = [
        delivery
        for delivery in told
        if delivery["audience"] == "customer" or delivery["id"] not in here
    ]
    return found


def _under_way(row: Row) -> list[dict[str, Any]]:
    """Return the attempt that has left and is not answered yet."""
    if row["state"] != "in_flight":
        return []
    return [
        {"id": None, "delivery_id": f"dl_{row['id']}", "number": row["tried"],
         "worker": row["worker"], "started_at": row["started_at"], "finished_at": None,
         "outcome": "in_flight", "status": None, "error": "", "calls": None}
    ]  # fmt: skip


def _waits_for(delivery: Mapping[str, Any]) -> str:
    """Say in words what a delivery waits for; empty when it does not wait."""
    if delivery["state"] == "blocked":
        return f"step before it: {delivery['depends_on']}"
    if delivery["state"] != "pending":
        return ""
    if delivery["connection_state"] != "active":
        return f"connection {delivery['connection']} is {delivery['connection_state']}: {delivery['connection_reason']}"
    if delivery["behind"]:
        return f"behind {delivery['behind']} in lane {delivery['lane']}"
    if delivery["parked_until"] and delivery["connection_failures"] >= BREAKER_FAILURES:
        return (
            f"connection {delivery['connection']} failed {delivery['connection_failures']} times in "
            f"a row; the next try is at {delivery['parked_until']}"
        )
    if delivery["parked_until"]:
        return f"the vendor's rate limit, until {delivery['parked_until']}"
    return f"due at {delivery['due_at']}"


def _named(row: Row, **prefixes: str) -> dict[str, Any]:
    """Return a row with its numbers as public ids (`ev_7`)."""
    values = dict(row)
    for name, prefix in prefixes.items():
        if values.get(name) is not None:
            values[name] = f"{prefix}_{values[name]}"
    return values
