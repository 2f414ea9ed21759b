"""`hub up`: start the servers and the processes, keep them up, and leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hub.runtime.embedded import EmbeddedPostgres, EmbeddedRedis
from hub.runtime.processes import (
    Ledger,
    StartError,
    check_ports,
    die_with_parent,
    last_line,
    lock_folder,
    log_path,
    open_log,
)
from hub.runtime.settings import Settings, to_environ

__all__ = ("Child", "Runtime", "StartError", "run")

_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_BACKOFF = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before an ended process is started again, by how often it has ended in a row."""
_STEADY_SECONDS = 30.0
"""A process that ran so long has recovered: its next end counts as the first."""
_HOPELESS = 3
"""A process that ended so often while everything starts will not come up."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OK = 200

_log = logging.getLogger(__name__)
# Health is asked on this machine: a proxy from the environment has no part in it.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is running: the servers' addresses, and the variables that children get."""

    settings: Settings
    database_url: str
    redis_url: str
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep up. It counts as ready when `ready_url` answers 200."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready_url: str | None = None


class _Kept(Protocol):
    """What is kept up: an embedded server, or one of the hub's own processes."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def alive(self) -> bool: ...
    @property
    def exit_code(self) -> int | None: ...
    def start(self) -> object: ...
    def stop(self) -> None: ...


class _Process:
    """A child with its log."""

    def __init__(self, data: Path, child: Child) -> None:
        self._data = data
        self.child = child
        self.name = child.name
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        with open_log(self._data, self.name) as log:
            # An own session: Ctrl-C reaches the supervisor alone, which then ends all in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                list(self.child.argv), env={**os.environ, **self.child.env}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock
            )  # fmt: skip

    def ask_to_stop(self) -> None:
        if self._process is not None and self.alive:
            self._process.terminate()

    def stop(self) -> None:
        if self._process is not None:
            if self.alive:
                self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)


@dataclass(slots=True)
class _Record:
    """How a kept process fares: ends in a row, when it was started, when to start it again."""

    kept: _Kept
    started: float
    ends: int = 0
    again_at: float | None = None


@dataclass(slots=True)
class _Supervisor:
    data: Path
    ledger: Ledger
    records: dict[str, _Record] = field(default_factory=dict)
    children: list[_Process] = field(default_factory=list)

    def keep(self, kept: _Kept) -> object:
        """Start something and keep it up from then on; returns what its start returned."""
        result = kept.start()
        self.records[kept.name] = _Record(kept, _now())
        self.ledger.note(kept.pid)
        return result

    def add(self, child: Child) -> None:
        process = _Process(self.data, child)
        self.children.append(process)
        self.keep(process)

    async def watch(self) -> None:
        """Start again what ends by itself. Each waits its own time, and holds up no other."""
        while True:
            for record in self.records.values():
                self._look_after(record)
            await asyncio.sleep(_LOOK_SECONDS)

    def _look_after(self, record: _Record) -> None:
        kept = record.kept
        if kept.alive:
            return
        if record.again_at is None:
            if _now() - record.started > _STEADY_SECONDS:
                record.ends = 0
            wait = _BACKOFF[min(record.ends, len(_BACKOFF) - 1)]
            record.ends += 1
            record.again_at = _now() + wait
            _log.warning("%s; it is started again", self._why_ended(kept))
        if _now() < record.again_at:
            return
        record.again_at = None
        record.started = _now()
        try:
            kept.start()
        except (StartError, OSError) as error:
            _log.warning("%s is not up again: %s", kept.name, error)
            return
        self.ledger.note(kept.pid)

    def _why_ended(self, kept: _Kept) -> str:
        code = kept.exit_code
        if code is not None and code < 0:
            return f"{kept.name} was ended by {signal.Signals(-code).name}"
        said, log = last_line(self.data, kept.name), log_path(self.data, kept.name)
        return f"{kept.name} ended with exit code {code} ({said}; see {log})"

    async def wait_ready(self) -> None:
        """Wait until every child runs, and answers if it has an address. Raises `StartError`."""
        deadline = _now() + _READY_SECONDS
        for process in self.children:
            record = self.records[process.name]
            while not await _is_ready(process):
                if record.ends >= _HOPELESS or _now() > deadline:
                    message = (
                        f"{process.name} does not start: {last_line(self.data, process.name)}; "
                        f"see {log_path(self.data, process.name)}"
                    )
                    raise StartError(message)
                await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self) -> None:
        """End every child (SIGTERM, ten seconds, SIGKILL), then the servers they stood on."""
        for process in self.children:
            process.ask_to_stop()
        deadline = _now() + _STOP_SECONDS
        while any(process.alive for process in self.children) and _now() < deadline:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.02)
        for record in reversed(self.records.values()):
            record.kept.stop()
        self.ledger.clear()


async def run(
    settings: Settings,
    children: Callable[[Runtime], list[Child]],
    *,
    migrate: Callable[[Runtime], Awaitable[None]],
    ready: Callable[[Runtime], Awaitable[None]] | None = None,
    ports: Sequence[tuple[str, int]] = (),
) -> int:
    """Start everything, call `ready` once all answer, and run until SIGINT, SIGTERM or SIGHUP.

    `ports` are (variable, port) that must be free. Children start in the order of the list. A
    process or embedded server that ends by itself is started again. Returns the exit code 0. Raises
    `StartError` with one line when something cannot be started, and whatever `migrate` and `ready`
    raise; by then nothing of it runs any more.
    """
    data = settings.data.resolve()
    stopping = _on_signals()
    with lock_folder(data):
        ledger = Ledger(data)
        await asyncio.to_thread(ledger.end_leftovers)
        check_ports(settings.host, ports)
        supervisor = _Supervisor(data, ledger)
        work = asyncio.create_task(_work(supervisor, settings, children, migrate, ready))
        ending = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait([work, ending], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
            ending.cancel()
            # Asked to stop, nobody wants to hear what was interrupted.
            await asyncio.gather(work, ending, return_exceptions=True)
            await supervisor.stop()
    return 0


async def _work(
    supervisor: _Supervisor,
    settings: Settings,
    children: Callable[[Runtime], list[Child]],
    migrate: Callable[[Runtime], Awaitable[None]],
    ready: Callable[[Runtime], Awaitable[None]] | None,
) -> None:
    """Bring everything up and watch it; never returns."""
    data = supervisor.data
    database_url = settings.database_url or str(supervisor.keep(EmbeddedPostgres(data)))
    redis_url = settings.redis_url or str(supervisor.keep(EmbeddedRedis(data)))
    settings.keys()
    env = {
        **to_environ(settings),
        "HUB_DATA": str(data),
        "HUB_DATABASE_URL": database_url,
        "HUB_REDIS_URL": redis_url,
    }
    runtime = Runtime(settings, database_url, redis_url, env)
    await migrate(runtime)
    for child in children(runtime):
        supervisor.add(child)
    watching = asyncio.create_task(supervisor.watch())
    try:
        await supervisor.wait_ready()
        if ready is not None:
            await ready(runtime)
        await watching
    finally:
        watching.cancel()


def _on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    return stop


async def _is_ready(process: _Process) -> bool:
    if process.child.ready_url is None:
        return process.alive
    return await asyncio.to_thread(_answers, process.child.ready_url)


def _answers(url: str) -> bool:
    try:
        with _direct.open(url, timeout=2) as answer:
            return bool(answer.status == _OK)
    except OSError:
        return False


def _now() -> float:
    return asyncio.get_running_loop().time()
