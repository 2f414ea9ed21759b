"""The worker process: listens for wake-ups, sweeps, and sends deliveries."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from typing import Any

from hub.deliver.stage import Deliverer
from hub.queue.jobs import Listener
from hub.runtime.keeper import keep_periods, keep_watch
from hub.runtime.pump import Pump
from hub.runtime.services import Services
from hub.store.admin import new_key
from hub.store.notices import make_own_connection

_STOP_SECONDS = 7.0
"""A process that is asked to stop has ended within 10 s, closing of connections included."""


async def run_worker(
    services: Services, redis_url: str, *, stop: asyncio.Event | None = None
) -> None:
    """Work until `stop` is set, or SIGTERM or SIGINT comes; what is in flight ends first."""
    stop = stop or _on_signals()
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    deliverer = Deliverer(
        services.database,
        services.connections,
        services.caller,
        worker=name,
        instance=services.instance,
        lease_seconds=services.settings.lease_seconds,
        concurrency=services.settings.concurrency,
    )
    pump = Pump(services, deliverer)
    deliverer.on_step_done = pump.resume
    await make_own_connection(services.database, key=new_key(), sealed=services.vault.seal({}))
    listener = Listener(redis_url, pump.advance, poll_seconds=services.settings.poll_seconds)
    delivering = asyncio.create_task(deliverer.run())
    sweeping = asyncio.create_task(pump.sweep())
    listening = asyncio.create_task(listener.run())
    ending = asyncio.create_task(stop.wait())
    keeping = asyncio.create_task(
        keep_periods(services.database, retention_days=services.settings.retention_days)
    )
    watching = asyncio.create_task(keep_watch(services.database))
    running: list[asyncio.Task[Any]] = [delivering, sweeping, listening, ending]
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    listener.stop()
    deliverer.stop()
    closing = asyncio.create_task(pump.close())
    # What still hangs then is handed over: transactions roll back, leases end soon.
    await asyncio.wait([listening, delivering, closing], timeout=_STOP_SECONDS)
    rest = [sweeping, keeping, watching, listening, delivering, closing, ending]
    for task in rest:
        task.cancel()
    await asyncio.wait(rest, timeout=1)
    for task in done - {ending}:
        with contextlib.suppress(asyncio.CancelledError):
            task.result()


def _on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
