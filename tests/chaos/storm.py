"""One run: a hub, a vendor, a sender and faults from one seed; then everything heals and is checked."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from tests.chaos.check import Findings, check, evidence
from tests.chaos.faults import Faults
from tests.chaos.house import House, open_house
from tests.chaos.sender import Hook, Sender, chain
from tests.chaos.vendor import Vendor, Weather, running_vendor
from tests.chaos.work import Work, echo_of, furnish, lone, plan, ship

_ECHO_SECONDS = 0.5


@dataclass(frozen=True)
class Size:
    """How long and how hard. All times are in seconds."""

    webhooks: int
    storm: float
    rounds: int
    """How often each fault comes."""
    gap: tuple[float, float]
    away: float
    heal: float
    """How long the hub may take to end everything once the faults are over."""
    part: tuple[int, int] = (0, 1)
    """Which share of the kinds of faults comes, as (number, of how many)."""


def short(number: int = 0) -> Size:
    """Return the size of a run among the tests; two of them have every kind of fault."""
    return Size(
        webhooks=250, storm=7, rounds=1, gap=(0.0, 0.4), away=2, heal=40, part=(number % 2, 2)
    )


def long(webhooks: int) -> Size:
    """Return the size of a long run: dozens of faults, servers away for half a minute."""
    return Size(webhooks=webhooks, storm=75, rounds=4, gap=(0.1, 1.5), away=30, heal=180)


@dataclass
class Result:
    """What one run did and found."""

    seed: int
    findings: Findings = field(default_factory=Findings)
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[float, str]] = field(default_factory=list)
    vendor: Counter[str] = field(default_factory=Counter)
    longest_stop: float = 0.0
    healed_after: float = 0.0
    took: float = 0.0
    logs: str = ""
    evidence: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was violated."""
        return not self.findings.all

    def report(self) -> str:
        """Return everything that is needed to understand a failure."""
        shown = self.findings.all[:60]
        rest = len(self.findings.all) - len(shown)
        return "\n".join([
            f"seed {self.seed}: {len(self.findings.all)} violations", *shown,
            *([f"and {rest} more"] if rest else []),
            f"faults: {', '.join(f'{at:.1f} s {name}' for at, name in self.faults)}",
            *self.evidence, f"vendor: {dict(self.vendor)}", f"counts: {self.counts}", self.logs,
        ])  # fmt: skip


async def run(seed: int, size: Size, broken: str = "") -> Result:
    """Run one seed, with a mechanism taken out if one is named. Bounded: it always ends."""
    began = time.monotonic()
    result = Result(seed)
    async with open_house(broken) as house:
        try:
            async with asyncio.timeout(size.storm * 3 + size.heal + size.rounds * (size.away + 60)):
                await _run(house, result, size)
        except (AssertionError, TimeoutError, ValueError, OSError) as error:
            result.findings.other.append(f"the run did not end: {type(error).__name__}: {error}")
        if not result.ok:
            result.logs = house.tail()
    result.took = time.monotonic() - began
    return result


async def _run(house: House, result: Result, size: Size) -> None:
    # Each part has its own numbers, so that more of one does not change another.
    seeds = random.Random(result.seed)
    chances = [random.Random(seeds.random()) for _ in range(5)]
    work = plan(size.webhooks, chances[0])
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        running_vendor(chances[1], Weather()) as vendor,
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=200)) as client,
    ):
        paths = await furnish(house, vendor)
        sender = Sender(
            client, house.addresses, paths, chances[2], seconds=size.storm * 2 + size.heal
        )
        vendor.on_effect = lambda effect: sender.later(
            echo_of(effect), chances[2].uniform(0, _ECHO_SECONDS)
        )
        faults = Faults(house, chances[3], away=size.away)
        vendor.wild = True
        resuming = asyncio.create_task(_resume_for_ever(house))
        shipping = asyncio.create_task(ship(work, sender, vendor, chances[4]))
        sending = [
            asyncio.create_task(_chain(sender, work, n, chances[4], size))
            for n in range(len(work.chains))
        ]
        try:
            number, parts = size.part
            names = list(faults.every)[number::parts] * size.rounds
            chances[3].shuffle(names)
            await asyncio.gather(faults.run(names, size.gap), *sending)
            began = time.monotonic()
            vendor.wild = False
            await faults.heal()
            replayed = await _settle(house, sender, shipping, result, size, lone(work))
            result.healed_after = time.monotonic() - began
            if not shipping.done():
                shipping.cancel()
            result.findings.other += (
                found := await check(house, vendor, sender, work, replayed)
            ).other
            found.other = result.findings.other
            result.findings = found
            result.evidence = await evidence(house, found)
        finally:
            for task in (resuming, shipping, *sending):
                task.cancel()
            await asyncio.gather(resuming, shipping, *sending, return_exceptions=True)
            await sender.close()
            _count(result, house, vendor, sender, faults)
            result.counts["deadlocks"] = await asyncio.to_thread(house.deadlocks)


