"""Tags, state and attributes of a conversation or a ticket: setting them twice is harmless."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias

from hub.sdk import (
    Call,
    Checking,
    Delivered,
    InvalidInput,
    Nothing,
    Outcome,
    Payload,
    Request,
    Response,
    Sending,
)
from hub.sdk.text import to_html
from integrations.intercom.actions.common import (
    gone,
    kind_of,
    opt_list,
    path_of,
    refused,
    target,
    writer,
)
from integrations.intercom.actions.writing import newest_part, own_part

Reading: TypeAlias = Generator[Request, Response, Payload | Outcome]


def tag(call: Call) -> Sending:
    """Put a tag on a conversation or ticket; `POST /tags` gives the tag of a name, new or not."""
    name = call.text("tag")
    response = yield Request(method="POST", path="/tags", json={"name": name}, repeatable=True)
    if not response.ok:
        return refused(response, call, field="tag")
    tag_id = response.payload()["id"].id()
    response = yield Request(
        method="POST",
        path=path_of(call, "/tags"),
        json={"id": tag_id, "admin_id": writer(call)},
        repeatable=True,
    )
    if not response.ok:
        return refused(response, call, missing=gone(call), field="conversation")
    return Delivered(ref=target(call), after={"tag": name})


def close(call: Call) -> Sending:
    """Close, with a last word to the customer if one is given."""
    if kind_of(call) == "ticket":
        if call.has("body"):
            mend = "leave it out and let a step `reply` go before"
            raise InvalidInput("body", "a ticket is closed without words", mend)
        return (yield from _open_ticket(call, wanted=False))
    return (yield from _move(call, "close", "closed"))


def reopen(call: Call) -> Sending:
    """Open what is closed or snoozed."""
    if kind_of(call) == "ticket":
        return (yield from _open_ticket(call, wanted=True))
    return (yield from _move(call, "open", "open"))


def set_attribute(call: Call) -> Sending:
    """Set one attribute to a value."""
    name, value = call.text("name"), call.inputs.get("value")
    if value is None:
        raise InvalidInput("value", "is missing", "give the step an input 'value'")
    found = yield from _read(call)
    if isinstance(found, Outcome):
        return found
    field = "ticket_attributes" if kind_of(call) == "ticket" else "custom_attributes"
    before = found[field][name].raw if found[field][name] else None
    if before == value and type(before) is type(value):
        return Nothing(reason=f"{name} is {value!r} already", ref=target(call))
    response = yield Request(
        method="PUT", path=path_of(call), json={field: {name: value}}, repeatable=True
    )
    if not response.ok:
        return refused(response, call, missing=gone(call), field="name")
    return Delivered(ref=target(call), before={name: before}, after={name: value})


def check_attribute(call: Call) -> Checking:
    """Compare the attribute's name with those that the workspace has for conversations."""
    if kind_of(call) == "ticket" or not call.has("name") or call.is_template("name"):
        return ()
    response = yield Request(method="GET", path="/data_attributes", query={"model": "conversation"})
    if not response.ok:
        return ()
    known = [
        name for one in opt_list(response.payload()["data"]) if (name := one["name"].opt_str())
    ]
    if call.text("name") in known:
        return ()
    shown = ", ".join(known) or "none"
    mend = f"create it in Settings > Data > Conversations, or use one that exists: {shown}"
    return (InvalidInput("name", f"no attribute is called {call.text('name')!r}", mend),)


def _read(call: Call) -> Reading:
    response = yield Request(method="GET", path=path_of(call))
    if not response.ok:
        return refused(response, call, missing=gone(call), field="conversation")
    return response.payload()


def _move(call: Call, message_type: str, wanted: str) -> Sending:
    found = yield from _read(call)
    if isinstance(found, Outcome):
        return found
    body = call.text("body", "")
    state = found["state"].opt_str() or ""
    if state == wanted and (not body or own_part(found, call, body)):
        return Nothing(reason=f"the conversation is {wanted} already", ref=target(call))
    order: dict[str, Any] = {
        "message_type": message_type,
        "type": "admin",
        "admin_id": writer(call),
    }
    if body:
        order["body"] = to_html(body)
    response = yield Request(method="POST", path=path_of(call, "/parts"), json=order)
    if not response.ok:
        return refused(response, call, missing=gone(call), field="conversation")
    return Delivered(
        ref=target(call),
        written=newest_part(response.payload(), call, message_type),
        before={"state": state},
        after={"state": wanted},
    )


def _open_ticket(call: Call, *, wanted: bool) -> Sending:
    found = yield from _read(call)
    if isinstance(found, Outcome):
        return found
    before = found["open"].opt_bool()
    if before is wanted:
        state = "open" if wanted else "closed"
        return Nothing(reason=f"the ticket is {state} already", ref=target(call))
    response = yield Request(
        method="PUT", path=path_of(call), json={"open": wanted}, repeatable=True
    )
    if not response.ok:
        return refused(response, call, missing=gone(call), field="conversation")
    return Delivered(ref=target(call), before={"open": before}, after={"open": wanted})
