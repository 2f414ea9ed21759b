"""A whole hub under test: real PostgreSQL and Redis, one web process and two workers, kept up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import asyncpg

from hub.runtime.embedded import EmbeddedPostgres, EmbeddedRedis
from hub.runtime.processes import die_with_parent, log_path, open_log
from hub.store.apikeys import ensure_admin_key
from hub.store.migrate import migrate
from hub.store.pool import open_pool

_T = TypeVar("_T")
ROOT = Path(__file__).parents[2]
_SERIOUS = re.compile(r"deadlock|Process \d+ waits|CONTEXT:|\[(error|critical) ")
STOP_SECONDS = 10.0
"""A process that is asked to stop has ended by then, whatever it was at."""
LEASE_SECONDS = 2


class Process:
    """One process of the hub."""

    def __init__(self, name: str, role: str, port: int, popen: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.role = role
        self.port = port
        self.popen = popen
        self.wanted = True
        self.started = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.popen.poll() is None


class House:
    """Starts everything, starts again what dies, and ends everything."""

    def __init__(self, data: Path, broken: str) -> None:
        self.data = data
        self._broken = [broken] if broken else []
        self.postgres = EmbeddedPostgres(data)
        self.redis = EmbeddedRedis(data)
        self.database_url = ""
        self.redis_url = ""
        self.key = ""
        self.processes: list[Process] = []
        self.problems: list[str] = []
        self.counts: Counter[str] = Counter()
        self.longest_stop = 0.0
        # The kernel ends a child when the thread that started it ends: one thread for all of them.
        self._hands = ThreadPoolExecutor(max_workers=1, thread_name_prefix="house")
        self._watching: asyncio.Task[None] | None = None
        self._number = 0

    async def by_hand(self, work: Callable[[], _T]) -> _T:
        """Run what blocks in the thread that owns every child."""
        return await asyncio.get_running_loop().run_in_executor(self._hands, work)

    async def start(self) -> None:
        """Bring the whole hub up."""
        self.database_url = await self.by_hand(self.postgres.start)
        self.redis_url = await self.by_hand(self.redis.start)
        await migrate(self.database_url)
        pool = await open_pool(self.database_url, most=2, name="chaos")
        try:
            self.key = await ensure_admin_key(pool, self.data / "admin.key")
        finally:
            await pool.close()
        await self.generation()
        self._watching = asyncio.create_task(self._watch())
        await self.ready()

    async def generation(self) -> list[Process]:
        """Start one web process and two workers more; returns them."""
        return [await self._spawn(role, _port()) for role in ("web", "worker", "worker")]

    def of(self, role: str) -> list[Process]:
        """Return the processes of a role that are wanted and run."""
        return [p for p in self.processes if p.role == role and p.wanted and p.alive]

    def addresses(self) -> list[str]:
        """Return where the wanted web processes listen, as a load balancer would know them."""
        return [
            f"http://127.0.0.1:{p.port}" for p in self.processes if p.role == "web" and p.wanted
        ]

    async def ready(self, seconds: float = 30.0) -> None:
        """Wait until the web process answers."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError, ValueError, aiohttp.ClientError, TimeoutError):
                await self.call("GET", "/connections")
                return
            if time.monotonic() > deadline:
                message = f"the web process did not answer within {seconds:.0f} s"
                raise AssertionError(message)
            await asyncio.sleep(0.1)

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the admin API. Raises `ValueError` with the answer when it is none of success."""
        addresses = self.addresses()
        if not addresses:
            message = "no web process runs at this moment"
            raise ConnectionError(message)
        timeout = aiohttp.ClientTimeout(total=15)
        headers = {"authorization": f"Bearer {self.key}"}
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as client,
            client.request(method, f"{addresses[-1]}/api/v1{path}", json=body) as answer,
        ):
            if answer.status >= 300:
                message = f"{method} {path}: {answer.status} {(await answer.text())[:500]}"
                raise ValueError(message)
            return await answer.json(content_type=None)

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Ask the database."""
        session = await asyncpg.connect(
            self.database_url, timeout=5, server_settings={"application_name": "chaos"}
        )
        try:
            return list(await session.fetch(query, *values, timeout=60))
        finally:
            await session.close(timeout=5)

    async def kill(self, process: Process) -> None:
        """End a process as a loss of power would; the watch starts it again."""
        self.counts[f"killed {process.role}"] += 1
        process.popen.kill()

    async def terminate(self, process: Process, *, again: bool) -> None:
        """Ask a process to stop, and see that it does in time."""
        process.wanted = False
        began = time.monotonic()
        process.popen.send_signal(signal.SIGTERM)
        while process.alive and time.monotonic() - began < STOP_SECONDS:
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
        self.longest_stop = max(self.longest_stop, took)
        self.counts[f"terminated {process.role}"] += 1
        if process.alive:
            self.problems.append(
                f"{process.name} ({process.popen.pid}) did not end within {STOP_SECONDS:.0f} s of SIGTERM"
            )
            process.popen.kill()
        self.processes.remove(process)
        if again:
            await self._spawn(process.role, process.port)
        process.popen.wait()

    async def _watch(self) -> None:
        while True:
            for process in list(self.processes):
                if process.wanted and not process.alive:
                    code = process.popen.poll()
                    if code != -signal.SIGKILL:
                        self.counts[f"{process.role} ended by itself"] += 1
                    if time.monotonic() - process.started < 1:
                        await asyncio.sleep(0.3)
                    if process in self.processes:
                        self.processes.remove(process)
                        await self._spawn(process.role, process.port)
            await asyncio.sleep(0.05)

    async def _spawn(self, role: str, port: int) -> Process:
        self._number += 1
        name = f"{role}-{self._number}"
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HUB_")},
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "HUB_DATA": str(self.data),
            "HUB_DATABASE_URL": self.database_url,
            "HUB_REDIS_URL": self.redis_url,
            "HUB_PORT": str(port),
            "HUB_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
            "HUB_LEASE_SECONDS": str(LEASE_SECONDS),
        }

        def start() -> subprocess.Popen[bytes]:
            with open_log(self.data, name) as out:
                return subprocess.Popen(
                    [sys.executable, "-m", "tests.chaos.process", role, *self._broken],
                    env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    start_new_session=True, preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call
                )  # fmt: skip

        process = Process(name, role, port, await self.by_hand(start))
        self.processes.append(process)
        return process

    def tail(self, lines: int = 25) -> str:
        """Return the last lines of every log, for whoever must find out what went wrong."""
        parts = []
        for path in sorted(log_path(self.data, "x").parent.glob("*.log")):
            text = path.read_text(errors="replace").splitlines()
            if text:
                shown = [*(line for line in text[:-lines] if _SERIOUS.search(line)), *text[-lines:]]
                parts.append("\n".join([f"--- {path.name}", *shown]))
        return "\n".join(parts)

    def deadlocks(self) -> int:
        """Return how often two of the hub's transactions waited for each other."""
        text = log_path(self.data, "postgres").read_text(errors="replace")
        return text.count("deadlock detected")

    async def close(self) -> None:
        """End everything that was started."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        for process in self.processes:
            process.popen.kill()
        for process in self.processes:
            process.popen.wait()
        await self.by_hand(lambda: self.postgres.stop(immediate=True))
        await self.by_hand(self.redis.stop)
        self._hands.shutdown()


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def open_house(broken: str = "") -> AsyncIterator[House]:
    """Run a hub in a folder of its own, which is removed at the end.

    `broken` names a mechanism to take out (see `tests.chaos.broken`).
    """
    data = Path(tempfile.mkdtemp(prefix="chaos-"))
    data.chmod(0o755)  # PostgreSQL may run as another user
    house = House(data, broken)
    try:
        await house.start()
        yield house
    finally:
        await house.close()
        shutil.rmtree(data, ignore_errors=True)
