"""Taking in: durable acknowledgments a second over a bare handler, and which server is the better."""

from __future__ import annotations

import statistics

import uvloop

from bench import rig
from bench.load import repeat
from bench.report import memory, spread, table


def ingest(runs: int, seconds: float) -> list[str]:
    """Compare one web process with a bare Litestar handler of the same server and minute."""
    rows, ratios, tails, cpu = [], [], [], []
    with rig.bare() as (bare_port, _), rig.hub(workers=0) as hub:
        path = hub.jira()
        idle = hub.memory()
        for run in range(runs + 1):
            bare = uvloop.run(repeat(bare_port, "/", seconds=seconds))
            hub.cpu()
            taken = uvloop.run(repeat(hub.port, path, seconds=seconds))
            spent = hub.cpu()
            if run == 0:
                continue  # warm-up
            ratios.append(taken.rate / bare.rate)
            tails.append(taken.ms(0.99) / bare.ms(0.99))
            cpu.append({kind: used * 1000 / taken.count for kind, used in spent.items()})
            rows.append([
                run, f"{bare.rate:,.0f}", f"{taken.rate:,.0f}", f"{ratios[-1]:.2f}",
                f"{bare.ms(0.5):.1f} / {bare.ms(0.99):.1f}",
                f"{taken.ms(0.5):.1f} / {taken.ms(0.99):.1f}", f"{tails[-1]:.1f}", taken.bad,
            ])  # fmt: skip
        loaded = hub.memory()
    each = {kind: statistics.median(item[kind] for item in cpu) for kind in cpu[0]}
    return [
        "## Taking in", "",
        ("A signed 2.4 KB Jira webhook, 32 in flight, one web process, fsync on, each webhook new; the "
        "bare handler reads the body and answers 202, on the same server in the same minute. No worker "
        "runs meanwhile."), "",
        *table("run | bare /s | hub /s | ratio | bare p50 / p99 ms | hub p50 / p99 ms | p99 ratio | refused", rows),
        (f"Ratio: {spread(ratios)}; asked: at least 0.6. p99 over the bare handler's: "
        f"{spread(tails, 1)}; asked: at most 3."), "",
        "CPU, ms an event: " + ", ".join(f"{k} {v:.2f}" for k, v in sorted(each.items())) + ". "
        f"Memory, MiB (PSS): idle {memory(idle)}; after the load {memory(loaded)}.", "",
    ]  # fmt: skip


def server(runs: int, seconds: float) -> list[str]:
    """Compare uvicorn and granian: the bare handler on each, and the hub itself on each."""
    names = ("uvicorn", "granian")
    rates: dict[str, list[float]] = {
        f"{what} on {n}": [] for what in ("bare", "hub") for n in names
    }
    tails: dict[str, list[float]] = {name: [] for name in rates}
    with (
        rig.bare("uvicorn") as bare_one,
        rig.bare("granian") as bare_two,
        rig.hub(workers=0) as hub,
    ):
        path = hub.jira()
        other = rig.free_port()
        hub.start("granian", *rig.granian(other), "bench.asgi:app")
        rig.wait_for(f"http://127.0.0.1:{other}/api/v1/health", {200})
        places = {
            "bare on uvicorn": (bare_one[0], "/"), "bare on granian": (bare_two[0], "/"),
            "hub on uvicorn": (hub.port, path), "hub on granian": (other, path),
        }  # fmt: skip
        for run in range(runs + 1):
            for name, (port, at) in places.items():
                sent = uvloop.run(repeat(port, at, seconds=seconds))
                if run:
                    rates[name].append(sent.rate)
                    tails[name].append(sent.ms(0.99))
        sizes = hub.memory()
        used = {
            "bare on uvicorn": rig.pss(bare_one[1]), "bare on granian": rig.pss(bare_two[1]),
            "hub on uvicorn": sizes["web"], "hub on granian": sizes["granian"],
        }  # fmt: skip
    rows = [
        [name, spread(rates[name], 0), spread(tails[name], 1), f"{used[name]:.0f}"]
        for name in places
    ]
    return [
        "## Server", "",
        ("The same handlers on uvicorn (uvloop, httptools) and granian (asgi, uvloop), one process each, "
        "in turn; both hubs on the same PostgreSQL."), "",
        *table("what | acknowledged /s | p99 ms | MiB (PSS) after the load", rows),
    ]  # fmt: skip
