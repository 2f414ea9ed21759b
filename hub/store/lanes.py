"""Lanes: taken with their first delivery in one statement, given back with what came of it.

A lane is (connection, object). It has a row while something waits in it, and at most one delivery
in flight. Taking leases the lane, marks its head as in flight and notes the write in the ledger;
giving it back ends the delivery and its attempt. Each is one statement for as many lanes as are at
hand, so the cost of a commit is shared.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from hub.sdk import json
from hub.store.pool import Database, Session, again, away_as_error

BREAKER_FAILURES = 5
"""Failures of a connection in a row after which it is left alone for a while."""
PROBE_SECONDS = 30.0
"""How long the one delivery that tries a failing connection keeps the others away."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A lane whose lease a worker holds, with its first delivery, or None when none is due."""

    connection_id: int
    lane: str
    touched: int
    due: Due | None


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery in flight, as a worker took it. `tries` is the number of this attempt.

    `uncertain` says that an earlier attempt may have taken effect.
    """

    id: int
    day: date
    event_id: int
    route: str
    action: str
    inputs: dict[str, Any]
    audience: str
    attempts: int
    waits: int
    tries: int
    uncertain: bool
    maybe_duplicate: bool
    claim_id: int | None
    report_id: int | None
    started_at: datetime


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt came to. `state` is `delivered`, `dead`, or `pending` to be tried again.

    `wait` (seconds) is until the next try. An empty `outcome` says that nothing was sent at all.
    `refs` (`kind/id`) are the things it wrote.
    """

    taken: Taken
    state: str
    reason: str = ""
    wait: float = 0.0
    attempts: int = 0
    waits: int = 0
    uncertain: bool = False
    maybe_duplicate: bool = False
    outcome: str = ""
    status: int | None = None
    calls: list[dict[str, Any]] = []
    result: dict[str, Any] | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    refs: tuple[str, ...] = ()
    node_id: int | None = None


