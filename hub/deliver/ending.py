"""What attempts came to is stored, and what it means for their connections."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeAlias

import msgspec

from hub.deliver.caller import Record
from hub.sdk.actions import AuthFailed, Delivered, Outcome, RetryLater, Unknown
from hub.sdk.events import HubConnectionFailing, HubDeliveryDead
from hub.store import graph, lanes, notices
from hub.store.connections import Connection, Connections, park, pause
from hub.store.graph import Thing
from hub.store.lanes import Ended
from hub.store.pool import Database, Session, away_as_error, transaction

Batch: TypeAlias = Sequence[tuple[Ended, Outcome | None]]
"""What attempts came to, each with the outcome it was read from, or None when nothing was sent."""
_log = logging.getLogger(__name__)
_LONGEST_PARK = 3600.0
_NOTICE_SECONDS = 600.0


class Endings:
    """Stores the ends of attempts for one worker."""

    def __init__(self, database: Database, connections: Connections, *, worker: str) -> None:
        self._database = database
        self._connections = connections
        self._worker = worker

    async def store(self, batch: Batch) -> lanes.Finished:
        """Store what attempts came to, all or nothing."""
        made = _made(batch)
        if made or any(ended.state == "dead" for ended, _ in batch):
            async with transaction(self._database) as session:
                settled = await _settle(session, batch, made)
                finished = await lanes.finish(session, self._worker, settled)
                await self._tell_dead(session, [e for e in settled if e.state == "dead"])
                return finished
        async with away_as_error():
            return await lanes.finish(self._database, self._worker, [e for e, _ in batch])

    async def count(self, batch: Batch) -> bool:
        """Open or close the breakers of connections by how their calls fared.

        Returns whether there was anything to count, so that connections may run or rest now.
        """
        failed: Counter[int] = Counter()
        succeeded: set[int] = set()
        for ended, outcome in batch:
            place = ended.taken.connection_id
            if outcome is None or (isinstance(outcome, RetryLater) and outcome.limited):
                continue
            if isinstance(outcome, (RetryLater, Unknown)):
                if ended.status is None or ended.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    failed[place] += 1
            else:
                succeeded.add(place)
        shaky: list[tuple[int, int, bool]] = []
        for place in failed.keys() | succeeded:
            connection = await self._connections.by_id(place)
            # A success says something only after failures.
            if failed[place] or (connection is not None and connection.failures):
                shaky.append(
                    (place, 0 if place in succeeded else failed[place], place in succeeded)
                )
        if not shaky:
            return False
        async with away_as_error():
            opened = await lanes.fared(self._database, shaky)
        self._connections.forget()
        last = {ended.taken.connection_id: ended.reason for ended, _ in batch if ended.reason}
        for place in opened:
            connection = await self._connections.by_id(place)
            reason = (
                f"{lanes.BREAKER_FAILURES} calls in a row failed; it is left alone for a while, then "
                f"one delivery at a time tries it. The last said: {last.get(place, 'nothing')}"
            )
            _log.error("cn_%s: %s", place, reason)
            if connection is not None:
                await self._tell_failing(connection, reason, lanes.BREAKER_FAILURES)
        return True

    async def apply(self, connection: Connection, outcome: Outcome, record: Record) -> None:
        """Do what an outcome means for the whole connection."""
        wait = record.limited_for
        if isinstance(outcome, AuthFailed):
            reason = f"the credentials were refused: {outcome.reason}"
            if await pause(self._database, connection.id, "auth_failed", reason):
                _log.error("connection %s is paused: %s", connection.name, reason)
                mend = (
                    f"Mend them, then resume it: POST /api/v1/connections/{connection.name}/resume"
                )
                await self._tell_failing(connection, f"{reason}\n\n{mend}")
            self._connections.forget()
        elif isinstance(outcome, RetryLater) and outcome.limited:
            wait = max(wait, outcome.after or 5.0)
        if wait > 0:
            until = datetime.now(UTC) + timedelta(seconds=min(wait, _LONGEST_PARK))
            await park(self._database, connection.id, until)

    async def _tell_dead(self, session: Session, dead: Sequence[Ended]) -> None:
        """Keep a notice for what died, one for each route and connection in ten minutes."""
        told = {x.taken.due.event_id: x for x in dead if x.taken.due is not None}
        own = await notices.own_events(session, told) if told else set()
        said: list[notices.Notice] = []
        for event_id, ended in told.items():
            due, connection = (
                ended.taken.due,
                await self._connections.by_id(ended.taken.connection_id),
            )
            if event_id in own or due is None or connection is None:
                continue
            name = f"dl_{due.id}"
            said.append(
                notices.notice(
                    HubDeliveryDead, notices.about("delivery", name), every=_NOTICE_SECONDS,
                    key=f"{due.route}:{connection.id}",
                    title=f"A delivery is dead: {due.route} → {connection.name}",
                    body=f"{name} ({due.action}): {ended.reason}\n\nSee `hub explain {name}`; mend the "
                    f"cause, then `hub replay delivery --state dead --route {due.route}`.",
                    connection=connection.name, route=due.route, since=due.started_at,
                )
            )  # fmt: skip
        await notices.tell(session, said)

    async def _tell_failing(self, connection: Connection, reason: str, count: int = 1) -> None:
        said = notices.notice(
            HubConnectionFailing, notices.about("connection", f"cn_{connection.id}"),
            key=str(connection.id), every=_NOTICE_SECONDS, title=f"{connection.name} is failing",
            body=reason, connection=connection.name, count=count,
        )  # fmt: skip
        async with away_as_error():
            await notices.tell(self._database, [said])


def _made(batch: Batch) -> dict[int, Thing]:
    """Return what was created under a claim, by delivery."""
    made: dict[int, Thing] = {}
    for ended, outcome in batch:
        due = ended.taken.due
        if isinstance(outcome, Delivered) and outcome.ref is not None and due and due.claim_id:
            ref = outcome.ref
            made[due.id] = Thing(
                connection_id=ended.taken.connection_id, kind=ref.kind, external_id=ref.id,
                key=ref.key, url=ref.url,
            )  # fmt: skip
    return made


async def _settle(session: Session, batch: Batch, made: dict[int, Thing]) -> list[Ended]:
    """Put what was created into the link graph."""
    nodes = await graph.save(session, made.values())
    claims: dict[int, int] = {}
    result: list[Ended] = []
    for ended, _ in batch:
        due = ended.taken.due
        thing = made.get(due.id) if due is not None else None
        if thing is None or due is None or due.claim_id is None:
            result.append(ended)
            continue
        node = nodes[thing.names[0]]
        claims[due.claim_id] = node.id
        result.append(msgspec.structs.replace(ended, node_id=node.id))
    await graph.settle_claims(session, claims)
    return result
