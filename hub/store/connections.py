"""Connections: configured accounts of integrations, with their secrets."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import msgspec

from hub.sdk import Registry
from hub.sdk.actions import Account
from hub.sdk.integration import Manifest
from hub.store.pool import Database, Row, Session, StoreAway, away_as_error
from hub.store.routes import REVISION
from hub.store.vault import Vault, VaultError

_log = logging.getLogger(__name__)

_FRESH_SECONDS = 1.0
_MISS_SECONDS = 0.05
_ALL = "select * from connections"
_PASSING = ("parked_until", "failures", "last_webhook_at", "refused")
_SETTLED = ("name", "integration", "key", "config", "secrets", "account", "dedicated_account",
            "state", "reason", "expect_seconds", "updated_at")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One configured account. `config` has the schema's defaults filled in and no secrets.

    `secrets` maps a config field to its values, newest first; the second is the one before the
    last rotation.
    """

    id: int
    name: str
    integration: str
    key: str
    config: Mapping[str, Any]
    secrets: Mapping[str, tuple[str, ...]]
    account: Account | None
    dedicated_account: bool
    state: str
    reason: str
    parked_until: datetime | None
    failures: int
    expect_seconds: int | None
    last_webhook_at: datetime | None
    refused: int
    created_at: datetime
    updated_at: datetime

    def secret(self, field: str) -> str:
        """Return the newest value of a secret field, or an empty string."""
        values = self.secrets.get(field, ())
        return values[0] if values else ""

    @property
    def receives(self) -> bool:
        """Whether webhooks are taken in (a paused connection keeps what arrives)."""
        return self.state != "removed"

    @property
    def runs(self) -> bool:
        """Whether its webhooks are processed and its deliveries leave."""
        return self.state == "active"


