"""Lanes are taken, their deliveries sent in order, and what came of it is written down."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

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
from hub.sdk.events import Ref
from hub.sdk.integration import ActionManifest
from hub.sdk.text import fingerprint
from hub.store import deliveries, graph
from hub.store.admin import set_account
from hub.store.connections import Connection, Connections, park, pause
from hub.store.deliveries import Due, Ended, Lane, Started
from hub.store.graph import Thing
from hub.store.pool import Database, StoreAway, transaction

_log = logging.getLogger(__name__)
_MOST_LANES = 64
_MOST_EACH = 16
_HEADS = 20
_MOST_TRIES = 250
_IDLE_SECONDS = 1.0
_ASK_SECONDS = 60.0
_MOST_WORDS = 400
_TITLES = ("summary", "title", "subject")
_NAMES = {
    Delivered: "delivered", Nothing: "nothing", RetryLater: "retry", Rejected: "rejected",
    AuthFailed: "auth_failed", Unknown: "unknown",
}  # fmt: skip


class Deliverer:
    """Works on lanes until stopped. Several may run, in one process or many.

    `on_step_done` is called when another step waited for a delivery that has ended.
    """

    def __init__(
        self, database: Database, connections: Connections, caller: Caller, *, worker: str,
        instance: str, lease_seconds: float, on_step_done: Callable[[], None],
    ) -> None:  # fmt: skip
        self._database = database
        self._connections = connections
        self._caller = caller
        self._worker = worker
        self._instance = instance
        self._lease = lease_seconds
        self._on_step_done = on_step_done
        self._start: Batcher[Started, bool] = Batcher(self._start_batch)
        self._finish: Batcher[tuple[Ended, Due, Outcome | None], None] = Batcher(self._finish_batch)
        self._leave: Batcher[Lane, None] = Batcher(self._leave_batch)
        self._poked = asyncio.Event()
        self._asked: dict[int, float] = {}
        self._busy: Counter[int] = Counter()
        self._lanes: dict[asyncio.Task[None], Lane] = {}
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
                    taken = await self._take()
                except StoreAway as error:
                    _log.warning("deliveries wait for PostgreSQL: %s", error)
                    await asyncio.sleep(1)
                    continue
                if not taken:
                    await self._idle()
        finally:
            renewing.cancel()
            await self._end()

    def stop(self) -> None:
        """Take no new lanes; what is being sent ends first."""
        self._stopping = True
        self._poked.set()

    @property
    def busy(self) -> int:
        """How many lanes are being worked on."""
        return len(self._lanes)

    async def _take(self) -> bool:
        room = _MOST_LANES - len(self._lanes)
        if room <= 0:
            await asyncio.wait(self._lanes, return_when=asyncio.FIRST_COMPLETED)
            return True
        self._poked.clear()
        lanes = await deliveries.take_lanes(
            self._database, self._worker, lease_seconds=self._lease, most=room,
            most_each=_MOST_EACH, busy=dict(self._busy),
        )  # fmt: skip
        for lane in lanes:
            self._busy[lane.connection_id] += 1
            task = asyncio.create_task(self._work(lane))
            self._lanes[task] = lane
            task.add_done_callback(self._done)
        return bool(lanes)

    async def _idle(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._poked.wait(), _IDLE_SECONDS)

    def _done(self, task: asyncio.Task[None]) -> None:
        lane = self._lanes.pop(task)
        self._busy[lane.connection_id] -= 1
        if self._busy[lane.connection_id] <= 0:
            del self._busy[lane.connection_id]
        self._poked.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            level = logging.WARNING if isinstance(error, StoreAway) else logging.ERROR
            _log.log(level, "lane %s of cn_%s was left: %s", lane.lane, lane.connection_id, error,
                     exc_info=None if isinstance(error, StoreAway) else error)  # fmt: skip

    async def _work(self, lane: Lane) -> None:
        """Send a lane's deliveries in order until its head is not due, or something stops it."""
        going = True
        while going and not self._stopping:
            connection = await self._connections.by_id(lane.connection_id)
            due = await deliveries.heads(self._database, lane, _HEADS)
            if connection is None or not connection.runs or not due:
                break
            for delivery in due:
                if self._stopping or delivery.due_at > delivery.now:
                    going = False
                    break
                going = await self._deliver(connection, delivery)
                if not going:
                    break
            going = going and len(due) == _HEADS
        await self._leave.submit(lane)

    async def _deliver(self, connection: Connection, due: Due) -> bool:
        """Make one attempt; returns whether the lane may go on."""
        action = self._action(connection, due.action)
        number = due.tries + 1
        if (refusal := _refusal(action, due)) is not None:
            await self._end_now(due, number, refusal)
            return True
        assert action is not None
        sure = await self._start.submit(
            Started(
                delivery_id=due.id, connection_id=connection.id, lane=due.lane, number=number,
                target=_target(action, due), action=due.action, words=_words(action, due),
            )
        )  # fmt: skip
        if not sure:
            return False  # another worker holds the lane by now
        connection = await self._known(connection)
        call = Call(
            inputs=due.inputs, config=connection.config, account=connection.account,
            marker=f"hub-{self._instance}-{due.id}", now=datetime.now(UTC),
        )  # fmt: skip
        outcome, record = await self._caller.act(
            connection, due.action, call, find_first=due.uncertain
        )
        ended = _read(outcome, record, due, number, action)
        await self._apply(connection, outcome)
        await self._finish.submit((ended, due, outcome))
        return ended.state != "pending"

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

    async def _apply(self, connection: Connection, outcome: Outcome) -> None:
        """Do what an outcome means for the whole connection."""
        if isinstance(outcome, AuthFailed):
            reason = f"the credentials were refused: {outcome.reason}"
            if await pause(self._database, connection.id, "auth_failed", reason):
                _log.error("connection %s is paused: %s", connection.name, reason)
            self._connections.forget()
        elif isinstance(outcome, RetryLater) and outcome.limited:
            until = datetime.now(UTC) + timedelta(seconds=min(outcome.after or 5.0, 3600.0))
            await park(self._database, connection.id, until)

    async def _end_now(self, due: Due, number: int, reason: str) -> None:
        """End a delivery that must not be sent."""
        started = Started(
            delivery_id=due.id, connection_id=due.connection_id, lane=due.lane, number=number,
            target="", action=due.action, words=(),
        )  # fmt: skip
        if await self._start.submit(started):
            ended = Ended(
                delivery_id=due.id, connection_id=due.connection_id, number=number, state="dead",
                reason=reason, wait=0, attempts=due.attempts, waits=due.waits, uncertain=due.uncertain,
                maybe_duplicate=due.maybe_duplicate, outcome="refused", status=None, calls=[],
            )  # fmt: skip
            await self._finish.submit((ended, due, None))

    def _action(self, connection: Connection, name: str) -> ActionManifest | None:
        available = self._connections.registry.get(connection.integration)
        sends = None if available is None else available.manifest.sends
        return None if sends is None else sends.actions.get(name)

    async def _start_batch(self, batch: Sequence[Started]) -> list[bool]:
        async with transaction(self._database) as session:
            sure = await deliveries.start(session, self._worker, batch)
        return [item.delivery_id in sure for item in batch]

    async def _finish_batch(self, batch: Sequence[tuple[Ended, Due, Outcome | None]]) -> list[None]:
        async with transaction(self._database) as session:
            ended = await self._with_nodes(session, batch)
            waited = await deliveries.finish(session, ended)
        if waited:
            self._on_step_done()
        return [None] * len(batch)

    async def _with_nodes(
        self, session: Any, batch: Sequence[tuple[Ended, Due, Outcome | None]]
    ) -> list[Ended]:
        """Put what was created into the link graph."""
        made: dict[int, Thing] = {}
        for ended, due, outcome in batch:
            if isinstance(outcome, Delivered) and outcome.ref is not None and due.claim_id:
                ref = outcome.ref
                made[ended.delivery_id] = Thing(
                    connection_id=due.connection_id, kind=ref.kind, external_id=ref.id,
                    key=ref.key, url=ref.url,
                )  # fmt: skip
        if not made:
            return [ended for ended, _, _ in batch]
        nodes = await graph.save(session, made.values())
        result: list[Ended] = []
        for ended, due, _ in batch:
            thing = made.get(ended.delivery_id)
            if thing is None or due.claim_id is None:
                result.append(ended)
                continue
            node = nodes[thing.names[0]]
            await graph.settle_claim(session, due.claim_id, node.id)
            result.append(msgspec.structs.replace(ended, node_id=node.id))
        return result

    async def _leave_batch(self, batch: Sequence[Lane]) -> list[None]:
        async with transaction(self._database) as session:
            await deliveries.leave_lanes(session, self._worker, batch)
        return [None] * len(batch)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 4)
            if self._lanes:
                try:
                    await deliveries.renew(self._database, self._worker, self._lease)
                except StoreAway as error:
                    _log.warning("leases could not be renewed: %s", error)

    async def _end(self) -> None:
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=8)
        with contextlib.suppress(StoreAway):
            await deliveries.give_back(self._database, self._worker)


