"""Periods: made ahead, dropped whole, never with waiting work, and a webhook is still taken once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from hub.store import partitions, webhooks
from hub.store.pool import Database


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Database]:
    await partitions.ensure(database, retention_days=90)
    yield database
    # Whatever a test did to the periods, the next one finds those of today.
    old = await database.fetch(
        "select first, until from periods where until <= (now() at time zone 'utc')::date - 7"
    )
    for first, _ in old:
        for table in partitions.FLOW:
            await database.execute(f"drop table if exists {table}_{first:%Y%m%d}")
        await database.execute("delete from periods where first = $1", first)


def _webhook(key: str) -> webhooks.NewWebhook:
    return webhooks.NewWebhook(
        connection_id=1, dedupe_key=key, path="", query="", headers={}, body=b"{}"
    )


async def _old_period(store: Database, days: int) -> tuple[date, date]:
    """Make a period that ended `days` ago, with one processed webhook that led to a delivery."""
    today: date = await store.fetchval("select (now() at time zone 'utc')::date")
    first, until = today - timedelta(days=days + 7), today - timedelta(days=days)
    for table in partitions.FLOW:
        await store.execute(
            f"create table {table}_{first:%Y%m%d} partition of {table} "
            f"for values from ('{first}') to ('{until}')"
        )
    await store.execute("insert into periods values ($1, $2)", first, until)
    await store.execute(
        "insert into webhooks (id, day, connection_id, dedupe_key, headers, body, state) "
        "values (900, $1, 1, 'old', '{}', '', 'processed')", first,
    )  # fmt: skip
    await store.execute("insert into seen values (1, 'old', 900, $1)", first)
    await store.execute(
        "insert into deliveries (id, day, event_id, route_id, route, route_version, step, "
        "connection_id, action, state) values (900, $1, 900, 1, 'r', 1, 's', 1, 'note', 'delivered')",
        first,
    )
    return first, until


async def _partitions(store: Database) -> int:
    return int(await store.fetchval("select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid where c.relkind = 'r'"))  # fmt: skip


async def test_there_is_room_for_a_week_ahead_and_making_it_again_does_nothing(
    store: Database,
) -> None:
    last = await store.fetchval("select max(until) - (now() at time zone 'utc')::date from periods")
    assert last > 7
    before = await _partitions(store)
    assert await partitions.ensure(store, retention_days=90) == []
    assert await _partitions(store) == before


async def test_an_old_period_goes_whole_and_its_keys_are_forgotten(store: Database) -> None:
    await _old_period(store, 100)
    before = await _partitions(store)
    assert len(await partitions.drop_old(store, retention_days=90)) == 1
    assert await _partitions(store) == before - len(partitions.FLOW)
    assert await store.fetchval("select count(*) from webhooks where id = 900") == 0
    assert await store.fetchval("select count(*) from seen") == 0
    assert await partitions.drop_old(store, retention_days=90) == []


async def test_a_period_with_waiting_work_stays(store: Database) -> None:
    await _old_period(store, 100)
    await store.execute("update deliveries set state = 'pending' where id = 900")
    assert await partitions.drop_old(store, retention_days=90) == []
    await store.execute("update deliveries set state = 'dead' where id = 900")
    assert len(await partitions.drop_old(store, retention_days=90)) == 1


async def test_a_drop_that_was_cut_off_is_finished(store: Database) -> None:
    first, _ = await _old_period(store, 100)
    await store.execute(f"alter table events detach partition events_{first:%Y%m%d}")
    await store.execute(f"drop table attempts_{first:%Y%m%d}")
    assert await partitions.drop_old(store, retention_days=90) == [first]


async def test_a_webhook_of_another_period_is_still_taken_once(store: Database) -> None:
    await _old_period(store, 30)
    assert await webhooks.keep(store, [_webhook("old")]) == [None]
    assert await store.fetchval("select duplicates from webhooks where id = 900") == 1
    assert await store.fetchval("select count(*) from webhooks") == 1


async def test_days_without_a_period_get_one_when_a_webhook_comes(store: Database) -> None:
    """As after a jump of the clock: today lies in no period."""
    rows = await store.fetch("select first, until from periods")
    for row in rows:
        for table in partitions.FLOW:
            await store.execute(f"drop table {table}_{row['first']:%Y%m%d}")
    await store.execute("delete from periods")
    (kept,) = await webhooks.keep(store, [_webhook("new")])
    assert kept is not None
    assert await store.fetchval("select count(*) from webhooks where id = $1", kept) == 1


async def test_what_came_twice_in_one_batch_is_kept_once(store: Database) -> None:
    kept = await webhooks.keep(store, [_webhook("a"), _webhook("a"), _webhook("b")])
    assert [item is not None for item in kept] == [True, False, True]
    assert await store.fetchval("select duplicates from webhooks where dedupe_key = 'a'") == 1
