"""Waiting lines are seen and drained, and the audit adds up, and says so when it does not."""

from __future__ import annotations

from typing import Any

from hub.runtime.services import Services
from tests.admin.conftest import Api
from tests.admin.test_api import ROUTE, _event, _fields, _problem

LANE = "ticket/t1"


async def _line(api: Api, services: Services, desk: dict[str, Any], count: int = 3) -> None:
    await api("POST", "/routes", ROUTE)
    for number in range(1, count + 1):
        await _event(api, services, desk, id=number)


async def _shown(api: Api) -> list[dict[str, Any]]:
    answer = await api("GET", f"/lanes/line?connection=desk&lane={LANE}")
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_a_line_is_listed_with_its_head(
    api: Api, services: Services, desk: dict[str, Any]
) -> None:
    await _line(api, services, desk)
    (lane,) = (await api("GET", "/lanes")).json()["items"]
    assert (lane["connection"], lane["lane"], lane["waiting"]) == ("desk", LANE, 3)
    assert (lane["head"], lane["state"]) == ("dl_1", "pending")
    assert [item["id"] for item in await _shown(api)] == ["dl_1", "dl_2", "dl_3"]
    assert (await api("GET", "/lanes?connection=nobody")).json()["items"] == []


async def test_the_head_is_tried_now_or_skipped(
    api: Api, services: Services, desk: dict[str, Any]
) -> None:
    await _line(api, services, desk)
    await services.database.execute("update deliveries set due_at = now() + interval '1 hour'")
    await services.database.execute("update lanes set due_at = now() + interval '1 hour'")
    assert (await api("POST", "/deliveries/dl_1/retry")).status_code == 200
    due = await services.database.fetchval(
        "select due_at <= now() from lanes where lane = $1", LANE
    )
    assert due
    assert (await api("POST", "/deliveries/dl_1/skip", {"reason": "no"})).json()[
        "state"
    ] == "skipped"
    _problem(await api("POST", "/deliveries/dl_1/retry"), 409)
    assert [item["id"] for item in await _shown(api)] == ["dl_2", "dl_3"]


async def test_a_whole_line_is_skipped_and_can_be_replayed(
    api: Api, services: Services, desk: dict[str, Any]
) -> None:
    await _line(api, services, desk)
    body = {"connection": "desk", "lane": LANE, "reason": "the ticket is gone"}
    assert (await api("POST", "/lanes/skip", body)).json() == {"skipped": 3}
    assert await _shown(api) == []
    assert (await api("POST", "/replay", {"kind": "delivery", "filters": {"state": "skipped"}})).json() == {"replayed": 3}  # fmt: skip
    assert len(await _shown(api)) == 3


async def test_a_fix_changes_what_is_sent_and_nothing_else(
    api: Api, services: Services, desk: dict[str, Any]
) -> None:
    await _line(api, services, desk)
    answer = await api("POST", "/deliveries/dl_1/fix", {"inputs": {"body": "Mended words"}})
    assert answer.status_code == 200, answer.text
    row = await services.database.fetchrow(
        "select inputs, words, lane from deliveries where id = 1"
    )
    assert row is not None
    assert row["inputs"] == {"ticket": "t1", "body": "Mended words"}
    assert (row["words"], row["lane"]) == ("mended words", LANE)
    wrong = await api("POST", "/deliveries/dl_1/fix", {"inputs": {"body": 7}})
    assert "inputs.body" in _fields(wrong)
    moved = await api("POST", "/deliveries/dl_1/fix", {"inputs": {"ticket": "t2"}})
    assert "names another object" in _fields(moved)["inputs.ticket"]
    await services.database.execute("update deliveries set state = 'delivered' where id = 1")
    _problem(await api("POST", "/deliveries/dl_1/fix", {"inputs": {"body": "late"}}), 409)


async def test_the_audit_adds_up(api: Api, services: Services, desk: dict[str, Any]) -> None:
    await _line(api, services, desk)
    found = (await api("GET", "/flow/audit")).json()
    assert found["ok"], found
    assert found["counts"]["webhooks"] == {"processed": 3}
    assert found["counts"]["deliveries"] == {"pending": 3}
    assert [item["left"] for item in found["sums"]] == [3, 3]


async def test_the_audit_finds_what_was_lost_doubled_reordered(
    api: Api, services: Services, desk: dict[str, Any]
) -> None:
    await _line(api, services, desk, 4)
    run = services.database.execute
    await run("delete from webhooks where id = 4")
    await run("delete from lanes")
    await run("update deliveries set state = 'delivered', tries = 2 where id < 3")
    for number, delivery in enumerate((2, 1, 1), start=1):
        await run("insert into attempts (day, delivery_id, number, worker, outcome) "
                  "select day, id, $1, 'w', 'delivered' from deliveries where id = $2", number, delivery)  # fmt: skip
    await run("update events set state = 'echo' where id = 3")
    found = (await api("GET", "/flow/audit")).json()
    assert not found["ok"]
    broken = {item["name"]: sorted(item["examples"]) for item in found["checks"] if item["broken"]}
    assert broken == {
        "every accepted webhook is there": ["wh_4"],
        "every event has its webhook": ["ev_4"],
        "every waiting delivery is in a lane": ["dl_3", "dl_4"],
        "no delivery took effect twice": ["dl_1"],
        "each lane kept its order": ["dl_2"],
        "no echo was routed": ["ev_3"],
    }
    assert [item["holds"] for item in found["sums"]] == [False, True]
