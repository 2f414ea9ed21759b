"""Random graphs of systems that carry comments to one another: every chain ends, rings are named."""

from __future__ import annotations

import asyncio
import codecs
from collections import Counter
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from hub.route.echo import MOST_HOPS
from hub.runtime.services import Services
from hub.store.notices import make_own_connection
from tests.support import Hub, running_hub

_ACCOUNT = "hub-bot"
_QUIET_SECONDS = 60.0

HABITS = ("plain", "reformats", "nameless", "rewrites", "copied by a robot", "answered by a robot")
"""How a system tells of what the hub wrote into it.

`plain`: as it was written, by the hub's account. `reformats`: with other spaces and marks.
`nameless`: without saying who did it, under another id, to a hub that knows no account.
`rewrites`: in other words, under another id. The robots are other automations in the system: they
post the same text again, or an answer in words of their own, under their own account.
"""
_SLIPS = {"rewrites", "copied by a robot", "answered by a robot"}


class World:
    """The systems, and what they tell. Lives in the test's event loop."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.habits: list[str] = []
        self.routes: dict[str, tuple[int, int]] = {}
        self.number = 0
        self._telling: set[asyncio.Task[None]] = set()
        hub.vendor.on_made = self._made

    async def begin(self, habits: list[str]) -> None:
        """Forget what there was, and connect these systems."""
        tables = (
            "connections, routes, deliveries, attempts, events, webhooks, lanes, writes, written"
        )
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(asyncpg.DeadlockDetectedError), stop=stop_after_attempt(5)
        ):
            with attempt:  # the worker looks around at any moment, at more than one table
                await self.hub.database.execute(
                    f"truncate {tables}, nodes, links, seen, once cascade"
                )
        vault = self.hub.services.vault
        await make_own_connection(self.hub.database, key="key-hub", sealed=vault.seal({}))
        self.hub.vendor.made.clear()
        self.habits = habits
        self.routes = {}
        for n, habit in enumerate(habits):
            account = (
                None if habit == "nameless" else {"id": _ACCOUNT, "label": "", "workspace": ""}
            )
            config = {"api_url": f"{self.hub.vendor.url}/s{n}", "projects": [f"S{n}"]}
            await self.hub.connection(f"s{n}", account=account, config=config)

    async def connect(self, one: int, other: int) -> None:
        """Carry comments between two systems, both ways."""
        for source, target in ((one, other), (other, one)):
            name = f"s{source}-to-s{target}"
            if name in self.routes:
                continue
            self.routes[name] = (source, target)
            inputs = {"issue": f"S{target}-{{{{ subject.id }}}}", "body": "{{ data.comment }}"}
            await self.hub.route(
                name, on=["work_item.commented"], connections=[f"s{source}"],
                steps=[{"name": "s", "connection": f"s{target}", "action": "comment", "inputs": inputs}],
            )  # fmt: skip

    async def tell(self, system: int, issue: str, text: str, actor: str, comment: str = "") -> None:
        """Send the webhook of a comment."""
        self.number += 1
        body = {"issue": issue, "body": text, "comment": comment or f"own-{self.number}"}
        if actor:
            body["by"] = actor
        answer = await self.hub.sender(f"s{system}")(
            id=f"w{self.number}", type="issue.comment", **body
        )
        assert answer.status_code in {200, 202}, answer.text

    def _made(self, path: str, item: dict[str, Any]) -> None:
        system = int(path.split("/")[2].removeprefix("s"))
        habit, text, issue = self.habits[system], item["body"], item["issue"]
        told: list[tuple[str, str, str]] = [(text, _ACCOUNT, item["id"])]
        if habit == "reformats":
            told = [(f"\n**{text.replace(' ', '  ')}**\n", _ACCOUNT, f"x{item['id']}")]
        elif habit == "nameless":
            told = [(text, "", f"x{item['id']}")]
        elif habit == "rewrites":
            told = [(_otherwise(text), _ACCOUNT, f"x{item['id']}")]
        elif habit == "copied by a robot":
            told.append((text, "robot", ""))
        elif habit == "answered by a robot":
            told.append((_otherwise(text), "robot", ""))
        for words, actor, comment in told:
            task = asyncio.create_task(self.tell(system, issue, words, actor, comment))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def settle(self) -> None:
        """Wait until every chain has ended."""
        async with asyncio.timeout(_QUIET_SECONDS):
            while True:
                await self.hub.quiet(seconds=_QUIET_SECONDS)
                if not self._telling:
                    return
                await asyncio.gather(*self._telling)

    async def broken(self) -> list[list[str]]:
        """Return the rings that were broken, each as the routes that its reason names."""
        rows = await self.hub.database.fetch(
            "select reason from events where reason like 'loop broken: %'"
        )
        return [_named(row["reason"]) for row in rows]

    async def hops(self) -> int:
        """Return the longest chain of routes that led to a delivery."""
        return int(await self.hub.database.fetchval("select max(hop) from deliveries") or 0)

    async def notices(self) -> int:
        """Return how many notices of a broken ring there are."""
        return int(
            await self.hub.database.fetchval(
                "select count(*) from events where type = 'hub.loop.broken'"
            )
        )


def _otherwise(text: str) -> str:
    """Say it in words that have nothing in common with these, and again differently next time."""
    return codecs.encode(text, "rot13") if "again" in text else f"again {text}"[::-1]


def _named(reason: str) -> list[str]:
    return reason.removeprefix("loop broken: ").partition(": ")[0].split(" → ")


class Rings(RuleBasedStateMachine):
    """Random systems, random two-way routes, people who write; each step ends before the next."""

    loop: asyncio.AbstractEventLoop
    world: World

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(_QUIET_SECONDS * 2)

    @initialize(habits=st.lists(st.sampled_from(HABITS), min_size=2, max_size=5))
    def systems(self, habits: list[str]) -> None:
        """Two to five systems."""
        self.said: Counter[tuple[int, int]] = Counter()
        self._do(self.world.begin(habits))

    @rule(data=st.data())
    def route(self, data: st.DataObject) -> None:
        """Two systems carry comments to each other."""
        places = st.integers(0, len(self.world.habits) - 1)
        one, other = data.draw(st.lists(places, min_size=2, max_size=2, unique=True))
        self._do(self.world.connect(one, other))

    @precondition(lambda self: self.world.routes)
    @rule(data=st.data(), issue=st.integers(1, 2))
    def person(self, data: st.DataObject, issue: int) -> None:
        """A person comments: whatever follows ends, and everybody who should gets the comment."""
        world = self.world
        system = data.draw(st.integers(0, len(world.habits) - 1))
        text = f"person number {world.number} thinks of a thing"
        self._do(world.tell(system, f"S{system}-{issue}", text, "kim"))
        self._do(world.settle())
        assert self._do(world.hops()) <= MOST_HOPS
        if world.habits[system] != "nameless":
            for source, target in world.routes.values():
                if source == system:
                    assert self._copies(text, f"S{target}-{issue}") >= 1, (text, target)
        rings = self._do(world.broken())
        assert all(self._is_ring(ring) for ring in rings), rings
        assert bool(self._do(world.notices())) == bool(rings)
        if not _SLIPS.intersection(world.habits):
            assert not rings, "the echoes of such systems are recognised, no breaker is needed"
            assert all(n == 1 for n in Counter(self._bodies()).values()), self._bodies()

    def _bodies(self) -> list[tuple[str, str]]:
        return [(made["body"], made["issue"]) for made in self.world.hub.vendor.made]

    def _copies(self, text: str, issue: str) -> int:
        return self._bodies().count((text, issue))

    def _is_ring(self, ring: list[str]) -> bool:
        """Whether each route leads to the next and round, or all write to the same system."""
        ends = [self.world.routes[name] for name in ring]
        turns = len(ring) > 1 and ring[0] == ring[-1]
        leads = all(one[1] == other[0] for one, other in pairwise(ends))
        return (turns and leads) or len({target for _, target in ends}) == 1


@pytest.mark.timeout(240)
async def test_every_chain_of_routes_ends_and_a_broken_ring_is_named(
    services: Services, redis_url: str
) -> None:
    async with running_hub(services, redis_url) as hub:
        world = World(hub)

        class Bound(Rings):
            loop = asyncio.get_running_loop()

        Bound.world = world
        await asyncio.to_thread(
            run_state_machine_as_test, Bound,
            # An example takes seconds, so a failing one is shown as it is.
            settings=settings(
                max_examples=12, stateful_step_count=8, deadline=None,
                phases=(Phase.explicit, Phase.reuse, Phase.generate),
            ),
        )  # fmt: skip
        await world.settle()
