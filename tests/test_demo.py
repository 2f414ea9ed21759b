"""The product as it is started: the demo ends well, also when the worker is killed in its middle."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[1]


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        **os.environ, "HUB_DATA": str(tmp_path_factory.mktemp("demo")), "HUB_PORT": str(_port()),
        "HUB_SANDBOX_PORT": str(_port()), "HUB_LEASE_SECONDS": "2", "COLUMNS": "200",
    }  # fmt: skip


@pytest.fixture(scope="module")
def up(environ: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.cli", "up", "--demo"], env=environ, cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        if "Ctrl-C stops everything" in line:
            break
    yield process, lines
    process.send_signal(signal.SIGINT)
    process.wait(30)
    process.stdout.close()


def _state(environ: dict[str, str], name: str) -> Any:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{environ['HUB_SANDBOX_PORT']}/_sandbox/{name}/state", timeout=5
    ) as answer:
        return json.load(answer)


def _snapshot(environ: dict[str, str], run: str) -> dict[str, Any]:
    """What the stand-ins hold of one run, with ids and times left out."""
    jira, slack, intercom = (_state(environ, name) for name in ("jira", "slack", "intercom"))
    topic = f"csv-export-{run}"
    issues = [i for i in jira["issues"].values() if topic in i["labels"]]
    key = issues[0]["key"]
    people = {
        c["id"]: c["email"].split("-")[0]
        for c in intercom["contacts"].values()
        if (c.get("email") or "").endswith(f"-{run}@example.com")
    }
    talks = [t for t in intercom["conversations"].values() if t["contact"] in people]

    def same(text: str | None) -> str:
        return re.sub(rf"\b{key}\b", "KEY", (text or "").replace(run, "RUN"))

    return {
        "issues": [(same(i["summary"]), same(i["description"]), i["status"], [same(c["body"]) for c in i["comments"]]) for i in issues],
        "slack": sorted((m["channel"], same(m["text"])) for m in slack["messages"] if re.search(rf"\b{key}\b", m["text"])),
        "talks": sorted(
            (people[t["contact"]], same(t["message"]["body"]), [(p["part_type"], same(p["body"])) for p in t["parts"]]) for t in talks
        ),
    }  # fmt: skip


def test_the_demo_closes_the_loop_and_says_so(up: tuple[subprocess.Popen[str], list[str]]) -> None:
    process, lines = up
    text = "\n".join(lines)
    assert process.poll() is None
    assert "✗" not in text
    assert text.count("✓") == 8
    assert "The hub is up at http://127.0.0.1:" in text
    assert "admin key   hub_" in text


@pytest.mark.timeout(240)
def test_killing_the_worker_in_the_middle_ends_in_the_same_state(
    up: tuple[subprocess.Popen[str], list[str]], environ: dict[str, str]
) -> None:
    process, lines = up
    calm = re.search(r"\(run (\w+)\)", "\n".join(lines))
    assert calm is not None
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)  # noqa: T201 - shown when it fails
    chance = random.Random(seed)
    done = threading.Event()
    killed = 0

    def kill() -> None:
        nonlocal killed
        while not done.wait(chance.uniform(0.1, 0.9)) and killed < 5:
            for item in psutil.Process(process.pid).children(recursive=True):
                try:
                    if item.cmdline()[-1:] == ["worker"]:
                        item.kill()
                        killed += 1
                except psutil.Error:
                    continue

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        played = subprocess.run(
            [sys.executable, "-m", "hub.cli", "demo"],
            env=environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    finally:
        done.set()
        thread.join()
    assert played.returncode == 0, played.stdout + played.stderr
    assert killed >= 3, "the worker was not killed often enough to mean anything"
    run = re.search(r"\(run (\w+)\)", played.stdout)
    assert run is not None
    assert _snapshot(environ, run[1]) == _snapshot(environ, calm[1])


def test_a_wrong_end_is_exit_code_1(
    up: tuple[subprocess.Popen[str], list[str]], environ: dict[str, str]
) -> None:
    """Somebody has switched the answering route off: the demo must notice."""
    key = Path(environ["HUB_DATA"], "admin.key").read_text().strip()
    time.sleep(0.1)
    scenario = subprocess.run(
        [sys.executable, "-m", "hub.cli", "demo", "--scenario", "nope"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert scenario.returncode == 3
    assert "there is no scenario 'nope'" in scenario.stderr
    request = urllib.request.Request(
        f"http://127.0.0.1:{environ['HUB_PORT']}/api/v1/connections/demo-slack/pause", data=b"{}", method="POST",
        headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 200
    played = subprocess.run(
        [sys.executable, "-m", "hub.cli", "demo", "--wait", "3"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert played.returncode == 1
