"""Events waiting for their routes, and what was decided about each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from hub.sdk import json
from hub.store.pool import Session


class WaitingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event read for routing. `webhook_at` is when its webhook was taken in.

    `again` says that it has met routes before: this is a replay.
    """

    id: int
    day: date
    again: bool = False
    connection_id: int
    type: str
    subject: str
    time: datetime
    data: dict[str, Any]
    webhook_at: datetime


class Routed(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about an event: its state, why, and each route's verdict."""

    event_id: int
    day: date
    state: str
    reason: str = ""
    node_id: int | None = None
    echo_of: int | None = None
    hop: int = 0
    decisions: list[dict[str, Any]] = []


_WITH_REVISION = "select (select revision from configuration) as revision,"
_COLUMNS = (
    "e.id, e.day, e.decisions is not null as again, e.connection_id, e.type, e.subject, e.time, "
    "e.data, w.received_at as webhook_at "
    "from events e join webhooks w on w.id = e.webhook_id and w.day = e.day"
)
_DECIDE = """
update events set state = d.state, reason = d.reason, node_id = d.node_id, echo_of = d.echo_of,
    hop = d.hop, decisions = d.decisions, routed_at = now()
from unnest($1::bigint[], $2::date[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
            $7::smallint[], $8::json[]) as d (id, day, state, reason, node_id, echo_of, hop, decisions)
where events.id = d.id and events.day = d.day
"""


async def waiting(
    session: Session, connection_id: int, limit: int
) -> tuple[list[WaitingEvent], int]:
    """Return a connection's oldest events that have not met the routes yet, in order.

    With them comes the revision of the configuration (0 when there are none): what they meet must
    have been read at it or later.
    """
    rows = await session.fetch(
        f"{_WITH_REVISION} {_COLUMNS} where e.connection_id = $1 and e.state = 'waiting' order by e.id limit $2",
        connection_id,
        limit,
    )
    revision = 0
    found = []
    for row in rows:
        values = dict(row)
        revision = values.pop("revision")
        found.append(WaitingEvent(**values))
    return found, revision


async def count_by_actor(
    session: Session, subject: str, actor: str, since: datetime, *, most: int
) -> int:
    """Return how many events one actor caused on a thing since a time, counting at most `most`."""
    return int(
        await session.fetchval(
            "select count(*) from (select from events where subject = $1 and created_at >= $3 "
            "and day >= ($3 at time zone 'utc')::date and data->'actor'->>'id' = $2 limit $4) e",
            subject, actor, since, most,
        )
    )  # fmt: skip


async def by_ids(session: Session, ids: Sequence[int]) -> dict[int, WaitingEvent]:
    """Return events by their numbers, whatever their state."""
    rows = await session.fetch(f"select {_COLUMNS} where e.id = any($1::bigint[])", list(ids))
    return {row["id"]: WaitingEvent(**dict(row)) for row in rows}


async def decide(session: Session, routed: Sequence[Routed]) -> None:
    """Store what was decided about events."""
    rows = [
        (
            x.event_id,
            x.day,
            x.state,
            x.reason[:2000],
            x.node_id,
            x.echo_of,
            x.hop,
            json.dumps(x.decisions),
        )
        for x in routed
    ]
    await session.execute(_DECIDE, *map(list, zip(*rows, strict=True)))
