"""Deliveries as routing plans them, and steps that wait for an earlier one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import msgspec

from hub.store.pool import Session


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as routing decided it. Its id was taken from the sequence before."""

    id: int
    day: date
    event_id: int
    route_id: int
    route: str
    route_version: int
    step: str
    target: str = ""
    connection_id: int
    action: str
    lane: str = ""
    inputs: dict[str, Any] | None = None
    audience: str = "team"
    state: str
    reason: str = ""
    once_key: str | None = None
    depends_on: int | None = None
    claim_id: int | None = None
    report_id: int | None = None
    hop: int = 0
    node_id: int | None = None
    writes_to: str = ""
    words: str = ""


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery whose earlier step has ended, ready to be rendered or skipped."""

    id: int
    day: date
    event_id: int
    route: str
    step: str
    route_id: int
    route_version: int
    connection_id: int
    report_id: int | None
    target: str
    definition: dict[str, Any] | None


_PLAN = """
insert into deliveries (id, day, event_id, route_id, route, route_version, step, target,
    connection_id, action, lane, inputs, audience, state, reason, once_key, depends_on, claim_id,
    report_id, hop, node_id, writes_to, words, finished_at)
select id, day, event_id, route_id, route, route_version, step, target,
    connection_id, action, lane, inputs, audience, state, reason, once_key, depends_on, claim_id,
    report_id, hop, node_id, writes_to, words,
    case when state in ('delivered', 'skipped', 'dead') then now() end
from unnest($1::bigint[], $2::date[], $3::bigint[], $4::bigint[], $5::text[], $6::int[],
    $7::text[], $8::text[], $9::bigint[], $10::text[], $11::text[], $12::json[], $13::text[],
    $14::text[], $15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::bigint[],
    $20::smallint[], $21::bigint[], $22::text[], $23::text[]) as p (id, day, event_id, route_id,
    route, route_version, step, target, connection_id, action, lane, inputs, audience, state,
    reason, once_key, depends_on, claim_id, report_id, hop, node_id, writes_to, words)
order by id
"""
_ONCE = """
insert into once (route_id, step, once_key, delivery_id)
select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[])
on conflict (route_id, step, once_key) do nothing
"""
# `touched` tells the worker that empties a lane that something came meanwhile.
_OPEN_LANES = """
insert into lanes (connection_id, lane, day)
select connection_id, lane, min(day)
from unnest($1::bigint[], $2::text[], $3::date[]) as l (connection_id, lane, day)
group by connection_id, lane order by connection_id, lane
on conflict (connection_id, lane) do update set due_at = least(lanes.due_at, excluded.due_at),
    day = least(lanes.day, excluded.day), touched = lanes.touched + 1
"""
_UNBLOCKED = """
select (select revision from configuration) as revision, d.id, d.day, d.event_id, d.route, d.step,
    d.route_id, d.route_version, d.connection_id, d.report_id, d.target, r.definition
from deliveries d join deliveries p on p.id = d.depends_on and p.day = d.day
left join routes r on r.id = d.route_id left join claims c on c.id = p.claim_id
where d.state = 'blocked' and (p.state = 'delivered' or p.state = 'skipped'
    and (c.id is null or c.node_id is not null or c.delivery_id = p.id)){}
order by d.id limit $1 for update of d skip locked
"""
# What ended, and what had joined the creation that ended.
_AFTER = """
 and d.depends_on = any(array(
    select unnest($2::bigint[]) union select j.id from deliveries j
    where j.claim_id in (select c.id from claims c where c.delivery_id = any($2::bigint[]))))
"""
_RELEASE = """
update deliveries set state = $3, reason = $4, lane = $5, inputs = $6, audience = $7,
    writes_to = $8, words = $9, due_at = now(),
    finished_at = case when $3 <> 'pending' then now() end
