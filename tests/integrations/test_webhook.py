"""The generic webhook: pure mapping, faults that name the field, fuel, signatures, sending."""

from __future__ import annotations

import base64
import contextlib
import copy
from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from standardwebhooks import Webhook

from hub.sdk import (
    Call,
    Context,
    Delivered,
    InboundRequest,
    InvalidInput,
    MalformedPayload,
    Outcome,
    Rejected,
    Request,
    Response,
    RetryLater,
    SignatureInvalid,
    UnsupportedEvent,
    json,
)
from hub.sdk.events import Event, FeedbackReceived, Score, WorkItemCreated
from hub.sdk.signature import sign
from integrations.webhook import actions, integration
from integrations.webhook.config import faults
from integrations.webhook.sandbox import Sandbox

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()
TICKET: dict[str, Any] = {
    "event": "ticket.created",
    "id": 42,
    "created_at": "2026-11-02T08:00:00Z",
    "title": "Export stops",
    "labels": ["csv"],
    "user": {"email": "anna@example.com"},
}
MAPPING: dict[str, Any] = {
    "type": "feedback.received",
    "subject": "{{ payload.id }}",
    "time": "{{ payload.created_at }}",
    "data": {"title": "{{ payload.title }}", "tags": "{{ payload.labels }}"},
}


def mapping(**data: Any) -> dict[str, Any]:
    return {**MAPPING, "data": {**MAPPING["data"], **data}}


def normalize(
    payload: object, headers: Mapping[str, str] | None = None, **config: Any
) -> tuple[Event, ...]:
    inbound = integration.inbound
    assert inbound
    context = Context(connection="portal", config=config, received_at=NOW)
    request = InboundRequest(headers=headers or {}, body=json.dumps(payload))
    (envelope,) = inbound.envelopes(request, context)
    return inbound.normalize(envelope, context)


def feedback(payload: object, **config: Any) -> FeedbackReceived:
    (event,) = normalize(payload, **config)
    assert isinstance(event.data, FeedbackReceived)
    return event.data


def fault_of(payload: object, **config: Any) -> MalformedPayload:
    with pytest.raises(MalformedPayload) as caught:
        normalize(payload, **config)
    return caught.value


def verify(request: InboundRequest, *secrets: str, **signature: str) -> None:
    inbound = integration.inbound
    assert inbound
    config = {"signature": signature} if signature else {}
    inbound.verify(request, secrets, Context(config=config, received_at=NOW))