# The connections that have lanes are found by hops over the index, not by reading every lane.
# They are gone through in a circle that begins after the one served last, and share the room, so
# that a long line leaves room for the others. A connection that fails gives one delivery to try.
# A lease that would end in ten minutes was given by a clock that has been put back since: none is
# longer than five.
_TAKE = """
with recursive places as (
    (select connection_id from lanes order by connection_id limit 1)
    union all
    select (select l.connection_id from lanes l where l.connection_id > p.connection_id
            order by l.connection_id limit 1)
    from places p where p.connection_id is not null
), ready as (
    select c.id, c.failures >= $6 as probing from places p join connections c on c.id = p.connection_id
    where c.state = 'active' and (c.parked_until is null or c.parked_until <= now())
      and coalesce(($5::jsonb ->> c.id::text)::int, $4) > 0
      and exists (select from lanes l where l.connection_id = c.id and l.due_at <= now()
                  and (l.lease_until is null or l.lease_until < now()
                       or l.lease_until > now() + interval '10 minutes'))
    order by c.id <= $7, c.id limit $3
), picked as (
    select r.id as connection_id, r.probing, l.lane, l.day, l.touched
    from (select *, (select count(*) from ready) as others from ready) r cross join lateral (
        select lane, day, touched from lanes
        where connection_id = r.id and due_at <= now()
          and (lease_until is null or lease_until < now()
               or lease_until > now() + interval '10 minutes')
          and (owner is distinct from $1 or connection_id || '/' || lane <> all($9::text[]))
        order by due_at limit case when r.probing then 1 else
            least(coalesce(($5::jsonb ->> r.id::text)::int, $4), ($3 + r.others - 1) / r.others) end
        for update skip locked
    ) l
    limit $3
), probes as (
    update connections c set parked_until = now() + make_interval(secs => $8) from picked p
    where c.id = p.connection_id and p.probing and (c.parked_until is null or c.parked_until <= now())
    returning c.id
), leased as (
    update lanes l set owner = $1, lease_until = now() + make_interval(secs => $2) from picked p
    where l.connection_id = p.connection_id and l.lane = p.lane
      and (not p.probing or p.connection_id in (select id from probes))
    returning l.connection_id, l.lane, l.day, l.touched
), head as (
    select l.connection_id, l.lane, l.touched, h.*
    from leased l left join lateral (
        select d.id, d.day, d.event_id, d.action, d.inputs, d.audience, d.state, d.attempts,
            d.waits, d.tries, d.uncertain, d.maybe_duplicate, d.claim_id, d.report_id, d.due_at,
            d.worker, d.started_at, d.writes_to, d.words, d.route, d.hop
        from deliveries d
        where d.connection_id = l.connection_id and d.lane = l.lane and d.day >= l.day
          and d.state in ('pending', 'in_flight')
        order by d.id limit 1
    ) h on h.due_at <= now()
), going as (
    update deliveries d set state = 'in_flight', uncertain = true, tries = d.tries + 1, worker = $1,
        started_at = now()
    from head where d.id = head.id and d.day = head.day
), stale as (
    insert into attempts (day, delivery_id, number, worker, started_at, finished_at, outcome, error)
    select day, id, tries, worker, coalesce(started_at, now()), now(), 'unknown',
        'the worker stopped before the answer came'
    from head where state = 'in_flight' on conflict do nothing
), noted as (
    insert into writes (delivery_id, day, connection_id, target, action, route, hop, words)
    select id, (now() at time zone 'utc')::date, connection_id, writes_to, action, route, hop,
        case when words = '' then '{}' else string_to_array(words, ' ') end
    from head where writes_to <> ''
    on conflict (delivery_id, day) do update set at = now(), words = excluded.words
)
select connection_id, lane, touched, id, day, event_id, route, action, inputs, audience, attempts, waits,
    tries + 1 as tries, uncertain, maybe_duplicate, claim_id, report_id, now() as started_at,
    (select count(*) from ready) as sharing
from head order by id
"""
_FINISH = """
with e as (
    select * from unnest($2::bigint[], $3::date[], $4::bigint[], $5::text[], $6::int[], $7::int[],
        $8::timestamptz[], $9::text[], $10::text[], $11::float8[], $12::int[], $13::int[],
        $14::bool[], $15::bool[], $16::text[], $17::int[], $18::json[], $19::json[], $20::json[],
        $21::json[], $22::bigint[]) as e (id, day, connection_id, lane, touched, number, started_at,
        state, reason, wait, attempts, waits, uncertain, maybe_duplicate, outcome, status, calls,
        result, before, after, node_id)
), ended as (
    update deliveries d set state = e.state, reason = e.reason, attempts = e.attempts,
        waits = e.waits, uncertain = e.uncertain, maybe_duplicate = e.maybe_duplicate,
        tries = case when e.outcome = '' then e.number - 1 else d.tries end,
        result = coalesce(e.result, d.result), node_id = coalesce(e.node_id, d.node_id),
        due_at = now() + make_interval(secs => e.wait),
        finished_at = case when e.state <> 'pending' then now() end
    from e where d.id = e.id and d.day = e.day and d.state = 'in_flight' and d.worker = $1
      and d.tries = e.number
), tried as (
    insert into attempts (day, delivery_id, number, worker, started_at, finished_at, outcome,
        status, error, calls)
    select e.day, e.id, e.number, $1, e.started_at, now(), e.outcome, e.status, e.reason, e.calls
    from e where e.id is not null and e.outcome <> ''
    on conflict (delivery_id, number, day) do update set finished_at = now(),
        outcome = excluded.outcome, status = excluded.status, error = excluded.error,
        calls = excluded.calls
), noted as (
    update writes w set before = e.before, after = e.after from e
    where w.delivery_id = e.id and w.day >= (e.started_at at time zone 'utc')::date
      and (e.before is not null or e.after is not null)
), made as (
    insert into written (connection_id, ref, delivery_id, day)
    select x.connection_id, x.ref, x.delivery_id, (now() at time zone 'utc')::date
    from unnest($23::bigint[], $24::text[], $25::bigint[]) as x (connection_id, ref, delivery_id)
    on conflict do nothing
), next as (
    select e.connection_id, e.lane, e.touched,
        case when e.state = 'pending' then now() + make_interval(secs => e.wait) else n.due_at end
            as due_at,
        case when e.state = 'pending' then e.day else n.day end as day
    from e left join lateral (
        select d.due_at, d.day from deliveries d
        where d.connection_id = e.connection_id and d.lane = e.lane
          and d.state in ('pending', 'in_flight') and d.id is distinct from e.id
        order by d.id limit 1
    ) n on true
), gone as (
    delete from lanes l using next n
    where l.connection_id = n.connection_id and l.lane = n.lane and l.owner = $1
      and n.due_at is null and l.touched = n.touched
    returning l.connection_id, l.lane
), kept as (
    update lanes l set owner = null, lease_until = null, due_at = n.due_at, day = n.day from next n
    where l.connection_id = n.connection_id and l.lane = n.lane and l.owner = $1
      and n.due_at is not null
    returning l.connection_id, l.lane, l.due_at <= now() as due
), waiting as (
    select from e join deliveries d on d.depends_on = e.id
    where e.state = 'delivered' and d.state = 'blocked'
    union all
    select from unnest($26::bigint[]) as c (id) join deliveries d on d.claim_id = c.id
    where d.id not in (select id from e where id is not null)
    limit 1
)
select connection_id, lane, false as due, exists (select from waiting) as waited from gone
union all select connection_id, lane, due, exists (select from waiting) from kept
"""
_LEAVE = """
update lanes l set owner = null, lease_until = null, due_at = now()
from unnest($2::bigint[], $3::text[]) as t (connection_id, lane)
where l.connection_id = t.connection_id and l.lane = t.lane and l.owner = $1
"""
_STRAYS = """
insert into lanes (connection_id, lane, day)
select d.connection_id, d.lane, min(d.day) from deliveries d
where d.state in ('pending', 'in_flight') and d.id > 0 and not exists (
    select from lanes l where l.connection_id = d.connection_id and l.lane = d.lane)
group by 1, 2 order by 1, 2 limit 1000 on conflict do nothing
"""
# One that is locked is being given back or added to: it is passed over, and renewed the next time.
# Waiting for one would let the leases of all the others run out.
_RENEW = """
with mine as (
    select l.connection_id, l.lane from lanes l
    join unnest($3::bigint[], $4::text[]) as t (connection_id, lane)
      on l.connection_id = t.connection_id and l.lane = t.lane
    where l.owner = $1 for update of l skip locked
)
update lanes l set lease_until = now() + make_interval(secs => $2) from mine
where l.connection_id = mine.connection_id and l.lane = mine.lane
returning l.connection_id, l.lane
"""
_BACK = """
update lanes set owner = null, lease_until = null, due_at = now() where owner = $1
"""


