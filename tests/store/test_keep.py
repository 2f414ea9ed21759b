"""Two web processes take the same webhooks in at the same moment, in another order."""

from __future__ import annotations

import asyncio

from hub.runtime.services import Services
from hub.store import webhooks
from hub.store.pool import Database


def _batch(connection_id: int, names: range) -> list[webhooks.NewWebhook]:
    return [
        webhooks.NewWebhook(
            connection_id=connection_id, dedupe_key=f"k{n}", path="", query="", headers={}, body=b"x" * 2000
        )
        for n in names
    ]  # fmt: skip


async def test_twins_in_crossing_order_are_kept_once_and_refused_by_nobody(
    services: Services, database: Database
) -> None:
    for number in range(4):
        names = range(number * 1000, number * 1000 + 1000)
        kept = await asyncio.gather(
            webhooks.keep(services.database, _batch(1, names)),
            webhooks.keep(database, _batch(1, names[::-1])),
        )
        assert sum(one is not None for ids in kept for one in ids) == 1000
    assert await database.fetchval("select count(*) from webhooks") == 4000
    assert await database.fetchval("select count(*) from seen") == 4000