class TestMapping:
    def test_gives_the_event_twice_and_changes_nothing(self) -> None:
        payload, config = copy.deepcopy(TICKET), copy.deepcopy(MAPPING)
        first = normalize(payload, mapping=config)
        assert first == normalize(payload, mapping=config)
        assert (payload, config) == (TICKET, MAPPING)
        (event,) = first
        assert event.time == datetime(2026, 11, 2, 8, tzinfo=UTC)
        assert (event.subject.system, event.subject.kind, event.subject.id) == (
            "webhook",
            "portal",
            "42",
        )
        assert event.data.refs == (event.subject,)

    def test_texts_get_the_mappings_visibility(self) -> None:
        assert feedback(TICKET, mapping=MAPPING).title.visibility == "team"
        public = {**MAPPING, "visibility": "public"}
        assert feedback(TICKET, mapping=public).title.visibility == "public"
        own = mapping(body={"text": "{{ payload.title }}", "visibility": "private"})
        assert feedback(TICKET, mapping=own).body.visibility == "private"

    def test_values_take_the_shape_of_their_field(self) -> None:
        data = feedback(
            {**TICKET, "stars": "4", "count": 3, "no": None},
            mapping=mapping(
                tags="one, two",
                url="https://portal.example/{{ payload.id }}",
                language="{{ payload.no }}",
                kind="Bug",
                rating={"value": "{{ payload.stars }}", "min": 1, "max": 5},
                customer={"external_id": "{{ payload.count }}"},
                attributes={"who": "{{ payload.user }}", "gone": "{{ payload.no }}"},
            ),
        )
        assert data.tags == ("one", "two")
        assert data.url == "https://portal.example/42"
        assert data.language == ""
        assert data.kind == "bug"
        assert data.rating == Score(value=4, min=1, max=5)
        assert data.customer.external_id == "3"
        assert data.attributes == {"who": '{"email":"anna@example.com"}'}

    @pytest.mark.parametrize("when", [1793610000, 1793610000000, "1793610000", "2026-11-02T09:00Z"])
    def test_reads_times_as_tools_write_them(self, when: object) -> None:
        (event,) = normalize({**TICKET, "created_at": when}, mapping=MAPPING)
        assert event.time == NOW

    def test_every_mapping_whose_condition_holds_gives_an_event(self) -> None:
        rules = [
            {**MAPPING, "when": "payload.event == 'ticket.created'"},
            {**MAPPING, "when": "payload.score > 3"},
            {**MAPPING, "when": "payload.id == 42"},
        ]
        assert len(normalize(TICKET, mapping=rules)) == 2
        with pytest.raises(UnsupportedEvent, match=r"ticket\.created"):
            normalize(TICKET, mapping=[rules[1]])

    def test_each_item_of_a_batch_is_an_event(self) -> None:
        batch = {**mapping(title="{{ item }}", tags=[]), "each": "{{ payload.labels }}"}
        assert len(normalize({**TICKET, "labels": ["a", "b"]}, mapping=batch)) == 2
        assert fault_of({**TICKET, "labels": "a"}, mapping=batch).path == "mapping.each"

    def test_further_references_need_an_id_or_a_key(self) -> None:
        refs = [
            {"system": "jira", "kind": "issue", "key": "{{ payload.issue | default('') }}"},
        ]
        rule = mapping(refs=refs)
        assert len(feedback(TICKET, mapping=rule).refs) == 1
        assert feedback({**TICKET, "issue": "APP-1"}, mapping=rule).refs[1].key == "APP-1"

    def test_words_are_translated(self) -> None:
        table = "{{ payload.event | lookup({'ticket.created': 'todo', '*': 'done'}) }}"
        rule = {
            **MAPPING,
            "type": "work_item.created",
            "data": {"key": "T-1", "title": "x", "status": {"name": "New", "category": table}},
        }
        for event, category in (("ticket.created", "todo"), ("else", "done")):
            (found,) = normalize({**TICKET, "event": event}, mapping=rule)
            assert isinstance(found.data, WorkItemCreated)
            assert found.data.status.category == category

    def test_headers_are_seen_but_not_the_credentials(self) -> None:
        rule = mapping(title="{{ headers['x-from'] }}")
        headers = {"x-from": "portal", "authorization": "Bearer x", "x-key": "secret"}
        (event,) = normalize(TICKET, headers, mapping=rule)
        assert isinstance(event.data, FeedbackReceived)
        assert event.data.title.text == "portal"
        for name in ("authorization", "x-key"):
            rule = mapping(title="{{ headers['" + name + "'] }}")
            with pytest.raises(MalformedPayload):
                normalize(
                    TICKET, headers, mapping=rule,
                    signature={"scheme": "token_header", "header": "X-Key"},
                )  # fmt: skip

    def test_html_becomes_markdown(self) -> None:
        rule = mapping(body="{{ payload.html | from_html }}")
        assert feedback({**TICKET, "html": "<b>now</b>"}, mapping=rule).body.text == "**now**"


