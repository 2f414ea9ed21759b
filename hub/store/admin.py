"""What the admin API changes: connections, routes, links. Every change leaves an audit row."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hub.sdk.actions import Account
from hub.store import deliveries, graph
from hub.store.pool import Row, Session
from hub.store.vault import MASK, Vault
from hub.store.watch import COUNT_TO


async def audit(
    session: Session, actor: str, action: str, object_: str, detail: Mapping[str, Any] | None = None
) -> None:
    """Write down who did what to what."""
    await session.execute(
        "insert into audit (actor, action, object, detail) values ($1, $2, $3, $4)",
        actor, action, object_, dict(detail or {}),
    )  # fmt: skip


def new_key() -> str:
    """Return a new part for a webhook address: 32 random bytes, URL-safe."""
    return secrets.token_urlsafe(32)


async def connection(session: Session, name: str) -> Row | None:
    """Return a connection's row by its name or `cn_<id>`, locked for a change."""
    prefix, _, number = name.partition("_")
    if prefix == "cn" and number.isdigit():
        return await session.fetchrow(
            "select * from connections where id = $1 and state <> 'removed' for update", int(number)
        )
    return await session.fetchrow(
        "select * from connections where name = $1 and state <> 'removed' for update", name
    )


async def create_connection(
    session: Session, *, name: str, integration: str, config: dict[str, Any],
    secret: Mapping[str, str], vault: Vault, dedicated_account: bool,
) -> int:  # fmt: skip
    """Store a new connection; returns its id. Raises for a name that exists."""
    return int(
        await session.fetchval(
            "insert into connections (name, integration, key, config, secrets, dedicated_account) "
            "values ($1, $2, $3, $4, $5, $6) returning id",
            name, integration, new_key(), config,
            vault.seal({field: [value] for field, value in secret.items()}), dedicated_account,
        )
    )  # fmt: skip


async def change_connection(
    session: Session, row: Row, *, config: dict[str, Any], secret: Mapping[str, str | None],
    vault: Vault, dedicated_account: bool | None, expect_seconds: int | None = None,
) -> list[str]:  # fmt: skip
    """Store a changed config; returns the secret fields that have a new value.

    A new secret keeps the one before as its second, so that both are accepted until it is
    retired; `None` removes one; the mask keeps what is there.
    """
    held = vault.open(row["secrets"])
    changed: list[str] = []
    for field, value in secret.items():
        if value == MASK:
            continue
        if value is None:
            held.pop(field, None)
        elif (held.get(field) or ("",))[0] != value:
            held[field] = (value, *held.get(field, ())[:1])
        else:
            continue
        changed.append(field)
    await session.execute(
        "update connections set config = $2, secrets = $3, updated_at = now(), "
        "dedicated_account = coalesce($4, dedicated_account), "
        "expect_seconds = nullif(coalesce($5, expect_seconds), 0) where id = $1",
        row["id"], config, vault.seal(held), dedicated_account, expect_seconds,
    )  # fmt: skip
    return changed


async def retire_secrets(session: Session, row: Row, vault: Vault) -> None:
    """Forget the secrets before the newest: from now on only those are accepted."""
    held = {field: values[:1] for field, values in vault.open(row["secrets"]).items()}
    await session.execute(
        "update connections set secrets = $2, updated_at = now() where id = $1",
        row["id"],
        vault.seal(held),
    )


async def set_state(session: Session, connection_id: int, state: str, reason: str) -> None:
    """Set a connection's state. Resuming also ends a rate limit's parking."""
    await session.execute(
        "update connections set state = $2, reason = $3, updated_at = now(), "
        "parked_until = case when $2 = 'active' then null else parked_until end, "
        "failures = case when $2 = 'active' then 0 else failures end where id = $1",
        connection_id, state, reason,
    )  # fmt: skip


async def remove_connection(session: Session, row: Row, vault: Vault) -> None:
    """Take a connection out of use. Its address is remembered, its name is free, its secrets go."""
    await session.execute(
        "update connections set state = 'removed', reason = 'removed', name = name || '~' || id, "
        "secrets = $2, updated_at = now() where id = $1",
        row["id"],
        vault.seal({}),
    )


async def set_key(session: Session, connection_id: int) -> None:
    """Give a connection a new webhook address; the old one is unknown from now on."""
    await session.execute(
        "update connections set key = $2, updated_at = now() where id = $1",
        connection_id,
        new_key(),
    )


async def set_account(session: Session, connection_id: int, account: Account) -> None:
    """Store whose credentials a connection holds."""
    await session.execute(
        "update connections set account = $2, updated_at = now() where id = $1",
        connection_id, msgspec.to_builtins(account),
    )  # fmt: skip


async def same_account(session: Session, row: Row, account: Account) -> str | None:
    """Return the name of another connection of this integration with the same account."""
    name: str | None = await session.fetchval(
        "select name from connections where integration = $1 and id <> $2 and state <> 'removed' "
        "and account ->> 'id' = $3 and account ->> 'workspace' = $4",
        row["integration"], row["id"], account.id, account.workspace,
    )  # fmt: skip
    return name


