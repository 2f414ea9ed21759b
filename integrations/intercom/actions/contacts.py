"""Contacts: find one, and write to one who has no conversation yet."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any, TypeAlias

from hub.sdk import (
    Call,
    Delivered,
    Finding,
    InvalidInput,
    Payload,
    Rejected,
    Request,
    Response,
    RetryLater,
    Sending,
    quote,
)
from hub.sdk.events import Ref
from hub.sdk.text import plain, to_html
from integrations.intercom.actions.common import opt_list, refused, same, since, unread, writer
from integrations.intercom.refs import ref

# A contact, none, or the answer by which Intercom refused to say.
Found: TypeAlias = Generator[Request, Response, Payload | Response | None]

# Intercom names the contact it holds: "A contact matching those details already exists with id=…".
_EXISTS = re.compile(r"\bid=([0-9a-f]{8,})")
_SHOWN = ("id", "external_id", "email", "name", "role")


def find_contact(call: Call) -> Sending:
    """Find a contact by id, by e-mail address or by its id in the team's own product."""
    found = yield from _look_up(call)
    field = _given(call)
    missing = f"no contact has the {field} {call.text(field)!r}"
    if isinstance(found, Response):
        return refused(found, call, missing=missing, field=field)
    if found is None:
        return Rejected(reason=missing, field=field)
    shown = {name: found[name].opt_str() for name in _SHOWN if found[name]}
    return Delivered(ref=_ref(found), after=shown)


def message_contact(call: Call) -> Sending:
    """Start a conversation with a contact, who is created when the address is new."""
    order = _order(call)
    found = yield from _look_up(call)
    is_new = found is None
    if found is None:
        found = yield from _create(call)
    if isinstance(found, Response):
        field = _given(call)
        missing = f"no contact has the {field} {call.text(field)!r}"
        return refused(found, call, missing=missing, field=field)
    if found is None:
        return RetryLater(reason="the contact is not to be found yet", effect=False)
    role = "lead" if found["role"].opt_str() == "lead" else "user"
    order["to"] = {"type": role, "id": found["id"].id()}
    response = yield Request(method="POST", path="/messages", json=order)
    if response.status == 404 and is_new:  # noqa: PLR2004
        # There is a short delay between the creation of a contact and the moment it can be
        # written to, with 404 until then (OpenAPI 2.14, `createMessage`).
        reason = "Intercom does not let the new contact be written to yet"
        return RetryLater(reason=reason, after=5.0, effect=False)
    if not response.ok:
        return refused(response, call, missing="the contact is gone", field=_given(call))
    message = response.payload()
    return _begun(found, message["conversation_id"], message["id"])


def find_message(call: Call) -> Finding:
    """Look for a conversation that an earlier attempt began with the contact."""
    found = yield from _look_up(call)
    if isinstance(found, Response) and found.status != 404:  # noqa: PLR2004
        raise unread(found, "the contact to look for an earlier message to")
    if found is None or isinstance(found, Response):
        return None
    query = _both(("contact_ids", "=", found["id"].id()), ("created_at", ">", since(call)))
    response = yield Request(
        method="POST",
        path="/conversations/search",
        json={"query": query, "pagination": {"per_page": 50}},
        repeatable=True,
    )
    if not response.ok:
        raise unread(response, "the contact's conversations")
    for talk in opt_list(response.payload()["conversations"]):
        source = talk["source"]
        is_ours = source["author"]["id"].opt_id() == writer(call)
        if is_ours and same(call.text("body"), source["body"].opt_str() or ""):
            return _begun(found, talk["id"], source["id"])
    return None


def _look_up(call: Call) -> Found:
    if call.has("contact"):
        path = f"/contacts/{quote(call.text('contact'))}"
        response = yield Request(method="GET", path=path)
        return response.payload() if response.ok else response
    field = _given(call)
    response = yield Request(
        method="POST",
        path="/contacts/search",
        json={"query": {"field": field, "operator": "=", "value": call.text(field)}},
        repeatable=True,
    )
    if not response.ok:
        return response
    # A lead and a user may share an address; the user is who signs in.
    contacts = opt_list(response.payload()["data"])
    users = [contact for contact in contacts if contact["role"].raw == "user"]
    return next(iter((*users, *contacts)), None)


def _create(call: Call) -> Found:
    person = {"role": "user", "email": call.text("email"), "name": call.text("name", "")}
    response = yield Request(
        method="POST",
        path="/contacts",
        json={name: value for name, value in person.items() if value},
    )
    if response.ok:
        return response.payload()
    known = _EXISTS.search(response.excerpt(1000)) if response.status == 409 else None  # noqa: PLR2004
    if known is None:
        return response
    # The search lags behind by some seconds: the contact has just been created by somebody.
    response = yield Request(method="GET", path=f"/contacts/{known[1]}")
    return response.payload() if response.ok else response


def _order(call: Call) -> dict[str, Any]:
    admin_id = writer(call)
    order: dict[str, Any] = {
        "message_type": "inapp",
        "body": to_html(call.text("body")),
        "from": {"type": "admin", "id": int(admin_id) if admin_id.isdecimal() else admin_id},
        # Else there is no conversation, and nothing to link, until the contact answers.
        "create_conversation_without_contact_reply": True,
    }
    if call.has("subject"):
        subject = plain(call.text("subject"))
        order |= {"message_type": "email", "template": "plain", "subject": subject}
    return order


def _begun(contact: Payload, conversation_id: Payload, message_id: Payload) -> Delivered:
    made = conversation_id.opt_id()
    written = message_id.opt_id()
    return Delivered(
        ref=ref("conversation", made) if made else _ref(contact),
        written=(ref("comment", written),) if written else (),
        after={"contact": contact["id"].id(), "conversation": made, "message": written},
    )


def _given(call: Call) -> str:
    for field in ("contact", "email", "external_id"):
        if call.has(field):
            return field
    raise InvalidInput("email", "is missing", "give the step an input 'email' or 'contact'")


def _both(*clauses: tuple[str, str, str | int]) -> dict[str, Any]:
    value = [
        {"field": field, "operator": operator, "value": value} for field, operator, value in clauses
    ]
    return {"operator": "AND", "value": value}


def _ref(contact: Payload) -> Ref:
    return ref("contact", contact["id"].id())
