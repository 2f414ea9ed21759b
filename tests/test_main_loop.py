"""The whole path on real parts: reports become work, and the customers hear when it ships."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.runtime.services import Services
from tests.support import Hub, running_hub, until


@pytest.fixture
async def hub(services: Services, redis_url: str) -> AsyncIterator[Hub]:
    async with running_hub(services, redis_url) as running:
        yield running


async def _workspace(hub: Hub) -> None:
    await hub.connection("desk")
    await hub.connection("work")
    await hub.route(
        "bugs", on=["feedback.received"], connections=["desk"], when="data.kind == 'bug'",
        steps=[
            {"name": "create", "connection": "work", "action": "create_issue", "about": "{{ data.tags[0] }}",
             "inputs": {"summary": "{{ data.title }}", "body": "{{ data.body }}"}},
            {"name": "tell", "connection": "desk", "action": "note", "after": "create",
             "inputs": {"ticket": "{{ subject.id }}", "body": "Work item {{ steps.create.key }}"}},
        ],
    )  # fmt: skip
    await hub.route(
        "shipped", on=["work_item.status_changed"], when="data.status.category == 'done'", for_each="report",
        steps=[{"name": "answer", "connection": "desk", "action": "reply",
                "inputs": {"ticket": "{{ report.id }}", "body": "Hello {{ report.customer.name }}: {{ report.title }} is done."}}],
    )  # fmt: skip


def _ticket(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"w{number}", "type": "ticket", "ticket": f"t{number}", "title": f"Export {number}",
        "body": "It stops.", "name": f"Name{number}", "email": f"c{number}@example.com",
        "tags": ["export"], **more,
    }  # fmt: skip


async def test_two_reports_of_one_bug_make_one_issue_and_both_customers_hear(hub: Hub) -> None:
    await _workspace(hub)
    send = hub.sender("desk")
    answers = await asyncio.gather(send(**_ticket(1)), send(**_ticket(2)), send(**_ticket(1)))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    await until(lambda: _count(hub, "notes", 2))
    assert len(hub.vendor.of("issues")) == 1
    key = hub.vendor.of("issues")[0]["key"]
    assert {note["body"] for note in hub.vendor.of("notes")} == {f"Work item {key}"}

    work = hub.sender("work")
    await work(id="s1", type="issue.status", issue=key, status="Done", by="lee")
    await until(lambda: _count(hub, "replies", 2))
    await hub.quiet()
    assert {(r["ticket"], r["body"]) for r in hub.vendor.of("replies")} == {
        ("t1", "Hello Name1: Export 1 is done."),
        ("t2", "Hello Name2: Export 2 is done."),
    }


async def test_a_status_that_comes_twice_and_flips_is_told_once(hub: Hub) -> None:
    await _workspace(hub)
    await hub.sender("desk")(**_ticket(1))
    await until(lambda: _count(hub, "notes", 1))
    key = hub.vendor.of("issues")[0]["key"]
    work = hub.sender("work")
    for number, status in enumerate(("Done", "In Progress", "Done")):
        body = {
            "id": f"s{number}",
            "type": "issue.status",
            "issue": key,
            "status": status,
            "by": "lee",
        }
        await asyncio.gather(work(**body), work(**body))
        await hub.quiet()
    assert len(hub.vendor.of("replies")) == 1
    reasons = [
        row["reason"]
        for row in await hub.database.fetch("select reason from deliveries where state = 'skipped'")
    ]
    assert any(reason.startswith("already done by dl_") for reason in reasons)


async def test_a_status_that_comes_late_does_not_overwrite_a_newer_one(hub: Hub) -> None:
    await _workspace(hub)
    await hub.sender("desk")(**_ticket(1))
    await until(lambda: _count(hub, "notes", 1))
    key = hub.vendor.of("issues")[0]["key"]
    work = hub.sender("work")
    await work(
        id="new",
        type="issue.status",
        issue=key,
        status="In Progress",
        by="lee",
        at="2026-11-02T10:00:00Z",
    )
    await hub.quiet()
    await work(
        id="old", type="issue.status", issue=key, status="Done", by="lee", at="2026-11-02T09:00:00Z"
    )
    await hub.quiet()
    assert hub.vendor.of("replies") == []
    states = [
        row["state"]
        for row in await hub.database.fetch(
            "select state from events where type like 'work%' order by id"
        )
    ]
    assert states == ["unmatched", "late"]
    assert (
        await hub.database.fetchval("select status from nodes where kind = 'issue'")
        == "In Progress"
    )


async def test_a_key_in_a_text_links_the_report(hub: Hub) -> None:
    await _workspace(hub)
    await hub.sender("work")(
        id="c", type="issue.created", issue="ACME-7", title="Old bug", by="lee"
    )
    await hub.quiet()
    await hub.sender("desk")(
        id="n", type="reply", ticket="t9", body="Same as ACME-7, not UTF-8", note=True, by="lee"
    )
    await hub.quiet()
    linked = await hub.database.fetch(
        "select r.external_id, w.key, l.origin from links l join nodes r on r.id = l.report_id join nodes w on w.id = l.work_id"
    )
    # The made-up tool's projects belong to both connections, so each has its own ACME-7.
    assert {tuple(row) for row in linked} == {("t9", "ACME-7", "mention")}


async def test_a_reference_in_the_payload_links_the_report(hub: Hub) -> None:
    await hub.connection("desk")
    await hub.sender("desk")(**_ticket(1, about=["ACME-3"]))
    await hub.quiet()
    rows = await hub.database.fetch(
        "select l.origin, w.key from links l join nodes w on w.id = l.work_id"
    )
    assert [tuple(row) for row in rows] == [("reference", "ACME-3")]


async def test_what_the_hub_wrote_comes_back_and_is_not_routed(hub: Hub) -> None:
    """Comment → note → comment: two routes that would feed each other end at the first echo."""
    await hub.connection("desk")
    await hub.connection("work")
    await hub.route("down", on=["work_item.commented"], steps=[
        {"name": "note", "connection": "desk", "action": "note", "inputs": {"ticket": "t1", "body": "{{ data.comment }}"}}])  # fmt: skip
    await hub.route("up", on=["conversation.replied"], steps=[
        {"name": "comment", "connection": "work", "action": "comment", "inputs": {"issue": "ACME-1", "body": "{{ data.body }}"}}])  # fmt: skip
    work, desk = hub.sender("work"), hub.sender("desk")
    await work(
        id="c1",
        type="issue.comment",
        issue="ACME-1",
        comment="501",
        body="Found **it** in the exporter.",
        by="lee",
    )
    note = (await until(lambda: _count(hub, "notes", 1))) and hub.vendor.of("notes")[0]
    # The vendor has reformatted the text, and sends no id that the hub knows.
    await desk(
        id="e1",
        type="reply",
        ticket="t1",
        body="<p>Found <b>it</b> in the  exporter.</p>",
        note=True,
    )
    await hub.quiet()
    assert note["body"].startswith("Found")
    assert hub.vendor.of("comments") == []
    row = await hub.database.fetchrow(
        "select state, reason from events where type = 'conversation.replied'"
    )
    assert row["state"] == "echo"
    assert row["reason"].startswith("it says what dl_")
    # Another person's words on the same ticket do pass.
    await desk(
        id="r2",
        type="reply",
        ticket="t1",
        body="Thanks, I will tell the customer tomorrow.",
        note=True,
        by="kim",
    )
    await until(lambda: _count(hub, "comments", 1))


async def test_a_chain_that_echo_checks_miss_is_broken_and_the_ring_named(hub: Hub) -> None:
    await hub.connection("desk")
    await hub.connection("work")
    await hub.route("down", on=["work_item.commented"], steps=[
        {"name": "note", "connection": "desk", "action": "note", "inputs": {"ticket": "t1", "body": "{{ data.comment }}"}}])  # fmt: skip
    await hub.route("up", on=["conversation.replied"], steps=[
        {"name": "comment", "connection": "work", "action": "comment", "inputs": {"issue": "ACME-1", "body": "{{ data.body }}"}}])  # fmt: skip
    work, desk = hub.sender("work"), hub.sender("desk")
    words = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "omicron",
        "pi",
        "rho",
        "sigma",
        "tau",
    ]
    await work(
        id="c0", type="issue.comment", issue="ACME-1", comment="1", body="start here please", by=""
    )
    answered = 0
    for turn in range(30):
        await hub.quiet()
        if len(hub.vendor.made) == answered:
            break
        answered = len(hub.vendor.made)
        # Each side mangles the text beyond recognition and names no actor.
        if hub.vendor.made[-1]["kind"] == "notes":
            await desk(
                id=f"d{turn}", type="reply", ticket="t1", body=f"{words[turn % 9]} " * 3, note=True
            )
        else:
            body = f"{words[-1 - turn % 9]} done " * 3
            await work(
                id=f"w{turn}",
                type="issue.comment",
                issue="ACME-1",
                comment=f"x{turn}",
                body=body,
                by="",
            )
    broken = await hub.database.fetch("select reason from events where reason like 'loop broken%'")
    assert broken
    assert "down → up" in broken[0]["reason"]
    assert len(hub.vendor.made) <= 10


async def test_a_private_comment_never_reaches_a_customer(hub: Hub) -> None:
    await hub.connection("desk")
    await hub.connection("work")
    await hub.route("leak", on=["work_item.commented"], steps=[
        {"name": "reply", "connection": "desk", "action": "reply", "inputs": {"ticket": "t1", "body": "{{ data.comment }}"}}])  # fmt: skip
    work = hub.sender("work")
    for visibility in ("team", "private", None):
        await work(
            id=f"c-{visibility}",
            type="issue.comment",
            issue="ACME-1",
            comment=f"c-{visibility}",
            body="inside only",
            visibility=visibility,
            by="lee",
        )
    await hub.quiet()
    assert hub.vendor.of("replies") == []
    dead = await hub.database.fetch("select reason from deliveries where state = 'dead'")
    assert len(dead) == 3
    assert all("data.comment is not for the customer to read" in row["reason"] for row in dead)
    await work(
        id="c-pub",
        type="issue.comment",
        issue="ACME-1",
        comment="c-pub",
        body="We are on it.",
        visibility="public",
        by="lee",
    )
    await until(lambda: _count(hub, "replies", 1))


async def test_a_failing_template_kills_its_delivery_only(hub: Hub) -> None:
    await hub.connection("desk")
    steps = {
        "unknown": "{{ data.title }}\n{{ data.rating.value }}",
        "endless": "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
        "good": "{{ data.title }}",
    }
    await hub.route("r", on=["feedback.received"], steps=[
        {"name": name, "connection": "desk", "action": "note", "inputs": {"ticket": "t1", "body": text}} for name, text in steps.items()])  # fmt: skip
    await hub.sender("desk")(**_ticket(1))
    await until(lambda: _count(hub, "notes", 1))
    await hub.quiet()
    rows = {
        r["step"]: r for r in await hub.database.fetch("select step, state, reason from deliveries")
    }
    assert rows["unknown"]["state"] == rows["endless"]["state"] == "dead"
    assert "steps.unknown.inputs.body, line 2" in rows["unknown"]["reason"]
    assert "never ends" in rows["endless"]["reason"]
    assert rows["good"]["state"] == "delivered"


async def _count(hub: Hub, kind: str, count: int) -> bool:
    return len(hub.vendor.of(kind)) >= count
