"""The embedded servers: started, stopped, killed and recovered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import pytest

from hub.runtime.embedded import EmbeddedPostgres, EmbeddedRedis, StartError


async def test_postgres_keeps_what_was_committed_over_a_kill(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    url = server.start()
    session = await asyncpg.connect(url)
    assert await session.fetchval("show fsync") == "on"
    assert await session.fetchval("show listen_addresses") == ""
    await session.execute("create table kept (n int)")
    await session.execute("insert into kept values (1)")
    await session.close()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server._process.wait()  # type: ignore[union-attr]
    again = EmbeddedPostgres(tmp_path)
    session = await asyncpg.connect(again.start())
    assert await session.fetchval("select n from kept") == 1
    await session.close()
    again.stop()


def test_an_interrupted_first_start_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "half").touch()
    server = EmbeddedPostgres(tmp_path)
    server.start()
    server.stop()
    assert (tmp_path / "postgres" / "PG_VERSION").exists()


def test_a_long_path_still_has_short_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    redis = EmbeddedRedis(deep)
    first = redis.start()
    redis.stop()
    again = EmbeddedRedis(deep)
    assert again.start() == first
    again.stop()
    assert len(first) < 107


def test_without_a_redis_server_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.runtime.embedded.importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StartError, match="HUB_REDIS_URL") as caught:
        EmbeddedRedis(tmp_path).start()
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StartError, match="HUB_DATA"):
        EmbeddedRedis(file / "below").start()


def test_the_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from hub.runtime.embedded import EmbeddedRedis\n"
        f"r = EmbeddedRedis(Path({str(tmp_path)!r})); r.start(); print(r.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 5
    while (
        psutil.pid_exists(pid)
        and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
