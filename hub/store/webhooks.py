"""Webhooks as they came: kept in groups, read in order, ended with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from hub.store import partitions
from hub.store.pool import Database, NoPeriod, Session, again, away_as_error

_SOME_DAYS = 90


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A verified webhook to keep. `state` is `received`, or `failed` when it cannot be read."""

    connection_id: int
    dedupe_key: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    state: str = "received"
    reason: str = ""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook read back for normalizing."""

    id: int
    day: date
    connection_id: int
    received_at: datetime
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to keep. `data` is its JSON."""

    type: str
    subject: str
    time: datetime
    data: bytes


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a webhook ended, and the events it became."""

    webhook_id: int
    day: date
    state: str
    reason: str = ""
    events: tuple[NewEvent, ...] = ()


# `seen` outlives the webhook's period and makes every webhook be taken once.
_KEEP = """
with new as (
    insert into seen (connection_id, dedupe_key, webhook_id, day)
    select connection_id, dedupe_key, nextval('webhooks_id_seq'), (now() at time zone 'utc')::date
    from unnest($1::bigint[], $2::text[]) as u (connection_id, dedupe_key)
    on conflict (connection_id, dedupe_key) do nothing
    returning connection_id, dedupe_key, webhook_id, day
)
insert into webhooks (id, day, connection_id, dedupe_key, path, query, headers, body, state, reason)
select n.webhook_id, n.day, u.* from unnest($1::bigint[], $2::text[], $3::text[], $4::text[],
    $5::json[], $6::bytea[], $7::text[], $8::text[]) as u (connection_id, dedupe_key, path, query,
    headers, body, state, reason)
join new n on n.connection_id = u.connection_id and n.dedupe_key = u.dedupe_key
returning connection_id, dedupe_key, id
"""
_COUNT_DUPLICATES = """
update webhooks w set duplicates = duplicates + d.count
from unnest($1::bigint[], $2::text[], $3::int[]) as d (connection_id, dedupe_key, count)
join seen s on s.connection_id = d.connection_id and s.dedupe_key = d.dedupe_key
where w.id = s.webhook_id and w.day = s.day
"""
_WAITING = """
select id, day, connection_id, received_at, path, query, headers, body from webhooks
where connection_id = $1 and state = 'received' order by id limit $2
"""
_END = """
update webhooks w set state = e.state, reason = e.reason, finished_at = now()
from unnest($1::bigint[], $2::date[], $3::text[], $4::text[]) as e (id, day, state, reason)
where w.id = e.id and w.day = e.day
"""
# A replay finds its events there already: the pure function gives the same ones, and what has been
# normalized differently since (a mended mapping) replaces what was there.
_ADD_EVENTS = """
insert into events (webhook_id, day, ordinal, connection_id, type, subject, time, data)
select * from unnest($1::bigint[], $2::date[], $3::smallint[], $4::bigint[], $5::text[],
                     $6::text[], $7::timestamptz[], $8::json[])
on conflict (webhook_id, ordinal, day) do update
    set type = excluded.type, subject = excluded.subject, time = excluded.time,
        data = excluded.data, state = 'waiting', reason = ''
"""


_CONNECTIONS_WAITING = """
select id from connections c where state = 'active' and (
    exists (select from webhooks w where w.connection_id = c.id and w.state = 'received')
    or exists (select from events e where e.connection_id = c.id and e.state = 'waiting'))
"""


async def keep(database: Database, batch: Sequence[NewWebhook]) -> list[int | None]:
    """Commit webhooks as one group; returns each one's id, None for one that was known already.

    When it returns, PostgreSQL has flushed the rows. Raises `StoreAway`.
    """
    first: dict[tuple[int, str], NewWebhook] = {}
    repeats: dict[tuple[int, str], int] = {}
    for item in batch:
        key = (item.connection_id, item.dedupe_key)
        if key in first:
            repeats[key] = repeats.get(key, 0) + 1
        else:
            first[key] = item
    new = list(first.values())
    columns = (
        [item.connection_id for item in new],
        [item.dedupe_key for item in new],
        [item.path for item in new],
        [item.query for item in new],
        [item.headers for item in new],
        [item.body for item in new],
        [item.state for item in new],
        [item.reason for item in new],
    )
    async with away_as_error():
        # One statement is its own transaction; counting what came twice may be lost with a crash.
        # Two web processes that take twins in, in another order, wait for each other.
        try:
            rows = await again(lambda: database.fetch(_KEEP, *columns))
        except NoPeriod:
            # The clock has jumped, or nothing ran for long: today has no period yet.
            await partitions.ensure(database, retention_days=_SOME_DAYS)
            rows = await again(lambda: database.fetch(_KEEP, *columns))
        ids = {(row["connection_id"], row["dedupe_key"]): row["id"] for row in rows}
        for key in first:
            if key not in ids:
                repeats[key] = repeats.get(key, 0) + 1
        if repeats:
            connections, keys = zip(*repeats, strict=True)
            counts = list(repeats.values())
            await again(lambda: database.execute(_COUNT_DUPLICATES, connections, keys, counts))
    return [ids.pop((item.connection_id, item.dedupe_key), None) for item in batch]


async def waiting(session: Session, connection_id: int, limit: int) -> list[Webhook]:
    """Return the oldest webhooks of a connection that are not normalized yet, in order."""
    rows = await session.fetch(_WAITING, connection_id, limit)
    return [Webhook(**dict(row)) for row in rows]


async def end(session: Session, connection_id: int, ended: Sequence[Ended]) -> None:
    """Store how webhooks ended, and their events."""
    await session.execute(
        _END,
        [item.webhook_id for item in ended],
        [item.day for item in ended],
        [item.state for item in ended],
        [item.reason for item in ended],
    )
    rows: list[tuple[Any, ...]] = [
        (item.webhook_id, item.day, ordinal, connection_id, e.type, e.subject, e.time, e.data)
        for item in ended
        for ordinal, e in enumerate(item.events)
    ]
    if rows:
        await session.execute(_ADD_EVENTS, *map(list, zip(*rows, strict=True)))


async def find_waiting(database: Database) -> list[int]:
    """Return the connections with webhooks or events that wait. Raises `StoreAway`."""
    async with away_as_error():
        return [row["id"] for row in await database.fetch(_CONNECTIONS_WAITING)]
