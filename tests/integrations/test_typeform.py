"""What the contract suite cannot know of Typeform: its actions against its stand-in, and scores."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

import pytest

from hub.sdk import (
    Account,
    AuthFailed,
    Call,
    Context,
    Delivered,
    InboundRequest,
    InvalidInput,
    MalformedPayload,
    Nothing,
    Rejected,
    Request,
    Response,
    SignatureInvalid,
    json,
)
from hub.sdk.events import Event, FeedbackReceived, Score, SurveyResponded
from integrations.typeform import actions, integration
from integrations.typeform.sandbox import Sandbox

T = TypeVar("T")
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
SECRET = "sample-secret"


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=30)
        return self.time


@pytest.fixture
def typeform() -> Sandbox:
    return Sandbox(now=Clock())


def drive(steps: Generator[Request, Response, T], sandbox: Sandbox, token: str = "") -> T:
    """Run an action's generator against the stand-in in memory."""
    headers = {"authorization": f"Bearer {token or sandbox.token}"}
    response: Response | None = None
    while True:
        try:
            request = next(steps) if response is None else steps.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result
        response = sandbox.handle(
            InboundRequest(
                method=request.method,
                path=request.path.lstrip("/"),
                query=urlencode(request.query),
                headers=headers,
                body=b"" if request.json is None else json.dumps(request.json),
            )
        )


def events_of(sandbox: Sandbox, config: Mapping[str, Any] | None = None) -> list[Event]:
    """Take everything out of the stand-in's outbox through verify and normalize."""
    context = Context(config=config or {}, received_at=NOW)
    inbound = integration.inbound
    assert inbound
    found: list[Event] = []
    for sent in sandbox.outbox:
        request = InboundRequest(headers=sent.headers, body=sent.body)
        inbound.verify(request, [SECRET], context)
        for envelope in inbound.envelopes(request, context):
            found += inbound.normalize(envelope, context)
    sandbox.outbox.clear()
    return found


def response_with(*answers: dict[str, Any], **more: Any) -> bytes:
    form = {"form_id": "F", "token": "T", "submitted_at": "2026-11-02T08:00:00Z", **more}
    body = {"event_id": "E", "event_type": "form_response"}
    return json.dumps({**body, "form_response": {**form, "answers": answers}})


def number(value: float, field_type: str, ref: str = "q") -> dict[str, Any]:
    field = {"id": f"id-{ref}", "type": field_type, "ref": ref}
    return {"type": "number", "number": value, "field": field}


def text(value: str, field_type: str, ref: str = "t") -> dict[str, Any]:
    return {"type": "text", "text": value, "field": {"id": ref, "type": field_type, "ref": ref}}


def normalize(body: bytes, **config: Any) -> tuple[Event, ...]:
    context = Context(config=config, received_at=NOW)
    inbound = integration.inbound
    assert inbound
    (envelope,) = inbound.envelopes(InboundRequest(body=body), context)
    return inbound.normalize(envelope, context)


def feedback_of(body: bytes, **config: Any) -> FeedbackReceived:
    _, event = normalize(body, **config)
    assert isinstance(event.data, FeedbackReceived)
    return event.data


def test_partial_and_complete_are_one_response(typeform: Sandbox) -> None:
    hidden = {"user_id": "u-1881", "email": "anna@example.com"}
    begun = typeform.act(
        "respond", {"answers": {"recommend": 3}, "hidden": hidden, "partial": True}
    )
    typeform.act("respond", {"token": begun["token"], "answers": {"why": "Exports stop"}})

    partial, complete, feedback = events_of(typeform)

    assert partial.subject == complete.subject == feedback.subject
    assert partial.subject.id == begun["token"]
    assert isinstance(partial.data, SurveyResponded)
    assert isinstance(complete.data, SurveyResponded)
    assert (partial.data.complete, complete.data.complete) == (False, True)
    assert partial.time < complete.time
    assert isinstance(feedback.data, FeedbackReceived)
    assert feedback.data.rating == Score(value=3, min=0, max=10, kind="nps")
    assert feedback.data.body.text == "Exports stop"
    assert feedback.data.body.visibility == "public"
    assert feedback.data.customer.external_id == "u-1881"
    assert feedback.data.customer.email == "anna@example.com"