class TestFaults:
    @pytest.mark.parametrize(
        ("rule", "path", "said"),
        [
            (mapping(title="{{ payload.name }}"), "mapping.data.title", "undefined"),
            (mapping(title="{{ payload.user.name }}!"), "mapping.data.title", "undefined"),
            (mapping(title="{{ payload.title"), "mapping.data.title", "unexpected end"),
            (mapping(titel="x"), "mapping.data.titel", "does not have"),
            (mapping(title=None), "mapping.data.title", "a value"),
            (mapping(rating={"value": "x", "min": 1, "max": 5}), "mapping.data.rating.value", "x"),
            (mapping(kind="nonsense"), "mapping.data.kind", "nonsense"),
            (mapping(customer={"mail": "x"}), "mapping.data.customer.mail", "does not have"),
            (mapping(tags="{{ payload.items }}"), "mapping.data.tags", "not in the payload"),
            (mapping(title="{{ payload.keys }} x"), "mapping.data.title", "not in the payload"),
            (mapping(kind="{{ payload.event | lookup({}) }}"), "mapping.data.kind", "no entry"),
            ({**MAPPING, "type": "feedback"}, "mapping.type", "shared schema"),
            ({**MAPPING, "subject": "{{ payload.title[99:] }}"}, "mapping.subject", "an id"),
            ({**MAPPING, "time": "yesterday"}, "mapping.time", "ISO 8601"),
        ],
    )
    def test_name_the_field_of_the_mapping(
        self, rule: dict[str, Any], path: str, said: str
    ) -> None:
        error = fault_of(TICKET, mapping=rule)
        assert error.path == path
        assert said in f"{error}" or said == "x"

    def test_name_the_mapping_of_several(self) -> None:
        error = fault_of(TICKET, mapping=[MAPPING, mapping(title="{{ payload.name }}")])
        assert error.path == "mapping[1].data.title"

    def test_an_endless_template_is_cut_by_fuel(self) -> None:
        endless = "{% for a in range(9999) %}{% for b in range(9999) %}.{% endfor %}{% endfor %}"
        error = fault_of(TICKET, mapping=mapping(title=endless))
        assert error.path == "mapping.data.title"
        assert "fuel" in error.expected
        error = fault_of(TICKET, mapping=mapping(title="{{ 'x' * 100000000 }}"))
        assert "fuel" in error.expected

    @pytest.mark.parametrize("drop", list(TICKET))
    @pytest.mark.parametrize("value", [..., None, [], {}, 1, "x"])
    def test_no_payload_gives_another_exception(self, drop: str, value: object) -> None:
        payload = {name: item for name, item in TICKET.items() if name != drop}
        if value is not ...:
            payload[drop] = value
        rule = {**mapping(customer={"email": "{{ payload.user.email }}"}), "when": "payload.event"}
        with contextlib.suppress(MalformedPayload, UnsupportedEvent):
            normalize(payload, mapping=rule)

    @pytest.mark.parametrize(
        ("schema", "path"),
        [
            ({"required": ["id", "color"]}, "payload.color"),
            ({"properties": {"labels": {"items": {"type": "integer"}}}}, "payload.labels[0]"),
            (
                {"properties": {"user": {"properties": {"email": {"maxLength": 3}}}}},
                "payload.user.email",
            ),
            ({"type": "nonsense"}, "schema.type"),
            ({"$ref": "https://elsewhere.example/schema"}, "schema"),
            ({"properties": {"title": {"pattern": "("}}}, "schema"),
        ],
    )
    def test_the_schema_is_held_and_never_fetched(self, schema: Any, path: str) -> None:
        error = fault_of(TICKET, mapping=MAPPING, schema=schema)
        assert error.path.startswith(path)

    def test_a_payload_that_fits_the_schema_passes(self) -> None:
        schema = {"$schema": "http://json-schema.org/draft-07/schema#", "required": ["id"]}
        assert normalize(TICKET, mapping=MAPPING, schema=schema)

    def test_a_config_is_checked_before_it_meets_a_webhook(self) -> None:
        assert faults({"mapping": MAPPING, "schema": {"type": "object"}}) == ()
        found = faults(
            {
                "schema": {"type": "nonsense"},
                "delivery_id": "{{ payload.id",
                "mapping": [
                    {**mapping(titel="{{ x"), "when": "payload.x ="},
                    {"type": "feedback", "subject": "x", "data": {}},
                    {"type": "feedback.received", "subject": "x", "data": {}},
                ],
            }
        )
        assert [fault.field for fault in found] == [
            "schema.type",
            "delivery_id",
            "mapping[0].when",
            "mapping[0].data.titel",
            "mapping[0].data.titel",
            "mapping[1].type",
            "mapping[2].data.title",
        ]


class TestSharedEvents:
    EVENT: ClassVar[dict[str, Any]] = {
        "specversion": "1.0",
        "type": "feedback.received",
        "subject": "portal/ticket/1",
        "time": "2026-11-02T08:00:00Z",
        "data": {"title": {"text": "x", "visibility": "public"}},
    }

    def test_are_taken_without_a_mapping(self) -> None:
        (event,) = normalize(self.EVENT)
        assert (event.subject.system, event.subject.kind, event.subject.id) == (
            "portal",
            "ticket",
            "1",
        )

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"data": {"title": "x"}}, "data.title"),
            ({"data": {}}, "data.title"),
            ({"data": None}, "data"),
            ({"time": 5}, "payload.time"),
            ({"subject": "x"}, "subject"),
        ],
    )
    def test_with_a_fault_are_named(self, change: dict[str, Any], path: str) -> None:
        assert fault_of({**self.EVENT, **change}).path == path

    def test_of_another_schema_are_not_supported(self) -> None:
        with pytest.raises(UnsupportedEvent):
            normalize({**self.EVENT, "type": "com.example.thing"})


