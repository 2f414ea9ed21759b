"""Moves a connection's webhooks through normalize and route, and pokes the deliverer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from hub.deliver.stage import Deliverer
from hub.normalize.stage import normalize_waiting
from hub.queue.jobs import EVERYTHING
from hub.route.stage import Router
from hub.runtime.services import Services
from hub.store.connections import Connection
from hub.store.lanes import open_strays
from hub.store.pool import StoreAway
from hub.store.webhooks import find_waiting

_log = logging.getLogger(__name__)
_BATCH = 100
_AT_ONCE = 5
"""Connections whose batches are worked on at the same time: half of the pool of ten, so that a
thousand busy ones leave the deliverer its share and none waits for a session in vain."""
_WAIT_SECONDS = 30.0
_SWEEP_SECONDS = 1.0
_RESUME_SWEEPS = 5
_STRAY_SWEEPS = 30


class Pump:
    """Runs the stages for connections that have work, each connection by one task at a time.

    A wake-up that comes while a connection is being worked on makes it look once more, so none is
    lost and none is done twice in one process; across processes the stages' locks see to that.
    """

    def __init__(self, services: Services, deliverer: Deliverer) -> None:
        self._services = services
        self._router = Router(services.database, services.connections, services.routes)
        self._deliverer = deliverer
        self._again: dict[int, bool] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._resuming = False
        self._resume_all = False
        self._ended: list[int] = []

    async def advance(self, connection_ids: Iterable[int]) -> None:
        """Work until these connections have nothing waiting, or somebody else is at it.

        `EVERYTHING` among them lets steps and deliveries be looked at as well. What takes longer
        than half a minute, because more comes all the while, goes on after this has returned: the
        job that brought the wake-up has a time limit, and its end must cut no batch.
        """
        wanted = set(connection_ids)
        if EVERYTHING in wanted:
            self.resume()
            self._deliverer.poke()
        working = [asyncio.create_task(self._advance(number)) for number in wanted - {EVERYTHING}]
        for task in working:
            self._keep(task)
        if working:
            await asyncio.wait(working, timeout=_WAIT_SECONDS)

    def resume(self, after: Sequence[int] | None = None) -> None:
        """Let steps go on that waited for these deliveries, or for any."""
        if after is None:
            self._resume_all = True
        else:
            self._ended += after
        if not self._resuming:
            self._resuming = True
            self._spawn(self._resume())

    async def sweep(self) -> None:
        """Find what no wake-up told of, once a second, for ever: Redis may be away."""
        rounds = 0
        while True:
            try:
                rows = await find_waiting(self._services.database)
                for connection_id in rows:
                    self._spawn(self._advance(connection_id))
                if rounds % _RESUME_SWEEPS == 0:
                    self.resume()
                if rounds % _STRAY_SWEEPS == 0:
                    await open_strays(self._services.database)
                self._deliverer.poke()
                rounds += 1
            except StoreAway as error:
                _log.warning("the sweeper waits for PostgreSQL: %s", error)
            except Exception:  # noqa: BLE001 - logged; without the sweeper a worker is half a worker
                _log.exception("the sweeper failed; it goes on")
            await asyncio.sleep(_SWEEP_SECONDS)

    async def close(self) -> None:
        """Wait for what is being worked on."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=8)

    async def _advance(self, connection_id: int) -> None:
        if connection_id in self._again:
            self._again[connection_id] = True
            return
        self._again[connection_id] = True
        try:
            while self._again[connection_id]:
                self._again[connection_id] = False
                connection = await self._services.connections.by_id(connection_id)
                if connection is not None and connection.runs:
                    await self._run(connection)
        except StoreAway as error:
            _log.warning("cn_%s waits for PostgreSQL: %s", connection_id, error)
        except Exception:  # noqa: BLE001 - logged; the sweeper tries again
            _log.exception("the stages of cn_%s failed; the sweeper tries again", connection_id)
        finally:
            del self._again[connection_id]

    async def _run(self, connection: Connection) -> None:
        services = self._services
        while True:
            async with self._room:
                taken = await normalize_waiting(
                    services.database, services.connections, connection, limit=_BATCH
                )
                routed = await self._router.route_waiting(connection, limit=_BATCH)
            if routed:
                self._deliverer.poke()
            if taken < _BATCH and routed < _BATCH:
                return

    async def _resume(self) -> None:
        try:
            while self._resume_all or self._ended:
                after = None if self._resume_all else self._ended
                self._resume_all, self._ended = False, []
                while await self._router.resume(limit=_BATCH, after=after) == _BATCH:
                    pass
                self._deliverer.poke()
        except StoreAway as error:
            _log.warning("following steps wait for PostgreSQL: %s", error)
        except Exception:  # noqa: BLE001 - logged; the sweeper tries again
            _log.exception("following steps failed; the sweeper tries again")
        finally:
            self._resuming = False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._keep(asyncio.create_task(work))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
