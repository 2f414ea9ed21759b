"""The pool of database connections, and what is set on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg

from hub.sdk import json
from hub.sdk.errors import HubError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Database: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
    Session: TypeAlias = "PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]"
else:
    Database = Session = Any

Row: TypeAlias = asyncpg.Record
_T = TypeVar("_T")
_TRIES = 4
_PAUSE_SECONDS = 0.01

# Tables that fill and empty within seconds have statistics of another moment; going by them, the
# planner read all that waited, and sorted it, to find the first hundred.
# https://www.postgresql.org/docs/18/runtime-config-query.html
_BY_INDEX = {f"enable_{way}": "off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")}

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # the disk or memory is full, or too many are connected
    asyncpg.PostgresSystemError,  # it cannot read or write its files
    asyncpg.ReadOnlySQLTransactionError,
)


Collision = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError)
"""Two transactions did the same thing at the same moment; doing one of them again is right."""


NameTaken = asyncpg.UniqueViolationError
"""There is one of this name already."""


NoPeriod = asyncpg.CheckViolationError
"""No partition takes the row: its day lies in no period."""


class StoreAway(HubError):
    """PostgreSQL cannot be reached or cannot write. Nothing was kept; trying again is right."""


async def open_pool(
    url: str, *, most: int = 10, name: str = "hub", by_index: bool = False
) -> Database:
    """Open a pool of up to `most` connections, JSON columns read and written as Python values.

    With `by_index`, rows are found by indexes alone: right for who works on what waits, wrong for
    who counts and lists. Raises `StoreAway` when the server does not answer within 10 s.
    """
    try:
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=most,
            timeout=10,
            command_timeout=60,
            init=_prepare,
            reset=_keep_as_it_is,
            server_settings={
                "application_name": name,
                "jit": "off",
                **(_BY_INDEX if by_index else {}),
            },
        )
    except _AWAY as error:
        message = f"PostgreSQL does not answer: {error}"
        raise StoreAway(message) from error


async def close_pool(database: Database) -> None:
    """Close a pool; what hangs because PostgreSQL does is cut after two seconds."""
    try:
        async with asyncio.timeout(2):
            await database.close()
    except TimeoutError:
        database.terminate()


@asynccontextmanager
async def away_as_error() -> AsyncIterator[None]:
    """Turn every sign that PostgreSQL is away into `StoreAway`."""
    try:
        yield
    except _AWAY as error:
        raise StoreAway(str(error) or type(error).__name__) from error


async def again(
    work: Callable[[], Awaitable[_T]], *, on: tuple[type[Exception], ...] = Collision
) -> _T:
    """Do what is one transaction; do it again when PostgreSQL ended it for a collision.

    It has then done nothing. After the fourth time the collision is raised.
    """
    for tried in range(1, _TRIES):
        try:
            return await work()
        except on:
            await asyncio.sleep(_PAUSE_SECONDS * tried)
    return await work()


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[Session]:
    """Borrow a connection for one transaction. Raises `StoreAway`."""
    async with away_as_error(), database.acquire(timeout=10) as session, session.transaction():
        yield session


async def wait_for(database_url: str, seconds: float) -> None:
    """Wait until PostgreSQL answers. Raises `StoreAway` after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            session = await asyncpg.connect(database_url, timeout=5)
            await session.close()
        except _AWAY as error:
            if asyncio.get_running_loop().time() > deadline:
                message = f"PostgreSQL does not answer: {error}"
                raise StoreAway(message) from error
            await asyncio.sleep(0.2)
        else:
            return


async def _keep_as_it_is(session: Session) -> None:
    # Nothing is ever set on a connection beyond its transaction: a round trip saved each time.
    del session


async def _prepare(session: Session) -> None:
    for kind in ("json", "jsonb"):
        await session.set_type_codec(
            kind, schema="pg_catalog", encoder=_encode, decoder=json.loads, format="text"
        )


def _encode(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else json.text(value)
