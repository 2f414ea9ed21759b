"""The ledger: what an echo may be the echo of is found, however much was written since."""

from __future__ import annotations

from datetime import timedelta

from hub.store import writes
from hub.store.pool import Database


async def _creation(database: Database, number: int, state: str) -> None:
    await database.execute(
        "insert into deliveries (id, day, event_id, route_id, route, route_version, step, "
        "connection_id, action, state, uncertain, writes_to) values ($1, current_date, $1, 1, 'r', 1, "
        "'s', 1, 'create_issue', $2, $3, 'new/issue')",
        number, state, state != "delivered",
    )  # fmt: skip
    await database.execute(
        "insert into writes (delivery_id, day, connection_id, target, action, route, at) "
        "values ($1, (now() at time zone 'utc')::date, 1, 'new/issue', 'create_issue', 'r', "
        "now() + make_interval(secs => $2))",
        number, float(number),
    )  # fmt: skip


async def test_a_creation_of_unknown_outcome_is_found_behind_many_newer_ones(
    database: Database,
) -> None:
    for number, state in ((1, "in_flight"), (2, "pending"), (3, "dead"), (4, "delivered")):
        await _creation(database, number, state)
    for number in range(5, 65):
        await _creation(database, number, "delivered")
    since = await database.fetchval("select now()") - timedelta(minutes=1)
    found = await writes.recent(database, 1, ["new/issue", "issue/7"], since)
    ids = [write.delivery_id for write in found]
    assert len(ids) == len(set(ids)) == 53
    assert {1, 2, 3} <= set(ids)
    assert 4 not in ids
    assert await writes.recent(database, 1, ["issue/7"], since) == []
    assert await writes.recent(database, 2, ["new/issue"], since) == []
