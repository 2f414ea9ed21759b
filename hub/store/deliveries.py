"""Deliveries, their lanes and attempts: planned, claimed, tried, ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from hub.sdk import json
from hub.store.pool import Database, Session, away_as_error


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as routing decided it. Its id was taken from the sequence before."""

    id: int
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


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery whose earlier step has ended, ready to be rendered or skipped."""

    id: int
    event_id: int
    route: str
    step: str
    route_id: int
    route_version: int
    connection_id: int
    report_id: int | None
    target: str
    definition: dict[str, Any] | None


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a lane, as a worker takes it."""

    id: int
    event_id: int
    connection_id: int
    action: str
    inputs: dict[str, Any]
    audience: str
    lane: str
    state: str
    attempts: int
    waits: int
    uncertain: bool
    maybe_duplicate: bool
    claim_id: int | None
    report_id: int | None
    due_at: datetime
    tries: int
    now: datetime


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt came to. `state` is `delivered`, `dead`, or `pending` to be tried again.

    `refs` (`kind/id`) are the things it wrote; `uncertain` says that it may have taken effect.
    """

    delivery_id: int
    connection_id: int
    number: int
    state: str
    reason: str
    wait: float
    attempts: int
    waits: int
    uncertain: bool
    maybe_duplicate: bool
    outcome: str
    status: int | None
    calls: list[dict[str, Any]]
    result: dict[str, Any] | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    refs: tuple[str, ...] = ()
    node_id: int | None = None


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A lane that a worker holds the lease of."""

    connection_id: int
    lane: str


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt about to leave. `words` and `target` go to the ledger of writes."""

    delivery_id: int
    connection_id: int
    lane: str
    number: int
    target: str
    action: str
    words: tuple[str, ...]


_PLAN = """
insert into deliveries (id, event_id, route_id, route, route_version, step, target, connection_id,
    action, lane, inputs, audience, state, reason, once_key, depends_on, claim_id, report_id, hop,
    node_id, finished_at)
overriding system value
select id, event_id, route_id, route, route_version, step, target, connection_id,
    action, lane, inputs, audience, state, reason, once_key, depends_on, claim_id, report_id, hop,
    node_id, case when state in ('delivered', 'skipped', 'dead') then now() end
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::int[], $6::text[],
    $7::text[], $8::bigint[], $9::text[], $10::text[], $11::json[], $12::text[], $13::text[],
    $14::text[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[], $19::smallint[],
    $20::bigint[]) as p (id, event_id, route_id, route, route_version, step, target,
    connection_id, action, lane, inputs, audience, state, reason, once_key, depends_on, claim_id,
    report_id, hop, node_id)
order by id
"""
_OPEN_LANES = """
insert into lanes (connection_id, lane, due_at)
select distinct on (connection_id, lane) connection_id, lane, due_at
from unnest($1::bigint[], $2::text[], $3::timestamptz[]) as l (connection_id, lane, due_at)
order by connection_id, lane, due_at
on conflict (connection_id, lane) do update set due_at = least(lanes.due_at, excluded.due_at)
"""
# Each connection gives at most so many lanes at once, so one with a long line leaves room.
_TAKE = """
with picked as (
    select l.connection_id, l.lane
    from connections c cross join lateral (
        select connection_id, lane from lanes
        where connection_id = c.id and due_at <= now()
          and (lease_until is null or lease_until < now())
        order by due_at limit least($3::int, greatest(0, $4::int - coalesce(($5::jsonb ->> c.id::text)::int, 0)))
        for update skip locked
    ) l
    where c.state = 'active' and (c.parked_until is null or c.parked_until <= now())
    limit $3
)
update lanes set owner = $1, lease_until = now() + make_interval(secs => $2)
from picked where lanes.connection_id = picked.connection_id and lanes.lane = picked.lane
returning lanes.connection_id, lanes.lane
"""
_HEADS = """
select id, event_id, connection_id, action, inputs, audience, lane, state, attempts, waits,
    uncertain, maybe_duplicate, claim_id, report_id, due_at, now() as now,
    (select coalesce(max(number), 0) from attempts a where a.delivery_id = d.id)::int as tries
