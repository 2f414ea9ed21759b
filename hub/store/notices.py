"""Events of the hub itself: kept like any webhook, so that routes can send them on.

They belong to a connection of the hub's own, named `hub`. Each is known by a key, so that the same
trouble is told once in a while and not a thousand times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from hub.sdk import json
from hub.sdk.events import Data, HubNotice, Ref, Text
from hub.sdk.schemas import subject_of
from hub.store.pool import Database, Session

SYSTEM = "hub"
"""The system of the references, and the integration of the connection."""
_NAME = "hub"
_OWN = "select id from connections where integration = $1 and state <> 'removed'"
_MAKE = """
insert into connections (name, integration, key, secrets)
select case when exists (select from connections where name = $1) then $1 || '-events' else $1 end,
    $1, $2, $3 where not exists (select from connections where integration = $1)
on conflict do nothing
"""
_TELL = """
with new as (
    insert into seen (connection_id, dedupe_key, webhook_id, day)
    select $1, u.key, nextval('webhooks_id_seq'), (now() at time zone 'utc')::date
    from unnest($2::text[]) as u (key) on conflict do nothing
    returning dedupe_key, webhook_id, day
), kept as (
    insert into webhooks (id, day, connection_id, dedupe_key, headers, body, state, finished_at)
    select n.webhook_id, n.day, $1, n.dedupe_key, '{}', convert_to(u.data::text, 'utf8'),
        'processed', now()
    from unnest($2::text[], $5::json[]) as u (key, data) join new n on n.dedupe_key = u.key
)
insert into events (webhook_id, day, ordinal, connection_id, type, subject, time, data)
select n.webhook_id, n.day, 0, $1, u.type, u.subject, now(), u.data
from unnest($2::text[], $3::text[], $4::text[], $5::json[]) as u (key, type, subject, data)
join new n on n.dedupe_key = u.key
"""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something the hub has to say. What has the same `key` is said once."""

    key: str
    data: Data


def notice(
    kind: type[HubNotice],
    ref: Ref,
    *,
    key: str,
    title: str,
    body: str,
    every: float = 0.0,
    **more: Any,
) -> Notice:
    """Make a notice; with `every` (seconds) it is said again after that time."""
    data = kind(
        refs=(ref,), title=Text(text=title, visibility="team"),
        body=Text(text=body[:2000], visibility="team"), **more,
    )  # fmt: skip
    turn = f":{int(datetime.now(UTC).timestamp() // every)}" if every else ""
    return Notice(key=f"{kind.type}:{key}{turn}", data=data)


def about(kind: str, name: str) -> Ref:
    """Return the reference to something of the hub's own (`delivery`, `dl_7`)."""
    return Ref(system=SYSTEM, kind=kind, id=name)


async def tell(session: Session | Database, notices: Sequence[Notice]) -> None:
    """Keep notices as events; without the hub's own connection they are not kept."""
    if not notices:
        return
    own = await session.fetchval(_OWN, SYSTEM)
    if own is None:
        return
    chosen = {item.key: item.data for item in notices}
    await session.execute(
        _TELL, own, list(chosen), [data.type for data in chosen.values()],
        [subject_of(data.refs[0]) for data in chosen.values()],
        [json.dumps(data) for data in chosen.values()],
    )  # fmt: skip


async def make_own_connection(database: Database, *, key: str, sealed: bytes) -> None:
    """See that the hub has a connection of its own for its notices."""
    await database.execute(_MAKE, _NAME, key, sealed)


async def own_events(session: Session | Database, event_ids: Iterable[int]) -> set[int]:
    """Return those events that are notices: trouble with telling of trouble is not told."""
    rows = await session.fetch(
        "select id from events where id = any($1::bigint[]) and type like 'hub.%'", list(event_ids)
    )
    return {row["id"] for row in rows}
