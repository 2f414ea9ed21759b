"""The data folder's disk fills under load: nothing is acknowledged that is not kept, and it mends itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
_MIB = 160
_OWN_MOUNTS = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0 if sys.platform == "linux" else False  # fmt: skip


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Small:
    """A hub whose data folder is a disk of its own, and a small one."""

    def __init__(self, data: Path) -> None:
        self.port = _port()
        environ = {**os.environ, "HUB_DATA": str(data), "HUB_PORT": str(self.port)}
        script = (
            f'mount -t tmpfs -o size={_MIB}m,mode=755 tmpfs "$HUB_DATA" && exec "$0" -m hub.cli up'
        )
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, sys.executable], env=environ, cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Ctrl-C stops everything" in line:
                break
        # The disk as that process sees it.
        self.data = Path(f"/proc/{self.process.pid}/root{data}")
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=15, trust_env=False)  # fmt: skip
        key = (self.data / "admin.key").read_text().strip()
        self.auth = {"authorization": f"Bearer {key}"}

    def api(self, method: str, path: str, body: object = None) -> Any:
        return self.http.request(method, f"/api/v1{path}", json=body, headers=self.auth).json()

    def fill(self) -> None:
        with (self.data / "fill").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 65536)
            except OSError:
                return

    def free(self) -> None:
        (self.data / "fill").unlink()

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.http.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[_Small]:
    hub = _Small(tmp_path)
    yield hub
    hub.close()


@pytest.mark.skipif(not _OWN_MOUNTS, reason="only root on Linux may mount a small disk")
def test_a_full_disk_refuses_and_says_so_and_mends_itself(small: _Small) -> None:
    made = small.api("POST", "/connections", {
        "name": "portal", "integration": "webhook", "config": {
            "signature": {"scheme": "none"},
            "mapping": {"type": "feedback.received", "subject": "{{ payload.id }}", "data": {"title": "{{ payload.id }}"}}}})  # fmt: skip
    address = "/webhooks" + made["webhook_url"].partition("/webhooks")[2]
    padding = "x" * 50_000
    kept: list[str] = []

    def send(number: int) -> httpx.Response:
        answer = small.http.post(address, json={"id": f"n{number}", "padding": padding})
        if answer.is_success:
            kept.append(f"n{number}")
        return answer

    assert all(send(number).is_success for number in range(5))
    small.fill()
    refused = next((a for a in map(send, range(5, 3000)) if not a.is_success), None)
    assert refused is not None, "a full disk took 150 MB more"
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    health = small.http.get("/api/v1/health")
    assert health.status_code == 503
    assert health.json()["checks"]["postgres"]["status"] == "down"
    log = (small.data / "logs" / "web.log").read_text()
    assert "webhook refused, the sender retries" in log

    small.free()
    deadline = time.monotonic() + 60
    while not send(5000).is_success:
        assert time.monotonic() < deadline, "it does not take webhooks again"
        time.sleep(0.2)
    while small.http.get("/api/v1/health").json()["checks"]["postgres"]["status"] != "ok":
        assert time.monotonic() < deadline, "health does not notice"
        time.sleep(0.5)
    while small.api("GET", "/webhooks?state=received")["items"]:
        assert time.monotonic() < deadline, "what was kept is not worked on"
        time.sleep(0.2)
    subjects = set()
    page = small.api("GET", "/events?limit=200")
    while True:
        subjects |= {item["subject"] for item in page["items"]}
        if not page["next"]:
            break
        page = small.api("GET", f"/events?limit=200&cursor={page['next']}")
    assert {f"webhook/portal/{name}" for name in kept} <= subjects
