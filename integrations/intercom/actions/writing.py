"""Replies and notes.

Intercom has no idempotency key, strips comments and unknown attributes from HTML, and gives a
part no field of its own to a caller, so no marker can be left in what is written. An earlier
attempt is found by who wrote and what: a part by our teammate with the same text, in the last two
days.
"""

from __future__ import annotations

from collections.abc import Iterator

from hub.sdk import Call, Delivered, Finding, Payload, Request, Sending
from hub.sdk.events import Ref
from hub.sdk.text import to_html
from integrations.intercom.actions.common import (
    gone,
    kind_of,
    opt_list,
    path_of,
    refused,
    same,
    since,
    target,
    unread,
    writer,
)
from integrations.intercom.refs import ref


def reply(call: Call) -> Sending:
    """Write what the customer reads."""
    return _write(call, "comment")


def note(call: Call) -> Sending:
    """Write what the team reads."""
    return _write(call, "note")


def find_reply(call: Call) -> Finding:
    """Look for a reply that an earlier attempt wrote."""
    return _find(call, "comment")


def find_note(call: Call) -> Finding:
    """Look for a note that an earlier attempt wrote."""
    return _find(call, "note")


def own_part(thing: Payload, call: Call, text: str, *, note: bool = False) -> Ref | None:
    """Return the newest part by our teammate that says `text` (Markdown), if there is one."""
    for part in reversed(tuple(_own_parts(thing, call, note=note))):
        if same(text, part["body"].opt_str() or ""):
            return ref("comment", part["id"].id())
    return None


def newest_part(thing: Payload, call: Call, part_type: str) -> tuple[Ref, ...]:
    """Refer to the newest part of a type by our teammate, as an answer shows the thing."""
    own = [
        part
        for part in _own_parts(thing, call, note=part_type == "note")
        if part["part_type"].opt_str() == part_type
    ]
    return (ref("comment", own[-1]["id"].id()),) if own else ()


def _write(call: Call, message_type: str) -> Sending:
    body = call.text("body")
    response = yield Request(
        method="POST",
        path=path_of(call, "/reply"),
        json={
            "message_type": message_type,
            "type": "admin",
            "admin_id": writer(call),
            "body": to_html(body),
        },
    )
    if not response.ok:
        return refused(response, call, missing=gone(call), field="conversation")
    answer = response.payload()
    # A conversation answers with all its parts, a ticket with the new part alone.
    if kind_of(call) == "ticket" and answer["part_type"]:
        written: tuple[Ref, ...] = (ref("comment", answer["id"].id()),)
    else:
        found = own_part(answer, call, body, note=message_type == "note")
        written = (found,) if found else newest_part(answer, call, message_type)
    return Delivered(ref=target(call), written=written, after={message_type: body})


def _find(call: Call, message_type: str) -> Finding:
    response = yield Request(method="GET", path=path_of(call))
    if response.status == 404:  # noqa: PLR2004
        return None
    if not response.ok:
        raise unread(response, f"the {kind_of(call)} to look for an earlier attempt in")
    body = call.text("body")
    found = own_part(response.payload(), call, body, note=message_type == "note")
    if found is None:
        return None
    return Delivered(ref=target(call), written=(found,), after={message_type: body})


def _own_parts(thing: Payload, call: Call, *, note: bool) -> Iterator[Payload]:
    listed = (
        *opt_list(thing["conversation_parts"]["conversation_parts"]),
        *opt_list(thing["ticket_parts"]["ticket_parts"]),
    )
    for part in listed:
        author = part["author"]
        is_note = (part["part_type"].opt_str() or "").startswith("note")
        is_ours = author["type"].raw == "admin" and author["id"].opt_id() == writer(call)
        if is_ours and is_note == note and (part["created_at"].opt_number() or 0) >= since(call):
            yield part