async def counters(session: Session, connection_id: int) -> dict[str, Any]:
    """Return when a connection last received, and how much it holds, counted up to 100,000."""
    row = await session.fetchrow(
        "select (select last_webhook_at from connections where id = $1) as last_webhook_at, "
        "(select count(*) from (select from seen where connection_id = $1 limit $2) t) as webhooks, "
        "(select count(*) from (select from deliveries where connection_id = $1 "
        "and state in ('pending', 'in_flight') and id > 0 limit $2) t) as waiting, "
        "(select count(*) from (select from deliveries where connection_id = $1 and state = 'dead' "
        "limit $2) t) as dead",
        connection_id,
        COUNT_TO,
    )
    return dict(row or {})


async def route(session: Session, name: str) -> Row | None:
    """Return a route's row by its name or `rt_<id>`, locked for a change."""
    prefix, _, number = name.partition("_")
    if prefix == "rt" and number.isdigit():
        return await session.fetchrow("select * from routes where id = $1 for update", int(number))
    return await session.fetchrow("select * from routes where name = $1 for update", name)


async def routes(session: Session) -> Sequence[Row]:
    """Return every route in order."""
    return await session.fetch("select * from routes order by position, id")


async def create_route(session: Session, definition: Mapping[str, Any]) -> int:
    """Store a new route after all others; returns its id. Raises for a name that exists."""
    return int(
        await session.fetchval(
            "insert into routes (name, position, enabled, definition) values ($1, "
            "(select coalesce(max(position), 0) + 1 from routes), $2, $3) returning id",
            definition["name"], definition.get("enabled", True), dict(definition),
        )
    )  # fmt: skip


async def change_route(session: Session, route_id: int, definition: Mapping[str, Any]) -> None:
    """Store a route's new definition as its next version."""
    await session.execute(
        "update routes set name = $2, enabled = $3, definition = $4, version = version + 1, "
        "updated_at = now() where id = $1",
        route_id, definition["name"], definition.get("enabled", True), dict(definition),
    )  # fmt: skip


async def enable_route(session: Session, route_id: int, *, enabled: bool) -> None:
    """Switch a route on or off."""
    await session.execute(
        "update routes set enabled = $2, updated_at = now(), "
        "definition = definition || jsonb_build_object('enabled', $2::boolean) where id = $1",
        route_id, enabled,
    )  # fmt: skip


async def order_routes(session: Session, names: Sequence[str]) -> None:
    """Put the named routes first, in this order; the others keep theirs behind them."""
    await session.execute(
        "update routes r set position = n.place from ("
        " select id, row_number() over (order by array_position($1::text[], name) nulls last, position, id) as place"
        " from routes) n where n.id = r.id",
        list(names),
    )


async def delete_route(session: Session, route_id: int) -> None:
    """Delete a route. Its deliveries stay."""
    await session.execute("delete from routes where id = $1", route_id)


async def find_node(session: Session, name: str) -> int | None:
    """Return a thing's number by `nd_<id>` or `system/kind/id-or-key`."""
    prefix, _, number = name.partition("_")
    if prefix == "nd" and number.isdigit():
        found: int | None = await session.fetchval(
            "select id from nodes where id = $1", int(number)
        )
        return found
    if name.count("/") != 2:  # noqa: PLR2004
        return None
    system, kind, key = name.split("/")
    other: int | None = await session.fetchval(
        "select n.id from nodes n join connections c on c.id = n.connection_id "
        "where c.integration = $1 and n.kind = $2 and (n.external_id = $3 or n.key = $3) "
        "order by (n.external_id = $3) desc, n.id desc limit 1",
        system, kind, key,
    )  # fmt: skip
    return other


async def link(session: Session, report_id: int, work_id: int) -> int:
    """Link by hand; a removed link comes back. Returns its id."""
    new = graph.NewLink(report_id=report_id, work_id=work_id, origin="manual")
    await graph.link(session, [new])
    return int(
        await session.fetchval(
            "update links set removed_at = null where report_id = $1 and work_id = $2 returning id",
            report_id, work_id,
        )
    )  # fmt: skip


async def unlink(session: Session, link_id: int) -> bool:
    """Remove a link; it does not come back by itself. Returns whether there was one."""
    status = await session.execute(
        "update links set removed_at = now() where id = $1 and removed_at is null", link_id
    )
    return status.endswith("1")


async def skip(session: Session, delivery_id: int, reason: str) -> str | None:
    """End a waiting or dead delivery without sending it; its lane goes on.

    Returns the state it was in, or None when there is none that can be skipped. What it claimed to
    create is free for another.
    """
    row = await session.fetchrow(
        "select d.state, d.day, d.connection_id, d.lane, d.claim_id, c.delivery_id as creator, c.node_id "
        "from deliveries d left join claims c on c.id = d.claim_id "
        "where d.id = $1 and d.state in ('pending', 'blocked', 'dead') for update of d",
        delivery_id,
    )
    if row is None:
        return None
    await session.execute(
        "update deliveries set state = 'skipped', reason = $2, finished_at = now() where id = $1",
        delivery_id, reason,
    )  # fmt: skip
    await session.execute("delete from once where delivery_id = $1", delivery_id)
    if row["creator"] == delivery_id and row["node_id"] is None:
        await graph.release_claim(session, row["claim_id"])
    if row["lane"]:
        await deliveries.open_lanes(session, [(row["connection_id"], row["lane"], row["day"])])
    return str(row["state"])
