"""Start a hub, a bare server and a sink on loopback, and send to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from hub.sdk.signature import sign

SECRET = "bench-secret"
BODY_BYTES = 2400


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def jira_body(number: int = 1) -> bytes:
    """A Jira-shaped status change of 2.4 KB."""
    document = {
        "timestamp": 1_762_000_000_000 + number,
        "webhookEvent": "jira:issue_updated",
        "issue_event_type_name": "issue_generic",
        "user": {"accountId": "u-lee", "displayName": "Lee Park", "accountType": "atlassian"},
        "issue": {
            "id": str(10_000 + number), "key": f"APP-{number}", "self": "https://acme.example/rest/api/2/issue/1",
            "fields": {
                "summary": "CSV export stops", "status": {"id": "3", "name": "Done", "statusCategory": {"key": "done"}},
                "issuetype": {"name": "Bug"}, "project": {"key": "APP"}, "labels": ["export"], "priority": {"name": "High"},
                "description": "",
            },
        },
        "changelog": {"id": "1", "items": [{"field": "status", "fieldId": "status", "fieldtype": "jira",
                      "from": "1", "fromString": "To Do", "to": "3", "toString": "Done"}]},
    }  # fmt: skip
    room = BODY_BYTES - len(json.dumps(document))
    document["issue"]["fields"]["description"] = "x" * max(0, room)
    return json.dumps(document).encode()


def head(path: str, port: int, body: bytes, number: int) -> bytes:
    """The bytes of one signed request."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"x-hub-signature: sha256={sign(SECRET, body)}\r\nx-atlassian-webhook-identifier: b-{number}-{time.time_ns()}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode()


@dataclass
class Sent:
    """What a load gave: acknowledged requests, seconds, and each one's latency in seconds."""

    count: int
    seconds: float
    latencies: list[float] = field(default_factory=list)
    bad: int = 0

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return (
            ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
        )


async def flood(port: int, path: str, *, in_flight: int = 32, seconds: float = 4.0) -> Sent:
    """Send as fast as answers come, on `in_flight` connections. Signed once: the body is the same."""
    body = jira_body()
    signature = sign(SECRET, body)
    until = time.perf_counter() + seconds
    began = time.perf_counter()
    sent = Sent(0, 0.0)

    async def one(worker: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number = 0
        while time.perf_counter() < until:
            number += 1
            at = time.perf_counter()
            writer.write(
                (
                    f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                    f"x-hub-signature: sha256={signature}\r\nx-atlassian-webhook-identifier: {worker}-{number}-{began}\r\n"
                    f"content-length: {len(body)}\r\n\r\n"
                ).encode()
                + body
            )
            status = await read_answer(reader)
            if 200 <= status < 300:
                sent.count += 1
                sent.latencies.append(time.perf_counter() - at)
            else:
                sent.bad += 1
        writer.close()

    await asyncio.gather(*(one(worker) for worker in range(in_flight)))
    sent.seconds = time.perf_counter() - began
    return sent


async def steady(send: Callable[[int], Any], *, per_second: float, seconds: float) -> None:
    """Call `send(n)` at a fixed rate, not waiting for answers (open loop)."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    tasks = set()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
        task = asyncio.create_task(send(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks)


async def read_answer(reader: asyncio.StreamReader) -> int:
    top = await reader.readuntil(b"\r\n\r\n")
    lower = top.lower()
    at = lower.find(b"content-length:")
    length = int(lower[at + 15 : lower.index(b"\r\n", at)]) if at >= 0 else 0
    if length:
        await reader.readexactly(length)
    return int(top[9:12])


@dataclass
class Sink:
    """Takes POSTs in and notes when each arrived, by the `n` in its body."""

    port: int = 0
    arrived: dict[int, float] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def sink() -> Any:
    found = Sink()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError
        ):
            while True:
                top = await reader.readuntil(b"\r\n\r\n")
                lower = top.lower()
                at = lower.index(b"content-length:")
                body = await reader.readexactly(int(lower[at + 15 : lower.index(b"\r\n", at)]))
                found.arrived.setdefault(int(json.loads(body)["n"]), time.perf_counter())
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


@contextlib.contextmanager
def bare() -> Iterator[int]:
    """Run a Litestar handler that only reads the body, on the same server as the hub."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.bare", str(port)])
    try:
        _wait(f"http://127.0.0.1:{port}/", {405, 200, 404})
        yield port
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Running:
    """A running hub."""

    port: int
    key: str
    process: subprocess.Popen[bytes]
    data: Path

    def api(self, method: str, path: str, body: object = None) -> Any:
        answer = httpx.request(
            method, f"http://127.0.0.1:{self.port}/api/v1{path}", json=body, timeout=30, trust_env=False,
            headers={"authorization": f"Bearer {self.key}"},
        )  # fmt: skip
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Every process of the hub, by what it is."""
        found: dict[str, list[psutil.Process]] = {}
        for item in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = " ".join(item.cmdline())
                name = item.name()
                kind = (
                    "postgres"
                    if "postgres" in name
                    else "redis"
                    if "redis" in name or "valkey" in name
                    else words.split()[-1]
                )
                found.setdefault(kind, []).append(item)
        return found

    def memory(self) -> dict[str, float]:
        """MiB by kind of process: PSS where the system tells it, so shared pages count once."""
        total: dict[str, float] = {}
        for kind, items in self.processes().items():
            for item in items:
                with contextlib.suppress(psutil.Error):
                    total[kind] = total.get(kind, 0.0) + item.memory_full_info().pss / 2**20
        return total


@contextlib.contextmanager
def hub(**environ: str) -> Iterator[Running]:
    """Run `hub up` in a new data folder on free ports."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        port = free_port()
        env = {
            **os.environ, "HUB_DATA": folder, "HUB_PORT": str(port), "HUB_SANDBOX_PORT": str(free_port()),
            "HUB_ALLOW_PRIVATE_HOSTS": "127.0.0.1", "HUB_LOG_LEVEL": "warning", **environ,
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "hub.cli", "up"], env=env, stdout=subprocess.DEVNULL
        )
        try:
            _wait(f"http://127.0.0.1:{port}/api/v1/health", {200})
            file = Path(folder, "admin.key")
            while not file.exists():
                time.sleep(0.05)
            yield Running(port, file.read_text().strip(), process, Path(folder))
        finally:
            process.terminate()
            process.wait(30)


def _wait(url: str, wanted: set[int]) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2, trust_env=False).status_code in wanted:
                return
        time.sleep(0.05)
    message = f"{url} does not answer"
    raise RuntimeError(message)
