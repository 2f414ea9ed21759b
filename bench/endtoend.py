"""From a signed webhook to one POST: the most a second beside Node-RED, and latency at 50 a second."""

from __future__ import annotations

import statistics

import uvloop

from bench import rig
from bench.load import steadily, through
from bench.report import memory, spread, table

_EVENTS = 6000
_N8N = 37.4
"""n8n 2.41.1 with nothing saved, events a second, its best of three set-ups. Measured once on such a
machine, in turn with Node-RED; not again here, because it takes 2.9 GB to install."""
_BESIDE_N8N = 1386
"""What Node-RED did a second in that same hour."""


def endtoend(runs: int, _: float) -> list[str]:
    """Flood the hub and Node-RED in turn, one web and one worker process."""
    rows, ratios, rates, cpu, written = [], [], [], [], []
    with rig.hub() as hub, rig.node_red() as peer:
        path = hub.jira()
        hub.out()
        for run in range(runs + 1):
            other = None
            if not isinstance(peer, str):
                peer.cpu()
                base = 1 + run * _EVENTS
                other = uvloop.run(
                    through(peer.port, peer.sink_port, ["/hook"], count=_EVENTS, base=base)
                )
                other_cpu = peer.cpu() * 1000 / _EVENTS
            hub.cpu()
            base = hub.take(_EVENTS)
            before = _written(hub)
            mine = uvloop.run(through(hub.port, hub.sink_port, [path], count=_EVENTS, base=base))
            spent = {kind: used * 1000 / _EVENTS for kind, used in hub.cpu().items()}
            if run == 0:
                continue  # warm-up
            rates.append(mine.rate)
            cpu.append(spent)
            written.append([(b - a) / _EVENTS for a, b in zip(before, _written(hub), strict=True)])
            row = [run, f"{mine.rate:,.0f}", mine.bad, f"{sum(spent.values()):.2f}"]
            if other is not None:
                ratios.append(mine.rate / other.rate)
                row += [f"{other.rate:,.0f}", other.bad, f"{other_cpu:.2f}", f"{ratios[-1]:.2f}"]
            rows.append(row)
        sizes = hub.memory()
        peer_size = None if isinstance(peer, str) else peer.memory()
    each = {kind: statistics.median(item[kind] for item in cpu) for kind in cpu[0]}
    head = "run | hub /s | missing | CPU ms an event"
    if ratios:
        head += " | Node-RED /s | missing | CPU ms an event | ratio"
    lines = [
        "## End to end", "",
        (f"{_EVENTS:,} signed Jira status changes, 32 in flight, each to one POST of seven fields; from the "
        "first sent to the last arrived. The hub stores every step durably; Node-RED "
        f"{rig.NODE_RED['node-red']} (`http in → function → http request`) holds all in memory."), "",
        *table(head, rows),
        (f"The hub: {spread(rates, 0)} a second; {statistics.median(rates) / _N8N:.0f} times n8n's best as "
        f"measured on 2026-11-23 on such a machine ({_N8N} a second; it takes 2.9 GB to install, so it is "
        "not run here)."), "",
    ]  # fmt: skip
    if ratios:
        times = statistics.median(ratios) * _BESIDE_N8N / _N8N
        lines += [
            f"Over Node-RED: {spread(ratios)}; asked: at least 0.6.", "",
            (f"Then, n8n did {_N8N} where Node-RED did {_BESIDE_N8N:,} a second on the same machine in the "
            f"same hour. Beside the Node-RED of this minute the hub is at {times:.0f} times n8n's best; "
            "asked: at least 20."), "",
        ]  # fmt: skip
    else:
        lines += [f"Node-RED is skipped: {peer}.", ""]
    wal, disk, commits = (statistics.median(column) for column in zip(*written, strict=True))
    more = "" if peer_size is None else f"; Node-RED {peer_size:.0f}"
    return [
        *lines,
        "CPU of the hub, ms an event: " + ", ".join(f"{k} {v:.2f}" for k, v in sorted(each.items()))
        + f". PostgreSQL, an event: {commits:.2f} commits, {wal / 1024:.1f} KiB of WAL, {disk / 1024:.1f} KiB "
        f"on disk. Memory after the floods, MiB (PSS): {memory(sizes)}{more}.", "",
    ]  # fmt: skip


def _written(hub: rig.Hub) -> list[float]:
    """Return bytes of WAL, bytes of the database, and commits, since the server began."""
    return [
        float(hub.sql(f"select {what}"))
        for what in (
            "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')",
            "pg_database_size(current_database())",
            "xact_commit from pg_stat_database where datname = current_database()",
        )
    ]


def latency(runs: int, seconds: float) -> list[str]:
    """Measure from the planned moment of a webhook to the arrival of its POST, at 50 a second."""
    rows, halves, tails, cpu = [], [], [], []
    seconds = max(seconds, 10.0)
    with rig.hub() as hub:
        path = hub.jira()
        hub.out()
        for run in range(runs + 1):
            base = hub.take(int(50 * seconds))
            hub.cpu()
            sent = uvloop.run(
                steadily(hub.port, hub.sink_port, path, per_second=50, seconds=seconds, base=base)
            )
            spent = {kind: used * 1000 / sent.count for kind, used in hub.cpu().items()}
            if run == 0:
                continue
            cpu.append(spent)
            halves.append(sent.ms(0.5))
            tails.append(sent.ms(0.99))
            rows.append([run, sent.count, sent.bad, f"{halves[-1]:.1f}", f"{tails[-1]:.1f}"])
        sizes = hub.memory()
    each = {kind: statistics.median(item[kind] for item in cpu) for kind in cpu[0]}
    return [
        "## Latency at 50 webhooks a second", "",
        "From the planned moment of the webhook to the arrival of the POST; one web and one worker process.", "",
        *table("run | arrived | missing | p50 ms | p99 ms", rows),
        f"p50: {spread(halves, 1)} ms, asked: at most 20. p99: {spread(tails, 1)} ms, asked: at most 100.", "",
        "CPU of the hub, ms an event (few share a batch at this rate): "
        + ", ".join(f"{k} {v:.2f}" for k, v in sorted(each.items()))
        + f". Memory, MiB (PSS): {memory(sizes)}.", "",
    ]  # fmt: skip
