"""PostgreSQL after the worst: its owner killed, a lock nobody removes, files of another version."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hub.runtime.embedded import EmbeddedPostgres, StartError
from hub.runtime.processes import ended

ROOT = Path(__file__).parents[2]


def _owned(data: Path) -> tuple[subprocess.Popen[str], psutil.Process]:
    code = (
        "import time; from pathlib import Path; from hub.runtime.embedded import EmbeddedPostgres\n"
        f"p = EmbeddedPostgres(Path({str(data)!r})); p.start(); print(p.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    return owner, psutil.Process(int(owner.stdout.readline()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_postgres_ends_with_its_owner_and_takes_no_zombie_for_itself(tmp_path: Path) -> None:
    owner, server = _owned(tmp_path)
    # Whoever reaches the socket is let in, so only the owner may reach it.
    assert (tmp_path / "run" / "pg").stat().st_mode & 0o777 == 0o700
    family = [server, *server.children(recursive=True)]
    server_user = server.username()
    owner.kill()
    owner.communicate()
    deadline = time.monotonic() + 10
    while not all(ended(process) for process in family):
        if time.monotonic() > deadline:
            server.send_signal(signal.SIGINT)
            pytest.fail("PostgreSQL outlives its owner")
        time.sleep(0.02)
    # In a container whose first process collects nobody, a killed server's id stays taken.
    # (PostgreSQL looks only at its own user's processes.)
    zombie = subprocess.Popen(["true"], user=server_user)
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)
    (tmp_path / "postgres" / "postmaster.pid").write_text(f"{zombie.pid}\n{tmp_path}/postgres\n")
    again = EmbeddedPostgres(tmp_path)
    start = time.monotonic()
    again.start()
    assert time.monotonic() - start < 3
    again.stop()
    zombie.wait()
    (tmp_path / "postgres" / "PG_VERSION").write_text("13\n")
    with pytest.raises(StartError, match="incompatible with server") as caught:
        again.start()
    assert "\n" not in str(caught.value)
    assert not again.alive
