"""Apply the migrations. Several processes may try at once: one does, the others wait."""

from __future__ import annotations

import secrets
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

_LOCK = 0x4855_4200  # any number that only the hub's migrations use


async def migrate(url: str) -> None:
    """Bring the database at `url` to the newest revision and give the installation its id."""
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"select pg_advisory_lock({_LOCK})"))
            await connection.commit()
            await connection.run_sync(_upgrade)
            await connection.execute(
                text("insert into meta values ('instance', :id) on conflict do nothing"),
                {"id": secrets.token_hex(4)},
            )
            await connection.commit()
            await connection.execute(text(f"select pg_advisory_unlock({_LOCK})"))
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    # Reading the revision first keeps an ordinary start from loading every migration.
    if MigrationContext.configure(connection).get_current_revision() == newest:
        return
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