def with_defaults(manifest: Manifest, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config with the schema's defaults filled in, and `{field}` places in texts filled.

    A default such as `https://{site}/rest` may name other fields; filling repeats until nothing
    changes, at most four times.
    """
    properties: Mapping[str, Any] = manifest.config.get("properties", {})
    full = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    full.update({name: value for name, value in config.items() if value is not None})
    for name, schema in properties.items():
        default = schema.get("default")
        if isinstance(default, str) and "{" in default and full.get(name) == default:
            full[name] = fill(default, full)
    return full


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Replace `{field}` by the config's value, repeatedly but at most four times."""
    for _ in range(4):
        filled = text
        for name, value in values.items():
            if isinstance(value, (str, int)):
                filled = filled.replace("{" + name + "}", str(value))
        if filled == text:
            return text
        text = filled
    return text


def from_row(row: Row | Mapping[str, Any], vault: Vault, registry: Registry) -> Connection:
    """Build a `Connection`. Raises `VaultError` when its secrets cannot be read."""
    # A newer revision may know more columns: the old code runs on until it is replaced.
    values = {field.name: row[field.name] for field in fields(Connection)}
    available = registry.get(values["integration"])
    if available is not None:
        values["config"] = with_defaults(available.manifest, values["config"])
    values["secrets"] = vault.open(values["secrets"])
    account = values["account"]
    values["account"] = None if account is None else msgspec.convert(account, Account)
    return Connection(**values)


class Connections:
    """All connections, read at most once a second and kept: the hot paths ask it, not the database.

    A change made elsewhere is seen after a second; `forget` makes one's own change seen at once,
    and `at` asks for no less than a revision of the configuration. When PostgreSQL is away, what
    was read before still answers.
    """

    def __init__(self, database: Database, vault: Vault, registry: Registry) -> None:
        self._database = database
        self.vault = vault
        self.registry = registry
        self._by_key: dict[str, Connection] = {}
        self._by_id: dict[int, Connection] = {}
        self._live: tuple[Connection, ...] = ()
        self._rows: dict[int, Row] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._forgotten = 0
        self._revision = -1

    async def by_key(self, key: str) -> Connection | None:
        """Return the connection whose webhook address holds `key`. Raises `StoreAway`."""
        await self._refresh()
        # Made a moment ago, perhaps by another process: a 404 would make some vendors give up.
        if key not in self._by_key and time.monotonic() - self._read_at > _MISS_SECONDS:
            self.forget()
            await self._refresh()
        return self._by_key.get(key)

    async def by_id(self, connection_id: int) -> Connection | None:
        """Return a connection by its number. Raises `StoreAway`."""
        await self._refresh()
        if connection_id not in self._by_id and time.monotonic() - self._read_at > _MISS_SECONDS:
            self.forget()
            await self._refresh()
        return self._by_id.get(connection_id)

    async def by_name(self, name: str) -> Connection | None:
        """Return a connection by its name, removed ones excluded. Raises `StoreAway`."""
        return next((item for item in await self.all() if item.name == name), None)

    async def all(self) -> Sequence[Connection]:
        """Return every connection that is not removed, by name; the same object until one changes.

        Raises `StoreAway`.
        """
        await self._refresh()
        return self._live

    async def at(self, revision: int) -> Sequence[Connection]:
        """Return what `all` does, as of a revision of the configuration or newer.

        Raises `StoreAway`.
        """
        if self._revision < revision:
            self.forget()
        found = await self.all()
        if self._revision < revision:
            message = "the connections could not be read"
            raise StoreAway(message)
        return found

    def forget(self) -> None:
        """Read again at the next question."""
        self._read_at = float("-inf")
        self._forgotten += 1

    async def _refresh(self) -> None:
        if time.monotonic() - self._read_at < _FRESH_SECONDS:
            return
        if self._read_at != float("-inf"):
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            return
        # A reading that began before `forget` may not have seen the change: twice, then.
        for _ in range(2):
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)
            if self._read_at != float("-inf"):
                return

    def _reread(self, row: Row) -> Connection:
        """Build a connection, or keep the one before when its row is as it was.

        What changes often changes neither the secrets, which take time to open, nor the config.
        """
        old, known = self._rows.get(row["id"]), self._by_id.get(row["id"])
        if old is None or known is None or known.reason != old["reason"]:
            return self._readable(row)
        if old == row:
            return known
        if all(old[name] == row[name] for name in _SETTLED):
            return replace(known, **{name: row[name] for name in _PASSING})
        return self._readable(row)

    def _readable(self, row: Row) -> Connection:
        """Build a connection; one whose secrets cannot be read is closed, the others go on."""
        try:
            return from_row(row, self.vault, self.registry)
        except VaultError as error:
            _log.error("connection %s is closed: %s", row["name"], error)
            shut = {**dict(row), "secrets": self.vault.seal({}), "reason": str(error)}
            if row["state"] == "active":
                shut["state"] = "auth_failed"
            return from_row(shut, self.vault, self.registry)

    async def _read(self) -> None:
        began = self._forgotten
        try:
            async with away_as_error():
                # Read before the connections: they are then at least as new.
                revision = await self._database.fetchval(REVISION)
                rows = await self._database.fetch(_ALL)
            if any(self._rows.get(row["id"]) != row for row in rows):
                read = [self._reread(row) for row in rows]
                self._rows = {row["id"]: row for row in rows}
                self._by_key = {item.key: item for item in read}
                self._by_id = {item.id: item for item in read}
                live = (item for item in read if item.state != "removed")
                self._live = tuple(sorted(live, key=lambda item: item.name))
            self._revision = revision
            if began == self._forgotten:
                self._read_at = time.monotonic()
        except Exception:
            # Known connections go on answering; only a process that knows none must say so.
            if not self._by_id:
                raise
            self._read_at = time.monotonic()
        finally:
            self._reading = None


async def pause(session: Session | Database, connection_id: int, state: str, reason: str) -> bool:
    """Stop an active connection's traffic; returns whether it was active."""
    status = await session.execute(
        "update connections set state = $2, reason = $3, updated_at = now() "
        "where id = $1 and state = 'active'",
        connection_id,
        state,
        reason,
    )
    return bool(status.endswith("1"))


async def park(session: Session | Database, connection_id: int, until: datetime) -> None:
    """Let nothing leave for a connection before `until` (its vendor said so)."""
    await session.execute(
        "update connections set parked_until = greatest(parked_until, $2) where id = $1",
        connection_id,
        until,
    )


async def note_webhooks(database: Database, connection_ids: Sequence[int]) -> None:
    """Write down that webhooks of these connections have come in. Raises `StoreAway`."""
    async with away_as_error():
        await database.execute(
            "update connections set last_webhook_at = now() where id = any($1::bigint[])",
            connection_ids,
        )


async def count_refused(database: Database, connection_id: int, count: int) -> None:
    """Add to the number of webhooks refused for their signature."""
    await database.execute(
        "update connections set refused = refused + $2 where id = $1", connection_id, count
    )
