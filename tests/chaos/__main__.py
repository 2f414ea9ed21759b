"""The long form: `python -m tests.chaos --seeds 20 --webhooks 2000`.

With `--broken` it is the harness that is tested: each mechanism is taken out, and a seed must fail.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys

from tests.chaos.broken import BROKEN
from tests.chaos.storm import Result, long, run, short

_MOST_SEEDS = 5


def main() -> int:
    """Run every seed; returns how the process ends: 0, or 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--webhooks", type=int, default=2000, help="webhooks of each")
    parser.add_argument("--short", action="store_true", help="as short as in the tests")
    parser.add_argument(
        "--broken", nargs="*", metavar="NAME", help=f"take these out, or each: {', '.join(BROKEN)}"
    )
    given = parser.parse_args()
    if given.broken is not None:
        return _broken(given.broken or list(BROKEN), given.first)
    failed: list[Result] = []
    for seed in range(given.first, given.first + given.seeds):
        size = short(seed) if given.short else long(given.webhooks)
        result = asyncio.run(run(seed, size))
        _say(_line(result))
        if not result.ok:
            failed.append(result)
            _say(result.report())
    _say(f"{given.seeds - len(failed)} of {given.seeds} seeds held")
    for result in failed:
        how = " --short" if given.short else f" --webhooks {given.webhooks}"
        _say(f"again: python -m tests.chaos --seeds 1 --first {result.seed}{how}")
    return 1 if failed else 0


def _broken(names: list[str], first: int) -> int:
    """Take each mechanism out, with every kind of fault; returns 1 when one was not missed."""
    missed = []
    for name in names:
        for seed in range(first, first + _MOST_SEEDS):
            size = dataclasses.replace(short(), part=(0, 1), heal=25)
            result = asyncio.run(run(seed, size, name))
            if not result.ok:
                found = result.findings
                _say(
                    f"{name}: noticed with seed {seed}: lost {len(found.lost)}, doubled "
                    f"{len(found.doubled)}, reordered {len(found.reordered)}, echoes routed "
                    f"{len(found.echoed)}, other {len(found.other)}; for example: {found.all[0][:200]}"
                )
                break
        else:
            _say(f"{name}: NOT NOTICED in {_MOST_SEEDS} seeds")
            missed.append(name)
    _say(f"{len(names) - len(missed)} of {len(names)} broken mechanisms were noticed")
    return 1 if missed else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _line(result: Result) -> str:
    counts, found = result.counts, result.findings

    def n(*names: str) -> int:
        return sum(counts.get(name, 0) for name in names)

    return (
        f"seed {result.seed}: lost {len(found.lost)}, doubled {len(found.doubled)}, reordered "
        f"{len(found.reordered)}, echoes routed {len(found.echoed)}, other {len(found.other)} | "
        f"{n('webhooks')} webhooks, {n('requests')} requests ({n('copies')} copies on purpose, "
        f"{n('answered 503')} refused with 503, {n('no answer')} unanswered), "
        f"{n('acknowledged')} acknowledged, {n('webhooks processed')} processed | "
        f"{n('deliveries delivered')} delivered, {n('deliveries skipped')} skipped, "
        f"{n('replayed')} dead and replayed, {n('effects')} effects | "
        f"killed: {n('killed web')} web, {n('killed worker')} worker, "
        f"{n('end a session of PostgreSQL', 'kill a session of PostgreSQL')} sessions; PostgreSQL "
        f"stopped {n('stop PostgreSQL')} times, read-only {n('make PostgreSQL read-only')}; Redis "
        f"emptied {n('empty Redis')}, restarted {n('restart Redis')}, away {n('keep Redis away')}; "
        f"terminated {n('terminated web', 'terminated worker')} (longest {result.longest_stop:.1f} s) | "
        f"deadlocks of transactions {n('deadlocks')} | "
        f"vendor's faults {sum(result.vendor.values())} | healed in {result.healed_after:.0f} s of "
        f"{result.took:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