async def _chain(
    sender: Sender, work: Work, number: int, chance: random.Random, size: Size
) -> None:
    hooks = work.chains[number]
    # What is sent alone comes at any moment of the storm.
    if len(hooks) == 1:
        await asyncio.sleep(chance.uniform(0, size.storm))
        await sender.send(hooks[0])
    else:
        await chain(sender, hooks, chance, seconds=size.storm)


async def _settle(
    house: House, sender: Sender, shipping: asyncio.Task[None], result: Result, size: Size,
    last: Hook,
) -> set[int]:  # fmt: skip
    """Wait until nothing waits any more, replaying dead letters; returns which those were.

    The `last` webhook is sent when all is quiet, and Redis loses its wake-up.
    """
    replayed: set[int] = set()
    deadline = time.monotonic() + size.heal
    calm = 0
    # A breaker that has opened waits for minutes; a person who knows better does not.
    for item in (await house.call("GET", "/connections"))["items"]:
        await house.call("POST", f"/connections/{item['name']}/resume")
    state = ""
    while time.monotonic() < deadline:
        await asyncio.sleep(0.25)
        dead = [
            int(row["id"])
            for row in await house.fetch("select id from deliveries where state = 'dead'")
        ]
        if dead:
            replayed.update(dead)
            await house.call("POST", "/replay", {"kind": "delivery", "filters": {"state": "dead"}})
            continue
        rows = await house.fetch(
            "select 'webhooks received' as what, count(*) as n from webhooks where state = 'received' "
            "union all select 'events waiting', count(*) from events where state = 'waiting' "
            "union all select 'deliveries ' || state, count(*) from deliveries "
            "where state in ('pending', 'in_flight', 'blocked') group by 1"
        )
        waiting = {row["what"]: row["n"] for row in rows if row["n"]}
        if sender.busy:
            waiting["copies being sent"] = sender.busy
        if not shipping.done():
            waiting["bugs not shipped yet"] = 1
        state = str(waiting)
        calm = 0 if waiting else calm + 1
        if calm >= 3 and (last.connection, last.id) not in sender.acknowledged:
            await house.by_hand(house.redis.stop)
            await sender.send(last)
            await house.by_hand(house.redis.start)
        elif calm >= 3:
            result.counts["replayed"] = len(replayed)
            return replayed
    result.findings.lost.append(f"still waiting {size.heal:.0f} s after the storm: {state}")
    result.findings.other.append(f"not quiet {size.heal:.0f} s after the storm: {state}")
    return replayed


async def _resume_for_ever(house: House) -> None:
    """Be the person who sees that a connection was paused for its credentials, and resumes it."""
    while True:
        await asyncio.sleep(1)
        with contextlib.suppress(
            OSError, ValueError, aiohttp.ClientError, TimeoutError, IndexError
        ):
            for item in (await house.call("GET", "/connections"))["items"]:
                if item["state"] == "auth_failed":
                    await house.call("POST", f"/connections/{item['name']}/resume")
                    house.counts["resumed"] += 1


def _count(result: Result, house: House, vendor: Vendor, sender: Sender, faults: Faults) -> None:
    result.counts |= {
        "acknowledged": len(sender.acknowledged), "effects": len(vendor.log),
        **sender.counts, **house.counts, **result.findings.counts,
    }  # fmt: skip
    result.vendor = vendor.faults
    result.faults = faults.done
    result.longest_stop = house.longest_stop
