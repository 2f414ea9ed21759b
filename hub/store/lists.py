"""What the admin API lists: newest first, with filters and a cursor."""

from __future__ import annotations

import json as std_json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.sdk.errors import InvalidInput
from hub.sdk.schemas import dataschema
from hub.store.pool import Database, Row, away_as_error

_CONNECTION = "{table}.connection_id = (select id from connections where name = {{}})"


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: its query, the prefix of its ids, and its filters (name -> clause with `{}`)."""

    prefix: str
    select: str
    filters: Mapping[str, str]
    id: str
    prefixes: Mapping[str, str]


_TIMES = {
    "since": "{column} >= {{}}::text::timestamptz",
    "until": "{column} < {{}}::text::timestamptz",
}


def _times(column: str) -> dict[str, str]:
    return {name: clause.format(column=column) for name, clause in _TIMES.items()}


_DELIVERY = (
    "select d.id, d.event_id, d.route, d.route_version, d.step, d.target, d.replay, "
    "c.name as connection, d.action, d.lane, d.state, d.reason, d.due_at, d.attempts, d.waits, "
    "d.audience, d.depends_on, d.report_id, d.node_id, d.maybe_duplicate, d.created_at, "
    "d.finished_at from deliveries d join connections c on c.id = d.connection_id"
)
LISTS: dict[str, Listing] = {
    "webhooks": Listing(
        "wh",
        "select w.id, c.name as connection, c.integration, w.dedupe_key, w.received_at, w.state, "
        "w.reason, w.duplicates, octet_length(w.body) as bytes, w.finished_at "
        "from webhooks w join connections c on c.id = w.connection_id",
        {
            "state": "w.state = {}",
            "connection": _CONNECTION.format(table="w"),
            "q": "(w.reason ilike '%' || {} || '%' or w.dedupe_key = {})",
            **_times("w.received_at"),
        },
        "w.id",
        {"id": "wh"},
    ),
    "events": Listing(
        "ev",
        "select e.id, e.webhook_id, c.name as connection, e.type, e.subject, e.time, e.state, "
        "e.reason, e.node_id, e.echo_of, e.hop, e.created_at, e.routed_at "
        "from events e join connections c on c.id = e.connection_id",
        {
            "state": "e.state = {}",
            "type": "e.type = {}",
            "subject": "e.subject = {}",
            "connection": _CONNECTION.format(table="e"),
            "q": "e.data::text ilike '%' || {} || '%'",
            **_times("e.created_at"),
        },
        "e.id",
        {"id": "ev", "webhook_id": "wh", "node_id": "nd", "echo_of": "dl"},
    ),
    "deliveries": Listing(
        "dl",
        _DELIVERY,
        {
            "state": "d.state = {}",
            "route": "d.route = {}",
            "action": "d.action = {}",
            "lane": "d.lane = {}",
            "event": "'ev_' || d.event_id = {}",
            "connection": _CONNECTION.format(table="d"),
            "q": "d.reason ilike '%' || {} || '%'",
            **_times("d.created_at"),
        },
        "d.id",
        {"id": "dl", "event_id": "ev", "depends_on": "dl", "report_id": "nd", "node_id": "nd"},
    ),
    "attempts": Listing(
        "at",
        "select a.id, a.delivery_id, a.number, a.worker, a.started_at, a.finished_at, a.outcome, "
        "a.status, a.error from attempts a",
        {
            "delivery": "'dl_' || a.delivery_id = {}",
            "outcome": "a.outcome = {}",
            "q": "a.error ilike '%' || {} || '%'",
            **_times("a.started_at"),
        },
        "a.id",
        {"id": "at", "delivery_id": "dl"},
    ),
    "links": Listing(
        "ln",
        "select l.id, l.report_id, l.work_id, l.origin, l.event_id, l.created_at, l.removed_at, "
        "rc.integration || '/' || r.kind || '/' || coalesce(nullif(r.key, ''), r.external_id) as report, "
        "wc.integration || '/' || w.kind || '/' || coalesce(nullif(w.key, ''), w.external_id) as work_item "
        "from links l join nodes r on r.id = l.report_id join connections rc on rc.id = r.connection_id "
        "left join nodes w on w.id = l.work_id left join connections wc on wc.id = w.connection_id",
        {
            "report": "'nd_' || l.report_id = {}",
            "work_item": "'nd_' || l.work_id = {}",
            "origin": "l.origin = {}",
            **_times("l.created_at"),
        },
        "l.id",
        {"id": "ln", "report_id": "nd", "work_id": "nd", "event_id": "ev"},
    ),
    "things": Listing(
        "nd",
        "select n.id, c.name as connection, c.integration as system, n.kind, n.external_id, n.key, "
        "n.url, n.title, n.customer, n.status, n.category, n.created_at "
        "from nodes n join connections c on c.id = n.connection_id",
        {
            "system": "c.integration = {}",
            "connection": "c.name = {}",
            "kind": "n.kind = {}",
            "key": "(n.key = {0} or n.external_id = {0})",
            "q": "n.title::text ilike '%' || {} || '%'",
        },
        "n.id",
        {"id": "nd"},
    ),
    "audit": Listing(
        "au",
        "select x.id, x.at, x.actor, x.action, x.object, x.detail from audit x",
        {"actor": "x.actor = {}", "action": "x.action = {}", "object": "x.object = {}", **_times("x.at")},
        "x.id",
        {"id": "au"},
    ),
}  # fmt: skip
LISTS["dead-letters"] = LISTS["deliveries"]


async def page(
    database: Database, name: str, filters: Mapping[str, str], *, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Return up to `limit` rows with ids below `before`, and the id to go on before, if any.

    Raises `InvalidInput` for a filter the list does not have, and `StoreAway`.
    """
    listing = LISTS[name]
    clauses: list[str] = []
    values: list[Any] = []
    if name == "dead-letters":
        clauses.append("d.state = 'dead'")
    for field, value in filters.items():
        if field not in listing.filters:
            known = ", ".join(sorted(listing.filters))
            raise InvalidInput(field, "is not a filter of this list", f"there is: {known}")
        values.append(value)
        place = f"${len(values)}"
        clauses.append(listing.filters[field].replace("{0}", place).replace("{}", place))
    if before is not None:
        values.append(before)
        clauses.append(f"{listing.id} < ${len(values)}")
    where = f" where {' and '.join(clauses)}" if clauses else ""
    async with away_as_error():
        rows = await database.fetch(
            f"{listing.select}{where} order by {listing.id} desc limit {int(limit) + 1}", *values
        )
    items = [_named(row, listing.prefixes) for row in rows[:limit]]
    more = rows[limit - 1]["id"] if len(rows) > limit else None
    return items, more


