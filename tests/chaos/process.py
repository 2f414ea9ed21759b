"""Runs one of the hub's own processes with the made-up vendor among its integrations.

`python -m tests.chaos.process web|worker` is `hub web|worker` but for two things: the registry also
has `tests/acme`, and the waits between attempts are seconds where the product's are hours, so that
a delivery that fails again and again still comes to its end within a test. A second word names a
mechanism that is taken out (see `tests.chaos.broken`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from hub.cli.main import cli
from hub.deliver import schedule
from hub.runtime import services
from hub.sdk import Registry, discover
from tests.chaos.broken import BROKEN

ACME = ("tests.acme", Path(__file__).parents[1] / "acme")
STEPS = (0.2, 0.4, 0.8, 1.5, 2.0, 3.0, 4.0, 5.0)
"""As many waits as the product has, so that as many failures make a delivery dead."""


def _with_acme() -> Registry:
    return discover((ACME,))


def main() -> None:
    assert len(STEPS) == len(schedule.STEPS)
    schedule.STEPS = STEPS
    services.discover = _with_acme  # type: ignore[attr-defined,assignment]
    for name in sys.argv[2:]:
        BROKEN[name]()
    cli(sys.argv[1:2])


if __name__ == "__main__":
    main()
