"""Mechanisms broken on purpose: the harness has to notice each, or it proves nothing.

`python -m tests.chaos --broken` runs every one of these with all kinds of faults, until a seed
fails. Each takes one mechanism out of the processes of the hub, as a mistake in the code would.
"""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from hub.deliver import caller
from hub.receive import app
from hub.route import batch, echo
from hub.runtime import pump, worker
from hub.sdk.actions import Delivered
from hub.sdk.http import Reply
from hub.store import graph, lanes


def acknowledge_before_the_commit() -> None:
    """A webhook is acknowledged while its commit is still under way."""
    keep = app.WebhookApp._keep
    under_way: set[asyncio.Task[Any]] = set()

    async def early(self: app.WebhookApp, hooks: Sequence[Any]) -> list[int | None]:
        task = asyncio.create_task(keep(self, hooks))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return [1] * len(hooks)

    app.WebhookApp._keep = early  # type: ignore[method-assign]


def commit_without_a_flush() -> None:
    """PostgreSQL says that a commit is done before it is on disk."""
    create = asyncpg.create_pool

    def careless(*args: Any, server_settings: dict[str, str], **more: Any) -> Any:
        settings = {**server_settings, "synchronous_commit": "off"}
        return create(*args, server_settings=settings, **more)

    asyncpg.create_pool = careless


def acknowledge_what_could_not_be_kept() -> None:
    """While PostgreSQL is away the answer is 200 in place of 503."""
    problem = app._problem

    def friendly(found: app.Problem) -> Reply:
        reply = problem(found)
        return msgspec.structs.replace(reply, status=200) if reply.status == 503 else reply

    app._problem = friendly


def take_copies_for_new() -> None:
    """A webhook that comes twice is two webhooks."""
    keep = app.WebhookApp._keep_one

    async def anew(self: app.WebhookApp, connection: Any, request: Any, vendor_id: Any, *rest: Any) -> Any:  # fmt: skip
        return await keep(self, connection, request, f"{vendor_id}-{uuid.uuid4()}", *rest)

    app.WebhookApp._keep_one = anew  # type: ignore[method-assign]


def no_sweeper() -> None:
    """Work is found by its wake-up in Redis only."""

    async def sleep(_: pump.Pump) -> None:
        await asyncio.Event().wait()

    pump.Pump.sweep = sleep  # type: ignore[method-assign]


def no_takeover() -> None:
    """A lane whose worker died stays its own."""
    lanes._TAKE = lanes._TAKE.replace("or l.lease_until < now()", "").replace(
        "or lease_until < now()", ""
    )


def no_lookup() -> None:
    """What may have been done already is done again without a look."""
    act = caller.Caller.act

    async def blind(self: caller.Caller, *args: Any, find_first: bool = False) -> Any:
        del find_first
        return await act(self, *args)

    caller.Caller.act = blind  # type: ignore[method-assign]


def unreadable_answers_are_successes() -> None:
    """An answer that makes no sense counts as done."""
    caller.unreadable = lambda _: Delivered()  # type: ignore[assignment]


def no_claim() -> None:
    """Two reports of one bug each create a work item."""
    claim = graph.claim

    async def own(session: Any, wanted: Mapping[tuple[int, str], int]) -> Any:
        alone = {(place, f"{about} {uuid.uuid4()}"): n for (place, about), n in wanted.items()}
        claims = await claim(session, alone)
        return {name: claims[mine] for name, mine in zip(wanted, alone, strict=True)}

    graph.claim = own


def no_lanes() -> None:
    """Every delivery is in a line of its own."""

    async def scatter(_: Any, todos: Sequence[Any]) -> None:
        for todo in todos:
            todo.lane = f"{todo.lane}/{uuid.uuid4()}"

    batch.find_lanes = scatter


def two_in_one_lane() -> None:
    """A worker takes what is due in a lane while another is at work there."""
    for name in ("l.lease_until is null", "lease_until is null"):
        lanes._TAKE = lanes._TAKE.replace(f"({name}", f"(true or {name}")


def no_echoes() -> None:
    """What the hub did itself is taken for what people did."""
    echo.judge = lambda **_: echo.NOT_OURS


def no_late_states() -> None:
    """A state that is older than the one known is passed on."""

    async def none(*_: Any) -> dict[int, str]:
        return {}

    batch.Batch._states = none  # type: ignore[assignment,method-assign]


def deaf_to_sigterm() -> None:
    """A worker that is asked to stop goes on."""

    def ignore() -> asyncio.Event:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return asyncio.Event()

    worker._on_signals = ignore


def _named(*found: Callable[[], None]) -> dict[str, Callable[[], None]]:
    return {function.__name__.replace("_", "-"): function for function in found}


BROKEN: Mapping[str, Callable[[], None]] = _named(
    acknowledge_before_the_commit, commit_without_a_flush, acknowledge_what_could_not_be_kept,
    take_copies_for_new, no_sweeper, no_takeover, no_lookup, unreadable_answers_are_successes,
    no_claim, no_lanes, two_in_one_lane, no_echoes, no_late_states,
    deaf_to_sigterm,
)  # fmt: skip