async def webhook(database: Database, webhook_id: int) -> dict[str, Any] | None:
    """Return one webhook whole: headers as kept, body as text where it is text."""
    async with away_as_error():
        row = await database.fetchrow(
            "select w.id, c.name as connection, c.integration, w.dedupe_key, w.received_at, w.path, "
            "w.query, w.headers, w.body, w.state, w.reason, w.duplicates, w.finished_at from webhooks w "
            "join connections c on c.id = w.connection_id where w.id = $1",
            webhook_id,
        )
        if row is None:
            return None
        events = await database.fetch(
            "select id from events where webhook_id = $1 order by ordinal", webhook_id
        )
    found = _named(row, {"id": "wh"})
    found["body"] = bytes(row["body"]).decode("utf-8", "replace")
    found["events"] = [f"ev_{item['id']}" for item in events]
    return found


async def event(database: Database, event_id: int) -> dict[str, Any] | None:
    """Return one event: the CloudEvents document, and what was decided."""
    async with away_as_error():
        row = await database.fetchrow(
            "select e.*, c.name as connection from events e "
            "join connections c on c.id = e.connection_id where e.id = $1",
            event_id,
        )
    if row is None:
        return None
    found = _named(row, LISTS["events"].prefixes)
    return {
        "id": found["id"],
        "event": {
            "specversion": "1.0",
            "id": found["id"],
            "source": f"/connections/{row['connection']}",
            "type": row["type"],
            "subject": row["subject"],
            "time": row["time"],
            "dataschema": dataschema(row["type"]),
            "datacontenttype": "application/json",
            "data": row["data"],
        },
        **{
            name: found[name]
            for name in ("webhook_id", "connection", "state", "reason", "node_id", "echo_of", "hop",
                         "decisions", "created_at", "routed_at")
        },
    }  # fmt: skip


async def one(database: Database, name: str, number: int) -> dict[str, Any] | None:
    """Return one row of a list by its number."""
    listing = LISTS[name]
    async with away_as_error():
        row = await database.fetchrow(f"{listing.select} where {listing.id} = $1", number)
    return None if row is None else _named(row, listing.prefixes)


def _named(row: Row, prefixes: Mapping[str, str]) -> dict[str, Any]:
    values = dict(row)
    for name, prefix in prefixes.items():
        if values.get(name) is not None:
            values[name] = f"{prefix}_{values[name]}"
    return values


def dump_cursor(before: int) -> str:
    """Write the place a page ends at."""
    return std_json.dumps(before).encode().hex()


def read_cursor(cursor: str) -> int:
    """Read a cursor. Raises `InvalidInput`."""
    try:
        return int(std_json.loads(bytes.fromhex(cursor)))
    except (ValueError, TypeError):
        raise InvalidInput(
            "cursor", "is not one this API gave", "take `next` of the page before"
        ) from None
