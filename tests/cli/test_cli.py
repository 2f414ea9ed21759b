"""The command as scripts and people use it: exit codes, JSON, one line for what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hub.runtime.services import Services
from tests.admin.conftest import Api, api, desk, vendor
from tests.admin.test_api import ROUTE, _event

__all__ = ("api", "desk", "vendor")
ROOT = Path(__file__).parents[2]


async def _hub(*words: str, **environ: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub.cli", *words, cwd=ROOT, env={**os.environ, "COLUMNS": "200", **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 40)
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_flow_is_shown_explained_and_replayed(
    api: Api, services: Services, desk: dict[str, Any]
) -> None:
    await api("POST", "/routes", ROUTE)
    event = await _event(api, services, desk)
    there = {"HUB_URL": api.url, "HUB_API_KEY": api.key}
    code, out, _ = await _hub("events", "tail", "--no-follow", "--json", **there)
    assert (code, json.loads(out.splitlines()[0])["id"]) == (0, event)
    code, out, _ = await _hub("explain", "acme/ticket/t1", **there)
    assert code == 0
    assert "route bugs: matched" in out
    code, out, _ = await _hub("explain", event, "--json", **there)
    assert json.loads(out)["decisions"][0]["route"] == "bugs"
    code, out, _ = await _hub("show", event, **there)
    assert code == 0
    assert "feedback.received" in out
    code, out, _ = await _hub("replay", "event", event, **there)
    assert (code, out.strip()) == (0, "1 event replayed")
    code, out, _ = await _hub("replay", "delivery", "--state", "dead", "--json", **there)
    assert (code, json.loads(out)) == (1, {"replayed": 0})
    code, _, err = await _hub("explain", "jira/issue/NO-1", **there)
    assert code == 3
    assert "There is no" in err


@pytest.mark.parametrize(("words", "code", "said"), [
    (("show", "nonsense"), 2, "ids read wh_1"),
    (("send", "nope"), 2, "there is no integration 'nope'"),
    (("send", "typeform/nope"), 2, "typeform has no sample 'nope'"),
    (("integration", "check", "nope"), 2, "there is no integration nope"),
    (("integration", "new", "Bad-Name"), 2, "Bad-Name"),
    (("events", "tail", "--no-follow"), 3, "no hub answers at http://127.0.0.1:9"),
    (("replay", "event"), 3, "no hub answers"),
])  # fmt: skip
async def test_what_is_wrong_is_one_line(words: tuple[str, ...], code: int, said: str) -> None:
    found, _, err = await _hub(*words, HUB_URL="http://127.0.0.1:9", HUB_API_KEY="x")
    assert found == code
    assert said in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


async def test_a_bad_setting_is_one_line() -> None:
    code, _, err = await _hub("doctor", HUB_PORT="eighty")
    assert code == 3
    assert "HUB_PORT='eighty'" in err
    assert len(err.strip().splitlines()) == 1


async def test_integrations_are_listed_and_a_new_one_passes(tmp_path: Path) -> None:
    code, out, _ = await _hub("integration", "list", "--json")
    assert code == 0
    assert {"intercom", "jira", "slack", "typeform", "webhook"} <= {
        row["id"] for row in json.loads(out)
    }
    code, out, _ = await _hub("integration", "new", "sixth", "--in", str(tmp_path))
    assert code == 0
    assert "FILL IN" in out
    code, out, err = await _hub("integration", "check", "sixth", "--in", str(tmp_path))
    assert code == 0, out + err
    code, _, err = await _hub("integration", "new", "sixth", "--in", str(tmp_path))
    assert code == 2


async def test_doctor_says_what_is_wrong(tmp_path: Path) -> None:
    code, out, _ = await _hub(
        "doctor", "--json", HUB_DATA=str(tmp_path), HUB_URL="http://127.0.0.1:9"
    )
    findings = {row["check"]: row["state"] for row in json.loads(out)}
    assert code == 1
    assert (findings["python"], findings["integrations"], findings["running hub"]) == (
        "ok",
        "ok",
        "down",
    )
    code, out, _ = await _hub("doctor", "--new-key")
    assert (code, len(out.strip())) == (0, 44)
