"""Who works on what: one at a time for each stage and connection, across all workers."""

from __future__ import annotations

from types import SimpleNamespace

from hub.store.pool import Session

STAGES = SimpleNamespace(normalize=1, route=2)


async def hold(session: Session, stage: int, connection_id: int) -> None:
    """Wait for the stage's lock on a connection; the transaction's end gives it back.

    It is what keeps events, and so the deliveries of a lane, in the order of the webhooks.
    """
    await session.execute("select pg_advisory_xact_lock($1, $2)", stage, connection_id)
