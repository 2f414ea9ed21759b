"""`hub up` as a person runs it: it starts, it stops, it leaves nothing, it says what is wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environ(data: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "HUB_DATA": str(data),
        "HUB_PORT": str(_port()),
        "HUB_SANDBOX_PORT": str(_port()),
        **more,
    }


@contextmanager
def _up(environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.cli", "up"], env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def _ready(environ: dict[str, str], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    key = Path(environ["HUB_DATA"], "admin.key")
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{environ['HUB_PORT']}/api/v1/health", timeout=2
            ) as answer:
                if answer.status == 200 and key.exists():
                    return
        except OSError:
            pass
        time.sleep(0.05)
    message = "the hub did not start"
    raise AssertionError(message)


def _family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _words(process: psutil.Process) -> list[str]:
    """The command line of a process; empty for one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _gone(processes: list[psutil.Process], seconds: float = 15) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not alive


def test_ctrl_c_stops_everything_a_killed_worker_is_started_again_and_the_second_start_is_quick(
    tmp_path: Path,
) -> None:
    environ = _environ(tmp_path)
    with _up(environ) as process:
        _ready(environ)
        family = _family(process.pid)
        names = " ".join(" ".join(_words(p)) for p in family)
        for part in ("postgres", "redis-server", "hub.cli web", "hub.cli worker"):
            assert part in names
        worker = next(p for p in family if _words(p)[-1:] == ["worker"])
        worker.kill()
        deadline = time.monotonic() + 10
        while not any(
            _words(p)[-1:] == ["worker"] and p.pid != worker.pid for p in _alive(process.pid)
        ):
            assert time.monotonic() < deadline, "the worker was not started again"
            time.sleep(0.05)
        family = _family(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert _gone(family)
    with _up(environ) as process:
        _ready(environ)
        family = _family(process.pid)
        process.kill()
        process.wait()
    # What a killed `hub up` leaves dies by itself, or is ended by the next start.
    with _up(environ) as process:
        _ready(environ)
        assert _gone(family, 5)


def _alive(pid: int) -> list[psutil.Process]:
    found = []
    for item in _family(pid):
        try:
            item.cmdline()
            if item.status() != psutil.STATUS_ZOMBIE:
                found.append(item)
        except psutil.Error:
            continue
    return found


def _fails(environ: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "hub.cli", "up"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    return done.returncode, done.stderr.strip()


def test_what_is_in_the_way_is_told_in_one_line(tmp_path: Path) -> None:
    environ = _environ(tmp_path / "a")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environ["HUB_PORT"])))
        taken.listen()
        code, said = _fails(environ)
    assert (code, len(said.splitlines())) == (3, 1)
    assert f"port {environ['HUB_PORT']} cannot be used" in said
    assert "HUB_PORT" in said
    code, said = _fails({**environ, "HUB_LOG_LEVEL": "loud"})
    assert (code, len(said.splitlines())) == (3, 1)
    assert "HUB_LOG_LEVEL" in said


def test_a_folder_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    environ = _environ(tmp_path)
    with _up(environ) as process:
        _ready(environ)
        code, said = _fails({**environ, "HUB_PORT": str(_port())})
        assert code == 3
        assert f"is in use by process {process.pid}" in said
        assert "HUB_DATA" in said
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize("command", ["web", "worker", "migrate"])
def test_a_single_process_needs_addresses(tmp_path: Path, command: str) -> None:
    environ = _environ(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "hub.cli", command],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "HUB_DATABASE_URL is not set" in done.stderr
