"""The admin API: every error says what to do, secrets stay in, changes are audited."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hub.normalize.stage import normalize_waiting
from hub.route.stage import Router
from hub.runtime.embedded import EmbeddedPostgres
from hub.runtime.services import Services
from hub.sdk.signature import sign
from tests.admin.conftest import Api
from tests.support import SECRET, Vendor

ROUTE = {
    "name": "bugs", "on": ["feedback.received"], "when": "data.kind == 'bug'",
    "steps": [{"name": "note", "connection": "desk", "action": "note",
               "inputs": {"ticket": "{{ subject.id }}", "body": "{{ data.title }}"}}],
}  # fmt: skip


def _problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def _fields(answer: httpx.Response) -> dict[str, str]:
    return {fault["field"]: fault["problem"] for fault in _problem(answer, 422)["errors"]}


async def _event(api: Api, services: Services, desk: dict[str, Any], **more: Any) -> str:
    """Take a webhook in and route it, without a worker; returns the event's id."""
    body = (
        b'{"id":"%s","type":"ticket","ticket":"t1","title":"Export"}'
        % str(more.get("id", 1)).encode()
    )
    headers = {
        "x-acme-signature": "sha256=" + sign(SECRET, body),
        "content-type": "application/json",
    }
    path = "/webhooks" + desk["webhook_url"].partition("/webhooks")[2]
    assert (await api.http.post(path, content=body, headers=headers)).status_code == 200
    services.connections.forget()
    connection = await services.connections.by_name("desk")
    assert connection is not None
    await normalize_waiting(services.database, services.connections, connection)
    await Router(services.database, services.connections, services.routes).route_waiting(connection)
    found: str = (await api("GET", "/events")).json()["items"][0]["id"]
    return found


async def test_keys_and_roles(api: Api) -> None:
    none = await api.http.get("/api/v1/me")
    assert "Authorization: Bearer" in _problem(none, 401)["detail"]
    assert none.headers["www-authenticate"] == "Bearer"
    _problem(await api("GET", "/me", key="hub_wrong"), 401)
    made = (await api("POST", "/api-keys", {"name": "look", "role": "reader"})).json()
    assert (await api("GET", "/me", key=made["key"])).json()["role"] == "reader"
    _problem(await api("POST", "/routes/order", {"names": []}, key=made["key"]), 403)
    assert "name" in _fields(await api("POST", "/api-keys", {"name": "look"}))
    assert (await api("DELETE", f"/api-keys/{made['id']}")).status_code == 204
    _problem(await api("GET", "/me", key=made["key"]), 401)
    listed = (await api("GET", "/api-keys")).text
    assert made["key"] not in listed


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("GET", "/nowhere", None, 404), ("PATCH", "/me", {}, 405), ("GET", "/events/ev_99", None, 404),
    ("GET", "/events/nonsense", None, 422), ("GET", "/events?limit=0", None, 422), ("GET", "/events?colour=red", None, 422),
    ("GET", "/events?cursor=zz", None, 422), ("POST", "/connections", {"name": "Bad Name"}, 422),
    ("POST", "/replay", {"kind": "event"}, 422), ("POST", "/replay", {"kind": "webhook", "filters": {"x": "y"}}, 422),
    ("GET", "/explain/jira/issue/NO-1", None, 404), ("POST", "/links", {"report": "nd_1", "work_item": "nd_2"}, 422),
    ("POST", "/deliveries/dl_1/skip", {}, 409), ("GET", "/routes/none", None, 404), ("GET", "/connections/none", None, 404),
])  # fmt: skip
async def test_every_error_is_a_problem(
    api: Api, method: str, path: str, body: Any, status: int
) -> None:
    _problem(await api(method, path, body), status)


async def test_every_faulty_field_of_a_config_is_named_with_its_mend(api: Api) -> None:
    answer = await api(
        "POST",
        "/connections",
        {"name": "x", "integration": "acme", "config": {"site": 4, "colour": "red"}},
    )
    assert set(_fields(answer)) == {"config.site", "config.colour", "config.token", "config.secret"}
    mends = {fault["field"]: fault["mend"] for fault in answer.json()["errors"]}
    assert mends["config.token"] == "From Settings, API"
    assert "integration" in _fields(
        await api("POST", "/connections", {"name": "x", "integration": "nope"})
    )
    secret = await api(
        "POST",
        "/connections",
        {"name": "x", "integration": "acme", "config": {"token": 12345678, "secret": "s"}},
    )
    assert "config.token" in _fields(secret)
    assert "12345678" not in secret.text


async def test_what_only_the_integration_can_check_is_a_422_too(api: Api) -> None:
    config = {
        "url": "https://x.example",
        "signature": {"scheme": "none"},
        "mapping": {
            "type": "feedback.received",
            "subject": "{{ payload.id",
            "data": {"title": "x"},
        },
    }
    fields = _fields(
        await api("POST", "/connections", {"name": "x", "integration": "webhook", "config": config})
    )
    assert any(field.startswith("config.mapping") for field in fields)


