"""What waits, since when, and what fails: cheap to ask, however much waits."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

import msgspec

from hub.store.lanes import BREAKER_FAILURES
from hub.store.pool import Database, StoreAway, away_as_error

COUNT_TO = 100_000
"""Counting stops here: whoever sees as many needs no exact number."""
_FRESH_SECONDS = 5.0
_TROUBLE_SECONDS = 10.0
# By the index on (connection, id) where waiting: the oldest is its first entry, and the count an
# index-only scan that ends at the limit. That of deliveries asks for `id > 0`, so that nobody else's
# query takes it.
_STAGE = """
select '{stage}' as stage, c.id as connection_id, c.name as connection, n.count as waiting,
    extract(epoch from clock_timestamp() - o.at)::float8 as oldest_seconds, o.at as oldest_at,
    c.state = 'active' and (c.parked_until is null or c.parked_until <= now()) as runs
from connections c cross join lateral (
    select {at} as at from {table} where connection_id = c.id and {waits} order by id limit 1
) o cross join lateral (
    select count(*) from (select from {table} where connection_id = c.id and {waits} limit $1) t
) n
"""
_WAITING = " union all ".join(
    _STAGE.format(stage=stage, table=table, at=at, waits=waits)
    for stage, table, at, waits in (
        ("normalize", "webhooks", "received_at", "state = 'received'"),
        ("route", "events", "created_at", "state = 'waiting'"),
        ("deliver", "deliveries", "created_at", "state in ('pending', 'in_flight') and id > 0"),
    )
)
_FAILING = """
select name, 'cn_' || id as id,
    case when failures >= $1 and state = 'active' then 'failing' else state end as state, reason,
    failures, parked_until
from connections where state in ('paused', 'auth_failed') or state = 'active' and failures >= $1
order by name
"""
_ENDED = """
select (select count(*) from (select from deliveries where state = 'dead' limit $1) t) as dead,
    (select count(*) from (select from webhooks where state = 'failed' limit $1) t) as failed,
    (select count(*) from (select from events where state = 'failed' limit $1) t) as failed_events
"""
_SILENT = """
select id, name, expect_seconds, last_at, extract(epoch from now() - last_at)::float8 as seconds
from (select *, greatest(last_webhook_at, updated_at) as last_at from connections) c
where expect_seconds is not null and state = 'active'
  and last_at < now() - make_interval(secs => expect_seconds)
"""
# Reading goes on when the disk is full; only writing tells.
_WRITE = """
insert into meta (key, value) values ('written_at', now()::text)
on conflict (key) do update set value = excluded.value
"""
_BACKLOG = "select count(*) from (select from webhooks where state = 'received' limit $1) t"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in one stage of one connection. `runs` is false while it is stopped or parked."""

    stage: str
    connection_id: int
    connection: str
    waiting: int
    oldest_seconds: float
    oldest_at: datetime
    runs: bool


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A connection whose webhook stays away: expected within `expect_seconds`."""

    id: int
    name: str
    expect_seconds: int
    last_at: datetime
    seconds: float


class Watch:
    """Answers for five seconds from what was read before, however often it is asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._found: dict[str, Any] = {}
        self._trouble: tuple[float, str] = (float("-inf"), "")

    def refused(self, reason: str) -> None:
        """Say that something could not be stored just now."""
        self._trouble = (time.monotonic(), reason)

    async def health(self) -> dict[str, Any]:
        """Return `{dead, failed, failed_events, waiting: [Line], stopped: [{name, state, reason}]}`.

        Raises `StoreAway` when PostgreSQL does not answer, cannot write, or refused something
        within the last ten seconds; that it answers is asked each time.
        """
        async with self._lock, away_as_error():
            at, reason = self._trouble
            if time.monotonic() - at < _TROUBLE_SECONDS:
                raise StoreAway(reason)
            if time.monotonic() - self._read_at < _FRESH_SECONDS:
                await self._database.fetchval("select 1")
                return self._found
            await self._database.execute(_WRITE)
            ended = await self._database.fetchrow(_ENDED, COUNT_TO)
            stopped = await self._database.fetch(_FAILING, BREAKER_FAILURES)
            self._found = {
                **dict(ended or {}),
                "waiting": await lines(self._database),
                "stopped": [dict(row) for row in stopped],
            }
            self._read_at = time.monotonic()
        return self._found


async def lines(database: Database) -> list[Line]:
    """Return what waits by stage and connection, with the age of the oldest. Raises `StoreAway`."""
    async with away_as_error():
        return [Line(**dict(row)) for row in await database.fetch(_WAITING, COUNT_TO)]


async def silent(database: Database) -> list[Silent]:
    """Return the connections whose expected webhook stays away. Raises `StoreAway`."""
    async with away_as_error():
        return [Silent(**dict(row)) for row in await database.fetch(_SILENT)]


async def backlog(database: Database, most: int) -> int:
    """Return how many webhooks wait to be normalized, counted up to `most`. Raises `StoreAway`."""
    async with away_as_error():
        return int(await database.fetchval(_BACKLOG, most))
