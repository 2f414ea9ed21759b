"""Lanes are taken, their deliveries sent in order, and what came of it is written down."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import msgspec

from hub.deliver.caller import Caller, Record
from hub.deliver.schedule import next_wait
from hub.queue.batch import Batcher
from hub.sdk.actions import (
    Account,
    AuthFailed,
    Call,
    Delivered,
    Nothing,
    Outcome,
    Rejected,
    RetryLater,
    Unknown,
)
from hub.sdk.events import HubConnectionFailing, HubDeliveryDead, Ref
from hub.sdk.integration import ActionManifest
from hub.store import graph, lanes, notices
from hub.store.admin import set_account
from hub.store.connections import Connection, Connections, park, pause
from hub.store.graph import Thing
from hub.store.lanes import Due, Ended, Taken
from hub.store.pool import (
    Collision,
    Database,
    Session,
    StoreAway,
    again,
    away_as_error,
    transaction,
)

_log = logging.getLogger(__name__)
_MOST_TRIES = 250
_IDLE_SECONDS = 1.0
_ASK_SECONDS = 60.0
_STOP_SECONDS = 5.0
_LONGEST_PARK = 3600.0
_NOTICE_SECONDS = 600.0
_NAMES = {
    Delivered: "delivered", Nothing: "nothing", RetryLater: "retry", Rejected: "rejected",
    AuthFailed: "auth_failed", Unknown: "unknown",
}  # fmt: skip


@dataclass(slots=True, eq=False)
class _Held:
    """A lane at work. `until`, by this process's own clock, its lease surely holds."""

    lane: Taken
    until: float
    record: Record | None = None


