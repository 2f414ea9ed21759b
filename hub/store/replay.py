"""Do it again: webhooks through normalizing, events through the routes, deliveries out.

Replaying a webhook or an event makes only what is not there yet: what it led to before keeps its
identity, so nothing is sent twice. A delivery that is dead or skipped is tried again as itself,
with the marker it had; one that was delivered is sent again only with `force`, as a new delivery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from hub.store.deliveries import open_lanes
from hub.store.pool import Database, Session, transaction

Kind = Literal["webhook", "event", "delivery"]

_FILTERS: dict[str, dict[str, str]] = {
    "webhook": {
        "state": "x.state = {}",
        "connection": "x.connection_id = (select id from connections where name = {})",
        "q": "x.reason ilike '%' || {} || '%'",
    },
    "event": {
        "state": "x.state = {}",
        "type": "x.type = {}",
        "subject": "x.subject = {}",
        "connection": "x.connection_id = (select id from connections where name = {})",
        "q": "x.reason ilike '%' || {} || '%'",
    },
    "delivery": {
        "state": "x.state = {}",
        "route": "x.route = {}",
        "action": "x.action = {}",
        "connection": "x.connection_id = (select id from connections where name = {})",
        "q": "x.reason ilike '%' || {} || '%'",
    },
}
_TIME = {"webhook": "x.received_at", "event": "x.created_at", "delivery": "x.created_at"}
_TABLE = {"webhook": "webhooks", "event": "events", "delivery": "deliveries"}
_DEAD = "state in ('dead', 'skipped')"
_AGAIN = """
insert into deliveries (day, event_id, route_id, route, route_version, step, target, replay,
    connection_id, action, lane, inputs, audience, state, reason, claim_id, report_id, hop,
    writes_to, words)
select day, event_id, route_id, route, route_version, step, target,
    (select max(replay) + 1 from deliveries o where o.event_id = d.event_id
        and o.route_id = d.route_id and o.step = d.step and o.target = d.target),
    connection_id, action, lane, inputs, audience, 'pending', 'sent again by hand', claim_id,
    report_id, 0, writes_to, words
from deliveries d where id = any($1::bigint[]) and state = 'delivered' and inputs is not null
returning connection_id, lane, day
"""
# One that joined another's creation stays skipped: tried by itself it would make a second one.
_RETRY = f"""
update deliveries set state = 'pending', reason = '', attempts = 0, waits = 0, due_at = now(),
    finished_at = null, replayed_at = now(), once_key = case when state = 'skipped' then null else once_key end
where id = any($1::bigint[]) and {_DEAD} and inputs is not null and lane <> ''
  and (claim_id is null or claim_id in (select c.id from claims c where c.delivery_id = deliveries.id))
returning connection_id, lane, day
"""  # noqa: S608 - constants only
# Nothing was rendered for these: the route's templates are tried on the event once more.
_UNRENDERED = f"""
delete from deliveries where id = any($1::bigint[]) and {_DEAD} and inputs is null
returning event_id, id
"""  # noqa: S608


class UnknownFilter(ValueError):
    """A filter that replay does not know."""


async def replay(
    database: Database,
    kind: Kind,
    *,
    ids: Sequence[int] = (),
    filters: Mapping[str, object] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    force: bool = False,
    limit: int = 10_000,
) -> int:
    """Replay what is named by id, or by filters and time range, oldest first; returns how many.

    Raises `UnknownFilter`, and `StoreAway`.
    """
    async with transaction(database) as session:
        chosen = await _choose(session, kind, ids, filters or {}, since, until, limit)
        if not chosen:
            return 0
        if kind == "webhook":
            return await _count(
                session,
                "update webhooks set state = 'received', reason = '', finished_at = null "
                # The hub's own notices were never normalized.
                "where id = any($1::bigint[]) and connection_id not in "
                "(select id from connections where integration = 'hub')",
                chosen,
            )
        if kind == "event":
            return await _events(session, chosen)
        return await _deliveries(session, chosen, force=force)


async def _choose(
    session: Session, kind: Kind, ids: Sequence[int], filters: Mapping[str, object],
    since: datetime | None, until: datetime | None, limit: int,
) -> list[int]:  # fmt: skip
    clauses: list[str] = []
    values: list[Any] = []

    def add(clause: str, value: Any) -> None:
        values.append(value)
        clauses.append(clause.format(f"${len(values)}"))

    if ids:
        add("x.id = any({}::bigint[])", list(ids))
    for name, value in filters.items():
        if name not in _FILTERS[kind]:
            known = ", ".join(sorted(_FILTERS[kind]))
            message = f"{name!r} is not a filter of a {kind}; there is: {known}"
            raise UnknownFilter(message)
        add(_FILTERS[kind][name], str(value))
    if since is not None:
        add(_TIME[kind] + " >= {}", since)
    if until is not None:
        add(_TIME[kind] + " < {}", until)
    if not clauses:
        message = "name ids, a filter or a time range; replaying everything is not meant"
        raise UnknownFilter(message)
    rows = await session.fetch(
        f"select x.id from {_TABLE[kind]} x where {' and '.join(clauses)} "  # noqa: S608 - constants
        f"order by x.id limit {int(limit)}",
        *values,
    )
    return [row["id"] for row in rows]


async def _events(session: Session, chosen: Sequence[int]) -> int:
    return await _count(
        session,
        "update events set state = 'waiting', reason = '', routed_at = null "
        "where id = any($1::bigint[])",
        chosen,
    )


async def _deliveries(session: Session, chosen: Sequence[int], *, force: bool) -> int:
    rows = list(await session.fetch(_RETRY, list(chosen)))
    unrendered = await session.fetch(_UNRENDERED, list(chosen))
    if unrendered:
        await session.execute(
            "delete from once where delivery_id = any($1::bigint[])",
            [row["id"] for row in unrendered],
        )
        await _events(session, sorted({row["event_id"] for row in unrendered}))
    if force:
        rows += await session.fetch(_AGAIN, list(chosen))
    await open_lanes(session, {(row["connection_id"], row["lane"], row["day"]) for row in rows})
    return len(rows) + len(unrendered)


async def _count(session: Session, statement: str, ids: Sequence[int]) -> int:
    status = await session.execute(statement, list(ids))
    return int(status.rpartition(" ")[2])
