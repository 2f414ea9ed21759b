"""What the contract suite cannot know of Slack: its actions against its stand-in, echoes, doubles."""

from __future__ import annotations

from collections.abc import Generator, Mapping
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
    RetryLater,
    SignatureInvalid,
    UnsupportedEvent,
    json,
)
from hub.sdk.events import Event, FeedbackReceived, FeedbackUpdated, MessagePosted
from hub.sdk.sandbox import OutgoingWebhook, answer
from hub.sdk.text import SAME_TEXT, fingerprint, similarity
from integrations.slack import actions, integration
from integrations.slack.sandbox import Sandbox

T = TypeVar("T")
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
SECRET = "sample-secret"
HUB = Account(id="U0HUB", aliases=("B0HUB",), workspace="T0ACME")
CONFIG = {"workspace_url": "https://acme.slack.com", "feedback_channels": ["C0PRODUCT"]}
WELCOME = "C0GENERAL:1793520000.000100"
OWN = "C0GENERAL:1793520000.000200"
inbound = integration.inbound
assert inbound


@pytest.fixture
def slack() -> Sandbox:
    return Sandbox(now=lambda: NOW)


def call(marker: str = "hub-1-7", **inputs: Any) -> Call:
    return Call(inputs=inputs, config=CONFIG, marker=marker, account=HUB, now=NOW)


def drive(steps: Generator[Request, Response, T], slack: Sandbox, token: str = "") -> T:
    """Run a generator against the stand-in in memory."""
    response: Response | None = None
    while True:
        try:
            request = next(steps) if response is None else steps.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result
        headers = {"authorization": f"Bearer {token or slack.token}", **request.headers}
        response = slack.handle(
            InboundRequest(
                method=request.method, path=f"api{request.path}", query=urlencode(request.query),
                headers=headers, body=b"" if request.json is None else json.dumps(request.json),
            )
        )  # fmt: skip


def answered(steps: Generator[Request, Response, T], response: Response) -> T:
    """Run a generator with one answer to everything."""
    try:
        next(steps)
        while True:
            steps.send(response)
    except StopIteration as stop:
        result: T = stop.value
        return result


def received(webhook: OutgoingWebhook) -> InboundRequest:
    return InboundRequest(headers=webhook.headers, body=webhook.body)


def heard(
    slack: Sandbox, account: Account | None = HUB, config: Mapping[str, Any] = CONFIG
) -> list[Event]:
    """Take everything out of the stand-in's outbox through verify, dedupe and normalize."""
    context = Context(config=config, received_at=NOW, account=account)
    seen: set[str | None] = set()
    events: list[Event] = []
    for sent in slack.outbox:
        request = received(sent)
        inbound.verify(request, [SECRET], context)
        name = inbound.delivery_id(request, context)
        if name not in seen:
            for envelope in inbound.envelopes(request, context):
                events += inbound.normalize(envelope, context)
        seen.add(name)
    slack.outbox.clear()
    return events