class Deliverer:
    """Works on lanes until stopped. Several may run, in one process or many.

    Set `on_step_done`: it is given the deliveries that ended and that other steps may wait for.
    """

    def __init__(
        self, database: Database, connections: Connections, caller: Caller, *, worker: str,
        instance: str, lease_seconds: float, concurrency: int = 128,
    ) -> None:  # fmt: skip
        self._database = database
        self._connections = connections
        self._caller = caller
        self._worker = worker
        self._instance = instance
        self._lease = lease_seconds
        self._most = concurrency
        # Half at most for one connection: a slow one never takes all.
        self._most_each = max(1, concurrency // 2)
        self.on_step_done: Callable[[Sequence[int]], None] = _nobody_waits
        self._finish: Batcher[tuple[Ended, Outcome | None], None] = Batcher(self._finish_batch)
        self._poked = asyncio.Event()
        self._asked: dict[int, float] = {}
        self._busy: Counter[int] = Counter()
        self._lanes: dict[asyncio.Task[None], _Held] = {}
        self._last_served = 0
        self._slow: tuple[Sequence[Connection], dict[int, int]] = ((), {})
        self._stopping = False

    def poke(self) -> None:
        """Say that something may be due."""
        self._poked.set()

    async def run(self) -> None:
        """Take lanes and send until `stop`. PostgreSQL's absence is waited out."""
        renewing = asyncio.create_task(self._renew())
        try:
            while not self._stopping:
                try:
                    taken = await again(self._take)
                except (*Collision, StoreAway) as error:
                    _log.warning("deliveries wait for PostgreSQL: %s", error)
                    await asyncio.sleep(1)
                    continue
                if not taken:
                    await self._idle()  # until somebody says that there is more
        finally:
            renewing.cancel()
            await self._end()

    def stop(self) -> None:
        """Take no new lanes; what is being sent ends first, what has not left yet stays."""
        self._stopping = True
        self._poked.set()

    @property
    def busy(self) -> int:
        """How many lanes are being worked on."""
        return len(self._lanes)

    async def _take(self) -> bool:
        """Take lanes and start on them; returns whether there may be more to take at once."""
        room = self._most - len(self._lanes)
        if room <= 0:
            await asyncio.wait(self._lanes, return_when=asyncio.FIRST_COMPLETED)
            return True
        self._poked.clear()
        asked = asyncio.get_running_loop().time()
        # Their leases may have run out, over an absence of PostgreSQL or by a jump of its clock.
        mine = [(held.lane.connection_id, held.lane.lane) for held in self._lanes.values()]
        taken, more = await lanes.take(
            self._database, self._worker, lease_seconds=self._lease, most=room,
            most_each=self._most_each, room=await self._room(), after=self._last_served,
            but=mine,
        )  # fmt: skip
        if taken:
            self._last_served = taken[-1].connection_id
        for lane in taken:
            self._busy[lane.connection_id] += 1
            # A lease counts from before it was asked for, so that it never ends later here.
            held = _Held(lane, asked + self._lease)
            task = asyncio.create_task(self._work(held))
            self._lanes[task] = held
            task.add_done_callback(self._done)
        return more

    async def _room(self) -> dict[int, int]:
        """Return how many more lanes the connections may give that have fewer than the most.

        A slow connection gives no more than leave within a second or so: what waits for its turn
        need not be in flight.
        """
        connections = await self._connections.all()
        if self._slow[0] is not connections:
            self._slow = (connections, self._slow_ones(connections))
        room = dict(self._slow[1])
        for connection_id, count in self._busy.items():
            room[connection_id] = max(0, room.get(connection_id, self._most_each) - count)
        return room

    def _slow_ones(self, connections: Sequence[Connection]) -> dict[int, int]:
        slow: dict[int, int] = {}
        for connection in connections:
            available = self._connections.registry.get(connection.integration)
            sends = None if available is None else available.manifest.sends
            if sends is not None:
                limit = sends.rate_limit
                rate = limit.of(connection.config) / limit.seconds
                most = min(self._most_each, max(1, math.ceil(rate)))
                if most < self._most_each:
                    slow[connection.id] = most
        return slow

    async def _idle(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._poked.wait(), _IDLE_SECONDS)

    def _done(self, task: asyncio.Task[None]) -> None:
        lane = self._lanes.pop(task).lane
        place = lane.connection_id
        # More may wait for the place that is free now; a lane's own next one is told when it ends.
        if len(self._lanes) + 1 >= self._most or self._busy[place] >= self._slow[1].get(
            place, self._most_each
        ):
            self._poked.set()
        self._busy[place] -= 1
        if self._busy[place] <= 0:
            del self._busy[place]
        if not task.cancelled() and (error := task.exception()) is not None:
            level = logging.WARNING if isinstance(error, StoreAway) else logging.ERROR
            _log.log(level, "lane %s of cn_%s was left: %s", lane.lane, lane.connection_id, error,
                     exc_info=None if isinstance(error, StoreAway) else error)  # fmt: skip

    async def _work(self, held: _Held) -> None:
        """Make one attempt for the head of a lane, and give the lane back."""
        lane = held.lane
        connection = await self._connections.by_id(lane.connection_id)
        if (
            lane.due is None
            or connection is None
            or not connection.runs
            or not self._may_send(held)
        ):
            await self._finish.submit((_not_sent(lane), None))
            return
        due = lane.due
        action = self._action(connection, due.action)
        if action is None or (refusal := _refusal(action, due)):
            gone = f"the integration has no action {due.action!r} any more"
            ended = Ended(
                taken=lane, state="dead", reason=gone if action is None else refusal, attempts=due.attempts, waits=due.waits,
                uncertain=due.uncertain, maybe_duplicate=due.maybe_duplicate, outcome="refused",
            )  # fmt: skip
            await self._finish.submit((ended, None))
            return
        connection = await self._known(connection)
        call = Call(
            inputs=due.inputs, config=connection.config, account=connection.account,
            marker=f"hub-{self._instance}-{due.id}", now=datetime.now(UTC),
        )  # fmt: skip
        record = held.record = Record(may_send=lambda: self._may_send(held))
        lapsing = asyncio.get_running_loop().call_at(held.until, self._lapse, held)
        try:
            outcome = await self._caller.act(
                connection, due.action, call, record, find_first=due.uncertain
            )
        finally:
            held.record = None
            lapsing.cancel()
        if record.withheld:
            await self._finish.submit((_not_sent(lane), None))
            return
        await self._apply(connection, outcome, record)
        await self._finish.submit((_read(outcome, record, lane, due, action), outcome))

    def _may_send(self, held: _Held) -> bool:
        """Whether a lane's lease holds for a while yet.

        A process that was frozen must not send late, and what is sent must have had its effect
        before another worker may look for it: half a lease is left for that. Renewing each quarter
        keeps more, as long as PostgreSQL answers.
        """
        left = held.until - asyncio.get_running_loop().time()
        return not self._stopping and left > self._lease / 2

    def _lapse(self, held: _Held) -> None:
        """Give a call up when the lease of its lane ends: another worker may be at it next."""
        loop = asyncio.get_running_loop()
        if held.record is None:
            return
        if loop.time() < held.until:
            loop.call_at(held.until, self._lapse, held)
            return
        _log.warning("the lease of lane %s ran out; its call is given up", held.lane.lane)
        held.record.cut()

    async def _known(self, connection: Connection) -> Connection:
        """Return the connection with its account, asked for now if nobody has tested it yet.

        Whose the hub's writes are must be known before the first: it is how their echoes are told
        from what people do.
        """
        now = asyncio.get_running_loop().time()
        last = self._asked.get(connection.id)
        if connection.account is not None or (last is not None and now - last < _ASK_SECONDS):
            return connection
        self._asked[connection.id] = now
        account = await self._caller.probe(connection)
        if not isinstance(account, Account):
            return connection
        async with transaction(self._database) as session:
            await set_account(session, connection.id, account)
        self._connections.forget()
        return dataclasses.replace(connection, account=account)

    async def _apply(self, connection: Connection, outcome: Outcome, record: Record) -> None:
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

    def _action(self, connection: Connection, name: str) -> ActionManifest | None:
        available = self._connections.registry.get(connection.integration)
        sends = None if available is None else available.manifest.sends
        return None if sends is None else sends.actions.get(name)

    async def _finish_batch(self, batch: Sequence[tuple[Ended, Outcome | None]]) -> list[None]:
        finished = await again(lambda: self._store(batch))
        await self._count(batch)
        if finished.due:
            self._poked.set()
        if finished.go_on:
            self.on_step_done(finished.go_on)
        return [None] * len(batch)

    async def _store(self, batch: Sequence[tuple[Ended, Outcome | None]]) -> lanes.Finished:
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

    async def _count(self, batch: Sequence[tuple[Ended, Outcome | None]]) -> None:
        """Open or close the breakers of connections by how their calls fared."""
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
            return
        async with away_as_error():
            opened = await lanes.fared(self._database, shaky)
        self._connections.forget()
        self._poked.set()
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

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._lease / 4)
            asked, working = loop.time(), list(self._lanes.values())
            if not working:
                continue
            try:
                async with asyncio.timeout(self._lease / 2):
                    kept = await lanes.renew(
                        self._database, self._worker, self._lease, [held.lane for held in working]
                    )
            except (StoreAway, TimeoutError) as error:
                _log.warning("leases could not be renewed: %s", str(error) or "no answer")
                continue
            for held in working:
                if (held.lane.connection_id, held.lane.lane) in kept:
                    held.until = asked + self._lease

    async def _end(self) -> None:
        if self._lanes:
            _, late = await asyncio.wait(self._lanes, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            if late:
                # Their outcome stays unknown; whoever takes the lane next looks it up.
                await asyncio.wait(late, timeout=1)
        with contextlib.suppress(StoreAway):
            await lanes.give_back(self._database, self._worker)


def _nobody_waits(_: Sequence[int]) -> None:
    """Do nothing: the sweeper lets following steps go on as well."""


def _made(batch: Sequence[tuple[Ended, Outcome | None]]) -> dict[int, Thing]:
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


async def _settle(
    session: Session, batch: Sequence[tuple[Ended, Outcome | None]], made: dict[int, Thing]
) -> list[Ended]:
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


def _not_sent(lane: Taken) -> Ended:
    """Say that nothing left: the delivery is as it was before."""
    due = lane.due
    if due is None:
        return Ended(taken=lane, state="")
    return Ended(
        taken=lane, state="pending", attempts=due.attempts, waits=due.waits,
        uncertain=due.uncertain, maybe_duplicate=due.maybe_duplicate,
    )  # fmt: skip


def _refusal(action: ActionManifest, due: Due) -> str:
    """Return why a delivery must not leave; empty when it may."""
    if action.audience_of(due.inputs) == "customer" and due.audience != "customer":
        return "the text was not made for a customer to read, and this action reaches one"
    return f"given up after {_MOST_TRIES} tries" if due.tries > _MOST_TRIES else ""


def _read(outcome: Outcome, record: Record, lane: Taken, due: Due, action: ActionManifest) -> Ended:
    """Turn an outcome into what is stored."""
    attempts, waits, wait, state = due.attempts, due.waits, 0.0, "dead"
    # Whatever is in doubt stays so until an answer settles it, also over a replay by hand.
    uncertain = due.uncertain
    reason = getattr(outcome, "reason", "") or getattr(outcome, "note", "")
    if isinstance(outcome, (Delivered, Nothing)):
        state, uncertain = "delivered", False
    elif isinstance(outcome, AuthFailed):
        state = "pending"
    elif isinstance(outcome, (RetryLater, Unknown)):
        may_have = isinstance(outcome, Unknown) or outcome.effect
        uncertain = due.uncertain or (record.wrote and may_have)
        chance = random.random()  # noqa: S311 - jitter
        later = next_wait(outcome, attempts=attempts, waits=waits, chance=chance)
        if later is None:
            reason = f"given up after {attempts + 1} attempts: {reason}"
        else:
            wait, counts = later
            state = "pending"
            attempts, waits = (attempts + 1, waits) if counts else (attempts, waits + 1)
    doubtful = action.once == "none" and (due.uncertain or uncertain)
    ref: Ref | None = getattr(outcome, "ref", None)
    written = outcome.written if isinstance(outcome, Delivered) else ()
    refs = [*written, *([ref] if ref is not None and action.creates else [])]
    last = record.calls[-1] if record.calls else {}
    after = outcome.after if isinstance(outcome, Delivered) else None
    result = None
    if state == "delivered":
        result = {"ref": msgspec.to_builtins(ref) if ref else None, "after": after}
    return Ended(
        taken=lane, state=state, reason=reason, wait=wait, attempts=attempts, waits=waits, uncertain=uncertain,
        maybe_duplicate=due.maybe_duplicate or doubtful,
        outcome="found" if record.found else _NAMES.get(type(outcome), "unknown"), status=last.get("status"),
        calls=record.calls, result=result,
        before=outcome.before if isinstance(outcome, Delivered) else None, after=after,
        refs=tuple(dict.fromkeys(f"{r.kind}/{r.id}" for r in refs if r.id)),
    )  # fmt: skip
