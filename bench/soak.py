"""Memory over ten minutes of a steady load."""

from __future__ import annotations

import asyncio
import statistics
import time

import uvloop

from bench import rig
from bench.load import steadily
from bench.report import picture, table

_PER_SECOND = 100.0


def soak(_: int, __: float, *, minutes: float = 10.0) -> list[str]:
    """Sample the memory of each process every ten seconds."""
    found: dict[str, list[tuple[float, float]]] = {}
    with rig.hub() as hub:
        path = hub.jira()
        hub.out()
        sent = uvloop.run(_run(hub, path, minutes * 60, found))
    drawn = picture(
        "soak", f"Memory at {_PER_SECOND:.0f} webhooks a second",
        {kind: found[kind] for kind in ("web", "worker")}, x="minutes", y="MiB (PSS)",
    )  # fmt: skip
    rows = []
    for kind, points in sorted(found.items()):
        sizes = [size for _, size in points]
        third = len(sizes) // 3
        middle, end = statistics.median(sizes[third : 2 * third]), statistics.median(sizes[-third:])
        rows.append([kind, f"{sizes[0]:.0f}", f"{middle:.0f}", f"{end:.0f}", f"{max(sizes):.0f}"])
    return [
        "## Memory over time", "",
        (f"{minutes:.0f} minutes at {_PER_SECOND:.0f} webhooks a second, each to one POST: "
        f"{sent:,} arrived."), "",
        *table("process, MiB (PSS) | at first | median of the second third | of the last third | most", rows),
        drawn, "",
    ]  # fmt: skip


async def _run(
    hub: rig.Hub, path: str, seconds: float, found: dict[str, list[tuple[float, float]]]
) -> int:
    began = time.monotonic()

    async def sample() -> None:
        while True:
            for kind, size in (await asyncio.to_thread(hub.memory)).items():
                found.setdefault(kind, []).append(((time.monotonic() - began) / 60, size))
            await asyncio.sleep(10)

    sampling = asyncio.create_task(sample())
    base = hub.take(int(_PER_SECOND * seconds))
    sent = await steadily(
        hub.port, hub.sink_port, path, per_second=_PER_SECOND, seconds=seconds, base=base
    )
    sampling.cancel()
    return sent.count
