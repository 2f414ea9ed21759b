"""Real PostgreSQL and Redis for every test that needs them: started once, emptied in between."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import msgspec
import pytest
from redis import Redis

from hub.runtime.embedded import EmbeddedPostgres, EmbeddedRedis
from hub.runtime.services import Services, open_services
from hub.runtime.settings import Settings
from hub.sdk import Registry, discover
from hub.store.migrate import migrate
from hub.store.pool import Database, open_pool
from hub.store.vault import Vault

# How long an example takes depends on the machine, and is not what these tests are about.
hypothesis.settings.register_profile(
    "hub", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("hub")
_KEEP = {"alembic_version", "configuration", "meta", "periods"}


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the embedded servers of this run."""
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="session")
def postgres(data_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL."""
    server = EmbeddedPostgres(data_folder)
    server.url = server.start()  # type: ignore[attr-defined]
    yield server
    server.stop(immediate=True)


@pytest.fixture(scope="session")
def _migrated() -> list[str]:
    return []


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres, _migrated: list[str]) -> str:
    """The address of a migrated database, the same for the whole run."""
    url: str = postgres.url  # type: ignore[attr-defined]
    if not _migrated:
        await migrate(url)
        _migrated.append(url)
    return url


@pytest.fixture(scope="session")
def _redis(data_folder: Path) -> Iterator[str]:
    server = EmbeddedRedis(data_folder)
    yield server.start()
    server.stop()


@pytest.fixture
def redis_url(_redis: str) -> str:
    """The address of a running, empty Redis."""
    with Redis.from_url(_redis) as redis:
        redis.flushall()
    return _redis


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on an empty, migrated database."""
    pool = await open_pool(database_url, most=5, name="tests")
    rows = await pool.fetch("select tablename from pg_tables where schemaname = 'public'")
    names = sorted({row["tablename"] for row in rows} - _KEEP)
    await pool.execute(f"truncate {', '.join(names)} restart identity cascade")
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Every integration of the project, and the made-up one."""
    return discover((("tests.acme", Path(__file__).parent / "acme"),))


@pytest.fixture(scope="session")
def settings(data_folder: Path) -> Settings:
    """Settings of the tests: loopback may be called, leases are short."""
    return msgspec.structs.replace(
        Settings(),
        data=data_folder,
        secret_keys=(Vault.new_key(),),
        allow_private_hosts=("127.0.0.1",),
        lease_seconds=2.0,
    )


@pytest.fixture
async def services(
    database: Database, database_url: str, redis_url: str, settings: Settings, registry: Registry
) -> AsyncIterator[Services]:
    """The parts that web and worker share, on an empty database."""
    del database  # it has emptied the tables
    async with open_services(
        settings, database_url=database_url, redis_url=redis_url, name="tests", registry=registry
    ) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("arq").setLevel(logging.WARNING)