from deliveries d
where connection_id = $1 and lane = $2 and state in ('pending', 'in_flight') order by id limit $3
"""
# The lease is checked where the attempt is written: who lost it does not send.
_START = """
with s as (
    select * from unnest($2::bigint[], $3::bigint[], $4::text[], $5::int[], $6::text[], $7::text[],
        $8::text[]) as s (delivery_id, connection_id, lane, number, target, action, words)
), held as (
    select s.* from s join lanes l on l.connection_id = s.connection_id and l.lane = s.lane
    where l.owner = $1 and l.lease_until > now()
), marked as (
    update deliveries d set state = 'in_flight', uncertain = true
    from held where d.id = held.delivery_id and d.state in ('pending', 'in_flight')
    returning d.id
), stale as (
    update attempts a set outcome = 'unknown', finished_at = now(),
        error = 'the worker stopped before the answer came'
    from marked where a.delivery_id = marked.id and a.outcome = 'in_flight'
), tried as (
    insert into attempts (delivery_id, number, worker)
    select delivery_id, number, $1 from held join marked on marked.id = held.delivery_id
    on conflict (delivery_id, number) do nothing
    returning delivery_id
), noted as (
    insert into writes (delivery_id, connection_id, target, action, words)
    select delivery_id, connection_id, target, action,
           case when words = '' then '{}' else string_to_array(words, ' ') end from held
    where target <> '' on conflict (delivery_id) do update set at = now(), words = excluded.words
)
select delivery_id from tried
"""
_END = """
update deliveries d set state = e.state, reason = e.reason, attempts = e.attempts,
    waits = e.waits, uncertain = e.uncertain, maybe_duplicate = e.maybe_duplicate,
    result = coalesce(e.result, d.result), node_id = coalesce(e.node_id, d.node_id),
    due_at = now() + make_interval(secs => e.wait),
    finished_at = case when e.state <> 'pending' then now() end
from unnest($1::bigint[], $2::text[], $3::text[], $4::float8[], $5::int[], $6::int[], $7::bool[],
    $8::bool[], $9::json[], $10::bigint[]) as e (id, state, reason, wait, attempts, waits,
    uncertain, maybe_duplicate, result, node_id)
where d.id = e.id and d.state = 'in_flight'
"""
_END_ATTEMPTS = """
update attempts a set finished_at = now(), outcome = e.outcome, status = e.status,
    error = e.error, calls = e.calls
from unnest($1::bigint[], $2::int[], $3::text[], $4::int[], $5::text[], $6::json[])
    as e (delivery_id, number, outcome, status, error, calls)
where a.delivery_id = e.delivery_id and a.number = e.number
"""
_NOTE = """
update writes w set before = e.before, after = e.after
from unnest($1::bigint[], $2::json[], $3::json[]) as e (delivery_id, before, after)
where w.delivery_id = e.delivery_id
"""
_NOTE_REFS = """
insert into written (connection_id, ref, delivery_id)
select * from unnest($1::bigint[], $2::text[], $3::bigint[]) on conflict do nothing
"""
# Two statements: the second sees what routing added while the first waited for the lane's row.
_LOCK_LANES = """
select l.connection_id, l.lane from lanes l
join unnest($2::bigint[], $3::text[]) as t (connection_id, lane)
  on l.connection_id = t.connection_id and l.lane = t.lane
where l.owner = $1 order by 1, 2 for update of l
"""
_LEAVE_LANES = """
with t as (
    select t.connection_id, t.lane, (
        select d.due_at from deliveries d where d.connection_id = t.connection_id
          and d.lane = t.lane and d.state in ('pending', 'in_flight') order by d.id limit 1) as due_at
    from unnest($2::bigint[], $3::text[]) as t (connection_id, lane)
), empty as (
    delete from lanes l using t where l.connection_id = t.connection_id and l.lane = t.lane
      and l.owner = $1 and t.due_at is null
)
update lanes l set owner = null, lease_until = null, due_at = t.due_at
from t where l.connection_id = t.connection_id and l.lane = t.lane and l.owner = $1
  and t.due_at is not null