where id = $1 and day = $2
"""


class OnceTaken(Exception):
    """Another transaction did, at the same moment, what may be done once."""


async def take_ids(session: Session, count: int) -> list[int]:
    """Take `count` delivery ids from the sequence, rising."""
    rows = await session.fetch(
        "select nextval('deliveries_id_seq') as id from generate_series(1, $1)", count
    )
    return sorted(row["id"] for row in rows)


async def known(session: Session, event_ids: Sequence[int]) -> dict[tuple[int, int, str, str], int]:
    """Return the deliveries that events have already: (event, route, step, target) -> id."""
    rows = await session.fetch(
        "select event_id, route_id, step, target, id from deliveries "
        "where event_id = any($1::bigint[]) order by replay",
        list(event_ids),
    )
    return {(r["event_id"], r["route_id"], r["step"], r["target"]): r["id"] for r in rows}


async def done_once(
    session: Session, keys: Iterable[tuple[int, str, str]]
) -> dict[tuple[int, str, str], int]:
    """Return who did what is done once: (route, step, once key) -> delivery."""
    wanted = list(keys)
    if not wanted:
        return {}
    rows = await session.fetch(
        "select o.route_id, o.step, o.once_key, o.delivery_id as id "
        "from unnest($1::bigint[], $2::text[], $3::text[]) as t (route_id, step, once_key) "
        "join once o on o.route_id = t.route_id and o.step = t.step and o.once_key = t.once_key",
        *map(list, zip(*wanted, strict=True)),
    )
    return {(r["route_id"], r["step"], r["once_key"]): r["id"] for r in rows}


async def plan(session: Session, planned: Sequence[Planned]) -> None:
    """Store planned deliveries and open the lanes of those that can go.

    Raises `OnceTaken` when another transaction did at the same moment what may be done once.
    """
    if not planned:
        return
    rows = [
        (
            x.id, x.day, x.event_id, x.route_id, x.route, x.route_version, x.step, x.target,
            x.connection_id, x.action, x.lane, x.inputs, x.audience, x.state, x.reason[:2000],
            x.once_key, x.depends_on, x.claim_id, x.report_id, x.hop, x.node_id, x.writes_to,
            x.words,
        )
        for x in planned
    ]  # fmt: skip
    once = [
        (x.route_id, x.step, x.once_key, x.id)
        for x in planned
        if x.once_key is not None and x.state != "skipped"
    ]
    if once:
        status = await session.execute(_ONCE, *map(list, zip(*once, strict=True)))
        if int(status.rpartition(" ")[2]) < len(once):
            raise OnceTaken
    await session.execute(_PLAN, *map(list, zip(*rows, strict=True)))
    await open_lanes(
        session, [(x.connection_id, x.lane, x.day) for x in planned if x.state == "pending"]
    )


async def open_lanes(session: Session, lanes: Iterable[tuple[int, str, date]]) -> None:
    """Say that lanes have something due now: (connection, lane, day of the delivery)."""
    wanted = sorted(set(lanes))
    if wanted:
        await session.execute(_OPEN_LANES, *map(list, zip(*wanted, strict=True)))


async def open_among(session: Session, lanes: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return those of the lanes, (connection, lane), in which something waits."""
    wanted = sorted(lanes)
    if not wanted:
        return []
    rows = await session.fetch(
        "select l.connection_id, l.lane from lanes l "
        "join unnest($1::bigint[], $2::text[]) as t (connection_id, lane) "
        "on l.connection_id = t.connection_id and l.lane = t.lane",
        *map(list, zip(*wanted, strict=True)),
    )
    return [(row["connection_id"], row["lane"]) for row in rows]


async def unblocked(
    session: Session, limit: int, after: Sequence[int] | None = None
) -> tuple[list[Blocked], int]:
    """Return deliveries whose earlier step has been delivered or skipped, and lock them.

    With `after`, only those that may go on because these deliveries ended. With them comes the
    revision of the configuration (0 when there are none).
    """
    if after is None:
        rows = await session.fetch(_UNBLOCKED.format(""), limit)
    else:
        rows = await session.fetch(_UNBLOCKED.format(_AFTER), limit, list(after))
    revision = 0
    found = []
    for row in rows:
        values = dict(row)
        revision = values.pop("revision")
        found.append(Blocked(**values))
    return found, revision


async def steps_of(session: Session, event_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return what the steps of events have come to, for the steps that follow them."""
    rows = await session.fetch(
        "select d.id, d.event_id, d.route_id, d.step, d.target, d.state, d.reason, d.result, "
        "d.claim_id, coalesce(d.node_id, c.node_id) as node_id, "
        "c.delivery_id is distinct from d.id and d.claim_id is not null as joined "
        "from deliveries d left join claims c on c.id = d.claim_id "
        "where d.event_id = any($1::bigint[])",
        list(event_ids),
    )
    return [dict(row) for row in rows]


async def release(
    session: Session, item: Blocked, *, state: str, reason: str = "", lane: str = "",
    inputs: dict[str, Any] | None = None, audience: str = "team", writes_to: str = "",
    words: str = "",
) -> None:  # fmt: skip
    """Let a blocked delivery go on (`pending`, with what was rendered) or end it."""
    await session.execute(
        _RELEASE, item.id, item.day, state, reason[:2000], lane, inputs, audience, writes_to, words
    )
    if state == "pending":
        await open_lanes(session, [(item.connection_id, lane, item.day)])
