"""API keys: only their hash is stored."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

from hub.store.pool import Database, Session, away_as_error, transaction

PREFIX = "hub_"
_OWNER = "owner"


def digest(key: str) -> bytes:
    """Return what is stored of a key. It has 32 random bytes, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).digest()


async def find(database: Database, key: str) -> dict[str, Any] | None:
    """Return the live key with this value: id, name, role. Raises `StoreAway`."""
    async with away_as_error():
        row = await database.fetchrow(
            "update api_keys set last_used_at = now() where hash = $1 and revoked_at is null "
            "returning id, name, role",
            digest(key),
        )
    return None if row is None else dict(row)


async def create(session: Session, name: str, role: str) -> tuple[dict[str, Any], str]:
    """Make a key; returns its row and, this once, its value. Raises for a name that exists."""
    key = PREFIX + secrets.token_urlsafe(32)
    row = await session.fetchrow(
        "insert into api_keys (name, role, prefix, hash) values ($1, $2, $3, $4) "
        "returning id, name, role, prefix, created_at",
        name, role, key[:10], digest(key),
    )  # fmt: skip
    return dict(row or {}), key


async def revoke(session: Session, key_id: int) -> str | None:
    """End a key; returns its name, or None when there is none. The name is free again."""
    name: str | None = await session.fetchval(
        "update api_keys set revoked_at = now(), name = name || ' (revoked ' || id || ')' "
        "where id = $1 and revoked_at is null returning name",
        key_id,
    )
    return name


async def ensure_admin_key(database: Database, path: Path) -> str:
    """Return the owner's key from `path`, making a new one when it is missing or not valid."""
    try:
        known = path.read_text().strip()  # noqa: ASYNC240 - once, at the start
    except OSError:
        known = ""
    if known and (found := await find(database, known)) and found["role"] == "admin":
        return known
    async with transaction(database) as session:
        old = await session.fetchval(
            "select id from api_keys where name = $1 and revoked_at is null", _OWNER
        )
        if old is not None:
            await revoke(session, old)
        _, key = await create(session, _OWNER, "admin")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(key + "\n")
    fresh.rename(path)
    return key


async def live(session: Session) -> list[dict[str, Any]]:
    """Return every key that is not revoked, without its value."""
    rows = await session.fetch(
        "select 'ak_' || id as id, name, role, prefix, created_at, last_used_at from api_keys "
        "where revoked_at is null order by id"
    )
    return [dict(row) for row in rows]
