"""The loss audit: what was accepted adds up to what became of it, counted in the database.

Everything is read in one snapshot, so it holds while the hub works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import msgspec

from hub.store.pool import Database, Session, away_as_error

_EXAMPLES = 10
_SECONDS = 900.0


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides that must be equal."""

    name: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        """Whether they are."""
        return self.left == self.right


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, how often it is broken, and some of the ids that break it."""

    name: str
    broken: int
    examples: tuple[str, ...] = ()


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted, the sums, and the rules."""

    since: date
    counts: dict[str, dict[str, int]]
    sums: tuple[Sum, ...]
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, doubled or out of order."""
        return all(item.holds for item in self.sums) and not any(c.broken for c in self.checks)


# Each gives the public ids of what breaks the rule; `$1` is the first day that is looked at.
_RULES: Mapping[str, str] = {
    "every accepted webhook is there": """
        select 'wh_' || s.webhook_id from seen s where s.day >= $1 and not exists (
            select from webhooks w where w.id = s.webhook_id and w.day = s.day)
    """,
    "every processed webhook became events": """
        select 'wh_' || w.id from webhooks w where w.day >= $1 and w.state = 'processed'
        and not exists (select from events e where e.webhook_id = w.id and e.day = w.day)
    """,
    "every event has its webhook": """
        select 'ev_' || e.id from events e where e.day >= $1 and not exists (
            select from webhooks w where w.id = e.webhook_id and w.day = e.day)
    """,
    "every delivery has its event": """
        select 'dl_' || d.id from deliveries d where d.day >= $1 and not exists (
            select from events e where e.id = d.event_id and e.day = d.day)
    """,
    "every waiting delivery is in a lane": """
        select 'dl_' || d.id from deliveries d where d.day >= $1
        and d.state in ('pending', 'in_flight') and not exists (
            select from lanes l where l.connection_id = d.connection_id and l.lane = d.lane)
    """,
    "every delivered one has the attempt that did it": """
        select 'dl_' || d.id from deliveries d where d.day >= $1 and d.state = 'delivered'
        and d.tries > 0 and not exists (select from attempts a where a.delivery_id = d.id
            and a.day = d.day and a.outcome in ('delivered', 'found', 'nothing'))
    """,
    # One that may have is told in its own state: its action promises no better. `$2` are the
    # actions that may be repeated, as doing them twice changes nothing.
    "no delivery took effect twice": """
        select 'dl_' || d.id from attempts a join deliveries d on d.id = a.delivery_id
            and d.day = a.day join connections c on c.id = d.connection_id
        where a.day >= $1 and a.outcome = 'delivered' and not d.maybe_duplicate
        and c.integration || '/' || d.action <> all($2::text[])
        group by d.id having count(*) > 1
    """,
    "what is claimed was created once": """
        select 'cl_' || d.claim_id from deliveries d where d.day >= $1 and d.claim_id is not null
        and d.state = 'delivered' and d.replay = 0 and d.tries > 0
        group by d.claim_id having count(*) > 1
    """,
    # One attempt at a time leaves a lane, and an attempt is numbered when it ends.
    "each lane kept its order": """
        select 'dl_' || id from (
            select id, first, max(last) over (partition by connection_id, lane order by id
                rows between unbounded preceding and 1 preceding) as before
            from (
                select d.id, d.connection_id, d.lane, min(a.id) as first, max(a.id) as last
                from deliveries d join attempts a on a.delivery_id = d.id and a.day = d.day
                where d.day >= $1 and d.replay = 0 and d.replayed_at is null
                  and d.depends_on is null
                group by d.id, d.connection_id, d.lane
            ) t
        ) t where first < before
    """,
    "no echo was routed": """
        select 'ev_' || e.id from events e where e.day >= $1 and e.state = 'echo' and exists (
            select from deliveries d where d.event_id = e.id and d.day = e.day)
    """,
}


async def audit(
    database: Database, *, since: date | None = None, repeatable: Iterable[str] = ()
) -> Audit:
    """Count and check everything since a day (by default, all that is kept). Raises `StoreAway`.

    `repeatable` are the actions (`integration/action`) of which a repetition changes nothing.
    """
    async with (
        away_as_error(),
        database.acquire() as session,
        session.transaction(isolation="repeatable_read", readonly=True),
    ):
        first = since or await session.fetchval(
            "select coalesce(min(first), current_date) from periods"
        )
        counts = {
            "webhooks": await _states(session, "webhooks", "state", first),
            "events": await _states(session, "events", "state", first),
            "deliveries": await _states(session, "deliveries", "state", first),
            "attempts": await _states(session, "attempts", "outcome", first),
        }
        accepted = await session.fetchval("select count(*) from seen where day >= $1", first)
        planned = sum(counts["deliveries"].values())
        checks = [
            await _check(session, name, rule, first, *([list(repeatable)] if "$2" in rule else []))
            for name, rule in _RULES.items()
        ]
    webhooks, deliveries = counts["webhooks"], counts["deliveries"]
    ends = ("processed", "ignored", "failed", "received")
    left = ("delivered", "skipped", "dead", "pending", "in_flight", "blocked")
    sums = (
        Sum(
            name="accepted = processed + ignored + failed + waiting",
            left=accepted,
            right=sum(webhooks.get(state, 0) for state in ends),
        ),
        Sum(
            name="deliveries = delivered + skipped + dead + waiting",
            left=planned,
            right=sum(deliveries.get(state, 0) for state in left),
        ),
    )
    return Audit(since=first, counts=counts, sums=sums, checks=tuple(checks))


async def _states(session: Session, table: str, column: str, since: date) -> dict[str, int]:
    rows = await session.fetch(
        f"select {column} as state, count(*) as count from {table} where day >= $1 "  # noqa: S608
        f"group by {column} order by {column}",
        since,
        timeout=_SECONDS,
    )
    return {row["state"]: row["count"] for row in rows}


async def _check(session: Session, name: str, rule: str, *args: object) -> Check:
    rows: list[Any] = await session.fetch(
        f"select id, count(*) over () as broken from ({rule}) t (id) limit {_EXAMPLES}",  # noqa: S608
        *args,
        timeout=_SECONDS,
    )
    return Check(
        name=name,
        broken=rows[0]["broken"] if rows else 0,
        examples=tuple(row["id"] for row in rows),
    )
