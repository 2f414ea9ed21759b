"""What senders get for good and bad webhooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from hub.runtime.embedded import EmbeddedPostgres
from hub.runtime.services import Services
from hub.sdk.signature import sign
from hub.store.pool import away_as_error
from tests.support import SECRET, Hub, running_hub


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    async with running_hub(services, redis_url) as running:
        await running.connection("desk")
        yield running


def _signed(raw: bytes, **headers: str) -> dict[str, str]:
    return {
        "x-acme-signature": "sha256=" + sign(SECRET, raw),
        "content-type": "application/json",
        **headers,
    }


async def _webhooks(hub: Hub) -> int:
    return int(await hub.database.fetchval("select count(*) from webhooks"))


async def test_an_accepted_webhook_is_in_the_database_when_it_is_acknowledged(hub: Hub) -> None:
    answer = await hub.sender("desk")(id="1", type="ticket", ticket="t", title="x")
    assert (answer.status_code, answer.json()) == (200, {})
    assert await _webhooks(hub) == 1


async def test_unknown_key_is_404_as_a_problem(hub: Hub) -> None:
    answer = await hub.client.post(f"{hub.url}/webhooks/acme/nope", content=b"{}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "copy it again" in answer.json()["detail"]
    other = await hub.client.post(f"{hub.url}/webhooks/slack/key-desk", content=b"{}")
    assert other.status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"x-acme-signature": ""}, {"x-acme-signature": "sha256="}, {"x-acme-signature": "sha1=abc"},
        {"x-acme-signature": "sha256=" + "0" * 64}, {"x-acme-signature": "sha256=\xe9\xff"},
    ],
)  # fmt: skip
async def test_a_bad_signature_is_401_counted_and_not_kept(
    hub: Hub, headers: dict[str, str]
) -> None:
    raw = b'{"id": "1", "type": "ticket"}'
    sent = {k: v.encode("latin-1") for k, v in headers.items()}
    answer = await hub.client.post(
        f"{hub.url}/webhooks/acme/key-desk",
        content=raw,
        headers={"content-type": "application/json", **sent},
    )
    assert answer.status_code == 401
    assert SECRET not in answer.text
    assert await _webhooks(hub) == 0
    assert await hub.database.fetchval("select refused from connections where name = 'desk'") == 1


async def test_over_the_limit_is_413_whether_declared_or_streamed(hub: Hub) -> None:
    big = b"x" * (hub.services.settings.max_body_bytes + 1)
    declared = await hub.client.post(
        f"{hub.url}/webhooks/acme/key-desk", content=big, headers=_signed(b"")
    )
    assert declared.status_code == 413

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(len(big) // 1_000_000 + 1):
            yield b"x" * 1_000_000

    streamed = await hub.client.post(
        f"{hub.url}/webhooks/acme/key-desk", content=stream(), headers=_signed(b"")
    )
    assert streamed.status_code == 413
    assert await _webhooks(hub) == 0


async def test_wrong_method_and_content_type(hub: Hub) -> None:
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        answer = await hub.client.request(method, f"{hub.url}/webhooks/acme/key-desk")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
    raw = b"a=1"
    typed = await hub.client.post(
        f"{hub.url}/webhooks/acme/key-desk", content=raw,
        headers=_signed(raw, **{"content-type": "application/x-www-form-urlencoded"}),
    )  # fmt: skip
    assert typed.status_code == 415
    assert "application/json" in typed.json()["detail"]


@pytest.mark.parametrize(
    ("raw", "path"),
    [(b"not json", "$"), (b"\xff\xfe", "$"), (b"[1]", "type"), (b'{"id": "7", "type": 4}', "type"),
     (b'{"id": "8", "type": "ticket", "ticket": null}', "ticket")],
)  # fmt: skip
async def test_signed_but_unreadable_is_kept_acknowledged_and_failed_with_the_path(
    hub: Hub, raw: bytes, path: str
) -> None:
    answer = await hub.client.post(
        f"{hub.url}/webhooks/acme/key-desk", content=raw, headers=_signed(raw)
    )
    assert answer.status_code == 200
    await hub.quiet()
    row = await hub.database.fetchrow("select state, reason, body from webhooks")
    assert row["state"] == "failed"
    assert row["reason"].startswith(f"{path}: expected ")
    assert bytes(row["body"]) == raw


async def test_an_unsupported_type_is_acknowledged_and_ignored_with_the_reason(hub: Hub) -> None:
    assert (await hub.sender("desk")(id="1", type="weather")).status_code == 200
    await hub.quiet()
    row = await hub.database.fetchrow("select state, reason from webhooks")
    assert (row["state"], row["reason"]) == ("ignored", "event type 'weather' is not supported")


async def test_the_same_webhook_many_times_at_once_is_kept_once(hub: Hub) -> None:
    send = hub.sender("desk")
    answers = await asyncio.gather(
        *(send(id="same", type="ticket", ticket="t", title="x") for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert await hub.database.fetchval("select duplicates from webhooks") == 19
    await hub.quiet()
    assert await hub.database.fetchval("select count(*) from events") == 1


async def test_without_an_id_the_body_is_the_key(hub: Hub) -> None:
    send = hub.sender("desk")
    for title in ("a", "a", "b"):
        await send(type="ticket", ticket="t", title=title)
    assert await _webhooks(hub) == 2


async def test_a_paused_connection_keeps_what_arrives_and_goes_on_when_resumed(hub: Hub) -> None:
    await hub.database.execute("update connections set state = 'paused'")
    hub.services.connections.forget()
    assert (
        await hub.sender("desk")(id="1", type="ticket", ticket="t", title="x")
    ).status_code == 200
    await asyncio.sleep(0.3)
    assert await hub.database.fetchval("select state from webhooks") == "received"
    await hub.database.execute("update connections set state = 'active'")
    await hub.services.wake()
    await hub.quiet()
    assert await hub.database.fetchval("select state from webhooks") == "processed"


async def test_a_removed_connection_answers_as_its_vendor_wants(hub: Hub) -> None:
    await hub.database.execute("update connections set state = 'removed'")
    hub.services.connections.forget()
    answer = await hub.sender("desk")(id="1", type="ticket", ticket="t", title="x")
    assert answer.status_code == 503  # as the manifest's `when_removed` says
    assert answer.headers["retry-after"]


async def test_both_secrets_are_accepted_during_a_rotation(hub: Hub) -> None:
    sealed = hub.services.vault.seal({"secret": ["brand-new", SECRET], "token": ["x"]})
    await hub.database.execute("update connections set secrets = $1", sealed)
    hub.services.connections.forget()
    for number, secret in enumerate((SECRET, "brand-new", "other")):
        raw = json.dumps(
            {"id": str(number), "type": "ticket", "ticket": "t", "title": "x"}
        ).encode()
        headers = {
            "x-acme-signature": "sha256=" + sign(secret, raw),
            "content-type": "application/json",
        }
        answer = await hub.client.post(
            f"{hub.url}/webhooks/acme/key-desk", content=raw, headers=headers
        )
        assert answer.status_code == (401 if secret == "other" else 200)


async def test_null_characters_surrogates_and_huge_numbers_survive(hub: Hub) -> None:
    raw = (
        b'{"id":"1","type":"ticket","ticket":"t","title":"nul \\u0000 half \\ud800 end","body":"\\u0000","rating":1'
        + b"0" * 400
        + b"}"
    )
    answer = await hub.client.post(
        f"{hub.url}/webhooks/acme/key-desk", content=raw, headers=_signed(raw)
    )
    assert answer.status_code == 200
    await hub.quiet()
    assert bytes(await hub.database.fetchval("select body from webhooks")) == raw
    assert await hub.database.fetchval("select state from webhooks") in {"processed", "failed"}


async def test_authorization_headers_and_tokens_in_the_query_are_not_kept(hub: Hub) -> None:
    raw = b'{"id": "1", "type": "ticket", "ticket": "t", "title": "x"}'
    await hub.client.post(
        f"{hub.url}/webhooks/acme/key-desk?token=hush&a=1",
        content=raw,
        headers=_signed(raw, authorization="Bearer hush"),
    )
    row = await hub.database.fetchrow("select headers::text as headers, query from webhooks")
    assert "hush" not in row["headers"] + row["query"]


async def test_with_postgres_away_it_is_503_and_the_retry_is_taken_once(
    hub: Hub, postgres: EmbeddedPostgres
) -> None:
    """Last in the file: the server is stopped as by a power loss, and recovers."""
    send = hub.sender("desk")
    body = {"id": "1", "type": "ticket", "ticket": "t", "title": "x"}
    assert (await send(**{**body, "id": "0"})).status_code == 200
    postgres.stop(immediate=True)
    answer = await send(**body)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    postgres.start()
    async with away_as_error():
        await hub.database.expire_connections()
    for _ in range(2):
        assert (await send(**body)).status_code == 200
    await hub.quiet()
    keys = [
        row["dedupe_key"]
        for row in await hub.database.fetch("select dedupe_key from webhooks order by id")
    ]
    assert keys == ["0", "1"]
