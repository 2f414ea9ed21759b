"""Periods: the flow's tables are partitioned by the day a webhook came, and dropped by period.

Everything that one webhook led to carries the webhook's day, so a whole chain lies in one period
and goes with it. A period that still holds waiting work stays, however old it is.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta

from hub.store.pool import Database, Session, away_as_error, transaction

_log = logging.getLogger(__name__)
FLOW = ("webhooks", "events", "deliveries", "attempts", "writes", "written")
"""The partitioned tables."""
_KEPT_PERIODS = 12
"""About how many periods the retention is cut into: few enough to look through all of them."""
_AHEAD = timedelta(days=7)
"""Periods are made so long before they begin, so that a night without a worker harms nothing."""
_LOCK = 0x4855_4201
_FORGET = 5000
# Compressing a webhook of a few kilobytes costs more than the webhook itself.
_OPTIONS = {"webhooks": " with (toast_tuple_target = 8160)"}
_WAITING = """
select exists (select from webhooks where day >= $1 and day < $2 and state = 'received')
    or exists (select from events where day >= $1 and day < $2 and state = 'waiting')
    or exists (select from deliveries where day >= $1 and day < $2
               and state in ('pending', 'in_flight') and id > 0)
    or exists (select from deliveries where day >= $1 and day < $2 and state = 'blocked')
"""


async def ensure(database: Database, *, retention_days: int) -> list[date]:
    """Make the periods that today and the next week need; returns the first day of each new one.

    Days that no period covers (after a jump of the clock, or a long sleep) get one. Raises
    `StoreAway`.
    """
    length = timedelta(days=max(1, retention_days // _KEPT_PERIODS))
    made: list[date] = []
    async with transaction(database) as session:
        await session.execute("select pg_advisory_xact_lock($1)", _LOCK)
        today: date = await session.fetchval("select (now() at time zone 'utc')::date")
        known = await session.fetchrow("select min(first), max(until) from periods")
        first, until = (known[0], known[1]) if known and known[0] else (today, today)
        if today < first:
            made.append(await _make(session, today, first))
        if until < today:
            made.append(await _make(session, until, today))
            until = today
        while until <= today + _AHEAD:
            made.append(await _make(session, until, until + length))
            until += length
    return made


async def drop_old(database: Database, *, retention_days: int) -> list[date]:
    """Drop the periods that ended more than `retention_days` ago; returns their first days.

    Partitions are detached concurrently, so nobody waits for it. Raises `StoreAway`.
    """
    dropped: list[date] = []
    async with away_as_error(), database.acquire() as session:
        if not await session.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            return []
        try:
            old = await session.fetch(
                "select first, until from periods "
                "where until < (now() at time zone 'utc')::date - $1::int order by first",
                retention_days,
            )
            for first, until in old:
                if await session.fetchval(_WAITING, first, until):
                    _log.info("the period from %s is kept: something in it still waits", first)
                    continue
                for table in FLOW:
                    await _drop(session, table, first)
                await session.execute("delete from periods where first = $1", first)
                dropped.append(first)
            if dropped:
                await _forget(session, retention_days)
        finally:
            await session.fetchval("select pg_advisory_unlock($1)", _LOCK)
    return dropped


async def _make(session: Session, first: date, until: date) -> date:
    for table in FLOW:
        name = _name(table, first)
        # Made apart and attached: the parent's lock then stops neither readers nor writers.
        await session.execute(
            f"create table {name} (like {table} including defaults including constraints "
            f"including storage){_OPTIONS.get(table, '')}"
        )
        await session.execute(
            f"alter table {table} attach partition {name} for values from ('{first}') to ('{until}')"
        )
    await session.execute("insert into periods (first, until) values ($1, $2)", first, until)
    return first


async def _drop(session: Session, table: str, first: date) -> None:
    name = _name(table, first)
    # An earlier try may have been stopped half-way: detached already, or marked as being so.
    state = await session.fetchrow(
        "select i.inhdetachpending from pg_class c left join pg_inherits i on i.inhrelid = c.oid "
        "where c.relname = $1 and c.relnamespace = 'public'::regnamespace",
        name,
    )
    if state is None:
        return
    if state[0] is not None:
        how = "finalize" if state[0] else "concurrently"
        await session.execute(f"alter table {table} detach partition {name} {how}")
    await session.execute(f"drop table {name}")


async def _forget(session: Session, retention_days: int) -> None:
    """Forget the keys of webhooks whose period is gone, some thousands at a time."""
    while True:
        status = await session.execute(
            "delete from seen where ctid = any(array(select ctid from seen "
            "where day < (now() at time zone 'utc')::date - $1::int limit $2))",
            retention_days,
            _FORGET,
        )
        if status == "DELETE 0":
            return


def _name(table: str, first: date) -> str:
    return f"{table}_{first:%Y%m%d}"