def test_a_late_partial_is_older_than_the_complete_response() -> None:
    body = json.loads(response_with(landed_at="2026-11-02T07:55:00Z"))
    (complete,) = normalize(json.dumps(body))
    body["event_type"] = "form_response_partial"
    del body["form_response"]["submitted_at"]
    (partial,) = normalize(json.dumps(body))
    assert partial.time < complete.time < NOW


@pytest.mark.parametrize(
    ("answer", "scales", "score"),
    [
        (number(9, "nps"), {}, Score(value=9, min=0, max=10, kind="nps")),
        (number(2, "rating"), {}, Score(value=2, min=1, max=5, kind="stars")),
        (number(7, "rating"), {}, Score(value=7, min=1, max=7, kind="stars")),
        (number(7, "opinion_scale"), {}, Score(value=7, min=0, max=10)),
        (
            number(3, "opinion_scale"),
            {"q": {"min": 1, "max": 7, "kind": "ces"}},
            Score(value=3, min=1, max=7, kind="ces"),
        ),
        (number(3, "rating"), {"id-q": {"max": 3}}, Score(value=3, min=1, max=3, kind="stars")),
    ],
)
def test_scores_carry_their_scale(
    answer: dict[str, Any], scales: dict[str, Any], score: Score
) -> None:
    assert feedback_of(response_with(answer), scales=scales).rating == score


@pytest.mark.parametrize(
    ("properties", "low", "high"),
    [({"steps": 5, "start_at_one": True}, 1, 5), ({"steps": 8}, 0, 7), ({}, 0, 10)],
)
def test_bounds_in_the_definition_are_used(properties: dict[str, Any], low: int, high: int) -> None:
    field = {"id": "id-q", "ref": "q", "type": "opinion_scale", "properties": properties}
    body = response_with(number(4, "opinion_scale"), definition={"fields": [field]})
    rating = feedback_of(body).rating
    assert rating
    assert (rating.min, rating.max) == (low, high)


def test_nps_is_the_main_score_unless_the_config_names_another() -> None:
    body = response_with(number(4, "rating", "stars"), number(9, "nps", "nps"))
    for config, kind in (({}, "nps"), ({"score_question": "stars"}, "stars")):
        rating = feedback_of(body, **config).rating
        assert rating
        assert rating.kind == kind


@pytest.mark.parametrize(
    ("value", "kind"), [(0, "bug"), (6, "bug"), (7, "question"), (8, "question"), (9, "praise")]
)
def test_the_kind_follows_the_score(value: int, kind: str) -> None:
    bands = {"low": "bug", "middle": "question", "high": "praise"}
    assert feedback_of(response_with(number(value, "nps")), kind_by_score=bands).kind == kind


def test_an_answered_choice_beats_the_score_for_the_kind() -> None:
    field = {"id": "a", "type": "multiple_choice", "ref": "a"}
    choice = {"type": "choice", "choice": {"label": "A wish"}, "field": field}
    body = response_with(number(1, "nps"), choice)
    config = {"kind_by_score": {"low": "bug"}, "kind_by_choice": {"A wish": "idea"}}
    assert feedback_of(body, **config).kind == "idea"


def test_without_a_comment_the_score_is_the_title() -> None:
    assert feedback_of(response_with(number(3, "nps"))).title.text == "NPS 3 of 10"


def test_a_short_text_before_a_score_is_not_the_comment() -> None:
    name, score, why = text("Ana", "short_text"), number(2, "nps"), text("Slow", "short_text", "w")
    assert feedback_of(response_with(name, score, why)).body.text == "Slow"
    assert len(normalize(response_with(name))) == 1
    assert feedback_of(response_with(name), comment_question="t").body.text == "Ana"


def test_a_plain_answer_keeps_its_stars_as_markdown() -> None:
    assert (
        feedback_of(response_with(text("*all* of it", "long_text"))).body.text == r"\*all\* of it"
    )


def test_piping_in_a_question_is_resolved() -> None:
    fields = [
        {"id": "w", "ref": "w", "type": "long_text", "title": "Why {{field:q}}, {{hidden:n}}?"}
    ]
    body = response_with(
        number(3, "nps"),
        text("x", "long_text", "w"),
        definition={"fields": fields},
        hidden={"n": "Ana"},
    )
    data = normalize(body)[0].data
    assert isinstance(data, SurveyResponded)
    assert data.answers[1].question == "Why 3, Ana?"


def test_a_hidden_field_links_to_another_tools_thing() -> None:
    links = {"conversation": {"system": "intercom", "kind": "conversation"}}
    body = response_with(hidden={"conversation": "215"})
    (event,) = normalize(body, links=links)
    assert [(ref.system, ref.kind, ref.id) for ref in event.data.refs][-1] == (
        "intercom",
        "conversation",
        "215",
    )