"""
_STRAYS = """
insert into lanes (connection_id, lane)
select distinct d.connection_id, d.lane from deliveries d
where d.state in ('pending', 'in_flight') and not exists (
    select from lanes l where l.connection_id = d.connection_id and l.lane = d.lane)
limit 1000 on conflict do nothing
"""
_RENEW = "update lanes set lease_until = now() + make_interval(secs => $2) where owner = $1"
_BACK = """
update lanes set owner = null, lease_until = null, due_at = now() where owner = $1
"""


async def take_ids(session: Session, count: int) -> list[int]:
    """Take `count` delivery ids from the sequence, rising."""
    rows = await session.fetch(
        "select nextval(pg_get_serial_sequence('deliveries', 'id')) as id "
        "from generate_series(1, $1)",
        count,
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
        "select d.route_id, d.step, d.once_key, d.id "
        "from unnest($1::bigint[], $2::text[], $3::text[]) as t (route_id, step, once_key) "
        "join deliveries d on d.route_id = t.route_id and d.step = t.step "
        "and d.once_key = t.once_key and d.state <> 'skipped'",
        *map(list, zip(*wanted, strict=True)),
    )
    return {(r["route_id"], r["step"], r["once_key"]): r["id"] for r in rows}


async def plan(session: Session, planned: Sequence[Planned]) -> None:
    """Store planned deliveries and open the lanes of those that can go."""
    if not planned:
        return
    rows = [
        (
            x.id, x.event_id, x.route_id, x.route, x.route_version, x.step, x.target,
            x.connection_id, x.action, x.lane, x.inputs, x.audience, x.state, x.reason[:2000],
            x.once_key, x.depends_on, x.claim_id, x.report_id, x.hop, x.node_id,
        )
        for x in planned
    ]  # fmt: skip
    await session.execute(_PLAN, *map(list, zip(*rows, strict=True)))
    await open_lanes(session, {(x.connection_id, x.lane) for x in planned if x.state == "pending"})


async def open_lanes(session: Session, lanes: Iterable[tuple[int, str]]) -> None:
    """Say that lanes have something due now."""
    wanted = sorted(lanes)
    if wanted:
        connections, names = map(list, zip(*wanted, strict=True))
        now = await session.fetchval("select now()")
        await session.execute(_OPEN_LANES, connections, names, [now] * len(wanted))


async def unblocked(session: Session, limit: int) -> list[Blocked]:
    """Return deliveries whose earlier step has been delivered or skipped, and lock them."""
    rows = await session.fetch(
        "select d.id, d.event_id, d.route, d.step, d.route_id, d.route_version, d.connection_id, "
        "d.report_id, d.target, r.definition from deliveries d "
        "join deliveries p on p.id = d.depends_on left join routes r on r.id = d.route_id "
        "left join claims c on c.id = p.claim_id "
        "where d.state = 'blocked' and (p.state = 'delivered' or p.state = 'skipped' "
        "and (c.id is null or c.node_id is not null or c.delivery_id = p.id)) "
        "order by d.id limit $1 for update of d skip locked",
        limit,
    )
    return [Blocked(**dict(row)) for row in rows]


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
    session: Session,
    delivery_id: int,
    *,
    state: str,
    reason: str = "",
    lane: str = "",
    inputs: dict[str, Any] | None = None,
    audience: str = "team",
    connection_id: int,
) -> None:
    """Let a blocked delivery go on (`pending`, with what was rendered) or end it."""
    await session.execute(
        "update deliveries set state = $2, reason = $3, lane = $4, inputs = $5, audience = $6, "
        "due_at = now(), finished_at = case when $2 <> 'pending' then now() end where id = $1",
        delivery_id, state, reason[:2000], lane, inputs, audience,
    )  # fmt: skip
    if state == "pending":
        await open_lanes(session, [(connection_id, lane)])


async def take_lanes(
    database: Database,
    worker: str,
    *,
    lease_seconds: float,
    most: int,
    most_each: int,
    busy: dict[int, int],
) -> list[Lane]:
    """Take the lease of lanes that are due: at most `most`, and `most_each` of one connection.

    `busy` counts the lanes of each connection that this worker holds already.
    """
    async with away_as_error():
        rows = await database.fetch(
            _TAKE, worker, lease_seconds, most, most_each, {str(k): v for k, v in busy.items()}
        )
    return [Lane(**dict(row)) for row in rows]


async def heads(database: Database, lane: Lane, limit: int) -> list[Due]:
    """Return the first deliveries of a lane, in order, due or not."""
    async with away_as_error():
        rows = await database.fetch(_HEADS, lane.connection_id, lane.lane, limit)
    return [Due(**dict(row)) for row in rows]


async def start(session: Session, worker: str, batch: Sequence[Started]) -> set[int]:
    """Write attempts down before they leave; returns the deliveries that may be sent."""
    rows = [
        (x.delivery_id, x.connection_id, x.lane, x.number, x.target, x.action, " ".join(x.words))
        for x in batch
    ]
    found = await session.fetch(_START, worker, *map(list, zip(*rows, strict=True)))
    return {row["delivery_id"] for row in found}


async def finish(session: Session, batch: Sequence[Ended]) -> bool:
    """Store what attempts came to; returns whether another step waited for one of them."""
    ids = [x.delivery_id for x in batch]
    await session.execute(
        _END, ids, [x.state for x in batch], [x.reason[:2000] for x in batch],
        [x.wait for x in batch], [x.attempts for x in batch], [x.waits for x in batch],
        [x.uncertain for x in batch], [x.maybe_duplicate for x in batch],
        [x.result for x in batch], [x.node_id for x in batch],
    )  # fmt: skip
    await session.execute(
        _END_ATTEMPTS, ids, [x.number for x in batch], [x.outcome for x in batch],
        [x.status for x in batch], [x.reason[:2000] for x in batch], [json.dumps(x.calls) for x in batch],
    )  # fmt: skip
    noted = [x for x in batch if x.before is not None or x.after is not None]
    if noted:
        await session.execute(
            _NOTE,
            [x.delivery_id for x in noted],
            [x.before for x in noted],
            [x.after for x in noted],
        )
    refs = [(x.connection_id, ref, x.delivery_id) for x in batch for ref in x.refs]
    if refs:
        await session.execute(_NOTE_REFS, *map(list, zip(*refs, strict=True)))
    return bool(
        await session.fetchval(
            "select exists (select from deliveries where depends_on = any($1::bigint[]) "
            "and state = 'blocked')",
            ids,
        )
    )


async def leave_lanes(session: Session, worker: str, lanes: Sequence[Lane]) -> None:
    """Give lanes back: gone when nothing waits in them, else due when their head is."""
    columns = [lane.connection_id for lane in lanes], [lane.lane for lane in lanes]
    await session.fetch(_LOCK_LANES, worker, *columns)
    await session.execute(_LEAVE_LANES, worker, *columns)


async def open_strays(database: Database) -> None:
    """Open a lane for every waiting delivery that has none (a net; there should be none)."""
    async with away_as_error():
        await database.execute(_STRAYS)


async def renew(database: Database, worker: str, lease_seconds: float) -> None:
    """Keep the leases of a worker."""
    async with away_as_error():
        await database.execute(_RENEW, worker, lease_seconds)


async def give_back(database: Database, worker: str) -> None:
    """Give back every lease of a worker that stops."""
    async with away_as_error():
        await database.execute(_BACK, worker)
