"""`hub up`: start the servers and the processes, keep them up, and leave nothing behind."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from hub.runtime.embedded import EmbeddedPostgres, EmbeddedRedis, StartError, die_with_parent
from hub.runtime.settings import Settings, to_environ
from hub.sdk import json

__all__ = ("Child", "Runtime", "StartError", "run")

_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0
_BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY_SECONDS = 30.0


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


@dataclass(slots=True)
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    crashes: int = 0
    started: float = 0.0


@dataclass(slots=True)
class _Supervisor:
    data: Path
    running: dict[str, _Running] = field(default_factory=dict)
    pids: dict[int, float] = field(default_factory=dict)

    def start(self, child: Child, crashes: int = 0) -> None:
        path = self.data / "logs" / f"{child.name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("ab")
        process = subprocess.Popen(  # noqa: S603 - our own command
            list(child.argv), env={**os.environ, **child.env}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        now = asyncio.get_running_loop().time()
        self.running[child.name] = _Running(child, process, log, crashes, now)
        self.note(process.pid)

    def note(self, pid: int | None) -> None:
        """Write down a process of ours, so that a later start can end it should we be killed."""
        if pid is None:
            return
        try:
            self.pids[pid] = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return
        self.pids = {p: at for p, at in self.pids.items() if psutil.pid_exists(p)}
        _write(
            self.data / "run" / "processes.json",
            json.dumps({str(p): at for p, at in self.pids.items()}),
        )

    async def watch(self) -> None:
        """Start again what ends by itself."""
        while True:
            await asyncio.sleep(0.1)
            for item in list(self.running.values()):
                if item.process.poll() is None:
                    continue
                item.log.close()
                steady = asyncio.get_running_loop().time() - item.started > _STEADY_SECONDS
                crashes = 0 if steady else item.crashes
                await asyncio.sleep(_BACKOFF[min(crashes, len(_BACKOFF) - 1)])
                self.start(item.child, crashes + 1)

    async def wait_ready(self) -> None:
        """Wait until every child with an address answers. Raises `StartError`."""
        deadline = asyncio.get_running_loop().time() + _READY_SECONDS
        for item in list(self.running.values()):
            while item.child.ready_url and not await asyncio.to_thread(
                _answers, item.child.ready_url
            ):
                current = self.running[item.child.name]
                if current.crashes >= len(_BACKOFF) or asyncio.get_running_loop().time() > deadline:
                    log = self.data / "logs" / f"{item.child.name}.log"
                    message = f"{item.child.name} does not start: {_last_line(log)}; see {log}"
                    raise StartError(message)
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End every child: SIGTERM, ten seconds, SIGKILL."""
        for item in self.running.values():
            if item.process.poll() is None:
                item.process.terminate()
        deadline = asyncio.get_running_loop().time() + _STOP_SECONDS
        for item in self.running.values():
            while item.process.poll() is None and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.02)
            if item.process.poll() is None:
                item.process.kill()
            item.process.wait(5)
            item.log.close()
        self.running.clear()


async def run(
    settings: Settings,
    children: Callable[[Runtime], list[Child]],
    *,
    migrate: Callable[[Runtime], Awaitable[None]],
    ready: Callable[[Runtime], Awaitable[None]] | None = None,
    ports: Sequence[tuple[str, int]] = (),
) -> int:
    """Start everything, call `ready` once all answer, and run until SIGINT or SIGTERM.

    `ports` are (variable, port) that must be free. Returns the exit code. Raises `StartError` with
    one line when something cannot be started; by then nothing of it runs any more.
    """
    data = settings.data.resolve()
    lock = _lock(data)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    supervisor = _Supervisor(data)
    postgres = EmbeddedPostgres(data) if settings.database_url is None else None
    redis = EmbeddedRedis(data) if settings.redis_url is None else None
    watching: asyncio.Task[None] | None = None
    try:
        await asyncio.to_thread(end_leftovers, data)
        for variable, port in ports:
            _check_port(settings.host, variable, port)
        redis_url = redis.start() if redis else settings.redis_url or ""
        supervisor.note(redis.pid if redis else None)
        database_url = postgres.start() if postgres else settings.database_url or ""
        supervisor.note(postgres.pid if postgres else None)
        settings.keys()
        env = {
            **to_environ(settings),
            "HUB_DATABASE_URL": database_url,
            "HUB_REDIS_URL": redis_url,
        }
        runtime = Runtime(settings, database_url, redis_url, env)
        await migrate(runtime)
        for child in children(runtime):
            supervisor.start(child)
        watching = asyncio.create_task(supervisor.watch())
        stopping = asyncio.create_task(stop.wait())
        starting = asyncio.create_task(_get_ready(supervisor, runtime, ready))
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        else:
            starting.cancel()
        await stopping
    finally:
        if watching is not None:
            watching.cancel()
        await supervisor.stop()
        if redis:
            redis.stop()
        if postgres:
            postgres.stop()
        (data / "run" / "processes.json").unlink(missing_ok=True)
        lock.close()
    return 0


async def _get_ready(
    supervisor: _Supervisor, runtime: Runtime, ready: Callable[[Runtime], Awaitable[None]] | None
) -> None:
    await supervisor.wait_ready()
    if ready is not None:
        await ready(runtime)


def end_leftovers(data: Path) -> None:
    """End what an earlier run left behind when it was killed; only processes it wrote down."""
    path = data / "run" / "processes.json"
    try:
        noted = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return
    left = []
    for pid, created in noted.items():
        try:
            process = psutil.Process(int(pid))
            if abs(process.create_time() - created) < 1:
                left.append(process)
                process.send_signal(
                    signal.SIGINT if "postgres" in process.name() else signal.SIGTERM
                )
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(left, timeout=_STOP_SECONDS)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)
    path.unlink(missing_ok=True)


def _lock(data: Path) -> IO[str]:
    """Take the data folder for this process. Raises `StartError`."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / "run").mkdir(exist_ok=True)
        file = (data / "hub.lock").open("a+")
    except OSError as error:
        message = f"HUB_DATA: {data} cannot be used: {error.strerror}; choose another folder"
        raise StartError(message) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        message = (
            f"{data} is in use by process {owner}: stop it, or choose another folder with HUB_DATA"
        )
        raise StartError(message) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _check_port(host: str, variable: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            message = f"port {port} cannot be used ({error.strerror}): stop what uses it, or set {variable} to another"
            raise StartError(message) from None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def _last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1].strip() if lines else "it says nothing"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.rename(path)
