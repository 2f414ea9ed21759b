"""Jira's actions against its stand-in: what the contract suite cannot know."""

from __future__ import annotations

import base64
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.sdk import (
    AuthFailed,
    Call,
    Context,
    Delivered,
    InboundRequest,
    InvalidInput,
    Nothing,
    Rejected,
    Response,
    json,
)
from hub.sdk.http import Request
from integrations.jira import integration
from integrations.jira.sandbox import Sandbox

SAMPLES = Path(__file__).parents[2] / "integrations" / "jira" / "samples"
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
CONFIG = {"site": "acme.atlassian.net", "projects": ["APP"]}


@pytest.fixture
def site() -> Sandbox:
    return Sandbox(now=lambda: NOW)


def _call(**inputs: Any) -> Call:
    return Call(inputs=inputs, config=CONFIG, marker="hub-x-1", now=NOW)


def _drive(
    site: Sandbox,
    steps: Generator[Request, Response, Any],
    *,
    token: str = "sample-token",
    lose: str = "",
) -> Any:
    """Run a generator against the stand-in; `lose` ends it after a request of that method took effect."""
    authorization = "Basic " + base64.b64encode(f"hub@acme.example:{token}".encode()).decode()
    response: Response | None = None
    try:
        while True:
            request = next(steps) if response is None else steps.send(response)
            query = "&".join(f"{k}={v}" for k, v in request.query.items())
            response = site.handle(
                InboundRequest(
                    method=request.method, path=f"rest/api/3{request.path}", query=query,
                    headers={"authorization": authorization}, body=json.dumps(request.json) if request.json is not None else b"",
                )
            )  # fmt: skip
            if request.method == lose:
                return None
    except StopIteration as stop:
        return stop.value


def _create(site: Sandbox, **more: Any) -> Delivered:
    inputs = {
        "project": "APP",
        "issue_type": "Bug",
        "summary": "CSV export stops",
        "description": "After **1,000** rows",
        **more,
    }
    made = _drive(site, integration.actions["create_issue"].run(_call(**inputs)))
    assert isinstance(made, Delivered)
    return made


def _events(site: Sandbox) -> list[Any]:
    """Normalize what the stand-in wants sent."""
    inbound = integration.inbound
    assert inbound is not None
    context = Context(config=CONFIG, received_at=NOW)
    found = []
    for item in site.outbox:
        request = InboundRequest(headers=item.headers, body=item.body)
        inbound.verify(request, ["sample-secret"], context)
        for envelope in inbound.envelopes(request, context):
            found += inbound.normalize(envelope, context)
    site.outbox.clear()
    return found


def test_what_is_created_comes_back_as_the_same_thing(site: Sandbox) -> None:
    made = _create(site, labels="customer report, export")
    (event,) = _events(site)
    assert event.type == "work_item.created"
    assert event.subject == made.ref
    assert made.ref is not None
    assert (made.ref.key, made.ref.url) == ("APP-1", "https://acme.atlassian.net/browse/APP-1")
    assert event.data.actor.id == "hub-bot"
    assert event.data.body.text == "After 1,000 rows"
    assert event.data.labels == ("customer-report", "export")


def test_an_issue_of_unknown_outcome_is_found_by_its_marker(site: Sandbox) -> None:
    action = integration.actions["create_issue"]
    assert action.find is not None
    call = _call(project="APP", issue_type="Bug", summary="x")
    assert _drive(site, action.find(call)) is None
    _drive(site, action.run(call), lose="POST")
    other = Call(inputs=call.inputs, config=CONFIG, marker="hub-x-2", now=NOW)
    _drive(site, action.run(other))
    found = _drive(site, action.find(call))
    assert isinstance(found, Delivered)
    assert found.ref is not None
    assert found.ref.key == "APP-1"
    third = Call(inputs=call.inputs, config=CONFIG, marker="hub-x-3", now=NOW)
    assert _drive(site, action.find(third)) is None


def test_a_comment_of_unknown_outcome_is_found_by_its_marker(site: Sandbox) -> None:
    _create(site)
    action = integration.actions["add_comment"]
    assert action.find is not None
    call = _call(issue="APP-1", body="One *more* customer")
    assert _drive(site, action.find(call)) is None
    written = _drive(site, action.run(call))
    assert _drive(site, action.find(call)).ref == written.ref
    comment = _events(site)[-1]
    assert comment.data.comment_ref == written.written[0]
    assert comment.data.comment.visibility == "team"


def test_a_transition_is_looked_up_and_one_that_is_not_there_is_told(site: Sandbox) -> None:
    _create(site)
    run = integration.actions["transition_issue"].run
    moved = _drive(site, run(_call(issue="APP-1", status="in progress")))
    assert (moved.before, moved.after) == ({"status": "To Do"}, {"status": "In Progress"})
    assert isinstance(_drive(site, run(_call(issue="APP-1", status="In Progress"))), Nothing)
    refused = _drive(site, run(_call(issue="APP-1", status="Shipped")))
    assert isinstance(refused, Rejected)
    assert (
        refused.reason
        == "no transition to 'Shipped' from 'In Progress': available are 'Done', 'In Review', 'To Do'"
    )
    assert refused.field == "status"
    done = _drive(site, run(_call(issue="APP-1", category="done", resolution="Won't Do")))
    assert done.after == {"status": "Done"}
    event = _events(site)[-1]
    assert event.type == "work_item.status_changed"
    assert (event.data.status.category, event.data.previous_status.category) == (
        "canceled",
        "in_progress",
    )


