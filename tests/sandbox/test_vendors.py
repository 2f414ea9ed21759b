"""The stand-ins' APIs over real HTTP, rightly and with ordered faults."""

import time

import httpx
import pytest

from hub.sandbox.faults import Fault, Match, take
from hub.sdk.registry import discover
from tests.sandbox.conftest import a_sandbox

AUTH = {"authorization": "Bearer sample-token"}


async def test_a_request_reaches_the_stand_in_as_it_was_sent(sandbox: httpx.AsyncClient) -> None:
    asked = httpx.Request(
        "PATCH",
        f"{sandbox.base_url}/notes/a%2Fb//c%20d/?x=%2F&y=1&x=",
        headers={**AUTH, "Content-Type": "text/odd"},
        content="é",
    )
    got = (await sandbox.send(asked)).json()
    assert got == {
        "method": "PATCH",
        "path": "a%2Fb//c%20d/",
        "query": "x=%2F&y=1&x=",
        "type": "text/odd",
        "body": "é",
    }


async def test_the_vendor_answers_for_itself(sandbox: httpx.AsyncClient) -> None:
    refused = await sandbox.get("/notes/anything")
    assert (refused.status_code, refused.json()) == (401, {"error": "who are you"})
    empty = await sandbox.get("/notes/empty", headers=AUTH)
    assert (empty.status_code, empty.content) == (204, b"")
    made = await sandbox.post("/notes/notes", json={"text": "hello"}, headers=AUTH)
    assert (made.status_code, made.json()) == (201, {"id": 1})
    state = (await sandbox.get("/_sandbox/notes/state")).json()
    assert [note["text"] for note in state["notes"]] == ["hello"]
    assert (await sandbox.get("/_sandbox/other/state")).json()["notes"] == []
    head = await sandbox.head("/notes/x", headers=AUTH)
    assert (head.status_code, head.content) == (200, b"")


async def test_a_stand_in_that_falls_over_says_why(sandbox: httpx.AsyncClient) -> None:
    failed = await sandbox.get("/notes/broken", headers=AUTH)
    assert failed.status_code == 500
    assert "ZeroDivisionError: it fell over" in failed.json()["error"]
    assert (await sandbox.get("/notes/x", headers=AUTH)).status_code == 200


@pytest.mark.parametrize(
    ("name", "why"),
    [("nobody", "Known: notes, other"), ("mute", "no sandbox.py"), ("bad", "manifest.json")],
)
async def test_what_is_not_hosted_is_said(sandbox: httpx.AsyncClient, name: str, why: str) -> None:
    for path in (f"/{name}/x", f"/{name}", f"/_sandbox/{name}/state"):
        missing = await sandbox.get(path)
        assert missing.status_code == 404
        assert why in missing.json()["error"]


async def test_requests_are_logged(sandbox: httpx.AsyncClient) -> None:
    await sandbox.post("/notes/notes?a=1", json={"text": "x" * 9000}, headers=AUTH)
    (line,) = (await sandbox.get("/_sandbox/notes/requests")).json()
    assert (line["method"], line["path"], line["query"], line["status"]) == (
        "POST", "notes", "a=1", 201,
    )  # fmt: skip
    assert len(line["body"]) == 2000
    assert "authorization" not in str(line)


async def order(client: httpx.AsyncClient, *faults: dict[str, object]) -> None:
    answer = await client.put("/_sandbox/notes/faults", json=list(faults))
    assert answer.status_code == 200, answer.text


async def texts(client: httpx.AsyncClient) -> list[str]:
    state = (await client.get("/_sandbox/notes/state")).json()
    return [note["text"] for note in state["notes"]]


async def post(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.post("/notes/notes", json={"text": text}, headers=AUTH)


async def test_a_reset_takes_effect_and_gives_no_answer(sandbox: httpx.AsyncClient) -> None:
    await order(sandbox, {"kind": "reset"}, {"kind": "reset", "handled": False})
    for text in ("kept", "lost"):
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await post(sandbox, text)
    assert await texts(sandbox) == ["kept"]
    assert (await post(sandbox, "after")).status_code == 201


async def test_a_truncated_answer_breaks_off(sandbox: httpx.AsyncClient) -> None:
    await order(sandbox, {"kind": "truncated"})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        await post(sandbox, "kept")
    assert await texts(sandbox) == ["kept"]


async def test_a_malformed_answer_is_whole_and_no_json(sandbox: httpx.AsyncClient) -> None:
    await order(sandbox, {"kind": "malformed"})
    answer = await post(sandbox, "kept")
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    with pytest.raises(ValueError, match="Expecting"):
        answer.json()


async def test_a_status_is_answered_and_nothing_done(sandbox: httpx.AsyncClient) -> None:
    await order(
        sandbox,
        {"kind": "status", "status": 429, "retry_after": 7},
        {"kind": "status"},
        {"kind": "status", "status": 500, "handled": True},
        {"kind": "redirect"},
    )
    limited = await post(sandbox, "a")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert (await post(sandbox, "b")).status_code == 500
    assert (await post(sandbox, "c")).status_code == 500
    moved = await post(sandbox, "d")
    assert (moved.status_code, moved.headers["location"]) == (302, "/_sandbox/elsewhere")
    assert await texts(sandbox) == ["c"]


async def test_a_slow_answer_is_right_and_late(sandbox: httpx.AsyncClient) -> None:
    await order(sandbox, {"kind": "slow", "delay": 0.3})
    began = time.monotonic()
    answer = await post(sandbox, "kept")
    assert (answer.status_code, answer.json()) == (201, {"id": 1})
    assert time.monotonic() - began >= 0.3


async def test_faults_meet_the_requests_they_are_for(sandbox: httpx.AsyncClient) -> None:
    only = {"method": "POST", "path_contains": "note"}
    await order(sandbox, {"kind": "status", "status": 503, "match": only, "times": 2})
    assert (await sandbox.get("/notes/notes", headers=AUTH)).status_code == 200
    assert [(await post(sandbox, "x")).status_code for _ in range(3)] == [503, 503, 201]
    (left,) = (await sandbox.get("/_sandbox/notes/faults")).json()
    assert left["times"] == 0
    assert (await sandbox.get("/other/x", headers=AUTH)).status_code == 200


async def test_a_fault_with_a_fault_is_refused(sandbox: httpx.AsyncClient) -> None:
    for wrong in ([{"kind": "nap"}], [{"kind": "slow", "delay": -1}], [{"kind": "reset", "x": 1}]):
        refused = await sandbox.put("/_sandbox/notes/faults", json=wrong)
        assert refused.status_code == 400
        assert "$[0]" in refused.json()["error"] or "field" in refused.json()["error"]


def test_faults_are_taken_in_order() -> None:
    faults = [Fault("status", Match("GET"), times=1), Fault("reset", times=2)]
    kinds = [found.kind for _ in range(4) if (found := take(faults, "get", "x"))]
    assert kinds == ["status", "reset", "reset"]


async def test_every_real_stand_in_is_hosted() -> None:
    registry = discover()
    async with a_sandbox(registry=registry) as client:
        everything = (await client.get("/_sandbox")).json()
        assert not everything["missing"]
        assert set(everything["integrations"]) == set(registry)
        for name in registry:
            answer = await client.get(f"/{name}/no/such/place")
            assert answer.status_code != 500, answer.text
        assert (await client.get("/")).status_code == 200
