"""The processes that the hub starts: they end with it, and a later start finds what was left.

On Linux the kernel ends a child whose parent died. Elsewhere, and for what slips through, every
process is written down in `<data>/run/processes.json`, and the next start ends what it finds there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec
import psutil

from hub.sdk.errors import HubError

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1  # prctl(2)
_STOP_SECONDS = 10.0
_LOG_BYTES = 20 * 1024 * 1024
_SAME_START_SECONDS = 1.0


class StartError(HubError):
    """Something could not be started; the text is one line that names the mend."""


def die_with_parent() -> None:
    """Have the kernel send SIGINT to this child when what started it dies (Linux only).

    Meant as `preexec_fn`: between fork and exec it makes one system call and takes no lock, so
    threads of the parent do no harm.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def open_log(data: Path, name: str) -> IO[bytes]:
    """Open `<data>/logs/<name>.log` to append; one of more than 20 MiB is put aside as `.log.1`."""
    path = log_path(data, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def log_path(data: Path, name: str) -> Path:
    """Return where the lines of a process are."""
    return data / "logs" / f"{name}.log"


def last_line(data: Path, name: str) -> str:
    """Return the last line that a process wrote, for the person who must know why it ended."""
    try:
        with log_path(data, name).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            lines = log.read().decode(errors="replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")


def ended(process: psutil.Process) -> bool:
    """Tell whether a process is no more; one that nobody has collected yet (a zombie) is none."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Ledger:
    """The file that names the processes of a run: id, and the time it was created (s since 1970).

    Both together name one process: an id is used again, and then its time differs.
    """

    def __init__(self, data: Path) -> None:
        self._path = data / "run" / "processes.json"
        self._known: dict[int, float] = {}

    def note(self, pid: int | None) -> None:
        """Write a process down, so that a later start can end it should this one be killed."""
        if pid is None:
            return
        try:
            self._known[pid] = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return
        self._known = {p: at for p, at in self._known.items() if psutil.pid_exists(p)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._known))
        fresh.replace(self._path)

    def clear(self) -> None:
        """Forget everything: all of it has ended."""
        self._known.clear()
        self._path.unlink(missing_ok=True)

    def end_leftovers(self) -> None:
        """End what an earlier run left behind when it was killed; only processes it wrote down."""
        try:
            noted = msgspec.json.decode(self._path.read_bytes(), type=dict[int, float])
        except (OSError, msgspec.MsgspecError):
            return
        left: list[psutil.Process] = []
        for pid, created in noted.items():
            try:
                process = psutil.Process(pid)
                if abs(process.create_time() - created) > _SAME_START_SECONDS or ended(process):
                    continue
                # PostgreSQL ends open transactions at SIGINT, and waits for clients at SIGTERM.
                postgres = "postgres" in process.name()
                process.send_signal(signal.SIGINT if postgres else signal.SIGTERM)
            except (psutil.Error, ValueError):  # ValueError: a number that can be no id
                continue
            left.append(process)
        for process in _still_there(left, _STOP_SECONDS):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _still_there(left, _STOP_SECONDS)
        self._path.unlink(missing_ok=True)


def lock_folder(data: Path) -> IO[str]:
    """Take the data folder for this process until the file is closed. Raises `StartError`.

    The kernel gives the lock back when the process ends, however it ends.
    """
    make_folder(data / "run")
    try:
        file = (data / "hub.lock").open("a+")
    except OSError as error:
        message = f"HUB_DATA: {data} cannot be used: {error.strerror}; choose another folder"
        raise StartError(message) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        message = (
            f"{data} is in use by process {owner}: stop it, or choose another folder with HUB_DATA"
        )
        raise StartError(message) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def make_folder(folder: Path) -> None:
    """Make a folder that can be written. Raises `StartError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        message = f"HUB_DATA: {folder} cannot be used: {error.strerror}; choose another folder"
        raise StartError(message) from None


def check_ports(host: str, ports: Sequence[tuple[str, int]]) -> None:
    """See that (variable, port) pairs are free and differ. Raises `StartError`."""
    seen: dict[int, str] = {}
    for variable, port in ports:
        if port in seen:
            message = f"{seen[port]} and {variable} are both {port}: give one of them another"
            raise StartError(message)
        seen[port] = variable
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                # Two sockets may share an address until one of them listens.
                probe.listen(1)
            except OSError as error:
                raise StartError(_port_trouble(error, host, variable, port)) from None


def _port_trouble(error: OSError, host: str, variable: str, port: int) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HUB_HOST={host} is no address of this machine: take 127.0.0.1, or 0.0.0.0 for all"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than this user has: set {variable} to 1024 or more"
    return (
        f"port {port} cannot be used ({error.strerror}): stop what uses it, or set {variable} to "
        "another"
    )


def _still_there(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while (left := [p for p in processes if not ended(p)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
