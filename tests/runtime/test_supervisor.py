"""The supervisor on tiny processes: it heals, it says why, and it leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from hub.runtime.processes import Ledger, ended

ROOT = Path(__file__).parents[2]
WAITS = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.{name}, signal.SIG_IGN); time.sleep(60)"


class _Hub:
    """A little hub that runs, and what it printed."""

    def __init__(self, order: dict[str, object]) -> None:
        self.data = Path(str(order["data"]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.little_hub", json.dumps(order)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            # A proxy of the environment must not stand between the hub and its own processes.
            env={**os.environ, "http_proxy": "http://127.0.0.1:9", "no_proxy": ""},
        )  # fmt: skip

    def until(self, word: str) -> None:
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if word in line:
                return
        raise AssertionError("".join(said))

    def family(self) -> dict[str, psutil.Process]:
        """The processes by name, from the ledger's ids and the last argument."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            # One that has only just been forked or is just ending has no words yet, or none left.
            with contextlib.suppress(psutil.Error):
                if not ended(child) and (words := child.cmdline()):
                    found[words[-1]] = child
        return found

    def end(self, how: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        said = self.process.stdout.read()
        return self.process.wait(20), said


@contextmanager
def _hub(data: Path, **order: object) -> Iterator[_Hub]:
    hub = _Hub({"data": str(data), **order})
    try:
        yield hub
    finally:
        if hub.process.poll() is None:
            hub.end()
        assert hub.process.stdout is not None
        hub.process.stdout.close()


def _soon(true: Callable[[], object], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_process_that_keeps_failing_holds_up_no_other(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    fails = (
        f"import time, pathlib\nif pathlib.Path({str(broken)!r}).exists(): exit('boom')\n{WAITS}"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = (
        "import http.server as h; h.BaseHTTPRequestHandler.do_GET = lambda s: "
        "(s.send_response(200), s.end_headers()); "
        f"h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).serve_forever()"
    )
    urls = {"web": f"http://127.0.0.1:{port}/"}
    with _hub(tmp_path, children={"fails": fails, "web": web}, urls=urls) as hub:
        hub.until("ready")
        first = hub.family()
        broken.touch()
        first[fails].kill()
        log = tmp_path / "logs" / "fails.log"
        assert _soon(lambda: log.read_text().count("boom") >= 3)
        first[web].kill()
        assert _soon(lambda: hub.family().get(web, first[web]).pid != first[web].pid, 3)
        code, said = hub.end()
    assert code == 0
    assert "web was ended by SIGKILL; it is started again" in said
    assert f"fails ended with exit code 1 (boom; see {log}); it is started again" in said


def test_a_process_that_never_comes_up_is_told_and_the_rest_ends(tmp_path: Path) -> None:
    children = {"good": WAITS, "bad": "exit('no such table: x')"}
    urls = {"bad": "http://127.0.0.1:9/"}
    with _hub(tmp_path, children=children, urls=urls) as hub:
        assert _soon(lambda: WAITS in hub.family())
        good = hub.family()[WAITS]
        code, said = hub.process.wait(20), hub.process.stdout.read()  # type: ignore[union-attr]
    assert code == 3
    assert "bad does not start: no such table: x; see " in said.splitlines()[-1]
    assert ended(good)


@pytest.mark.parametrize(
    ("how", "phase", "word"),
    [
        (signal.SIGINT, "migrate", "migrating"),
        (signal.SIGTERM, "ready", "ready"),
        (signal.SIGHUP, "ready", "ready"),
    ],
)
def test_it_can_be_stopped_while_it_starts(
    tmp_path: Path, how: signal.Signals, phase: str, word: str
) -> None:
    with _hub(tmp_path, children={"child": WAITS}, **{f"{phase}_seconds": 0.5}) as hub:
        hub.until(word)
        family = hub.family()
        assert hub.end(how)[0] == 0
    assert all(ended(process) for process in family.values())
    assert not (tmp_path / "run" / "processes.json").exists()


def test_a_process_that_is_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = DEAF.format(name="SIGTERM")
    with _hub(tmp_path, children={"deaf": deaf}, stop_seconds=0.3) as hub:
        hub.until("ready")
        child = hub.family()[deaf]
        assert hub.end()[0] == 0
    assert ended(child)


def test_the_next_start_ends_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    # The kernel asks children of a killed supervisor to end with SIGINT; this one does not listen.
    deaf = DEAF.format(name="SIGINT")
    with _hub(tmp_path, children={"deaf": deaf}) as hub:
        hub.until("ready")
        left = hub.family()[deaf]
        time.sleep(0.3)  # until it is deaf
        hub.end(signal.SIGKILL)
    assert not ended(left)
    # Since then another process got an id that the ledger names.
    stranger = subprocess.Popen([sys.executable, "-c", WAITS])
    ledger = tmp_path / "run" / "processes.json"
    ledger.write_text(json.dumps({**json.loads(ledger.read_text()), str(stranger.pid): 1.0}))
    try:
        with _hub(tmp_path, children={"deaf": deaf}) as hub:
            hub.until("ready")
            assert ended(left)
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"x": 1}', '{"1": "x"}', '{"-1": 1}', "null"])
def test_an_unreadable_ledger_hinders_no_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "processes.json").write_text(content)
    Ledger(tmp_path).end_leftovers()


async def test_killed_servers_come_back_with_what_was_committed(tmp_path: Path) -> None:
    url = f"postgresql://postgres@/hub?host={tmp_path / 'run' / 'pg'}"
    redis = tmp_path / "run" / "redis" / "redis.sock"
    with _hub(tmp_path, embedded=True) as hub:
        hub.until("ready")
        session = await asyncpg.connect(url)
        await session.execute("create table kept as select 1 as n")
        await session.close()
        for server in psutil.Process(hub.process.pid).children():
            server.kill()
        assert _soon(lambda: len(hub.family()) == 2 and redis.exists(), 15)
        deadline = time.monotonic() + 15
        while True:
            try:
                session = await asyncpg.connect(url)
                break
            except (OSError, asyncpg.CannotConnectNowError):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert await session.fetchval("select n from kept") == 1
        await session.close()
        family = psutil.Process(hub.process.pid).children(recursive=True)
        code, said = hub.end()
    assert code == 0
    assert "postgres was ended by SIGKILL" in said
    assert "redis was ended by SIGKILL" in said
    assert all(ended(process) for process in family)
