"""Lanes are taken and held, and their deliveries sent in order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hub.deliver.caller import Caller, Record
from hub.deliver.ending import Batch, Endings
from hub.deliver.outcome import not_sent, read_outcome, refusal
from hub.queue.batch import Batcher
from hub.sdk.actions import Account, Call, Outcome
from hub.sdk.integration import ActionManifest
from hub.store import lanes
from hub.store.admin import set_account
from hub.store.connections import Connection, Connections
from hub.store.lanes import Ended, Taken
from hub.store.pool import Collision, Database, StoreAway, again, transaction

_log = logging.getLogger(__name__)
_IDLE_SECONDS = 1.0
_ASK_SECONDS = 60.0
_STOP_SECONDS = 5.0


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
        self._endings = Endings(database, connections, worker=worker)
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
            await self._finish.submit((not_sent(lane), None))
            return
        due = lane.due
        action = self._action(connection, due.action)
        if action is None or (forbidden := refusal(action, due)):
            gone = f"the integration has no action {due.action!r} any more"
            ended = Ended(
                taken=lane, state="dead", reason=gone if action is None else forbidden, attempts=due.attempts, waits=due.waits,
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
            await self._finish.submit((not_sent(lane), None))
            return
        await self._endings.apply(connection, outcome, record)
        await self._finish.submit((read_outcome(outcome, record, lane, due, action), outcome))

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

    def _action(self, connection: Connection, name: str) -> ActionManifest | None:
        available = self._connections.registry.get(connection.integration)
        sends = None if available is None else available.manifest.sends
        return None if sends is None else sends.actions.get(name)

    async def _finish_batch(self, batch: Batch) -> list[None]:
        finished = await again(lambda: self._endings.store(batch))
        changed = await self._endings.count(batch)
        if finished.due or changed:
            self._poked.set()
        if finished.go_on:
            self.on_step_done(finished.go_on)
        return [None] * len(batch)

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
