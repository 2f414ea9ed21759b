"""Group commit: what arrives while one commit runs shares the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Batcher(Generic[_Item, _Result]):
    """Runs `flush(items) -> results` for as many items as are waiting, one run at a time.

    The cost of a commit is shared by all that arrived during the one before, so it falls as load
    rises, and a lone item waits for nothing. `submit` returns the item's own result, or raises
    what `flush` raised for its batch.
    """

    def __init__(
        self, flush: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result]]], *, most: int = 200
    ) -> None:
        self._flush = flush
        self._most = most
        self._waiting: list[tuple[_Item, asyncio.Future[_Result]]] = []
        self._running: asyncio.Task[None] | None = None

    async def submit(self, item: _Item) -> _Result:
        """Put an item into the next batch and wait for its result."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    @property
    def waiting(self) -> int:
        """How many items wait for the next batch."""
        return len(self._waiting)

    async def drain(self) -> None:
        """Wait until everything submitted has its result."""
        while self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._waiting:
                # One turn of the loop lets requests that are ready join this batch.
                await asyncio.sleep(0)
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._one(batch)
        finally:
            self._running = None

    async def _one(self, batch: list[tuple[_Item, asyncio.Future[_Result]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
