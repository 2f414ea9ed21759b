"""Intercom's actions against its stand-in, and the stand-in's webhooks through `normalize`."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

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
    Payload,
    Rejected,
    Request,
    Response,
    RetryLater,
    json,
)
from hub.sdk.events import ConversationReplied, Event, FeedbackReceived, FeedbackUpdated, Ref
from hub.sdk.text import SAME_TEXT, fingerprint, similarity
from integrations.intercom import integration
from integrations.intercom.sandbox import Sandbox

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
CONFIG = {
    "kinds": {"tag:bug": "bug", "attribute:Category=Idea": "idea", "ticket_type:Bug report": "bug"},
    "work_item_attributes": ["Jira issue"],
    "work_item_system": "jira",
    "api_url": "https://api.eu.intercom.io",
}
HUB = Account(id="7001", label="Product Hub (Acme)", workspace="acme1234")
TEXT = "Hi **Anna**, the export is [fixed](https://acme.example/4.2) in 4.2:\n\n- CSV\n- XLSX"


class Vendor:
    """The stand-in with a clock, spoken to as the core speaks to Intercom."""

    def __init__(self) -> None:
        self.time = NOW
        self.sandbox = Sandbox(now=lambda: self.time)
        self.config: dict[str, Any] = dict(CONFIG)
        self.token = "sample-token"
        self.requests: list[Request] = []

    def drive(self, steps: Generator[Request, Response, Any]) -> Any:
        """Send what an action yields to the stand-in and return how it ended."""
        response: Response | None = None
        while True:
            try:
                request = next(steps) if response is None else steps.send(response)
            except StopIteration as ended:
                return ended.value
            self.requests.append(request)
            response = self.sandbox.handle(
                InboundRequest(
                    method=request.method,
                    path=request.path,
                    headers={"authorization": f"Bearer {self.token}"},
                    body=json.dumps(request.json) if request.json is not None else b"",
                )
            )

    def run(self, action: str, /, **inputs: Any) -> Any:
        """Run an action."""
        return self.drive(integration.actions[action].run(self.call(**inputs)))

    def find(self, action: str, /, **inputs: Any) -> Any:
        """Look for what an earlier attempt of an action made."""
        find = integration.actions[action].find
        assert find is not None
        return self.drive(find(self.call(**inputs)))

    def call(self, **inputs: Any) -> Call:
        """Return a call at the time of the clock."""
        return Call(inputs=inputs, config=self.config, marker="m", account=HUB, now=self.time)

    def events(self) -> list[Event]:
        """Take the webhooks that were sent, verified, as events."""
        sent, self.sandbox.outbox = self.sandbox.outbox, []
        inbound = integration.inbound
        assert inbound is not None
        context = Context(config=CONFIG, received_at=self.time)
        found: list[Event] = []
        for webhook in sent:
            request = InboundRequest(headers=webhook.headers, body=webhook.body)
            inbound.verify(request, ["other", "sample-secret"], context)
            for envelope in inbound.envelopes(request, context):
                found += inbound.normalize(envelope, context)
        return found

    def talk(self, **args: Any) -> str:
        """Let a customer begin a conversation, and return its id."""
        asked = {"email": "anna@bergoptik.example", "name": "Anna Berg", "body": "<p>Stops.</p>"}
        begun = self.sandbox.act("start_conversation", asked | args)
        return str(begun["conversation"])

    def parts(self, thing: str) -> list[dict[str, Any]]:
        """Return what was said in a conversation or a ticket."""
        return [row for row in self.sandbox.tables()["parts"] if row["conversation"] == thing]


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


def answered(steps: Generator[Request, Response, Any], *answers: Response) -> Any:
    """Feed an action with given answers and return how it ended."""
    rest: Iterable[Response] = iter(answers)
    try:
        next(steps)
        while True:
            steps.send(next(iter(rest)))
    except StopIteration as ended:
        return ended.value


def only(events: list[Event], kind: type[Any]) -> Any:
    """Return the data of the one event of a kind."""
    (found,) = [event.data for event in events if isinstance(event.data, kind)]
    return found


class TestReplyAndNote:
    def test_the_echo_carries_the_same_ref_and_is_recognised_though_reformatted(
        self, vendor: Vendor
    ) -> None:
        talk = vendor.talk()
        vendor.events()
        outcome = vendor.run("reply", conversation=talk, body=TEXT)
        assert isinstance(outcome, Delivered)
        assert outcome.ref == Ref(system="intercom", kind="conversation", id=talk, key=talk)
        echo = only(vendor.events(), ConversationReplied)
        assert set(outcome.written) <= set(echo.refs)
        assert echo.actor.id == HUB.id
        assert echo.body.visibility == "public"
        assert '<p class="no-margin">' in vendor.parts(talk)[-1]["body"]
        assert similarity(fingerprint(TEXT), fingerprint(echo.body.text)) >= SAME_TEXT

    def test_a_note_stays_in_the_team(self, vendor: Vendor) -> None:
        talk = vendor.talk()
        vendor.events()
        vendor.run("note", conversation=talk, body="Third customer this week.")
        assert vendor.parts(talk)[-1]["type"] == "note"
        assert only(vendor.events(), ConversationReplied).body.visibility == "team"

    def test_an_earlier_attempt_is_found_by_text_teammate_and_time(self, vendor: Vendor) -> None:
        talk = vendor.talk()
        assert vendor.find("reply", conversation=talk, body=TEXT) is None
        vendor.sandbox.act("admin_reply", {"conversation": talk, "body": f"<p>{TEXT}</p>"})
        assert vendor.find("reply", conversation=talk, body=TEXT) is None, "somebody else wrote it"
        vendor.run("note", conversation=talk, body=TEXT)
        assert vendor.find("reply", conversation=talk, body=TEXT) is None, "a note is no reply"
        made = vendor.run("reply", conversation=talk, body=TEXT)
        vendor.time += timedelta(hours=37)
        vendor.sandbox.act("customer_reply", {"conversation": talk, "body": "<p>Thanks!</p>"})
        found = vendor.find("reply", conversation=talk, body=TEXT)
        assert found == made
        other = vendor.find("reply", conversation=talk, body=TEXT.replace("4.2", "4.3"))
        assert other is None, "another version is another text"
        vendor.time += timedelta(days=2)
        assert vendor.find("reply", conversation=talk, body=TEXT) is None, "long ago"

    def test_a_text_without_words_is_found_too(self, vendor: Vendor) -> None:
        talk = vendor.talk()
        vendor.run("reply", conversation=talk, body="🎉")
        assert vendor.find("reply", conversation=talk, body="🎉") is not None
        assert vendor.find("reply", conversation=talk, body="👍") is None

    def test_a_look_up_that_fails_never_says_that_nothing_is_there(self, vendor: Vendor) -> None:
        find = integration.actions["reply"].find
        assert find is not None
        with pytest.raises(MalformedPayload, match="HTTP 503"):
            answered(find(vendor.call(conversation="1", body="x")), Response(status=503))

    def test_a_ticket_is_answered_in_the_ticket(self, vendor: Vendor) -> None:
        filed = {"email": "anna@bergoptik.example", "title": "Export", "description": "Stops."}
        ticket = vendor.sandbox.act("open_ticket", filed)["ticket"]
        vendor.events()
        made = vendor.run("reply", conversation=ticket, kind="ticket", body=TEXT)
        assert made.ref == Ref(system="intercom", kind="ticket", id=ticket)
        (event,) = vendor.events()
        assert event.subject.id == ticket
        assert set(made.written) <= set(event.data.refs)
        assert vendor.find("reply", conversation=ticket, kind="ticket", body=TEXT) == made

    def test_a_conversation_that_is_gone_is_refused_for_good(self, vendor: Vendor) -> None:
        outcome = vendor.run("reply", conversation="999", body="Hello")
        assert isinstance(outcome, Rejected)
        assert outcome.field == "conversation"
        assert "deleted" in outcome.reason

    def test_the_config_names_who_writes(self, vendor: Vendor) -> None:
        talk = vendor.talk()
        vendor.config["admin_id"] = "7002"
        vendor.run("reply", conversation=talk, body="Hello")
        assert vendor.parts(talk)[-1]["author"] == "Lee Park"
        del vendor.config["admin_id"]
        nobody = replace(vendor.call(conversation=talk, body="x"), account=None)
        with pytest.raises(InvalidInput, match="admin_id"):
            vendor.drive(integration.actions["reply"].run(nobody))


class TestConversation:
    def test_a_tag_is_made_once_and_turns_a_report_into_a_bug(self, vendor: Vendor) -> None:
        talk = vendor.talk()
        assert only(vendor.events(), FeedbackReceived).kind == "other"
        vendor.run("tag_conversation", conversation=talk, tag="Bug")
        vendor.run("tag_conversation", conversation=talk, tag="bug")
        assert len(vendor.sandbox.state["tags"]) == 1
        update = only(vendor.events(), FeedbackUpdated)
        assert update.kind == "bug"
        assert [(change.field, change.after) for change in update.changes] == [
            ("tags", "Bug"),
            ("kind", "bug"),
        ]

    def test_close_and_reopen_do_nothing_twice(self, vendor: Vendor) -> None:
        talk = vendor.talk()
        vendor.events()
        closed = vendor.run("close", conversation=talk, body="All the best!")
        assert (closed.before, closed.after) == ({"state": "open"}, {"state": "closed"})
        (event,) = vendor.events()
        assert event.type == "conversation.closed"
        assert set(closed.written) <= set(event.data.refs)
        assert isinstance(vendor.run("close", conversation=talk, body="All the best!"), Nothing)
        assert isinstance(vendor.run("close", conversation=talk), Nothing)
        assert isinstance(vendor.run("reopen", conversation=talk), Delivered)
        assert isinstance(vendor.run("reopen", conversation=talk), Nothing)
        assert [event.type for event in vendor.events()] == ["conversation.opened"]

    def test_a_last_word_is_said_in_a_conversation_that_was_closed_before(
        self, vendor: Vendor
    ) -> None:
        talk = vendor.talk()
        vendor.sandbox.act("close", {"conversation": talk})
        assert isinstance(vendor.run("close", conversation=talk, body="It shipped."), Delivered)
        assert "It shipped." in vendor.parts(talk)[-1]["body"]

    def test_a_ticket_is_closed_without_words(self, vendor: Vendor) -> None:
        filed = {"email": "anna@bergoptik.example", "title": "Export", "description": "Stops."}
        ticket = vendor.sandbox.act("open_ticket", filed)["ticket"]
        assert isinstance(vendor.run("close", conversation=ticket, kind="ticket"), Delivered)
        assert isinstance(vendor.run("close", conversation=ticket, kind="ticket"), Nothing)
        with pytest.raises(InvalidInput, match="body"):
            vendor.run("close", conversation=ticket, kind="ticket", body="Bye")

    def test_an_attribute_is_set_and_links_the_report_to_its_work_item(
        self, vendor: Vendor
    ) -> None:
        talk = vendor.talk()
        vendor.events()
        wanted = {"conversation": talk, "name": "Jira issue", "value": "APP-12"}
        made = vendor.run("set_attribute", **wanted)
        assert (made.before, made.after) == ({"Jira issue": None}, {"Jira issue": "APP-12"})
        assert isinstance(vendor.run("set_attribute", **wanted), Nothing)
        vendor.sandbox.act("customer_reply", {"conversation": talk, "body": "<p>News?</p>"})
        (event,) = vendor.events()
        assert Ref(system="jira", kind="issue", key="APP-12") in event.data.refs

    def test_an_unknown_attribute_is_named_when_a_route_is_saved(self, vendor: Vendor) -> None:
        check = integration.actions["set_attribute"].check
        assert check is not None
        (fault,) = vendor.drive(check(vendor.call(conversation="{{ id }}", name="Jira")))
        assert fault.field == "name"
        assert "Jira issue" in fault.mend
        assert vendor.drive(check(vendor.call(conversation="1", name="Severity"))) == ()
        assert vendor.drive(check(vendor.call(conversation="1", name="{{ name }}"))) == ()
        refused = vendor.run("set_attribute", conversation=vendor.talk(), name="Jira", value="x")
        assert isinstance(refused, Rejected)


class TestContacts:
    def test_a_contact_is_found_by_address_and_id(self, vendor: Vendor) -> None:
        vendor.talk()
        found = vendor.run("find_contact", email="anna@bergoptik.example")
        assert found.after["name"] == "Anna Berg"
        assert vendor.run("find_contact", contact=found.ref.id) == found
        for inputs in ({"email": "nobody@example.com"}, {"contact": "0"}):
            missing = vendor.run("find_contact", **inputs)
            assert isinstance(missing, Rejected)
            assert missing.field in inputs

    def test_somebody_new_is_created_written_to_and_found_again(self, vendor: Vendor) -> None:
        inputs = {"email": "kim@falk.example", "subject": "Your *feedback*", "body": TEXT}
        assert vendor.find("message_contact", **inputs) is None
        made = vendor.run("message_contact", **inputs)
        assert made.ref.kind == "conversation"
        message = vendor.requests[-1].json
        assert (message["message_type"], message["subject"]) == ("email", "Your feedback")
        created, echo = vendor.events()
        assert created.type == "customer.identified"
        assert (echo.type, echo.subject.id) == ("conversation.opened", made.ref.id)
        assert set(made.written) <= set(echo.data.refs)
        assert vendor.find("message_contact", **inputs) == made
        assert vendor.find("message_contact", **inputs | {"body": "Another text."}) is None
        assert len(vendor.sandbox.state["contacts"]) == 1

    def test_without_a_subject_it_is_a_message_in_the_messenger(self, vendor: Vendor) -> None:
        vendor.talk()
        vendor.run("message_contact", email="anna@bergoptik.example", body="Hello")
        assert vendor.requests[-1].json["message_type"] == "inapp"

    def test_a_contact_that_the_search_does_not_show_yet_is_taken_from_the_conflict(
        self, vendor: Vendor
    ) -> None:
        said = "A contact matching those details already exists with id=66f0c0de00000001"
        steps = integration.actions["message_contact"].run(
            vendor.call(email="kim@falk.example", body="Hello")
        )
        outcome = answered(
            steps,
            Response(status=200, body=b'{"data":[]}'),
            Response(status=409, body=json.dumps({"errors": [{"message": said}]})),
            Response(status=200, body=b'{"id":"66f0c0de00000001","role":"lead"}'),
            Response(status=200, body=b'{"id":"5","conversation_id":"77"}'),
        )
        assert outcome.ref.id == "77"

    def test_a_contact_too_new_to_be_written_to_is_tried_again(self, vendor: Vendor) -> None:
        steps = integration.actions["message_contact"].run(
            vendor.call(email="kim@falk.example", body="Hello")
        )
        outcome = answered(
            steps,
            Response(status=200, body=b'{"data":[]}'),
            Response(status=200, body=b'{"id":"66f0c0de00000001"}'),
            Response(status=404),
        )
        assert isinstance(outcome, RetryLater)
        assert not outcome.effect


class TestFaults:
    def test_a_refused_token(self, vendor: Vendor) -> None:
        assert integration.probe is not None
        vendor.token = "wrong"
        outcome = vendor.drive(integration.probe(vendor.call()))
        assert isinstance(outcome, AuthFailed)
        assert "Access Token Invalid" in outcome.reason

    def test_who_the_token_belongs_to(self, vendor: Vendor) -> None:
        assert integration.probe is not None
        assert vendor.drive(integration.probe(vendor.call())) == HUB
        vendor.config["admin_id"] = "7002"
        other = vendor.drive(integration.probe(vendor.call()))
        assert other.is_actor("7002")

    @pytest.mark.parametrize(
        "headers",
        [
            {"x-ratelimit-reset": str(int(NOW.timestamp()) + 7)},
            {
                "x-ratelimit-reset": str(int(NOW.timestamp()) + 7),
                "date": "Mon, 02 Nov 2026 09:00:00 GMT",
            },
            {"retry-after": "7"},
        ],
    )
    def test_the_rate_limit_tells_when_to_come_back(
        self, vendor: Vendor, headers: dict[str, str]
    ) -> None:
        steps = integration.actions["reply"].run(vendor.call(conversation="1", body="Hi"))
        outcome = answered(steps, Response(status=429, headers=headers))
        assert isinstance(outcome, RetryLater)
        assert outcome.limited
        assert outcome.after == 7

    def test_a_missing_permission_says_where_to_mend_it(self, vendor: Vendor) -> None:
        steps = integration.actions["reply"].run(vendor.call(conversation="1", body="Hi"))
        outcome = answered(steps, Response(status=403, body=b"{}"))
        assert isinstance(outcome, Rejected)
        assert "Developer Hub" in outcome.reason


class TestNormalize:
    def test_a_day_of_a_conversation(self, vendor: Vendor) -> None:
        talk = vendor.talk(tags=["Bug"], custom_attributes={"Jira issue": "APP-1 and APP-2"})
        vendor.sandbox.act("admin_note", {"conversation": talk, "body": "<p>Known.</p>"})
        vendor.sandbox.act("admin_reply", {"conversation": talk, "body": "<p>Sorry!</p>"})
        vendor.sandbox.act("rate", {"conversation": talk, "rating": 4, "remark": "Quick"})
        seen = [(event.type, event.subject.id) for event in vendor.events()]
        assert [kind for kind, subject in seen if subject == talk] == [
            "conversation.opened",
            "feedback.received",
            "conversation.replied",
            "conversation.replied",
            "conversation.rated",
        ]

    @pytest.mark.parametrize(
        ("sign", "kind"),
        [
            ({"tags": ["BUG"]}, "bug"),
            ({"custom_attributes": {"category": "idea"}}, "idea"),
            ({"tags": ["bug"], "custom_attributes": {"Category": "Idea"}}, "bug"),
            ({"subject": "bug", "body": "<p>a bug</p>"}, "other"),
        ],
    )
    def test_the_kind_comes_from_the_table_alone(
        self, vendor: Vendor, sign: dict[str, Any], kind: str
    ) -> None:
        vendor.talk(**sign)
        assert only(vendor.events(), FeedbackReceived).kind == kind

    @pytest.mark.parametrize(
        ("value", "keys"),
        [
            ("APP-12", ["APP-12"]),
            ("https://acme.atlassian.example/browse/APP-12?x=1", ["APP-12"]),
            ("APP-12, OPS-3", ["APP-12", "OPS-3"]),
            ("4711", ["4711"]),
            ("see the board", []),
            ("", []),
        ],
    )
    def test_an_attribute_names_work_items(
        self, vendor: Vendor, value: str, keys: list[str]
    ) -> None:
        vendor.talk(custom_attributes={"Jira issue": value, "Other": "APP-99"})
        report = only(vendor.events(), FeedbackReceived)
        assert [ref.key for ref in report.refs if ref.system == "jira"] == keys

    def test_the_address_follows_the_region(self, vendor: Vendor) -> None:
        vendor.talk()
        url = only(vendor.events(), FeedbackReceived).url
        assert url.startswith("https://app.eu.intercom.com/a/inbox/acme1234/")

    def test_internal_tickets_stay_internal(self, vendor: Vendor) -> None:
        filed = {"email": "a@b.example", "title": "T", "description": "D", "category": "Tracker"}
        ticket = vendor.sandbox.act("open_ticket", filed)["ticket"]
        vendor.run("reply", conversation=ticket, kind="ticket", body="For us")
        _, report, reply = vendor.events()
        assert isinstance(report.data, FeedbackReceived)
        assert isinstance(reply.data, ConversationReplied)
        assert {report.data.title.visibility, reply.data.body.visibility} == {"team"}

    def test_a_tag_on_what_the_hub_wrote_is_no_echo(self, vendor: Vendor) -> None:
        talk = vendor.talk()
        made = vendor.run("reply", conversation=talk, body="Hello")
        vendor.events()
        vendor.sandbox.act("tag", {"conversation": talk, "tag": "bug"})
        assert not set(made.written) & set(only(vendor.events(), FeedbackUpdated).refs)


def test_intercom_checks_the_address_with_a_head_request() -> None:
    inbound = integration.inbound
    assert inbound is not None
    assert inbound.reply is not None
    context = Context(received_at=NOW)
    answer = inbound.reply(InboundRequest(method="HEAD"), context)
    assert answer is not None
    assert answer.status == 200
    assert inbound.reply(InboundRequest(method="POST", body=b"{}"), context) is None


def test_a_ping_has_no_id_and_is_dropped() -> None:
    inbound = integration.inbound
    assert inbound is not None
    context = Context(received_at=NOW)
    request = InboundRequest(body=b'{"topic":"ping","id":null,"data":{"item":{"type":"ping"}}}')
    assert inbound.delivery_id(request, context) is None
    (envelope,) = inbound.envelopes(request, context)
    assert inbound.normalize(envelope, context) == ()
    assert isinstance(envelope.payload, Payload)
