"""Chains of routes that lead to one another: recognised, counted, and broken before they turn for ever."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from hub.route import echo
from hub.sdk.events import HubLoopBroken
from hub.store import events, notices, writes
from hub.store.connections import Connection
from hub.store.events import WaitingEvent
from hub.store.pool import Session

_log = logging.getLogger(__name__)
_NOTICE_SECONDS = 600.0


async def verdicts(
    session: Session, source: Connection, batch: Sequence[WaitingEvent]
) -> dict[int, echo.Verdict]:
    """Return for each event whether it is an echo, with the breaker's word on what is none.

    What the breaker ends is treated as an echo; its reason names the ring of routes, and a notice
    (`hub.loop.broken`) tells of it.
    """
    since = min(event.webhook_at for event in batch) - writes.RECENT
    names = {event.id: echo.targets(event.data["refs"], event.type) for event in batch}
    every = sorted({name for found in names.values() for name in found})
    ledger: dict[str, list[writes.Write]] = {}
    for write in await writes.recent(session, source.id, every, since):
        ledger.setdefault(write.target, []).append(write)
    born = {event.id: echo.newborn(event.type, event.data) for event in batch}
    things = sorted({name for found in born.values() for name in found})
    made = await writes.written(session, source.id, things)
    found: dict[int, echo.Verdict] = {}
    broke: list[notices.Notice] = []
    for event in batch:
        mine = sorted(
            (write for name in names[event.id] for write in ledger.get(name, [])),
            key=lambda write: write.at,
            reverse=True,
        )
        makers = [made[name] for name in born[event.id] if name in made]
        verdict = echo.judge(
            event_type=event.type, data=event.data, at=event.webhook_at,
            account=source.account, dedicated=source.dedicated_account,
            writes=mine, made=makers[-1] if makers else None,
        )  # fmt: skip
        ring, why = ([], "") if verdict.echo else await _ring(session, event, verdict, mine)
        if ring:
            reason = f"loop broken: {' → '.join(ring)}: {why}"
            _log.warning("ev_%s: %s", event.id, reason)
            broke.append(_notice(event, verdict.write or mine[0], ring, reason))
            verdict = verdict._replace(echo=True, reason=reason)
        found[event.id] = verdict
    await notices.tell(session, broke)
    return found


async def _ring(
    session: Session, event: WaitingEvent, verdict: echo.Verdict, mine: Sequence[writes.Write]
) -> tuple[list[str], str]:
    """Return the routes of the ring that an event has to end and the sign of it, or nothing."""
    if verdict.write is not None and verdict.hop > echo.MOST_HOPS:
        chain = await writes.ring(session, verdict.write.delivery_id)
        return _turn(chain), f"each led to the next, {verdict.hop} times"
    about = [write for write in mine if not write.target.startswith("new/")]
    if not echo.too_many(about, event.webhook_at):
        return [], ""
    routes = sorted({write.route for write in about})
    many = f"more than {echo.MOST_WRITES} times in a minute"
    if verdict.write is not None:
        return routes, f"{event.subject} was written to {many}, and this came of it"
    # Somebody else answers each write at a machine's pace: another automation, in other words.
    actor = str(event.data["actor"]["id"])
    acted = actor and await events.count_by_actor(
        session, event.subject, actor, event.webhook_at - echo.MINUTE, most=echo.MOST_WRITES + 1
    )
    if acted and acted > echo.MOST_WRITES:
        return routes, f"{event.subject} was written to, and {actor!r} answered, {many}"
    return [], ""


def _turn(chain: list[str]) -> list[str]:
    """Return the last turn of a chain that goes round: its last route, back to itself."""
    before = [n for n, name in enumerate(chain[:-1]) if name == chain[-1]]
    return chain[before[-1] :] if before else chain


def _notice(
    event: WaitingEvent, write: writes.Write, ring: Sequence[str], reason: str
) -> notices.Notice:
    return notices.notice(
        HubLoopBroken, notices.about("delivery", f"dl_{write.delivery_id}"),
        key="/".join(sorted(set(ring))), every=_NOTICE_SECONDS, title="A ring of routes was broken",
        body=f"{reason}\n\nSee `hub explain ev_{event.id}`; let one of them leave out what the "
        "other writes (a condition on the actor, or on the value).",
        routes=tuple(ring), count=len(ring),
    )  # fmt: skip