async def test_secrets_are_written_and_never_read(
    api: Api, services: Services, desk: dict[str, Any]
) -> None:
    assert desk["config"]["token"] == desk["config"]["secret"] == "••••••••"
    for path in ("/connections", "/connections/desk", "/audit"):
        assert "sample-" not in (await api("GET", path)).text
    stored = await services.database.fetchval("select secrets from connections")
    assert b"sample" not in bytes(stored)
    kept = await api(
        "PATCH", "/connections/desk", {"config": {"secret": "••••••••", "site": "b.example"}}
    )
    assert kept.json()["config"]["site"] == "b.example"
    assert kept.json()["previous_secrets"] == []
    changed = await api("PATCH", "/connections/desk", {"config": {"secret": "another"}})
    assert changed.json()["previous_secrets"] == ["secret"]
    services.connections.forget()
    found = await services.connections.by_name("desk")
    assert found is not None
    assert found.secrets["secret"] == ("another", "sample-secret")
    assert (await api("POST", "/connections/desk/retire-secrets")).json()["previous_secrets"] == []


async def test_a_connection_lives(api: Api, desk: dict[str, Any], vendor: Vendor) -> None:
    assert "name" in _fields(
        await api(
            "POST",
            "/connections",
            {"name": "desk", "integration": "acme", "config": {"token": "t", "secret": "s"}},
        )
    )
    tested = (await api("POST", "/connections/desk/test")).json()
    assert (tested["ok"], tested["account"]["id"]) == (True, "hub-bot")
    twin = {
        "name": "twin",
        "integration": "acme",
        "config": {"api_url": vendor.url, "token": "sample-token", "secret": "s"},
    }
    await api("POST", "/connections", twin)
    assert "desk" in _problem(await api("POST", "/connections/twin/test"), 409)["detail"]
    vendor.token = "other"
    assert (await api("POST", "/connections/desk/test")).json()["failure"] == "invalid_auth"
    await api("PATCH", "/connections/desk", {"config": {"api_url": "http://127.0.0.1:9/api"}})
    assert (await api("POST", "/connections/desk/test")).json()["failure"] == "cannot_connect"
    assert (await api("POST", "/connections/desk/pause", {"reason": "spring cleaning"})).json()[
        "reason"
    ] == "spring cleaning"
    assert (await api("POST", "/connections/desk/resume")).json()["state"] == "active"
    moved = (await api("POST", "/connections/desk/rotate-key")).json()
    assert moved["webhook_url"] != desk["webhook_url"]
    assert (await api("DELETE", "/connections/desk")).status_code == 204
    _problem(await api("GET", "/connections/desk"), 404)
    again = await api(
        "POST",
        "/connections",
        {"name": "desk", "integration": "acme", "config": {"token": "t", "secret": "s"}},
    )
    assert again.status_code == 201
    actions = [row["action"] for row in (await api("GET", "/audit")).json()["items"]]
    assert {
        "connection.create",
        "connection.remove",
        "connection.rotate_key",
        "connection.paused",
    } <= set(actions)


async def test_every_fault_of_a_route_is_named_at_once(api: Api, desk: dict[str, Any]) -> None:
    route = {
        "name": "r", "on": ["feedback.received", "weather"], "connections": ["nope"], "when": "data.knd ==",
        "steps": [{"name": "a", "connection": "desk", "action": "dance"},
                  {"name": "b", "connection": "desk", "action": "note", "after": "z", "inputs": {"ticket": "{{ subject.id", "colour": 1}}],
    }  # fmt: skip
    fields = _fields(await api("POST", "/routes", route))
    assert {"on[1]", "connections[0]", "when", "steps[0].action", "steps[1].after", "steps[1].inputs.ticket",
            "steps[1].inputs.colour", "steps[1].inputs.body"} <= set(fields)  # fmt: skip
    assert "steps[0]" in _fields(
        await api(
            "POST", "/routes", {"name": "r", "on": ["x"], "steps": [{"name": "a", "acton": "b"}]}
        )
    )