def test_a_wrong_value_is_named_by_its_place() -> None:
    broken = {"type": "number", "number": "three", "field": {"id": "q", "type": "nps"}}
    with pytest.raises(MalformedPayload, match=r"form_response\.answers\[0\]\.number"):
        normalize(response_with(broken))


def test_an_unsigned_webhook_is_refused() -> None:
    inbound = integration.inbound
    assert inbound
    request = InboundRequest(body=response_with())
    with pytest.raises(SignatureInvalid):
        inbound.verify(request, [SECRET], Context(received_at=NOW))


def test_find_response_by_id_and_by_text(typeform: Sandbox) -> None:
    first = typeform.act("respond", {"answers": {"why": "One"}, "hidden": {"email": "a@x.example"}})
    typeform.act("respond", {"answers": {"why": "Two"}})
    for inputs in ({"response": first["token"]}, {"query": "a@x.example"}):
        outcome = drive(actions.find_response(Call(inputs={"form": "NpsQ4", **inputs})), typeform)
        assert isinstance(outcome, Delivered)
        assert outcome.ref
        assert (outcome.ref.kind, outcome.ref.id) == ("response", first["token"])
    none = drive(
        actions.find_response(Call(inputs={"form": "NpsQ4", "response": "nobody"})), typeform
    )
    assert isinstance(none, Nothing)
    lost = drive(actions.find_response(Call(inputs={"form": "nope", "query": "x"})), typeform)
    assert isinstance(lost, Rejected)
    assert lost.field == "form"
    with pytest.raises(InvalidInput):
        drive(actions.find_response(Call(inputs={"form": "NpsQ4"})), typeform)


def test_register_webhook_points_a_signed_one_at_the_hub_and_repeats_harmlessly(
    typeform: Sandbox,
) -> None:
    call = Call(inputs={"form": "NpsQ4", "url": "https://hub.example/webhooks/typeform/k"})
    done = drive(actions.register_webhook(call), typeform)
    assert isinstance(done, Delivered)
    assert done.before
    assert done.before["url"] == "https://hub.example/webhooks/typeform"
    again = drive(actions.register_webhook(call), typeform)
    assert isinstance(again, Nothing)
    assert done.after
    assert done.after["enabled"] is True
    typeform.act("respond", {"answers": {"recommend": 10}})
    assert len(events_of(typeform)) == 2  # still signed: verify accepts it


def test_a_new_webhook_without_a_secret_stays_off_until_a_person_enters_one(
    typeform: Sandbox,
) -> None:
    typeform.act("form", {"id": "Other", "title": "Other", "fields": []})
    call = Call(inputs={"form": "Other", "url": "https://hub.example/webhooks/typeform/k"})
    done = drive(actions.register_webhook(call), typeform)
    assert isinstance(done, Delivered)
    assert "no secret" in done.note
    typeform.act("respond", {"form": "Other"})
    assert not typeform.outbox
    typeform.state["webhooks"]["Other/hub"]["secret"] = SECRET
    assert isinstance(drive(actions.register_webhook(call), typeform), Delivered)
    typeform.act("respond", {"form": "Other"})
    assert len(events_of(typeform)) == 1


def test_check_names_an_unknown_form_and_a_wrong_address(typeform: Sandbox) -> None:
    faults = drive(actions.check_form(Call(inputs={"form": "nope", "url": "hub"})), typeform)
    assert [fault.field for fault in faults] == ["url", "form"]
    templated = Call(inputs={"form": "{{ data.form }}", "url": "{{ data.url }}"})
    assert drive(actions.check_form(templated), typeform) == ()


def test_probe_names_the_account_and_refused_credentials(typeform: Sandbox) -> None:
    account = drive(actions.probe(Call(inputs={})), typeform)
    assert isinstance(account, Account)
    assert account.id == "01SANDBOXACCOUNT"
    assert isinstance(drive(actions.probe(Call(inputs={})), typeform, token="wrong"), AuthFailed)


def test_the_stand_in_offers_the_acts_it_names(typeform: Sandbox) -> None:
    with pytest.raises(KeyError, match="respond"):
        typeform.act("dance", {})
    refused: Callable[[], Response] = lambda: typeform.handle(InboundRequest(path="me"))  # noqa: E731
    assert refused().status == 401
