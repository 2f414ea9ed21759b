"""The near side: sends signed webhooks as a vendor does, and remembers what was acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp

from hub.sdk.signature import sign

SECRET = "sample-secret"
_LATE_SECONDS = 3.0
"""How long after the first a copy of a webhook may be sent."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook: the connection it belongs to, the vendor's id of it, and what it says."""

    connection: str
    id: str
    body: dict[str, Any]


class Sender:
    """Sends each webhook one to three times, and each copy until it is acknowledged."""

    def __init__(
        self, client: aiohttp.ClientSession, addresses: Callable[[], list[str]],
        paths: dict[str, str], chance: random.Random, *, seconds: float,
    ) -> None:  # fmt: skip
        self.acknowledged: set[tuple[str, str]] = set()
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._client = client
        self._addresses = addresses
        self._paths = paths
        self._chance = chance
        self._deadline = time.monotonic() + seconds
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """How many copies are still under way."""
        return len(self._tasks)

    async def send(self, hook: Hook) -> None:
        """Send a webhook and its copies; returns when the first is acknowledged."""
        self.counts["webhooks"] += 1
        together, copies = [self._start(self._until_taken(hook, 0))], self._chance.randint(1, 3)
        for _ in range(copies - 1):
            self.counts["copies"] += 1
            if self._chance.random() < 0.5:
                together.append(self._start(self._until_taken(hook, 0)))
            else:
                _ = self._start(self._until_taken(hook, self._chance.uniform(0, _LATE_SECONDS)))
        await asyncio.wait(together, return_when=asyncio.FIRST_COMPLETED)

    def later(self, hook: Hook, seconds: float) -> None:
        """Send a webhook after a while; nobody waits for it."""

        async def work() -> None:
            await asyncio.sleep(seconds)
            await self.send(hook)

        _ = self._start(work())

    async def close(self) -> None:
        """Give up on what is still under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _until_taken(self, hook: Hook, delay: float) -> None:
        if delay:
            await asyncio.sleep(delay)
        raw = json.dumps({"id": hook.id, **hook.body}).encode()
        headers = {
            "x-acme-signature": "sha256=" + sign(SECRET, raw),
            "content-type": "application/json",
        }
        while time.monotonic() < self._deadline:
            self.counts["requests"] += 1
            addresses = self._addresses()
            address = self._chance.choice(addresses) if addresses else "http://127.0.0.1:9"
            status, wait = 0, self._chance.uniform(0.2, 0.8)
            try:
                async with self._client.post(
                    address + self._paths[hook.connection], data=raw, headers=headers
                ) as answer:
                    await answer.read()
                    status, said = answer.status, answer.headers
            except (aiohttp.ClientError, OSError, TimeoutError):
                self.counts["no answer"] += 1
            else:
                self.counts[f"answered {status}"] += 1
                if status == 200:
                    self.acknowledged.add((hook.connection, hook.id))
                    return
                if status not in {429, 503} or "retry-after" not in said:
                    text = f"{hook.connection} {hook.id} was answered {status}, Retry-After {said.get('retry-after')}"
                    self.problems.append(text)
                # Vendors are impatient: some come back before they were told to.
                wait = min(float(said.get("retry-after", "1")), self._chance.uniform(0.2, 1.5))
            await asyncio.sleep(wait)
        self.problems.append(f"{hook.connection} {hook.id} was never acknowledged")


async def chain(
    sender: Sender, hooks: list[Hook], chance: random.Random, *, seconds: float,
    then: Callable[[], Awaitable[None]] | None = None,
) -> None:  # fmt: skip
    """Send webhooks of one object one after another, spread over a time."""
    gap = seconds / max(1, len(hooks))
    for hook in hooks:
        await asyncio.sleep(chance.uniform(0, 2 * gap))
        await sender.send(hook)
    if then is not None:
        await then()