def kinds(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def message_event(**event: Any) -> InboundRequest:
    body = {"type": "event_callback", "team_id": "T0ACME", "event_id": "Ev1", "event": event}
    return InboundRequest(headers={"content-type": "application/json"}, body=json.dumps(body))


def normalized(request: InboundRequest, config: Mapping[str, Any] = CONFIG) -> list[Event]:
    context = Context(config=config, received_at=NOW, account=HUB)
    found: list[Event] = []
    for envelope in inbound.envelopes(request, context):
        found += inbound.normalize(envelope, context)
    return found


class TestPosting:
    def test_a_posted_message_comes_back_under_the_same_name(self, slack: Sandbox) -> None:
        text = "**APP-12** is done 🎉, see https://acme.example/r?a=1&b=2.\n\n- one\n- two"
        sent = drive(actions.post_message(call(channel="C0PRODUCT", text=text)), slack)
        assert isinstance(sent, Delivered) and sent.ref and sent.written == (sent.ref,)
        (event,) = heard(slack)
        assert event.type == "message.posted"
        assert (event.subject.kind, event.subject.id) == (sent.ref.kind, sent.ref.id)
        assert event.subject.url == sent.ref.url
        assert HUB.is_actor(event.data.actor.id) and event.data.actor.kind == "bot"
        assert isinstance(event.data, MessagePosted)
        said = event.data.body.text
        assert similarity(fingerprint(text), fingerprint(said)) >= SAME_TEXT

    @pytest.mark.parametrize("account", [HUB, None])
    def test_the_hubs_own_post_in_a_feedback_channel_is_no_feedback(
        self, slack: Sandbox, account: Account | None
    ) -> None:
        drive(actions.post_message(call(channel="C0PRODUCT", text="New bug")), slack)
        sent = list(slack.outbox)
        assert kinds(heard(slack, account)) == ["message.posted"]
        slack.outbox = sent
        with_apps = heard(slack, account, {**CONFIG, "feedback_from_apps": True})
        assert len(with_apps) == (1 if account else 2)

    @pytest.mark.parametrize("said", [
        "<!channel> <!here> <@U0LEE> <!subteam^S1>", "`<!everyone>`", "&lt;!channel&gt;",
        "[<!here>](https://a.example/<!channel>)", "@channel",
    ])  # fmt: skip
    def test_a_customers_words_notify_nobody(self, slack: Sandbox, said: str) -> None:
        drive(actions.post_message(call(channel="C0PRODUCT", text=said)), slack)
        text = slack.state["messages"][-1]["text"]
        assert "<!" not in text and "<@" not in text

    @pytest.mark.parametrize("said", ["a b & " * 20_000, "&" * 90_000, "word " * 7_999])
    def test_a_long_text_is_cut_to_what_slack_takes(self, slack: Sandbox, said: str) -> None:
        sent = drive(actions.post_message(call(channel="C0PRODUCT", text=said)), slack)
        assert isinstance(sent, Delivered)
        text = slack.state["messages"][-1]["text"]
        assert len(text) <= 40_000
        assert len(text) > 25_000

    def test_it_names_neither_previews_nor_mentions(self) -> None:
        request = next(actions.post_message(call(channel="C0PRODUCT", text="x")))
        assert isinstance(request.json, dict)
        assert not {"link_names", "parse"} & set(request.json)
        assert request.json["unfurl_links"] is request.json["unfurl_media"] is False

    def test_a_direct_message_is_opened_first(self, slack: Sandbox) -> None:
        order = call(channel="U0LEE", text="hello")
        sent = drive(actions.post_message(order), slack)
        assert isinstance(sent, Delivered) and sent.ref
        assert sent.ref.id.startswith("D0LEE:")
        found = drive(actions.find_message(order), slack)
        assert isinstance(found, Delivered) and found.ref == sent.ref
        (event,) = heard(slack)
        assert isinstance(event.data, MessagePosted) and event.data.body.visibility == "private"

    @pytest.mark.parametrize(("inputs", "field"), [
        ({"channel": "#releases", "text": "x"}, "channel"),
        ({"channel": "C0PRODUCT", "text": " \n"}, "text"),
        ({"channel": "C0PRODUCT"}, "text"),
        ({"channel": "C0PRODUCT", "text": "x", "thread": "yesterday"}, "thread"),
        ({"channel": "C0PRODUCT", "text": "x", "thread": WELCOME}, "thread"),
    ])  # fmt: skip
    def test_a_wrong_input_is_named(
        self, slack: Sandbox, inputs: dict[str, str], field: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            drive(actions.post_message(call(**inputs)), slack)
        assert caught.value.field == field

    def test_update_changes_the_message_and_comes_back_as_an_edit(self, slack: Sandbox) -> None:
        sent = drive(actions.update_message(call(message=OWN, text="*done* & over")), slack)
        assert isinstance(sent, Delivered) and sent.ref and sent.ref.id == OWN
        (event,) = heard(slack)
        assert isinstance(event.data, MessagePosted) and event.data.edited
        assert event.subject.id == OWN and HUB.is_actor(event.data.actor.id)
        assert event.data.body.text == "*done* & over"
        others = drive(actions.update_message(call(message=WELCOME, text="x")), slack)
        assert isinstance(others, Rejected) and others.field == "message"

    def test_a_hint_is_seen_by_one_person_and_sends_no_event(self, slack: Sandbox) -> None:
        order = call(channel="C0PRODUCT", user="U0LEE", text="**psst**")
        assert isinstance(drive(actions.post_ephemeral(order), slack), Delivered)
        assert slack.state["ephemerals"][0]["text"] == "*psst*"
        assert heard(slack) == []
        nobody = call(channel="C0PRODUCT", user="U0NOBODY", text="psst")
        refused = drive(actions.post_ephemeral(nobody), slack)
        assert isinstance(refused, Rejected) and refused.field == "user"

    def test_a_reaction_is_put_once_and_known_again(self, slack: Sandbox) -> None:
        order = call(message=WELCOME, reaction=":eyes:")
        sent = drive(actions.add_reaction(order), slack)
        assert isinstance(sent, Delivered)
        again = drive(actions.add_reaction(order), slack)
        assert isinstance(again, Nothing) and again.ref == sent.ref
        (event,) = heard(slack)
        assert sent.written[0] in event.data.refs

    def test_a_member_is_found_by_address(self, slack: Sandbox) -> None:
        found = drive(actions.find_user_by_email(call(email="lee@acme.example")), slack)
        assert isinstance(found, Delivered) and found.ref and found.ref.id == "U0LEE"
        assert found.after == {"id": "U0LEE", "name": "lee", "real_name": "Lee Park"}
        nobody = drive(actions.find_user_by_email(call(email="x@y.example")), slack)
        assert isinstance(nobody, Rejected) and nobody.field == "email"

    def test_the_probe_knows_both_names_of_the_bot(self, slack: Sandbox) -> None:
        account = drive(actions.probe(call()), slack)
        assert isinstance(account, Account)
        assert account.is_actor("U0HUB") and account.is_actor("B0HUB")
        assert account.workspace == "T0ACME"
        assert isinstance(drive(actions.probe(call()), slack, token="old"), AuthFailed)


class TestThreads:
    def test_a_reply_stands_in_the_thread(self, slack: Sandbox) -> None:
        order = call(message=WELCOME, text="It is fixed.", broadcast=True)
        sent = drive(actions.reply_in_thread(order), slack)
        assert isinstance(sent, Delivered) and sent.ref
        kept = slack.state["messages"][-1]
        assert kept["thread_ts"] == "1793520000.000100" and kept["subtype"] == "thread_broadcast"
        (event,) = heard(slack)
        assert event.subject.id == sent.ref.id
        assert isinstance(event.data, MessagePosted) and event.data.thread
        assert event.data.thread.id == WELCOME

    def test_a_reply_is_found_in_its_thread_only(self, slack: Sandbox) -> None:
        order = call(message=WELCOME, text="It is fixed.")
        assert drive(actions.find_reply(order), slack) is None
        sent = drive(actions.reply_in_thread(order), slack)
        found = drive(actions.find_reply(order), slack)
        assert isinstance(found, Delivered) and isinstance(sent, Delivered)
        assert (found.ref, found.written) == (sent.ref, sent.written)
        assert drive(actions.find_message(call(channel="C0GENERAL", text="x")), slack) is None

    def test_a_persons_reply_to_the_hubs_message_is_not_the_hubs(self, slack: Sandbox) -> None:
        sent = drive(actions.post_message(call(channel="C0PRODUCT", text="Filed")), slack)
        assert isinstance(sent, Delivered) and sent.ref
        heard(slack)
        ts = sent.ref.id.partition(":")[2]
        slack.act("message", {"channel": "C0PRODUCT", "user": "U0MIA", "text": "thanks",
                              "thread_ts": ts})  # fmt: skip
        (event,) = heard(slack)  # and no feedback: it is a reply
        assert (sent.ref.kind, sent.ref.id) not in {(r.kind, r.id) for r in event.data.refs}
        assert isinstance(event.data, MessagePosted) and event.data.thread
        assert event.data.thread.id == sent.ref.id


class TestFinding:
    def test_the_marker_is_found_among_others(self, slack: Sandbox) -> None:
        order = call(channel="C0PRODUCT", text="same words")
        other = call("hub-1-8", channel="C0PRODUCT", text="same words")
        drive(actions.post_message(other), slack)
        assert drive(actions.find_message(order), slack) is None
        sent = drive(actions.post_message(order), slack)
        for _ in range(250):  # more than a page
            drive(actions.post_message(call("hub-1-9", channel="C0PRODUCT", text="z")), slack)
        found = drive(actions.find_message(order), slack)
        assert isinstance(found, Delivered) and isinstance(sent, Delivered)
        assert (found.ref, found.written) == (sent.ref, sent.written)

    def test_a_look_without_an_end_is_no_proof(self) -> None:
        page = answer(200, {"ok": True, "messages": [], "has_more": True,
                            "response_metadata": {"next_cursor": "page:1"}})  # fmt: skip
        found = answered(actions.find_message(call(channel="C0PRODUCT", text="x")), page)
        assert isinstance(found, RetryLater)

    @pytest.mark.parametrize("document", [{"ok": True}, {"ok": True, "messages": {}}])
    def test_an_answer_without_messages_is_no_proof(self, document: object) -> None:
        with pytest.raises(MalformedPayload):
            answered(
                actions.find_message(call(channel="C0PRODUCT", text="x")), answer(200, document)
            )


class TestRefusals:
    @pytest.mark.parametrize(("word", "outcome"), [
        ("channel_not_found", Rejected), ("not_in_channel", Rejected), ("is_archived", Rejected),
        ("msg_too_long", Rejected), ("invalid_blocks", Rejected), ("a_new_word", Rejected),
        ("invalid_auth", AuthFailed), ("token_revoked", AuthFailed),
        ("account_inactive", AuthFailed), ("missing_scope", AuthFailed),
        ("internal_error", RetryLater), ("service_unavailable", RetryLater),
        ("fatal_error", RetryLater), ("ratelimited", RetryLater),
    ])  # fmt: skip
    def test_ok_false_is_an_error(self, word: str, outcome: type) -> None:
        response = answer(200, {"ok": False, "error": word, "needed": "chat:write"})
        for steps in (
            actions.post_message(call(channel="C0PRODUCT", text="x")),
            actions.reply_in_thread(call(message=WELCOME, text="x")),
            actions.update_message(call(message=WELCOME, text="x")),
            actions.post_ephemeral(call(channel="C0PRODUCT", user="U0LEE", text="x")),
            actions.add_reaction(call(message=WELCOME, reaction="eyes")),
            actions.find_user_by_email(call(email="a@b.example")),
            actions.find_message(call(channel="C0PRODUCT", text="x")),
            actions.probe(call()),
        ):
            ended = answered(steps, response)
            assert type(ended) is outcome
            assert word in ended.reason

    def test_a_missing_scope_is_named(self) -> None:
        response = answer(200, {"ok": False, "error": "missing_scope", "needed": "chat:write"})
        ended = answered(actions.post_message(call(channel="C0PRODUCT", text="x")), response)
        assert isinstance(ended, AuthFailed) and "chat:write" in ended.reason

    @pytest.mark.parametrize("status", [200, 429])
    def test_a_rate_limit_waits_as_long_as_slack_says(self, status: int) -> None:
        response = answer(status, {"ok": False, "error": "ratelimited"}, retry_after="30")
        ended = answered(actions.post_message(call(channel="C0PRODUCT", text="x")), response)
        assert ended == RetryLater(reason=ended.reason, after=30.0, limited=True, effect=False)

    def test_an_error_that_may_have_worked_is_looked_up_first(self) -> None:
        response = answer(200, {"ok": False, "error": "fatal_error"})
        ended = answered(actions.post_message(call(channel="C0PRODUCT", text="x")), response)
        assert isinstance(ended, RetryLater) and ended.effect and not ended.limited

    def test_what_is_wrong_with_the_arguments_is_told(self) -> None:
        response = answer(200, {"ok": False, "error": "invalid_arguments",
                                "response_metadata": {"messages": ["[ERROR] missing: x", 7]}})  # fmt: skip
        ended = answered(actions.post_message(call(channel="C0PRODUCT", text="x")), response)
        assert isinstance(ended, Rejected) and "missing: x" in ended.reason

    def test_the_channel_is_checked_when_a_route_is_saved(self, slack: Sandbox) -> None:
        channels = slack.state["channels"]
        channels["C0RELEASES"]["is_archived"] = True
        channels["C0GENERAL"]["is_member"] = False
        wrong = {}
        for name in ("C0PRODUCT", "C0RELEASES", "C0GENERAL", "C0NONE", "#x", "{{ x }}", "U0LEE"):
            faults = drive(actions.check_channel(call(channel=name, text="x")), slack)
            wrong[name] = [fault.field for fault in faults]
        assert wrong == {"C0PRODUCT": [], "{{ x }}": [], "U0LEE": [], "C0RELEASES": ["channel"],
                         "C0GENERAL": ["channel"], "C0NONE": ["channel"], "#x": ["channel"]}  # fmt: skip


class TestRequests:
    context = Context(config=CONFIG, received_at=NOW, account=HUB)

    def signed(
        self, body: bytes, *, at: datetime = NOW, kind: str = "application/json"
    ) -> InboundRequest:
        headers = {**Sandbox.sign(body, SECRET, at), "content-type": kind}
        return InboundRequest(headers=headers, body=body)

    def test_the_challenge_is_answered(self) -> None:
        body = json.dumps({"type": "url_verification", "token": "t", "challenge": "3eZbrw1a"})
        request = self.signed(body)
        inbound.verify(request, [SECRET], self.context)
        assert inbound.reply
        reply = inbound.reply(request, self.context)
        assert reply and reply.status == 200 and reply.body == b"3eZbrw1a"
        assert inbound.envelopes(request, self.context) == ()

    def test_a_forged_challenge_is_refused(self) -> None:
        body = json.dumps({"type": "url_verification", "challenge": "x"})
        request = InboundRequest(headers={"content-type": "application/json"}, body=body)
        with pytest.raises(SignatureInvalid):
            inbound.verify(request, [SECRET], self.context)

    @pytest.mark.parametrize("minutes", [-6, 6])
    def test_a_replayed_request_is_refused(self, minutes: int) -> None:
        request = self.signed(b"{}", at=NOW + timedelta(minutes=minutes))
        with pytest.raises(SignatureInvalid, match="window"):
            inbound.verify(request, [SECRET], self.context)

    @pytest.mark.parametrize("minutes", [-4, 4])
    def test_a_clock_may_be_off_by_less(self, minutes: int) -> None:
        request = self.signed(b"{}", at=NOW + timedelta(minutes=minutes))
        inbound.verify(request, ["a newer secret", SECRET], self.context)

    def test_an_unsigned_ssl_check_is_answered_and_leads_to_nothing(self) -> None:
        form = {"ssl_check": "1", "command": "/feedback", "text": "forged", "trigger_id": "1",
                "payload": "{}"}  # fmt: skip
        headers = {"content-type": "application/x-www-form-urlencoded"}
        request = InboundRequest(headers=headers, body=urlencode(form).encode())
        inbound.verify(request, [], self.context)
        assert inbound.reply
        reply = inbound.reply(request, self.context)
        assert reply and (reply.status, reply.body) == (200, b"")
        assert inbound.envelopes(request, self.context) == ()

    def test_ssl_check_in_json_opens_no_door(self) -> None:
        request = InboundRequest(
            headers={"content-type": "application/json"}, body=b'{"ssl_check":"1"}'
        )
        with pytest.raises(SignatureInvalid):
            inbound.verify(request, [SECRET], self.context)

    def test_a_retry_has_the_name_of_the_first(self, slack: Sandbox) -> None:
        slack.act("message", {"channel": "C0PRODUCT", "user": "U0MIA", "text": "export stops"})
        first = slack.outbox[0]
        again = OutgoingWebhook(body=first.body, headers={
            **first.headers, "x-slack-retry-num": "1", "x-slack-retry-reason": "http_timeout",
        })  # fmt: skip
        names = {inbound.delivery_id(received(one), self.context) for one in (first, again)}
        assert names == {"Ev00000001"}

    def test_an_unknown_subtype_is_counted_and_a_known_one_dropped(self) -> None:
        ts = "1793609995.000100"
        strange = message_event(type="message", subtype="hologram", channel="C0PRODUCT", ts=ts)
        with pytest.raises(UnsupportedEvent, match="hologram"):
            normalized(strange)
        assert (
            normalized(
                message_event(type="message", subtype="channel_topic", channel="C0PRODUCT", ts=ts)
            )
            == []
        )

    @pytest.mark.parametrize("ts", ["", "yesterday", "1.2.3", "-1.000000", "1793609995", "1e9.0"])
    def test_a_strange_time_is_named(self, ts: str) -> None:
        with pytest.raises(MalformedPayload, match=r"event\.ts"):
            normalized(message_event(type="message", channel="C0PRODUCT", ts=ts, text="x"))


class TestMentions:
    def mention(self, slack: Sandbox) -> None:
        slack.act("message", {"channel": "C0PRODUCT", "user": "U0MIA",
                              "text": "<@U0HUB> the export stops"})  # fmt: skip
        assert [b'"type":"app_mention"' in sent.body for sent in slack.outbox] == [False, True]

    @pytest.mark.parametrize("mentions", [False, True])
    @pytest.mark.parametrize("mention_first", [False, True])
    def test_one_message_is_one_report(
        self, slack: Sandbox, *, mentions: bool, mention_first: bool
    ) -> None:
        self.mention(slack)
        if mention_first:
            slack.outbox.reverse()
        events = heard(slack, config={**CONFIG, "app_mentions": mentions})
        assert kinds(events) == ["message.posted", "feedback.received"]

    def test_an_app_that_hears_mentions_only_gets_them(self, slack: Sandbox) -> None:
        self.mention(slack)
        del slack.outbox[0]
        events = heard(slack, config={**CONFIG, "app_mentions": True})
        assert kinds(events) == ["message.posted", "feedback.received"]

    def test_an_edit_of_a_mention_is_not_a_repeat_of_it(self, slack: Sandbox) -> None:
        self.mention(slack)
        ts = slack.state["messages"][-1]["ts"]
        slack.act("edit", {"channel": "C0PRODUCT", "ts": ts, "text": "<@U0HUB> it is slow"})
        events = heard(slack, config={**CONFIG, "app_mentions": True})
        assert kinds(events)[2:] == ["message.posted", "feedback.updated"]


class TestReports:
    def write(self, slack: Sandbox, text: str, channel: str = "C0PRODUCT") -> str:
        made = slack.act("message", {"channel": channel, "user": "U0MIA", "text": text})
        return str(made["ts"])

    def test_a_report_is_edited_and_taken_back(self, slack: Sandbox) -> None:
        ts = self.write(slack, "the export stops at 1,000 rows")
        slack.act("edit", {"channel": "C0PRODUCT", "ts": ts, "text": "it stops at 10,000 rows"})
        slack.act("edit", {"channel": "C0PRODUCT", "ts": ts, "text": "it stops at 10,000 rows"})
        slack.act("delete", {"channel": "C0PRODUCT", "ts": ts})
        events = heard(slack)
        assert kinds(events) == ["message.posted", "feedback.received", "message.posted",
                                 "feedback.updated", "message.posted"]  # fmt: skip
        assert len({event.subject.id for event in events}) == 1
        assert [event.time for event in events] == sorted(event.time for event in events)
        updated, removed = events[3].data, events[4].data
        assert isinstance(updated, FeedbackUpdated) and isinstance(removed, MessagePosted)
        assert updated.changes[0].before == "the export stops at 1,000 rows"
        assert removed.removed and removed.body.text == "it stops at 10,000 rows"

    def test_a_deleted_root_of_a_thread_is_removed(self, slack: Sandbox) -> None:
        ts = self.write(slack, "the export stops")
        slack.act("message", {"channel": "C0PRODUCT", "user": "U0LEE", "text": "me too",
                              "thread_ts": ts})  # fmt: skip
        slack.act("delete", {"channel": "C0PRODUCT", "ts": ts})
        removed = heard(slack)[-1]
        assert isinstance(removed.data, MessagePosted) and removed.data.removed
        assert removed.subject.id == f"C0PRODUCT:{ts}"
        assert removed.data.body.text == "the export stops"

    def test_other_channels_hold_no_reports(self, slack: Sandbox) -> None:
        self.write(slack, "lunch?", "C0RELEASES")
        assert kinds(heard(slack)) == ["message.posted"]

    @pytest.mark.parametrize(("channel", "place", "visibility"), [
        ("C0RELEASES", {"is_private": False}, "team"),
        ("C0RELEASES", {"is_private": True}, "private"),
        ("C0PRODUCT", {"is_private": True}, "team"),  # a person listed it
    ])  # fmt: skip
    def test_a_private_channel_stays_private(
        self, slack: Sandbox, channel: str, place: dict[str, bool], visibility: str
    ) -> None:
        slack.state["channels"][channel].update(place)
        self.write(slack, "between us", channel)
        data = heard(slack)[0].data
        assert isinstance(data, MessagePosted) and data.body.visibility == visibility

    def test_the_shortcut_hands_an_old_message_over(self, slack: Sandbox) -> None:
        ts = self.write(slack, "Anna wants *dark mode*\nsoon", "C0RELEASES")
        slack.outbox.clear()
        slack.act("shortcut", {"channel": "C0RELEASES", "ts": ts, "user": "U0LEE"})
        slack.act("shortcut", {"channel": "C0RELEASES", "ts": ts, "user": "U0LEE",
                               "callback_id": "other"})  # fmt: skip
        (event,) = heard(slack)
        assert isinstance(event.data, FeedbackReceived)
        assert event.subject.id == f"C0RELEASES:{ts}"
        assert event.data.title.text == "Anna wants dark mode"
        assert event.data.body.text.startswith("Anna wants **dark mode**")
        assert (event.data.actor.id, event.data.actor.name) == ("U0LEE", "lee")
        assert event.data.body.visibility == "team"

    def test_the_command_of_the_config_is_feedback(self, slack: Sandbox) -> None:
        config = {**CONFIG, "feedback_command": "/feedback", "kinds": {"#idea": "idea"}}
        for text in ("Anna wants a & b #IDEA", " "):
            slack.act("command", {"channel": "C0GENERAL", "user": "U0LEE", "command": "/feedback",
                                  "text": text})  # fmt: skip
        sent = list(slack.outbox)
        (event,) = heard(slack, config=config)
        assert isinstance(event.data, FeedbackReceived) and event.data.kind == "idea"
        slack.outbox = sent
        assert heard(slack) == []

    def test_a_reaction_makes_feedback_without_words(self, slack: Sandbox) -> None:
        config = {**CONFIG, "feedback_reaction": "ticket"}
        ts = self.write(slack, "secret words", "C0RELEASES")
        listed = self.write(slack, "already feedback")
        own = drive(actions.post_message(call(channel="C0RELEASES", text="by the hub")), slack)
        assert isinstance(own, Delivered) and own.ref
        slack.outbox.clear()
        for channel, which in (("C0RELEASES", ts), ("C0PRODUCT", listed),
                               ("C0RELEASES", own.ref.id.partition(":")[2])):  # fmt: skip
            slack.act("react", {"channel": channel, "ts": which, "user": "U0LEE",
                                "reaction": "ticket"})  # fmt: skip
        slack.act("unreact", {"channel": "C0RELEASES", "ts": ts, "user": "U0LEE",
                              "reaction": "ticket"})  # fmt: skip
        events = heard(slack, config=config)
        assert kinds(events) == ["message.posted", "feedback.received", *["message.posted"] * 3]
        data = events[1].data
        assert isinstance(data, FeedbackReceived)
        assert events[1].subject.id == f"C0RELEASES:{ts}" and data.body.text == ""
        last = events[-1].data
        assert isinstance(last, MessagePosted) and last.removed and last.reaction == "ticket"


class TestStandIn:
    def test_it_refuses_as_slack_does(self, slack: Sandbox) -> None:
        def ask(method: str, body: object, token: str | None = "sample-token") -> Any:
            headers = {"content-type": "application/json; charset=utf-8"}
            if token:
                headers["authorization"] = f"Bearer {token}"
            response = slack.handle(
                InboundRequest(path=f"api/{method}", headers=headers, body=json.dumps(body))
            )
            assert response.status == 200
            return response.payload()["error"].opt_str()

        slack.state["channels"]["C0RELEASES"]["is_archived"] = True
        slack.state["channels"]["C0GENERAL"]["is_member"] = False
        post = "chat.postMessage"
        assert ask("auth.test", {}, None) == "not_authed"
        assert ask("auth.test", {}, "x") == "invalid_auth"
        assert ask("no.such", {}) == "unknown_method"
        assert ask(post, []) == "json_not_object"
        assert ask(post, {"channel": "C0NONE", "text": "x"}) == "channel_not_found"
        assert ask(post, {"channel": "C0RELEASES", "text": "x"}) == "is_archived"
        assert ask(post, {"channel": "C0GENERAL", "text": "x"}) == "not_in_channel"
        assert ask(post, {"channel": "C0PRODUCT", "text": ""}) == "no_text"
        assert ask(post, {"channel": "C0PRODUCT", "text": "x" * 40_001}) == "msg_too_long"
        gone = {"channel": "C0PRODUCT", "text": "x", "thread_ts": "1.000001"}
        assert ask(post, gone) == "thread_not_found"
        assert slack.outbox == []
        with pytest.raises(KeyError, match="channel_not_found"):
            slack.act("message", {"channel": "C0NONE", "user": "U0LEE", "text": "x"})