def _refusal(action: ActionManifest | None, due: Due) -> str | None:
    """Return why a delivery must not leave, if so."""
    if action is None:
        return f"the integration has no action {due.action!r} any more"
    if action.audience_of(due.inputs) == "customer" and due.audience != "customer":
        return "the text was not made for a customer to read, and this action reaches one"
    if due.tries >= _MOST_TRIES:
        return f"given up after {due.tries} tries"
    return None


def _target(action: ActionManifest, due: Due) -> str:
    """Return the ledger's name of what is written to."""
    if action.target is not None:
        return f"{action.target.kind}/{due.inputs.get(action.target.input, '')}"
    return f"new/{action.creates}" if action.creates else ""


def _words(action: ActionManifest, due: Due) -> tuple[str, ...]:
    """Return the words an echo is recognised by.

    The texts that were written, with the title of what is created before them; for an action
    without texts (a status, a tag) its plain values.
    """
    marked = action.text_inputs()
    texts = [str(due.inputs[name]) for name in marked if due.inputs.get(name)]
    if texts and action.creates:
        titles = (str(due.inputs[name]) for name in _TITLES if due.inputs.get(name))
        texts = [*list(titles)[:1], *texts]
    if not texts:
        own = action.target.input if action.target else ""
        texts = [
            value for name, value in due.inputs.items() if name != own and isinstance(value, str)
        ]
    return fingerprint(" ".join(texts))[:_MOST_WORDS]


def _read(outcome: Outcome, record: Record, due: Due, number: int, action: ActionManifest) -> Ended:
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
        delivery_id=due.id, connection_id=due.connection_id, number=number, state=state,
        reason=reason, wait=wait, attempts=attempts, waits=waits, uncertain=uncertain,
        maybe_duplicate=due.maybe_duplicate or doubtful,
        outcome=_NAMES.get(type(outcome), "unknown"), status=last.get("status"),
        calls=record.calls, result=result,
        before=outcome.before if isinstance(outcome, Delivered) else None, after=after,
        refs=tuple(dict.fromkeys(f"{r.kind}/{r.id}" for r in refs if r.id)),
    )  # fmt: skip
