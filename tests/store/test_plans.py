"""Finding what waits reads no more than it finds, whatever the planner's statistics say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.store import events, lanes, webhooks
from hub.store.pool import Database, open_pool

_WAITING = 3000
_TODAY = "(now() at time zone 'utc')::date"


@pytest.fixture
async def worker(database: Database, database_url: str) -> AsyncIterator[Database]:
    """A worker's pool, on tables that have filled up since PostgreSQL last counted them."""
    counted = await database.fetch(
        "select relname as name from pg_class where relkind = 'r' "
        "and relname ~ '^(lanes|(webhooks|events|deliveries|attempts|writes|written)_[0-9]+)$'"
    )
    for table in (row["name"] for row in counted):
        await database.execute(f"alter table {table} set (autovacuum_enabled = off)")
        await database.execute(f"truncate {table}")
        # What other tests had in it is not to decide here.
        await database.execute(
            "select pg_clear_attribute_stats('public', $1, attname, false) from pg_attribute "
            "where attrelid = $1::regclass and attnum > 0",
            table,
        )
        await database.execute(f"analyze {table}")
    await database.execute(
        "insert into connections (name, integration, key, secrets) values ('a', 'webhook', 'k', '')"
    )
    place = await database.fetchval("select id from connections")
    await database.execute(
        "insert into webhooks (day, connection_id, dedupe_key, headers, body) "
        f"select {_TODAY}, $1, 'k' || g, '{{}}', '' from generate_series(1, $2::int) g",
        place, _WAITING,
    )  # fmt: skip
    await database.execute(
        "insert into events (day, webhook_id, ordinal, connection_id, type, subject, time, data) "
        "select day, id, 0, connection_id, 't', 's', now(), '{}' from webhooks"
    )
    await database.execute(
        "insert into deliveries (day, event_id, route_id, route, route_version, step, connection_id, "
        "action, lane, inputs, state) select day, id, 1, 'r', 1, 's', connection_id, 'send', "
        "'l/' || id, '{}', 'pending' from events"
    )
    await database.execute(
        "insert into lanes (connection_id, lane, day) "
        "select connection_id, lane, day from deliveries order by id"
    )
    pool = await open_pool(database_url, most=2, name="tests", by_index=True)
    yield pool
    await pool.close()
    for table in (row["name"] for row in counted):
        await database.execute(f"alter table {table} reset (autovacuum_enabled)")


def _scans(plan: dict[str, Any]) -> list[tuple[int, str]]:
    """Return how many rows each scan of a plan went through, and by what."""
    found = [scan for part in plan.get("Plans", ()) for scan in _scans(part)]
    if "Scan" in plan["Node Type"] and plan["Node Type"] != "CTE Scan":
        each = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        name = plan.get("Index Name") or plan.get("Relation Name") or plan["Node Type"]
        found.append((round(each * plan["Actual Loops"]), f"{name} {plan.get('Index Cond')}"))
    return found


class _Explaining:
    """Explains what would be run; returns no rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.scans: list[tuple[int, str]] = []

    async def fetch(self, query: str, *args: object) -> list[Any]:
        async with self._database.acquire() as session:
            transaction = session.transaction()
            await transaction.start()
            told = await session.fetchval(f"explain (analyze, format json) {query}", *args)
            await transaction.rollback()
        self.scans = _scans(told[0]["Plan"])
        return []

    def check(self, *, least: int, most: int) -> None:
        """Check that so many rows were read; tells by what when not."""
        assert least <= sum(count for count, _ in self.scans) <= most, self.scans


async def test_the_first_webhooks_and_events_are_found_without_reading_all(
    worker: Database,
) -> None:
    place = await worker.fetchval("select id from connections")
    seen: Any = _Explaining(worker)
    await webhooks.waiting(seen, place, 100)
    seen.check(least=100, most=300)
    await events.waiting(seen, place, 100)
    seen.check(least=100, most=300)


async def test_the_heads_of_lanes_are_found_without_reading_their_connections_line(
    worker: Database,
) -> None:
    seen: Any = _Explaining(worker)
    await lanes.take(seen, "w", lease_seconds=10, most=50, most_each=50, room={}, after=0)
    seen.check(least=50, most=500)


async def test_giving_lanes_back_does_not_read_their_connections_line(worker: Database) -> None:
    taken, _ = await lanes.take(
        worker, "w", lease_seconds=10, most=50, most_each=50, room={}, after=0
    )
    assert len(taken) == 50
    ended = [lanes.Ended(taken=lane, state="delivered", outcome="delivered") for lane in taken]
    seen: Any = _Explaining(worker)
    with pytest.raises(AttributeError):  # it goes on with what PostgreSQL did not return
        await lanes.finish(seen, "w", ended)
    seen.check(least=50, most=1000)
    finished = await lanes.finish(worker, "w", ended)
    assert finished == lanes.Finished(go_on=[], due=False)
