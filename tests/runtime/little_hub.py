"""A hub of tiny processes, supervised as `hub up` does it; the tests run it as a script.

Argument: JSON with `data`, and what differs from the usual. Prints `ready`, or the error's line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import msgspec

from hub.runtime import supervisor
from hub.runtime.settings import Settings


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _migrate(seconds: float) -> None:
    _say("migrating")
    await asyncio.sleep(seconds)


async def _ready(seconds: float) -> None:
    _say("ready")
    await asyncio.to_thread(time.sleep, seconds)


def main() -> int:
    order = json.loads(sys.argv[1])
    elsewhere = {} if order.get("embedded") else {"database_url": "postgresql://x", "redis_url": "redis://x"}  # fmt: skip
    settings = msgspec.structs.replace(Settings(), data=Path(order["data"]), **elsewhere)
    supervisor._STOP_SECONDS = order.get("stop_seconds", 10.0)
    children = [
        supervisor.Child(name, [sys.executable, "-c", code], {}, order.get("urls", {}).get(name))
        for name, code in order.get("children", {}).items()
    ]
    try:
        return asyncio.run(
            supervisor.run(
                settings,
                lambda _: children,
                migrate=lambda _: _migrate(order.get("migrate_seconds", 0)),
                ready=lambda _: _ready(order.get("ready_seconds", 0)),
            )
        )
    except supervisor.StartError as error:
        _say(str(error))
        return 3


if __name__ == "__main__":
    sys.exit(main())
