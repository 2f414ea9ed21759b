"""Send the stand-ins' webhooks: in order for each, again and again, as a vendor does."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx

from hub.sandbox.house import House, Room, Webhook

# Vendors wait from seconds to hours; here it is quick, so that a hub that was away hears soon.
WAITS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
# About ten minutes, as the last wait repeats.
ATTEMPTS = 17
_TIMEOUT = 15.0
_AGAIN = frozenset({408, 409, 425, 429})


class Sender:
    """One task for each stand-in that has something to send."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._woken: dict[str, asyncio.Event] = {}

    def wake(self, name: str) -> None:
        """Send what waits for a stand-in, unless its task is at it already."""
        task = self._tasks.get(name)
        if self._house[name].pending and (task is None or task.done()):
            self._tasks[name] = asyncio.create_task(self._work(self._house[name]))

    def hurry(self, name: str) -> None:
        """Send at once, without the wait before another attempt: the address may be mended."""
        self._woken.setdefault(name, asyncio.Event()).set()
        self.wake(name)

    async def close(self) -> None:
        """Stop; what has not been sent stays in the state file."""
        for task in self._tasks.values():
            task.cancel()
        for task in self._tasks.values():
            with suppress(asyncio.CancelledError):
                await task
        await self._client.aclose()

    async def _work(self, room: Room) -> None:
        while room.pending:
            webhook = room.pending[0]
            done = await self._attempt(room, webhook)
            # A reset may have emptied the queue meanwhile.
            if done and room.pending and room.pending[0] is webhook:
                room.pending.popleft()
                room.sent += webhook.state == "sent"
            self._house.save()
            if not done:
                await self._wait(room.id, WAITS[min(webhook.attempts, len(WAITS)) - 1])

    async def _attempt(self, room: Room, webhook: Webhook) -> bool:
        """Send once; returns whether the webhook is dealt with."""
        if room.target is None:
            webhook.state, webhook.note = "unsent", "no address is set"
            return True
        webhook.attempts += 1
        try:
            answer = await self._client.post(
                room.target.url, content=webhook.body, headers=webhook.headers
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            webhook.note = f"{type(error).__name__}: {error}"
        else:
            webhook.note = f"HTTP {answer.status_code}"
            if answer.is_success:
                webhook.state = "sent"
                return True
            if answer.status_code < 500 and answer.status_code not in _AGAIN:  # noqa: PLR2004
                webhook.state = "refused"
                return True
        webhook.state = "retrying" if webhook.attempts < ATTEMPTS else "given up"
        return webhook.state == "given up"

    async def _wait(self, name: str, seconds: float) -> None:
        woken = self._woken.setdefault(name, asyncio.Event())
        woken.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), seconds)