@pytest.mark.parametrize(("inputs", "field", "said"), [
    ({"project": "NOPE"}, "inputs.project", "there is no project 'NOPE'"),
    ({"issue_type": "Epic"}, "inputs.issue_type", "APP has no issue type 'Epic'"),
    ({"issue_type": "Story"}, "inputs.fields.customfield_10010", "the project demands 'Customer tier'"),
    ({"issue_type": "Bug", "fields": {"customfield_9": 1}}, "inputs.fields.customfield_9", "is no field of this issue type"),
])  # fmt: skip
def test_a_route_is_checked_against_what_the_project_demands(
    site: Sandbox, inputs: dict[str, Any], field: str, said: str
) -> None:
    check = integration.actions["create_issue"].check
    assert check is not None
    (fault,) = _drive(
        site,
        check(
            _call(
                **{"project": "APP", "issue_type": "Bug", "summary": "{{ data.title }}", **inputs}
            )
        ),
    )
    assert isinstance(fault, InvalidInput)
    assert fault.field == field
    assert said in fault.problem
    assert fault.mend


def test_what_is_templated_or_complete_passes_the_check(site: Sandbox) -> None:
    check = integration.actions["create_issue"].check
    assert check is not None
    for inputs in (
        {
            "project": "APP",
            "issue_type": "Story",
            "summary": "x",
            "fields": {"customfield_10010": {"value": "Gold"}},
        },
        {
            "project": "APP",
            "issue_type": "Story",
            "summary": "x",
            "fields": {"customfield_10010": "{{ data.plan }}"},
        },
        {"project": "{{ data.project }}", "issue_type": "Bug", "summary": "x"},
    ):
        assert _drive(site, check(_call(**inputs))) == ()


def test_jiras_own_refusals_name_the_input(site: Sandbox) -> None:
    refused = _drive(
        site,
        integration.actions["create_issue"].run(
            _call(project="APP", issue_type="Epic", summary="x")
        ),
    )
    assert isinstance(refused, Rejected)
    assert (refused.field, "Specify a valid issue type" in refused.reason) == ("issue_type", True)
    denied = _drive(
        site,
        integration.actions["create_issue"].run(
            _call(project="APP", issue_type="Bug", summary="x")
        ),
        token="old",
    )
    assert isinstance(denied, AuthFailed)
    gone = _drive(site, integration.actions["add_comment"].run(_call(issue="APP-9", body="x")))
    assert isinstance(gone, Rejected)


def test_editing_linking_and_finding(site: Sandbox) -> None:
    _create(site)
    edited = _drive(
        site, integration.actions["edit_issue"].run(_call(issue="APP-1", priority="High"))
    )
    assert (edited.before, edited.after) == (
        {"priority": {"name": "Medium"}},
        {"priority": {"name": "High"}},
    )
    link = integration.actions["add_remote_link"].run
    first = _drive(site, link(_call(issue="APP-1", url="https://app.example/1", title="Anna")))
    assert (
        _drive(site, link(_call(issue="APP-1", url="https://app.example/1", title="Anna B."))).ref
        == first.ref
    )
    assert len(site.state["issues"]["APP-1"]["links"]) == 1
    find = integration.actions["find_issue"].run
    assert _drive(site, find(_call(key="APP-1"))).after["status"] == "To Do"
    assert isinstance(_drive(site, find(_call(key="APP-7"))), Nothing)
    assert _drive(site, find(_call(jql="project = APP"))).ref.key == "APP-1"
    assert _drive(site, find(_call(marker="hub-x-1", project="APP"))).ref.key == "APP-1"
    assert integration.probe is not None
    assert _drive(site, integration.probe(_call())).id == "hub-bot"


def test_private_and_public_comments_are_told_apart(site: Sandbox) -> None:
    _create(site)
    _events(site)
    for extra in ({"internal": True}, {"public": True}, {"public": False}, {}):
        site.act("comment", {"issue": "APP-1", "body": "x", **extra})
    assert [event.data.comment.visibility for event in _events(site)] == [
        "private",
        "public",
        "team",
        "team",
    ]


def test_the_public_flag_of_a_software_project_makes_nothing_public() -> None:
    """Jira sets it there too; taken at its word, it would send engineers' words to customers."""
    sample = json.loads(
        (SAMPLES / "comment_created__software_public_flag" / "events.json").read_bytes()
    )
    assert sample[0]["data"]["comment"]["visibility"] == "team"


def test_a_comment_is_internal_in_a_service_project_unless_it_is_meant_for_the_customer(
    site: Sandbox,
) -> None:
    _create(site)
    run = integration.actions["add_comment"].run
    for inputs, internal in (
        ({}, True),
        ({"public": True}, False),
        ({"public": False}, True),
        ({"internal": True}, True),
    ):
        _drive(site, run(_call(issue="APP-1", body="x", **inputs)))
        properties = {
            p["key"]: p["value"]
            for p in site.state["issues"]["APP-1"]["comments"][-1]["properties"]
        }
        assert properties["sd.public.comment"] == {"internal": internal}
