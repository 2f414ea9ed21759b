"""What the processes of the hub are made of, opened and closed together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hub.deliver.caller import Caller
from hub.queue.jobs import EVERYTHING, Queue
from hub.queue.limits import Limits
from hub.runtime.settings import Settings
from hub.sdk import Registry, discover
from hub.store.connections import Connections
from hub.store.partitions import ensure
from hub.store.pool import Database, close_pool, open_pool
from hub.store.routes import RouteTable
from hub.store.vault import Vault
from hub.store.watch import Watch


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that web, worker and tests share. `instance` is the installation's own id."""

    settings: Settings
    registry: Registry
    database: Database
    vault: Vault
    connections: Connections
    routes: RouteTable
    queue: Queue
    caller: Caller
    instance: str
    watch: Watch

    async def wake(self) -> None:
        """Have every connection's work looked at now (after a resume or a replay)."""
        self.connections.forget()
        self.queue.wake([EVERYTHING, *(item.id for item in await self.connections.all())])


@asynccontextmanager
async def open_services(
    settings: Settings, *, database_url: str, redis_url: str, name: str, most: int = 10,
    registry: Registry | None = None, by_index: bool = False,
) -> AsyncIterator[Services]:  # fmt: skip
    """Open everything; close it when the block ends. Workers set `by_index` (`open_pool`).

    Raises `StoreAway` and `VaultError`.
    """
    registry = registry or discover().checked()
    vault = Vault(settings.keys())
    database = await open_pool(database_url, most=most, name=name, by_index=by_index)
    queue = Queue(redis_url)
    limits = Limits(redis_url)
    caller = Caller(registry, allow_private=settings.allow_private_hosts, limits=limits)
    try:
        await ensure(database, retention_days=settings.retention_days)
        instance = await database.fetchval("select value from meta where key = 'instance'")
        yield Services(
            settings=settings,
            registry=registry,
            database=database,
            vault=vault,
            connections=Connections(database, vault, registry),
            routes=RouteTable(database),
            queue=queue,
            caller=caller,
            instance=str(instance or "new"),
            watch=Watch(database),
        )
    finally:
        await caller.close()
        await limits.close()
        await queue.close()
        await close_pool(database)
