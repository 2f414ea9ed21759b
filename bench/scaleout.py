"""More workers against a vendor that takes 100 ms: deliveries a second, and order within lanes."""

from __future__ import annotations

import asyncio
import statistics
import time

import uvloop

from bench import rig
from bench.load import flood, request, sink
from bench.report import picture, spread, table

_TAKES = 0.1
_LANES = 300
_EACH = 8
_CONCURRENCY = 32
_LINE = 5000


def scaleout(runs: int, _: float) -> list[str]:
    """Let 1, 2 and 4 workers empty the same backlog."""
    rows, medians, broken = [], {}, 0
    with rig.hub(workers=0, HUB_CONCURRENCY=str(_CONCURRENCY)) as hub:
        path = hub.jira()
        hub.out(lane="{{ data.key }}", order_key="{{ data.key }}")
        for workers in (1, 2, 4):
            rates = []
            for _run in range(runs):
                rate, wrong = uvloop.run(_empty(hub, path, workers))
                rates.append(rate)
                broken += wrong
            medians[workers] = statistics.median(rates)
            rows.append([workers, spread(rates, 0), f"{medians[workers] / medians[1]:.2f}"])
    drawn = picture(
        "scaleout", "Deliveries a second, vendor takes 100 ms",
        {"measured": list(medians.items()), "in proportion": [(n, n * medians[1]) for n in medians]},
        x="workers", y="deliveries /s",
    )  # fmt: skip
    return [
        "## Scale out", "",
        (f"{_LANES * _EACH:,} deliveries in {_LANES} lanes to a vendor that takes 100 ms. Each worker "
        f"sends at most {_CONCURRENCY} at a time (`HUB_CONCURRENCY`), at most half of them to one "
        "connection, so that the vendor and not this machine's two cores is the limit."), "",
        *table("workers | deliveries /s | of one worker's", rows),
        f"Deliveries out of their lane's order: **{broken}**.", "", drawn, "",
    ]  # fmt: skip


def oneline(runs: int, _: float) -> list[str]:
    """Normalize and route what one connection took in: in order, so by one process at a time."""
    rates = []
    with rig.hub(workers=0) as hub:
        path = hub.jira()
        hub.out()
        hub.api("POST", "/connections/sink/pause", {"reason": "only routing is measured"})
        for _run in range(runs):
            base = hub.take(_LINE)
            uvloop.run(flood(hub.port, [request(path, base + n) for n in range(_LINE)]))
            hub.start("worker")
            while hub.sql("select count(*) from webhooks where state = 'received'") or hub.sql(
                "select count(*) from events where state = 'waiting'"
            ):
                time.sleep(0.1)
            hub.stop("worker")
            rates.append(
                float(hub.sql(
                    "select count(*) / extract(epoch from max(routed_at) - min(routed_at)) from "
                    f"(select routed_at from events order by id desc limit {_LINE}) e"
                ))
            )  # fmt: skip
    return [
        "## One connection", "",
        (f"{_LINE:,} webhooks of one connection that wait, normalized and routed in their order by one "
        f"worker that sends nothing meanwhile: {spread(rates, 0)} a second. More workers do not help one "
        "connection; they help many."), "",
    ]  # fmt: skip


async def _empty(hub: rig.Hub, path: str, workers: int) -> tuple[float, int]:
    """Take everything in while no worker runs, then start the workers; returns rate and disorder."""
    count = _LANES * _EACH
    base = hub.take(count)
    async with sink(hub.sink_port, takes=_TAKES) as found:
        await flood(
            hub.port, [request(path, base + n, issue=base + n % _LANES) for n in range(count)]
        )
        for _ in range(workers):
            hub.start("worker")
        await found.wait_for(count, quiet=30)
        times = sorted(found.arrived.values())
        # The start of the processes is not what is measured: from a tenth on to nine tenths.
        first, last = count // 10, count * 9 // 10
        rate = (last - first) / (times[last] - times[first]) if len(times) == count else 0.0
        await asyncio.sleep(0.5)
        hub.stop("worker")
        return rate, sum(numbers != sorted(numbers) for numbers in found.lanes.values())