class TestSignatures:
    BODY = b'{"id": 1}'

    def test_standard_webhooks_as_the_library_signs(self) -> None:
        for secret in (SECRET, SECRET.removeprefix("whsec_")):
            made = Webhook(secret).sign("msg_1", NOW, self.BODY.decode())
            when = str(int(NOW.timestamp()))
            headers = {"webhook-id": "msg_1", "webhook-timestamp": when, "webhook-signature": made}
            request = InboundRequest(headers=headers, body=self.BODY)
            verify(request, "whsec_bmV3", secret)
            headers["webhook-signature"] = f"v1a,xx v1,eHg= {made}"
            verify(request, secret)

    @pytest.mark.parametrize(
        "given", ["", "nocomma", "v1,", "v1,%%%", "v2,eHg=", "v1,ä \ud800", ","]
    )
    @pytest.mark.parametrize("body", [BODY, b"\xff\xfe"])
    def test_standard_webhooks_raise_nothing_else(self, given: str, body: bytes) -> None:
        headers = {"webhook-id": "m", "webhook-timestamp": "x", "webhook-signature": given}
        for secret in (SECRET, "whsec_%", "", "plain", "ä"):
            with pytest.raises(SignatureInvalid):
                verify(InboundRequest(headers=headers, body=body), secret)

    @pytest.mark.parametrize("age", [timedelta(minutes=6), timedelta(minutes=-6)])
    def test_an_old_or_future_time_is_refused(self, age: timedelta) -> None:
        headers = Sandbox.sign(self.BODY, SECRET, NOW - age)
        with pytest.raises(SignatureInvalid, match="window"):
            verify(InboundRequest(headers=headers, body=self.BODY), SECRET)

    def test_hmac_in_every_form(self) -> None:
        signature = {"header": "X-Sig", "prefix": "sha256="}
        hexed = sign("s", self.BODY)
        coded = sign("s", self.BODY, encoding="base64")
        sha1 = sign("s", self.BODY, algorithm="sha1")
        for scheme, value in (
            ("hmac_sha256_hex", hexed),
            ("hmac_sha256_base64", coded),
            ("hmac_sha1_hex", sha1),
        ):
            request = InboundRequest(headers={"x-sig": f"sha256={value}"}, body=self.BODY)
            verify(request, "s", scheme=scheme, **signature)
            with pytest.raises(SignatureInvalid):
                verify(request, "other", scheme=scheme, **signature)
            with pytest.raises(SignatureInvalid):
                verify(request, "s", scheme=scheme, header="x-sig", prefix="v0=")

    def test_a_signed_time_is_part_of_what_is_signed(self) -> None:
        setting = {"scheme": "hmac_sha256_hex", "header": "sig", "timestamp_header": "X-Time"}
        for minutes, fine in ((0, True), (9, False)):
            when = str(int((NOW - timedelta(minutes=minutes)).timestamp()))
            signed = sign("s", when.encode() + b"." + self.BODY)
            request = InboundRequest(headers={"sig": signed, "x-time": when}, body=self.BODY)
            if fine:
                verify(request, "s", **setting)
            else:
                with pytest.raises(SignatureInvalid):
                    verify(request, "s", **setting)
        with pytest.raises(SignatureInvalid):
            verify(
                InboundRequest(headers={"sig": sign("s", self.BODY)}, body=self.BODY),
                "s",
                **setting,
            )

    def test_a_token(self) -> None:
        request = InboundRequest(headers={"authorization": "Bearer s"}, body=self.BODY)
        verify(request, "old", "s", scheme="token_header", prefix="Bearer ")
        with pytest.raises(SignatureInvalid):
            verify(request, "s", scheme="token_header", prefix="Token ")

    def test_closed_without_a_secret_unless_none_is_chosen(self) -> None:
        request = InboundRequest(body=self.BODY)
        verify(request, scheme="none")
        for setting in (
            {},
            {"scheme": "token_header"},
            {"scheme": "hmac_sha256_hex"},
            {"scheme": "x"},
        ):
            with pytest.raises(SignatureInvalid):
                verify(request, **setting)


@pytest.mark.parametrize(
    ("setting", "headers", "expected"),
    [
        (None, {"webhook-id": "m1"}, "m1"),
        (None, {}, None),
        ("X-Delivery", {"x-delivery": "d1"}, "d1"),
        ("{{ payload.id }}", {}, "42"),
        ("{{ payload.event }}-{{ payload.id }}", {}, "ticket.created-42"),
        ("{{ payload.gone | default('') }}", {}, None),
    ],
)
def test_delivery_id(setting: str | None, headers: dict[str, str], expected: str | None) -> None:
    inbound = integration.inbound
    assert inbound
    config = {} if setting is None else {"delivery_id": setting}
    request = InboundRequest(headers=headers, body=json.dumps(TICKET))
    assert inbound.delivery_id(request, Context(config=config, received_at=NOW)) == expected


