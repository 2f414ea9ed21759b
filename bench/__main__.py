"""Run every measurement and write `bench/results.md`."""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import sys
import time
from importlib import metadata
from pathlib import Path

import psutil
import uvloop

from bench import rig


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5, help="alternating runs of each pair")
    parser.add_argument("--seconds", type=float, default=4.0)
    wanted = parser.parse_args()
    lines = [
        "# Measured",
        "",
        (f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {psutil.cpu_count()} cores, "
        f"{psutil.virtual_memory().total // 2**30} GiB, Linux {platform.release()}, Python {platform.python_version()}, "
        f"litestar {metadata.version('litestar')}, uvicorn {metadata.version('uvicorn')}, "
        f"asyncpg {metadata.version('asyncpg')}. The load, the hub, its PostgreSQL and Redis and the sink share the machine; "
        "read the ratios, not the absolute numbers."), "",
    ]  # fmt: skip
    for measure in (ingest, latency):
        lines += measure(wanted.runs, wanted.seconds)
    Path(__file__).with_name("results.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _jira(hub: rig.Running) -> str:
    made = hub.api(
        "POST", "/connections",
        {"name": "jira", "integration": "jira", "config": {"site": "acme.example", "email": "x@example.com",
         "api_token": "x", "webhook_secret": rig.SECRET, "projects": ["APP"]}},
    )  # fmt: skip
    return "/webhooks" + made["webhook_url"].partition("/webhooks")[2]


def ingest(runs: int, seconds: float) -> list[str]:
    """Acknowledged webhooks a second, durable, over a bare handler of the same server and minute."""
    rows, ratios, tails = [], [], []
    with rig.bare() as bare_port, rig.hub() as hub:
        path = _jira(hub)
        # Only taking in is measured: the worker is held while the load runs.
        idle = hub.memory()
        for worker in hub.processes().get("worker", []):
            worker.suspend()
        try:
            for run in range(runs + 1):
                bare = uvloop.run(rig.flood(bare_port, "/", seconds=seconds))
                taken = uvloop.run(rig.flood(hub.port, path, seconds=seconds))
                if run == 0:
                    continue  # warm-up
                ratios.append(taken.rate / bare.rate)
                tails.append(taken.percentile(0.99) / bare.percentile(0.99))
                rows.append(
                    f"| {run} | {bare.rate:,.0f} | {taken.rate:,.0f} | {ratios[-1]:.2f} | {bare.percentile(0.5) * 1000:.1f} / "
                    f"{bare.percentile(0.99) * 1000:.1f} | {taken.percentile(0.5) * 1000:.1f} / {taken.percentile(0.99) * 1000:.1f} | {taken.bad} |"
                )
        finally:
            loaded = hub.memory()
            for worker in hub.processes().get("worker", []):
                worker.resume()
    return [
        "## Taking in: durable acknowledgments over a bare Litestar handler", "",
        "A signed 2.4 KB Jira webhook, 32 in flight, one web process, fsync on, each webhook new.", "",
        "| run | bare /s | hub /s | ratio | bare p50 / p99 ms | hub p50 / p99 ms | refused |", "|---|---|---|---|---|---|---|",
        *rows, "",
        (f"Ratio: median **{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}); "
        f"p99 over the bare handler's: median {statistics.median(tails):.1f}."), "",
        f"Memory (PSS, MiB) idle: {_memory(idle)}; after the load: {_memory(loaded)}.", "",
    ]  # fmt: skip


def latency(runs: int, seconds: float) -> list[str]:
    """From the scheduled send of a webhook to the arrival of one outbound POST."""
    rows, halves = [], []
    with rig.hub() as hub:
        path = _jira(hub)
        for run in range(runs + 1):
            found, memory = uvloop.run(_latency(hub, path, run, 50.0, max(seconds, 10.0)))
            if run == 0:
                continue
            halves.append(found.percentile(0.5) * 1000)
            rows.append(
                f"| {run} | {found.count} | {halves[-1]:.1f} | {found.percentile(0.99) * 1000:.1f} | {_memory(memory)} |"
            )
    return [
        "## End to end at 50 webhooks/s", "",
        "Signed Jira status change in → normalize → route → one POST out; one web and one worker process.", "",
        "| run | arrived | p50 ms | p99 ms | memory (PSS, MiB) |", "|---|---|---|---|---|", *rows, "",
        f"p50: median **{statistics.median(halves):.1f} ms** ({min(halves):.1f} to {max(halves):.1f}).", "",
    ]  # fmt: skip


async def _latency(
    hub: rig.Running, path: str, run: int, per_second: float, seconds: float
) -> tuple[rig.Sent, dict[str, float]]:
    async with rig.sink() as sink:
        name = f"sink-{run}"
        await asyncio.to_thread(
            hub.api, "POST", "/connections",
            {"name": name, "integration": "webhook", "config": {"url": f"http://127.0.0.1:{sink.port}", "signature": {"scheme": "none"}}},
        )  # fmt: skip
        await asyncio.to_thread(
            hub.api, "POST", "/routes?vendor_check=false",
            {"name": f"out-{run}", "on": ["work_item.status_changed"], "steps": [
                {"name": "post", "connection": name, "action": "send", "inputs": {"document": {"n": "{{ data.key | replace('APP-', '') | int }}", "status": "{{ data.status.name }}"}}}]},
        )  # fmt: skip
        await asyncio.sleep(1.5)
        base = (run + 1) * 100_000
        scheduled: dict[int, float] = {}
        reader_writers = [await asyncio.open_connection("127.0.0.1", hub.port) for _ in range(16)]
        locks = [asyncio.Lock() for _ in reader_writers]

        async def send(number: int) -> None:
            body = rig.jira_body(base + number)
            scheduled[base + number] = time.perf_counter()
            reader, writer = reader_writers[number % 16]
            async with locks[number % 16]:
                writer.write(rig.head(path, hub.port, body, base + number) + body)
                await rig.read_answer(reader)

        await rig.steady(send, per_second=per_second, seconds=seconds)
        memory = hub.memory()
        await asyncio.sleep(1.0)
        for _, writer in reader_writers:
            writer.close()
        took = [sink.arrived[n] - at for n, at in scheduled.items() if n in sink.arrived]
        await asyncio.to_thread(hub.api, "POST", f"/routes/out-{run}/disable")
        return rig.Sent(len(took), seconds, took, len(scheduled) - len(took)), memory


def _memory(found: dict[str, float]) -> str:
    return ", ".join(f"{kind} {size:.0f}" for kind, size in sorted(found.items()))


if __name__ == "__main__":
    sys.exit(main())