async def take(
    database: Database, worker: str, *, lease_seconds: float, most: int, most_each: int,
    room: Mapping[int, int], after: int, but: Iterable[tuple[int, str]] = (),
) -> tuple[list[Taken], bool]:  # fmt: skip
    """Take up to `most` lanes that are due, each with its head in flight. Raises `StoreAway`.

    A connection gives at most `most_each`, or its number in `room`; the circle of connections
    begins after the number `after`. Lanes in `but` are left. With them comes whether a connection
    gave all that it might, so that more may wait there.
    """
    async with away_as_error():
        rows = await database.fetch(
            _TAKE, worker, lease_seconds, most, most_each, {str(k): v for k, v in room.items()},
            BREAKER_FAILURES, after, PROBE_SECONDS, [f"{place}/{lane}" for place, lane in but],
        )  # fmt: skip
    if not rows:
        return [], False
    share = math.ceil(most / rows[0]["sharing"])
    given = Counter(row["connection_id"] for row in rows)
    more = any(count >= min(share, room.get(place, most_each)) for place, count in given.items())
    return [_taken(dict(row)) for row in rows], more


class Finished(NamedTuple):
    """What giving lanes back leads to."""

    go_on: list[int]
    """The delivered ones, when steps may wait for them."""
    due: bool
    """Whether a lane that was given back has its next delivery due already."""


