"""What every worker looks after: periods of the tables, and what the hub has to say of itself."""

from __future__ import annotations

import asyncio
import logging

from hub.sdk.events import HubQueueStuck, HubSilence
from hub.store import partitions, watch
from hub.store.notices import about, notice, tell
from hub.store.pool import Database, StoreAway

_log = logging.getLogger(__name__)
_PERIODS_SECONDS = 60.0
_WATCH_SECONDS = 15.0
STUCK_SECONDS = 300.0
"""Work that may run and has waited so long counts as stuck."""
_AGAIN_SECONDS = 3600.0


async def keep_periods(database: Database, *, retention_days: int) -> None:
    """Make periods ahead and drop old ones, every minute, for ever."""
    while True:
        try:
            await partitions.ensure(database, retention_days=retention_days)
            for first in await partitions.drop_old(database, retention_days=retention_days):
                _log.info("dropped the period from %s: it is older than %s days", first,
                          retention_days)  # fmt: skip
        except StoreAway as error:
            _log.warning("periods are looked after later: %s", error)
        except Exception:  # noqa: BLE001 - logged; tried again
            _log.exception("periods could not be looked after; tried again")
        await asyncio.sleep(_PERIODS_SECONDS)


async def keep_watch(database: Database) -> None:
    """Tell of work that is stuck and of webhooks that stay away, for ever.

    Several workers may do so: what has the same key is told once.
    """
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        try:
            await look(database)
        except StoreAway as error:
            _log.warning("the watch goes on later: %s", error)
        except Exception:  # noqa: BLE001 - logged; tried again
            _log.exception("the watch failed; it goes on")


async def look(database: Database) -> None:
    """Look once, and keep notices of what is amiss. Raises `StoreAway`."""
    said = [
        notice(
            HubQueueStuck, about("queue", f"{line.stage}/cn_{line.connection_id}"),
            key=f"{line.stage}:{line.connection_id}", every=_AGAIN_SECONDS,
            title=f"Work waits at {line.connection} ({line.stage})",
            body=f"{line.waiting} wait to {line.stage}, the oldest for {line.oldest_seconds:.0f} s.\n\n"
            "See GET /api/v1/health and `hub lanes list`; a worker may be missing or overloaded.",
            connection=line.connection, count=line.waiting, since=line.oldest_at,
        )
        for line in await watch.lines(database)
        if line.runs and line.oldest_seconds > STUCK_SECONDS
    ]  # fmt: skip
    said += [
        notice(
            HubSilence, about("connection", f"cn_{item.id}"),
            key=f"{item.id}:{item.last_at.timestamp():.0f}", title=f"No webhook from {item.name}",
            body=f"One was expected every {item.expect_seconds} s; the last came "
            f"{item.seconds:.0f} s ago.\n\nLook whether the webhook at the sender is still on.",
            connection=item.name, since=item.last_at,
        )
        for item in await watch.silent(database)
    ]  # fmt: skip
    await tell(database, said)
