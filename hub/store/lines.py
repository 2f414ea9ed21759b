"""The waiting line of each lane: what waits behind what, and how a person drains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.store import admin
from hub.store.deliveries import open_lanes
from hub.store.pool import Database, Row, Session, away_as_error

_LANES = """
select c.name as connection, t.lane, t.waiting, t.oldest_at, 'dl_' || h.id as head, h.state,
    h.reason, h.action, h.attempts, h.due_at, h.route, h.step
from (
    select connection_id, lane, count(*) as waiting, min(id) as head, min(created_at) as oldest_at
    from deliveries where state in ('pending', 'in_flight') and id > 0
      and ($1::text is null or connection_id = (select id from connections where name = $1))
    group by connection_id, lane order by count(*) desc, min(id) limit $2
) t join connections c on c.id = t.connection_id join deliveries h on h.id = t.head
order by t.waiting desc, t.head
"""
_LINE = """
select 'dl_' || d.id as id, 'ev_' || d.event_id as event_id, d.route, d.step, d.action, d.state,
    d.reason, d.attempts, d.due_at, d.created_at, d.inputs
from deliveries d where d.connection_id = (select id from connections where name = $1)
  and d.lane = $2 and d.state in ('pending', 'in_flight') order by d.id limit $3
"""
_SKIPPABLE = """
select d.id from deliveries d where d.connection_id = (select id from connections where name = $1)
  and d.lane = $2 and d.state = 'pending' order by d.id limit $3
"""
_NOW = """
update deliveries set due_at = now(), reason = $2 where id = $1 and state = 'pending'
returning connection_id, lane, day
"""
_WAITING = """
select d.id, d.day, d.connection_id, d.lane, d.action, d.inputs, d.state, d.audience, c.integration
from deliveries d join connections c on c.id = d.connection_id
where d.id = $1 and d.state in ('pending', 'dead') and d.inputs is not null for update of d
"""
_FIX = """
update deliveries set inputs = $2, writes_to = $3, words = $4, state = 'pending', attempts = 0,
    waits = 0, due_at = now(), finished_at = null, reason = 'fixed by hand',
    replayed_at = case when state = 'dead' then now() else replayed_at end
where id = $1
"""


async def lanes(
    database: Database, connection: str | None = None, *, limit: int = 100
) -> list[dict[str, Any]]:
    """Return the lanes in which something waits, the longest line first, each with its head."""
    async with away_as_error():
        return [dict(row) for row in await database.fetch(_LANES, connection, limit)]


async def line(
    database: Database, connection: str, lane: str, *, limit: int = 200
) -> list[dict[str, Any]]:
    """Return what waits in one lane, in the order it will leave."""
    async with away_as_error():
        return [dict(row) for row in await database.fetch(_LINE, connection, lane, limit)]


async def retry_now(session: Session, delivery_id: int) -> bool:
    """Let a waiting delivery be tried at once; returns whether it waits."""
    row = await session.fetchrow(_NOW, delivery_id, "tried again by hand")
    if row is None:
        return False
    await open_lanes(session, [(row["connection_id"], row["lane"], row["day"])])
    return True


async def skip_line(
    session: Session, connection: str, lane: str, reason: str, *, limit: int = 10_000
) -> int:
    """Skip everything that waits in a lane; what is in flight ends by itself. Returns how many."""
    rows = await session.fetch(_SKIPPABLE, connection, lane, limit)
    for row in rows:
        await admin.skip(session, row["id"], reason)
    return len(rows)


async def to_fix(session: Session, delivery_id: int) -> Row | None:
    """Return a waiting or dead delivery whose inputs may be changed, locked."""
    return await session.fetchrow(_WAITING, delivery_id)


async def fix(
    session: Session, row: Row, inputs: Mapping[str, Any], *, writes_to: str, words: str
) -> None:
    """Give a delivery other inputs and let it be tried at once, in its own lane."""
    await session.execute(_FIX, row["id"], dict(inputs), writes_to, words)
    await open_lanes(session, [(row["connection_id"], row["lane"], row["day"])])
