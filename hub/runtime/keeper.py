"""What every process looks after now and then: periods made ahead, old ones dropped."""

from __future__ import annotations

import asyncio
import logging

from hub.store import partitions
from hub.store.pool import Database, StoreAway

_log = logging.getLogger(__name__)
_SECONDS = 600.0


async def keep_periods(database: Database, *, retention_days: int) -> None:
    """Make periods ahead and drop old ones, every ten minutes, for ever."""
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
        await asyncio.sleep(_SECONDS)
