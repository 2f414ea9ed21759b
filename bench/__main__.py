"""Run the measurements and write `bench/results.md`: `python -m bench [name …]`.

A run of some replaces their sections only; the others stay as they were measured.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

import psutil

from bench.endtoend import endtoend, latency
from bench.growth import growth
from bench.ingest import ingest, server
from bench.scaleout import oneline, scaleout
from bench.soak import soak

MEASURES = {
    item.__name__: item
    for item in (ingest, server, endtoend, latency, growth, scaleout, oneline, soak)
}
_RESULTS = Path(__file__).with_name("results.md")
_HEAD = "# Measured"


def main() -> int:
    """Run what is asked for, everything by default."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="which; all by default")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs of each")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each timed run")
    given = parser.parse_args()
    for name in given.names or MEASURES:
        lines = MEASURES[name](given.runs, given.seconds)
        print("\n".join(lines), flush=True)
        _keep(lines)
    return 0


def _keep(lines: list[str]) -> None:
    """Put a section into the results, in the place of its former self."""
    sections: dict[str, str] = {}
    if _RESULTS.exists():
        for part in ("\n" + _RESULTS.read_text()).split("\n## ")[1:]:
            sections[part.partition("\n")[0]] = part.rstrip()
    text = "\n".join(lines).removeprefix("## ").rstrip()
    sections[text.partition("\n")[0]] = f"{text}\n\n*{_machine()}*"
    body = "\n\n".join(f"## {section}" for section in sections.values())
    _RESULTS.write_text(
        f"{_HEAD}\n\nWritten by `make bench`. The load, what is measured, its PostgreSQL and Redis and "
        f"the sink share one machine; read the ratios, not the absolute numbers.\n\n{body}\n"
    )


def _processor() -> str:
    """Return the processor's name where the system tells it (proc_cpuinfo(5)), or its kind."""
    told = Path("/proc/cpuinfo")
    names = [x.partition(":")[2].strip() for x in told.read_text().splitlines()
             if x.startswith("model name")] if told.exists() else []  # fmt: skip
    return names[0] if names else platform.machine()


def _machine() -> str:
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("litestar", "uvicorn", "asyncpg")
    )
    return (
        f"{time.strftime('%Y-%m-%d')}, {_processor()}, {psutil.cpu_count()} cores, "
        f"{psutil.virtual_memory().total // 2**30} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {versions}"
    )


if __name__ == "__main__":
    sys.exit(main())
