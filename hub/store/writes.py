"""The ledger of what the hub wrote in other tools: what echoes are recognised by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from hub.store.pool import Session


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One write, planned or done. `target` is `kind/id-or-key`, or `new/kind` for a creation."""

    delivery_id: int
    connection_id: int
    target: str
    action: str
    words: list[str]
    at: datetime
    hop: int
    route: str


_COLUMNS = "w.delivery_id, w.connection_id, w.target, w.action, w.words, w.at, w.hop, w.route from writes w"


_RECENT = f"""
select w.* from unnest($2::text[]) as t (target) cross join lateral (
    select {_COLUMNS} where w.connection_id = $1 and w.target = t.target and w.at >= $3
      and w.day >= ($3 at time zone 'utc')::date
    order by w.at desc limit 50
) w
"""  # noqa: S608 - a constant
# What is about to be created has no name yet that its echo could be told by, so of these all are
# returned whose outcome is not known: during an outage that may be many.
_UNSURE = f"""
select w.* from (
    select d.id from deliveries d
    where d.connection_id = $1 and d.uncertain and d.writes_to like 'new/%'
      and d.writes_to = any($2::text[]) and d.state in ('pending', 'in_flight', 'dead')
    order by d.id desc limit 2000
) d cross join lateral (
    select {_COLUMNS} where w.delivery_id = d.id and w.at >= $3
      and w.day >= ($3 at time zone 'utc')::date
) w
"""  # noqa: S608 - a constant


async def recent(
    session: Session, connection_id: int, targets: Sequence[str], since: datetime
) -> list[Write]:
    """Return the writes on the targets since a time: the newest 50 for each target.

    Of the targets `new/<kind>` also all whose outcome is not known, at most 2,000.
    """
    rows = await session.fetch(_RECENT, connection_id, list(targets), since)
    if new := [target for target in targets if target.startswith("new/")]:
        rows += await session.fetch(_UNSURE, connection_id, new, since)
    return list({row["delivery_id"]: Write(**dict(row)) for row in rows}.values())


async def written(session: Session, connection_id: int, refs: Sequence[str]) -> dict[str, Write]:
    """Return the write that made each thing (`kind/id`), for those the hub made."""
    if not refs:
        return {}
    rows = await session.fetch(
        f"select x.ref, y.* from written x cross join lateral (select {_COLUMNS} "  # noqa: S608
        "where w.delivery_id = x.delivery_id order by w.day desc limit 1) y "
        "where x.connection_id = $1 and x.ref = any($2::text[])",
        connection_id,
        list(refs),
    )
    found: dict[str, Write] = {}
    for row in rows:
        values = dict(row)
        ref = values.pop("ref")
        found[ref] = Write(**values)
    return found


async def ring(session: Session, delivery_id: int, *, most: int = 20) -> list[str]:
    """Return the names of the routes that led to a delivery, first to last."""
    rows = await session.fetch(
        "with recursive chain (delivery_id, route, event_id, depth) as ("
        " select id, route, event_id, 1 from deliveries where id = $1"
        " union all select d.id, d.route, d.event_id, depth + 1 from chain"
        " join events e on e.id = chain.event_id join deliveries d on d.id = e.echo_of"
        " where depth < $2) select route from chain order by depth desc",
        delivery_id,
        most,
    )
    return [row["route"] for row in rows]


RECENT = timedelta(hours=24)
"""How far back an echo is looked for: a vendor may deliver a webhook a day late."""