async def finish(session: Session | Database, worker: str, batch: Sequence[Ended]) -> Finished:
    """Store what attempts came to and give their lanes back."""
    rows = [_row(item) for item in batch]
    refs = [
        (item.taken.connection_id, ref, item.taken.due.id)
        for item in batch if item.taken.due is not None for ref in item.refs
    ]  # fmt: skip
    named = list(map(list, zip(*refs, strict=True))) if refs else [[], [], []]
    delivered = [x.taken.due for x in batch if x.taken.due is not None and x.state == "delivered"]
    claims = [due.claim_id for due in delivered if due.claim_id is not None]
    left = await session.fetch(_FINISH, worker, *map(list, zip(*rows, strict=True)), *named, claims)
    done = {(row["connection_id"], row["lane"]) for row in left}
    lanes = {(item.taken.connection_id, item.taken.lane) for item in batch}
    if rest := sorted(lanes - done):
        # Routing added to the lane in this very moment; it is due again at once.
        await session.execute(_LEAVE, worker, *map(list, zip(*rest, strict=True)))
    # Who lost a lane meanwhile does not know whether steps wait; looking is harmless.
    waited = len(left) < len(lanes) or any(row["waited"] for row in left)
    return Finished(
        go_on=[due.id for due in delivered] if waited else [],
        due=bool(rest) or any(row["due"] for row in left),
    )


async def open_strays(database: Database) -> None:
    """Open a lane for every waiting delivery that has none (a net; there should be none)."""
    async with away_as_error():
        await again(lambda: database.execute(_STRAYS))


async def renew(
    database: Database, worker: str, lease_seconds: float, held: Sequence[Taken]
) -> set[tuple[int, str]]:
    """Keep the leases of the lanes that a worker is at work on; what it left behind runs out.

    Returns those that were kept, as (connection, lane). Raises `StoreAway`.
    """
    places = [x.connection_id for x in held], [x.lane for x in held]
    async with away_as_error():
        rows = await database.fetch(_RENEW, worker, lease_seconds, *places)
    return {(row["connection_id"], row["lane"]) for row in rows}


async def give_back(database: Database, worker: str) -> None:
    """Give back every lease of a worker that stops."""
    async with away_as_error():
        await database.execute(_BACK, worker)


async def fared(session: Session | Database, results: Iterable[tuple[int, int, bool]]) -> list[int]:
    """Count the failures of connections: (connection, failures since its last success, succeeded).

    After `BREAKER_FAILURES` in a row nothing leaves for a while: 5 s, doubled with each failed
    probe, at most 5 min. A success closes the breaker. Returns the connections whose breaker
    opened by this.
    """
    rows = sorted(results)
    if not rows:
        return []
    found = await session.fetch(_FARED, *map(list, zip(*rows, strict=True)), BREAKER_FAILURES)
    return [row["id"] for row in found if row["opened"]]


_FARED = """
with n as (
    select c.id, c.failures as before,
        case when f.succeeded then f.failed else c.failures + f.failed end as failures
    from unnest($1::bigint[], $2::int[], $3::bool[]) as f (id, failed, succeeded)
    join connections c on c.id = f.id
)
update connections c set failures = n.failures,
    parked_until = case
        when n.failures >= $4 then greatest(c.parked_until, now() + least(
            interval '5 minutes', interval '5 seconds' * power(2, least(n.failures - $4, 10))))
        when n.before >= $4 then null
        else c.parked_until end
from n where c.id = n.id
returning c.id, n.failures >= $4 and n.before < $4 as opened
"""


def _taken(row: dict[str, Any]) -> Taken:
    del row["sharing"]
    place = {name: row.pop(name) for name in ("connection_id", "lane", "touched")}
    return Taken(**place, due=None if row["id"] is None else Due(**row))


def _row(x: Ended) -> tuple[Any, ...]:
    due = x.taken.due
    return (
        due and due.id, due and due.day, x.taken.connection_id, x.taken.lane, x.taken.touched,
        due.tries if due else 0, due and due.started_at, x.state, x.reason[:2000], x.wait,
        x.attempts, x.waits, x.uncertain, x.maybe_duplicate, x.outcome, x.status,
        json.dumps(x.calls), x.result, x.before, x.after, x.node_id,
    )  # fmt: skip