async def test_a_route_lives(api: Api, services: Services, desk: dict[str, Any]) -> None:
    made = await api("POST", "/routes", ROUTE)
    assert (made.status_code, made.json()["version"]) == (201, 1)
    assert "name" in _fields(await api("POST", "/routes", ROUTE))
    assert (await api("PUT", "/routes/bugs", {**ROUTE, "title": "Bugs"})).json()["version"] == 2
    await api("POST", "/routes", {**ROUTE, "name": "second"})
    ordered = (await api("POST", "/routes/order", {"names": ["second"]})).json()["items"]
    assert [route["name"] for route in ordered] == ["second", "bugs"]
    assert "names[0]" in _fields(await api("POST", "/routes/order", {"names": ["third"]}))
    assert (await api("POST", "/routes/bugs/disable")).json()["enabled"] is False
    assert (await api("POST", "/routes/bugs/enable")).json()["enabled"] is True
    event = await _event(api, services, desk)
    tried = (await api("POST", "/routes/dry-run", {"name": "bugs", "event": event})).json()
    assert tried["matched"]
    assert tried["steps"][0]["inputs"] == {"ticket": "t1", "body": "Export"}
    other = (
        await api(
            "POST",
            "/routes/dry-run",
            {"route": {**ROUTE, "when": "data.kind == 'idea'"}, "event": event},
        )
    ).json()
    assert (other["matched"], other["clause"]) == (False, "when: data.kind == 'idea'")
    before = await services.database.fetchval("select count(*) from deliveries")
    await api("POST", "/routes/dry-run", {"name": "bugs", "event": event})
    assert await services.database.fetchval("select count(*) from deliveries") == before
    assert (await api("DELETE", "/routes/second")).status_code == 204


async def test_lists_page_through_everything_once(
    api: Api, services: Services, desk: dict[str, Any]
) -> None:
    await api("POST", "/routes", ROUTE)
    for number in range(7):
        await _event(api, services, desk, id=number)
    for kind in ("webhooks", "events", "deliveries"):
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await api("GET", f"/{kind}?limit=3&cursor={cursor}")).json()
            seen += [item["id"] for item in page["items"]]
            if not page["next"]:
                break
            cursor = page["next"]
        assert len(seen) == len(set(seen)) == 7
    assert (
        len(
            (
                await api("GET", "/events?type=feedback.received&connection=desk&state=routed")
            ).json()["items"]
        )
        == 7
    )
    assert (await api("GET", "/deliveries?state=dead")).json()["items"] == []
    assert (await api("GET", "/events?since=2100-01-01T00:00:00Z")).json()["items"] == []


async def test_one_thing_whole_and_explained(
    api: Api, services: Services, desk: dict[str, Any]
) -> None:
    await api("POST", "/routes", ROUTE)
    event = await _event(api, services, desk)
    whole = (await api("GET", f"/events/{event}")).json()
    assert whole["event"]["specversion"] == "1.0"
    assert whole["event"]["source"] == "/connections/desk"
    webhook = (await api("GET", f"/webhooks/{whole['webhook_id']}")).json()
    assert "Export" in webhook["body"]
    for name in (whole["webhook_id"], event, "acme/ticket/t1", whole["node_id"]):
        assert "bugs" in (await api("GET", f"/explain/{name}")).text
    delivery = (await api("GET", "/deliveries")).json()["items"][0]["id"]
    assert (await api("GET", f"/deliveries/{delivery}")).json()["waits_for"].startswith("due at")
    skipped = (await api("POST", f"/deliveries/{delivery}/skip", {"reason": "not this one"})).json()
    assert (skipped["state"], skipped["reason"]) == ("skipped", "not this one")
    again = await api("POST", f"/deliveries/{delivery}/replay", {})
    assert again.json() == {"replayed": 1}
    assert (
        await api("POST", "/replay", {"kind": "event", "filters": {"type": "feedback.received"}})
    ).json()["replayed"] == 1
    assert (await api("POST", "/replay", {"kind": "webhook", "ids": [whole["webhook_id"]]})).json()[
        "replayed"
    ] == 1


async def test_links_by_hand(api: Api, services: Services, desk: dict[str, Any]) -> None:
    await _event(api, services, desk)
    await services.database.execute(
        "insert into nodes (connection_id, kind, key) values (1, 'issue', 'ACME-5')"
    )
    made = (
        await api("POST", "/links", {"report": "acme/ticket/t1", "work_item": "acme/issue/ACME-5"})
    ).json()
    assert (made["origin"], made["work_item"]) == ("manual", "acme/issue/ACME-5")
    assert (await api("GET", f"/links/{made['id']}")).json()["removed_at"] is None
    assert (await api("DELETE", f"/links/{made['id']}")).status_code == 204
    _problem(await api("DELETE", f"/links/{made['id']}"), 404)
    assert len((await api("GET", "/things?kind=issue&key=ACME-5")).json()["items"]) == 1


async def test_health_and_openapi(api: Api, postgres: EmbeddedPostgres) -> None:
    health = (await api.http.get("/api/v1/health")).json()
    assert health["status"] == "ok"
    document = (await api.http.get("/docs/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operations = [
        op
        for path in document["paths"].values()
        for name, op in path.items()
        if name in {"get", "post", "put", "patch", "delete"}
    ]
    assert len(operations) > 40
    assert all(operation.get("summary") for operation in operations)
    assert (await api.http.get("/metrics")).status_code == 200
    postgres.stop(immediate=True)
    try:
        away = await api.http.get("/api/v1/health")
        assert away.status_code == 503
        assert away.json()["checks"]["postgres"]["status"] == "down"
        problem = await api("GET", "/events")
        assert _problem(problem, 503)
        assert problem.headers["retry-after"]
    finally:
        postgres.start()
