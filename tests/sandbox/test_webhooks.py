"""The stand-ins' webhooks: in order, again until they are taken, not lost by a restart."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.sandbox import StateError
from hub.sandbox.house import House
from hub.sdk.signature import sign
from tests.sandbox.conftest import REGISTRY, Hub, a_sandbox, idle, until

CLOSED = "http://127.0.0.1:9/nobody"


async def act(client: httpx.AsyncClient, text: str, name: str = "notes") -> None:
    answer = await client.post(f"/_sandbox/{name}/act/note", json={"text": text})
    assert answer.status_code == 200, answer.text


async def point(client: httpx.AsyncClient, url: str, **more: str) -> None:
    answer = await client.put("/_sandbox/notes/target", json={"url": url, **more})
    assert answer.status_code == 200, answer.text


def texts(hub: Hub) -> list[str]:
    return [body["note"]["text"] for body in hub.bodies]


async def hooks(client: httpx.AsyncClient) -> list[Any]:
    return list((await client.get("/_sandbox/notes/webhooks")).json())


async def test_a_webhook_is_signed_with_the_shared_secret(
    sandbox: httpx.AsyncClient, hub: Hub
) -> None:
    await point(sandbox, hub.url, secret="ours", token="our-token")
    await act(sandbox, "hello")
    await idle(sandbox)
    ((headers, body),) = hub.got
    assert headers["x-signature"] == sign("ours", body)
    got = await sandbox.get("/notes/x", headers={"authorization": "Bearer our-token"})
    assert got.status_code == 200


async def test_a_change_through_the_api_is_told_too(sandbox: httpx.AsyncClient, hub: Hub) -> None:
    await point(sandbox, hub.url)
    await sandbox.post(
        "/notes/notes", json={"text": "by api"}, headers={"authorization": "Bearer sample-token"}
    )
    await idle(sandbox)
    assert texts(hub) == ["by api"]


async def test_webhooks_come_in_order_also_over_failures(
    sandbox: httpx.AsyncClient, hub: Hub
) -> None:
    hub.answers = [503, 429, 200, 500]
    await point(sandbox, hub.url)
    for number in range(5):
        await act(sandbox, str(number))
    await idle(sandbox)
    assert texts(hub) == ["0", "0", "0", "1", "1", "2", "3", "4"]
    assert [(hook["state"], hook["attempts"]) for hook in await hooks(sandbox)] == [
        ("sent", 3), ("sent", 2), ("sent", 1), ("sent", 1), ("sent", 1),
    ]  # fmt: skip


async def test_what_is_refused_is_not_sent_again(sandbox: httpx.AsyncClient, hub: Hub) -> None:
    hub.answers = [401]
    await point(sandbox, hub.url)
    await act(sandbox, "refused")
    await act(sandbox, "taken")
    await idle(sandbox)
    assert texts(hub) == ["refused", "taken"]
    first, second = await hooks(sandbox)
    assert (first["state"], first["note"], second["state"]) == ("refused", "HTTP 401", "sent")


async def test_without_an_address_nothing_is_sent(sandbox: httpx.AsyncClient, hub: Hub) -> None:
    await act(sandbox, "before")
    await point(sandbox, hub.url)
    await act(sandbox, "after")
    await idle(sandbox)
    assert texts(hub) == ["after"]
    assert [hook["state"] for hook in await hooks(sandbox)] == ["unsent", "sent"]


async def test_a_new_address_is_used_at_once(sandbox: httpx.AsyncClient, hub: Hub) -> None:
    await point(sandbox, CLOSED)
    await act(sandbox, "late")

    async def waited_long() -> bool:
        return bool((await hooks(sandbox))[0]["attempts"] >= 3)

    await until(waited_long)
    assert (await sandbox.get("/_sandbox/idle")).json() == {"idle": False, "pending": 1}
    await point(sandbox, hub.url)
    await idle(sandbox)
    assert texts(hub) == ["late"]


async def test_one_stand_in_does_not_wait_for_another(sandbox: httpx.AsyncClient, hub: Hub) -> None:
    await point(sandbox, CLOSED)
    await sandbox.put("/_sandbox/other/target", json={"url": hub.url})
    await act(sandbox, "stuck")
    await act(sandbox, "free", "other")

    async def came() -> bool:
        return texts(hub) == ["free"]

    await until(came)


async def test_an_act_that_fails_says_why(sandbox: httpx.AsyncClient) -> None:
    unknown = await sandbox.post("/_sandbox/notes/act/sing", json={})
    assert (unknown.status_code, unknown.json()["error"]) == (
        400, "notes sing: unknown act 'sing'; known: note",
    )  # fmt: skip
    for body in (b"{", b"[]", b'"x"'):
        refused = await sandbox.post("/_sandbox/notes/act/note", content=body)
        assert refused.status_code == 400
    assert (await sandbox.put("/_sandbox/notes/target", json={})).status_code == 400


async def test_a_restart_keeps_ids_addresses_and_what_was_on_its_way(
    tmp_path: Path, hub: Hub
) -> None:
    file = tmp_path / "deep" / "sandbox.json"
    async with a_sandbox(file) as first:
        await point(first, CLOSED, secret="ours")
        await act(first, "one")
        assert [entry.name for entry in file.parent.iterdir()] == ["sandbox.json"]
        written = file.read_bytes()
        assert b'"one"' in written
    async with a_sandbox(file) as second:
        state = (await second.get("/_sandbox/notes/state")).json()
        assert [note["text"] for note in state["notes"]] == ["one"]
        assert (await second.get("/_sandbox/idle")).json()["pending"] == 1
        await point(second, hub.url)
        await act(second, "two")
        await idle(second)
    assert [body["note"]["id"] for body in hub.bodies] == [1, 2]
    assert hub.got[1][0]["x-signature"] == sign("ours", hub.got[1][1])


async def test_reset_begins_anew_and_keeps_the_address(
    sandbox: httpx.AsyncClient, hub: Hub
) -> None:
    await point(sandbox, CLOSED)
    await act(sandbox, "old")
    await sandbox.put("/_sandbox/notes/faults", json=[{"kind": "reset", "times": 9}])
    await asyncio.sleep(0.1)
    assert (await sandbox.post("/_sandbox/reset")).status_code == 200
    assert (await sandbox.get("/_sandbox/notes/state")).json() == {"notes": []}
    assert (await sandbox.get("/_sandbox/idle")).json() == {"idle": True, "pending": 0}
    everything = (await sandbox.get("/_sandbox")).json()["integrations"]["notes"]
    assert (everything["target"], everything["faults"], everything["requests"]) == (CLOSED, 0, 0)
    await point(sandbox, hub.url)
    await act(sandbox, "new")
    await idle(sandbox)
    assert texts(hub) == ["new"]


def test_a_state_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.json"
    file.write_text("{")
    with pytest.raises(StateError, match="remove it"):
        House(REGISTRY, file)


async def test_the_page_shows_what_is_held_and_escapes_it(
    sandbox: httpx.AsyncClient, hub: Hub
) -> None:
    await point(sandbox, hub.url)
    await act(sandbox, "<script>alert(1)</script>")
    await idle(sandbox)
    page = await sandbox.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "&lt;script&gt;" in page.text
    assert "<script>" not in page.text
    for shown in ("note.made", "sent", hub.url.replace("/", "&#x2f;"), "it has no sandbox.py"):
        assert shown in page.text
    assert "http" not in page.headers["content-security-policy"]
