"""An installation of the first revision comes over with everything it held."""

from __future__ import annotations

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import hub.store.migrations as place
from hub.runtime.embedded import EmbeddedPostgres
from hub.store import migrate as migrating
from hub.store.audit import audit
from hub.store.pool import open_pool

_HELD = """
insert into connections (name, integration, key, secrets) values ('desk', 'acme', 'k', '');
insert into webhooks (connection_id, dedupe_key, headers, body, state, received_at) values
    (1, 'a', '{}', '{"n": 1}', 'processed', now() - interval '40 days'),
    (1, 'b', '{}', '{}', 'received', now());
insert into events (webhook_id, ordinal, connection_id, type, subject, time, data, state) values
    (1, 0, 1, 'feedback.received', 'acme/ticket/t', now(), '{}', 'routed');
insert into deliveries (event_id, route_id, route, route_version, step, connection_id, action, lane,
    inputs, state, once_key) values
    (1, 7, 'r', 1, 's', 1, 'note', 'ticket/t', '{}', 'delivered', 'k1'),
    (1, 7, 'r', 1, 's2', 1, 'note', 'ticket/t', '{}', 'in_flight', null);
insert into attempts (delivery_id, number, worker, outcome) values (1, 1, 'w', 'delivered'),
    (2, 1, 'w', 'in_flight');
insert into writes (delivery_id, connection_id, target, action, words) values
    (1, 1, 'ticket/t', 'note', '{hello,there}');
insert into written values (1, 'reply/5', 1);
"""


async def test_everything_comes_over(postgres: EmbeddedPostgres) -> None:
    server: str = postgres.url  # type: ignore[attr-defined]
    admin = await asyncpg.connect(server)
    await admin.execute("drop database if exists older")
    await admin.execute("create database older")
    url = server.replace("/hub?", "/older?")
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool
    )

    def first(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(next(iter(place.__path__)))))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()

    async with engine.connect() as connection:
        await connection.run_sync(first)
    await engine.dispose()
    session = await asyncpg.connect(url)
    await session.execute(_HELD)
    await session.close()

    await migrating.migrate(url)
    pool = await open_pool(url, most=2)
    try:
        assert await pool.fetchval("select body from webhooks where id = 1") == b'{"n": 1}'
        assert await pool.fetchval("select count(*) from seen") == 2
        assert await pool.fetchval("select delivery_id from once where once_key = 'k1'") == 1
        flight = await pool.fetchrow("select state, tries, lane from deliveries where id = 2")
        assert tuple(flight or ()) == ("in_flight", 1, "ticket/t")
        assert await pool.fetchval("select lane from lanes") == "ticket/t"
        assert await pool.fetchval("select words from writes") == ["hello", "there"]
        assert await pool.fetchval("select nextval('webhooks_id_seq')") == 3
        assert (await audit(pool)).ok
        await migrating.migrate(url)  # a second time changes nothing
    finally:
        await pool.close()
        await admin.execute("drop database older")
        await admin.close()
