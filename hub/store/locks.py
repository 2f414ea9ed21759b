"""Who works on what: one at a time for each stage and connection, across all workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

from hub.store.pool import Database, Session, away_as_error

STAGES = SimpleNamespace(normalize=1, route=2)


@asynccontextmanager
async def holding(database: Database, stage: int, connection_id: int) -> AsyncIterator[Session]:
    """Borrow a connection for one transaction that holds the stage's lock on a connection.

    It is what keeps events, and so the deliveries of a lane, in the order of the webhooks. The
    transaction begins and waits for the lock in one round trip. Raises `StoreAway`.
    """
    async with away_as_error(), database.acquire(timeout=10) as session:
        try:
            await session.execute(
                f"begin; select pg_advisory_xact_lock({stage:d}, {connection_id:d})"
            )
            yield session
        except BaseException:
            try:
                await session.execute("rollback")
            except Exception:  # noqa: BLE001 - whatever state it is in, nobody else may get it
                session.terminate()
            raise
        await session.execute("commit")
