"""A made-up vendor: what tests of the core speak to, so that they depend on no real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub.sdk import (
    Account,
    Action,
    Call,
    Context,
    Delivered,
    Envelope,
    EventTable,
    Finding,
    Inbound,
    InboundRequest,
    Integration,
    Payload,
    Probing,
    Request,
    Sending,
    failed,
)
from hub.sdk.events import (
    Actor,
    ConversationReplied,
    Customer,
    Event,
    FeedbackReceived,
    Ref,
    Score,
    Status,
    Text,
    WorkItemCommented,
    WorkItemCreated,
    WorkItemStatusChanged,
)
from hub.sdk.signature import check

_CATEGORY = {"To Do": "todo", "In Progress": "in_progress", "Done": "done"}


def verify(request: InboundRequest, secrets: Sequence[str], _: Context) -> None:
    check(request.header("x-acme-signature"), request.body, secrets, prefix="sha256=")


def delivery_id(request: InboundRequest, _: Context) -> str | None:
    return request.payload()["id"].opt_str()


def envelopes(request: InboundRequest, _: Context) -> tuple[Envelope, ...]:
    payload = request.payload()
    return (Envelope(type=payload["type"].str(), id=None, payload=payload),)


def _actor(payload: Payload) -> Actor:
    return Actor(kind="user", id=payload["by"].opt_str() or "", name=payload["by"].opt_str() or "")


def _issue(payload: Payload) -> Ref:
    key = payload["issue"].str()
    return Ref(system="acme", kind="issue", id=key.rpartition("-")[2], key=key)


def _ticket_ref(payload: Payload) -> Ref:
    return Ref(system="acme", kind="ticket", id=payload["ticket"].str())


def _work(payload: Payload) -> dict[str, Any]:
    name = payload["status"].opt_str() or "To Do"
    return {
        "key": payload["issue"].str(),
        "title": Text(text=payload["title"].opt_str() or "", visibility="team"),
        "status": Status(name=name, category=_CATEGORY.get(name, "todo")),  # type: ignore[arg-type]
        "actor": _actor(payload),
        "project": "ACME",
    }


def _ticket(payload: Payload, context: Context) -> tuple[Event, ...]:
    ref = _ticket_ref(payload)
    extra = tuple(Ref(system="acme", kind="issue", key=key) for key in payload["about"].strings())
    rating = payload["rating"].opt_number()
    data = FeedbackReceived(
        kind="bug",
        title=Text(text=payload["title"].str(), visibility="public"),
        body=Text(text=payload["body"].opt_str() or "", visibility="public"),
        rating=None if rating is None else Score(value=rating, min=0, max=10, kind="nps"),
        customer=Customer(
            email=payload["email"].opt_str() or "", name=payload["name"].opt_str() or ""
        ),
        tags=payload["tags"].strings(),
        actor=Actor(kind="customer", id=payload["email"].opt_str() or ""),
        refs=(ref, *extra),
    )
    return (Event(subject=ref, time=_time(payload, context), data=data),)


def _time(payload: Payload, context: Context) -> Any:
    return payload["at"].iso_time() if payload["at"] else context.received_at


def _reply(payload: Payload, context: Context) -> tuple[Event, ...]:
    ref = _ticket_ref(payload)
    refs = (
        ref,
        *(
            (Ref(system="acme", kind="reply", id=payload["reply"].str()),)
            if payload["reply"]
            else ()
        ),
    )
    note = payload["note"].opt_bool() or False
    data = ConversationReplied(
        body=Text(text=payload["body"].str(), visibility="team" if note else "public"),
        actor=_actor(payload),
        refs=refs,
    )
    return (Event(subject=ref, time=_time(payload, context), data=data),)


def _created(payload: Payload, context: Context) -> tuple[Event, ...]:
    data = WorkItemCreated(
        **_work(payload), body=Text(text=payload["body"].opt_str() or "", visibility="team")
    )
    return (Event(subject=_issue(payload), time=_time(payload, context), data=data),)


def _status(payload: Payload, context: Context) -> tuple[Event, ...]:
    data = WorkItemStatusChanged(**_work(payload))
    return (Event(subject=_issue(payload), time=_time(payload, context), data=data),)


def _comment(payload: Payload, context: Context) -> tuple[Event, ...]:
    issue = _issue(payload)
    comment = Ref(system="acme", kind="comment", id=payload["comment"].str())
    visibility = payload["visibility"].one_of({"public": "public", "private": "private"}, "team")
    data = WorkItemCommented(
        **_work(payload),
        comment=Text(text=payload["body"].str(), visibility=visibility),  # type: ignore[arg-type]
        comment_ref=comment,
        refs=(issue, comment),
    )
    return (Event(subject=issue, time=_time(payload, context), data=data),)


def _post(call: Call, path: str, ref: str, body: dict[str, Any]) -> Sending:
    response = yield Request(method="POST", path=path, json={**body, "marker": call.marker})
    if not response.ok:
        return failed(response)
    made = response.payload()
    thing = Ref(system="acme", kind=ref, id=made["id"].id(), key=made["key"].opt_str() or "")
    return Delivered(ref=thing, written=(thing,), after=body)


def _find(kind: str) -> Any:
    def find(call: Call) -> Finding:
        response = yield Request(method="GET", path="/made", query={"marker": call.marker})
        if not response.ok:
            return failed(response)
        found = response.payload()["id"].opt_id()
        if found is None:
            return None
        key = response.payload()["key"].opt_str() or ""
        thing = Ref(system="acme", kind=kind, id=found, key=key)
        return Delivered(ref=thing, written=(thing,), note="found by its marker")

    return find


def _create(call: Call) -> Sending:
    body = {"summary": call.text("summary"), "body": call.text("body", "")}
    return (yield from _post(call, "/issues", "issue", body))


def _comment_on(call: Call) -> Sending:
    body = {"issue": call.text("issue"), "body": call.text("body")}
    return (yield from _post(call, "/comments", "comment", body))


def _reply_to(call: Call) -> Sending:
    body = {"ticket": call.text("ticket"), "body": call.text("body")}
    return (yield from _post(call, "/replies", "reply", body))


def _note_on(call: Call) -> Sending:
    body = {"ticket": call.text("ticket"), "body": call.text("body")}
    return (yield from _post(call, "/notes", "reply", body))


def _transition(call: Call) -> Sending:
    body = {"issue": call.text("issue"), "status": call.text("status")}
    return (yield from _post(call, "/transitions", "transition", body))


def _probe(_: Call) -> Probing:
    response = yield Request(method="GET", path="/me")
    if not response.ok:
        return failed(response)
    return Account(id=response.payload()["id"].id(), label="The hub", workspace="acme")


integration = Integration(
    inbound=Inbound(
        verify=verify,
        delivery_id=delivery_id,
        envelopes=envelopes,
        normalize=EventTable(
            {
                "ticket": _ticket,
                "reply": _reply,
                "issue.created": _created,
                "issue.status": _status,
                "issue.comment": _comment,
            }
        ),
    ),
    actions={
        "create_issue": Action(_create, find=_find("issue")),
        "comment": Action(_comment_on, find=_find("comment")),
        "reply": Action(_reply_to),
        "note": Action(_note_on, find=_find("reply")),
        "transition": Action(_transition),
    },
    probe=_probe,
)