class TestSend:
    def run(self, sandbox: Sandbox, marker: str = "d-1", **inputs: Any) -> Outcome:
        """Send as the core does: base address, and the signature of Standard Webhooks."""
        call = Call(inputs=inputs, config={"url": "https://r.example"}, marker=marker, now=NOW)
        return self.drive(actions.send(call), sandbox, marker)

    def drive(
        self, steps: Generator[Request, Response, Outcome], sandbox: Sandbox, marker: str
    ) -> Outcome:
        request = next(steps)
        body = request.content or b""
        headers = {
            **request.headers,
            "webhook-id": marker,
            "webhook-timestamp": str(int(NOW.timestamp())),
            "webhook-signature": Webhook(sandbox.token).sign(marker, NOW, body.decode()),
        }
        sent = InboundRequest(path=request.path.lstrip("/"), headers=headers, body=body)
        with pytest.raises(StopIteration) as stop:
            steps.send(sandbox.handle(sent))
        outcome = stop.value.value
        assert isinstance(outcome, Outcome)
        return outcome

    @pytest.fixture
    def receiver(self) -> Sandbox:
        return Sandbox(now=lambda: NOW, token=SECRET)

    def test_a_repeat_is_counted_and_kept_once(self, receiver: Sandbox) -> None:
        for _ in range(2):
            outcome = self.run(receiver, document={"a": 1}, path="/tickets")
            assert isinstance(outcome, Delivered)
        (row,) = receiver.tables()["received"]
        assert (row["id"], row["path"], row["times"]) == ("d-1", "/tickets", 2)
        assert row["document"] == '{"a":1}'

    def test_posts_to_the_connections_path_and_query_unless_the_step_names_another(self) -> None:
        config = {"url": "https://r.example", "path": "/hooks/hub/?key=a%20b"}
        request = next(actions.send(Call(inputs={"document": {}}, config=config)))
        assert (request.path, request.query) == ("/hooks/hub/", {"key": "a b"})
        request = next(actions.send(Call(inputs={"document": {}, "path": "/é"}, config=config)))
        assert (request.path, request.query) == ("/%C3%A9", {})

    def test_a_document_may_be_a_text_that_is_json(self, receiver: Sandbox) -> None:
        self.run(receiver, document='{"a": [1]}')
        assert receiver.state["received"]["d-1"]["document"] == {"a": [1]}

    def test_gone_is_final_and_a_fault_is_not(self, receiver: Sandbox) -> None:
        receiver.act("answer", {"status": 410})
        gone = self.run(receiver, document={})
        assert isinstance(gone, Rejected)
        assert "pause" in gone.reason
        receiver.act("answer", {"status": 500})
        assert isinstance(self.run(receiver, document={}), RetryLater)
        assert isinstance(self.run(receiver, document={}), Delivered)

    @pytest.mark.parametrize(
        ("inputs", "field"),
        [
            ({}, "document"),
            ({"document": "{'a': 1}"}, "document"),
            ({"document": {}, "path": "tickets"}, "path"),
            ({"document": {}, "path": "//evil.example"}, "path"),
            ({"document": {}, "path": "/a/../b"}, "path"),
            ({"document": {}, "path": "/a#b"}, "path"),
            ({"document": {}, "headers": {"Webhook-Id": "x"}}, "headers.Webhook-Id"),
            ({"document": {}, "headers": {"x-a": "b\r\nc: d"}}, "headers.x-a"),
            ({"document": {}, "headers": {"Authorization": "x"}}, "headers.Authorization"),
        ],
    )
    def test_a_faulty_input_is_named(self, inputs: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            next(actions.send(Call(inputs=inputs, config={"url": "https://r.example"})))
        assert caught.value.field == field

    def test_a_connection_that_only_receives_cannot_send(self) -> None:
        with pytest.raises(InvalidInput, match="url"):
            next(actions.send(Call(inputs={"document": {}})))

    def test_what_the_stand_in_sends_is_accepted(self) -> None:
        sandbox = Sandbox(now=lambda: NOW)
        sandbox.act("post", {"document": TICKET, "id": "m-9"})
        (sent,) = sandbox.outbox
        verify(InboundRequest(headers=sent.headers, body=sent.body), sandbox.secret)
        assert sent.headers["webhook-id"] == "m-9"

    def test_the_stand_in_refuses_what_is_not_signed(self, receiver: Sandbox) -> None:
        assert receiver.handle(InboundRequest(body=b"{}")).status == 401
        assert receiver.tables() == {"received": []}
