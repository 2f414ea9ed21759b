"""Tickets: what a customer filed in a form, and what teammates file for customers or engineers.

A ticket of the category Customer is a conversation with fields. Back-office and Tracker tickets
stay in the company: everything in them is for the team.
"""

from __future__ import annotations

from typing import Any

from hub.sdk import Context, Payload
from hub.sdk.events import (
    Change,
    ConversationClosed,
    ConversationOpened,
    ConversationReplied,
    Data,
    Event,
    FeedbackReceived,
    FeedbackUpdated,
    Text,
    Visibility,
)
from integrations.intercom.normalize import common
from integrations.intercom.refs import ref

# Intercom's own names of the two fields that every ticket has (OpenAPI 2.14, `ticket`).
_TITLE = "_default_title_"
_BODY = "_default_description_"
_RESOLVED = "resolved"


class Ticket:
    """A ticket as a notification shows it."""

    def __init__(self, thing: Payload, notification: Payload, context: Context) -> None:
        self.thing = thing
        self.context = context
        self.id = thing["id"].id()
        self.sent_at = notification["created_at"]
        self.category = common.words(thing["category"]) or common.words(
            thing["ticket_type"]["category"]
        )
        self.is_internal = self.category.lower() not in {"", "customer"}
        self.visibility: Visibility = "team" if self.is_internal else "public"
        self.type = common.words(thing["ticket_type"]["name"])
        state = thing["ticket_state"]
        self.state = common.words(state["internal_label"]) or common.words(state["category"])
        self.stage = common.words(state["category"])
        self.parts = tuple(thing["ticket_parts"]["ticket_parts"])
        self.tags = common.names(thing["tags"], "tags")
        self.fields = common.attributes(thing["ticket_attributes"])
        self.title = str(self.fields.pop(_TITLE, ""))
        self.body = common.written(str(self.fields.pop(_BODY, "")))
        place = f"inbox/inbox/shared/all/conversation/{self.id}"
        self.url = common.address(thing, notification, context, place=place)
        key = common.identifier(thing["ticket_id"])
        self.ref = ref("ticket", self.id, key=key, url=self.url)
        self.customer = common.customer_of(thing, *(part["author"] for part in self.parts))

    def shown(self, *parts: Payload) -> dict[str, Any]:
        """Return the fields that all events of a ticket share; `parts` are referred to."""
        work = common.work_items(self.fields, self.context)
        comments = (one for part in parts for one in common.comment(part))
        about = {
            "Ticket type": self.type,
            "Ticket category": self.category,
            "Ticket state": self.state,
        }
        return {
            "refs": (self.ref, *comments, *common.linked(self.thing), *work),
            "title": Text(
                text=self.title or common.beginning(self.body), visibility=self.visibility
            ),
            "customer": self.customer,
            "channel": common.channel(self.thing["channel"]),
            "url": self.url,
            "tags": self.tags,
            "attributes": {
                **self.fields,
                **{name: value for name, value in about.items() if value},
            },
        }

    def feedback(self) -> dict[str, Any]:
        """Return the fields of the ticket as a report."""
        signs = common.signs_of(tags=self.tags, ticket_type=self.type, found=self.fields)
        return {
            **self.shown(),
            "kind": common.kind_of(signs, self.context),
            "body": Text(text=self.body, visibility=self.visibility),
        }

    def event(self, data: Data, *times: Payload) -> Event:
        """Return an event of the ticket at the first time that Intercom gives."""
        when = common.happened(self.context, *times, self.thing["updated_at"], self.sent_at)
        return Event(subject=self.ref, time=when, data=data)


def created(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell of a ticket as feedback, and of a customer's ticket as a conversation too."""
    ticket = _ticket(payload, context)
    first = ticket.parts[0] if ticket.parts else payload["no such part"]
    actor = common.actor(first["author"])
    report = FeedbackReceived(**ticket.feedback(), actor=actor)
    told = ticket.event(report, ticket.thing["created_at"])
    if ticket.is_internal:
        return (told,)
    opened = ConversationOpened(
        **ticket.shown(),
        actor=actor,
        body=Text(text=ticket.body, visibility=ticket.visibility),
        state=ticket.state,
    )
    return ticket.event(opened, ticket.thing["created_at"]), told


def state_updated(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell that a ticket moved on; a resolved one is closed, and one that leaves it open again."""
    ticket = _ticket(payload, context)
    part = _newest(ticket.parts, "ticket_state_updated", payload)
    before = common.words(part["previous_ticket_state"])
    actor = common.actor(part["author"])
    change = Change(field="state", before=before, after=ticket.stage)
    update = FeedbackUpdated(**ticket.feedback(), actor=actor, changes=(change,))
    told = ticket.event(update, part["created_at"])
    if ticket.is_internal or (before == _RESOLVED) == (ticket.stage == _RESOLVED):
        return (told,)
    made = ConversationOpened if before == _RESOLVED else ConversationClosed
    moved = made(**ticket.shown(), actor=actor, state=ticket.state)
    return told, ticket.event(moved, part["created_at"])


def attribute_updated(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell that a field of a ticket changed; Intercom does not say which."""
    ticket = _ticket(payload, context)
    part = _newest(ticket.parts, "ticket_attribute_updated", payload)
    update = FeedbackUpdated(**ticket.feedback(), actor=common.actor(part["author"]))
    return (ticket.event(update, part["created_at"]),)


def replied(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell what was said in a ticket, by the customer or by the team."""
    ticket = _ticket(payload, context)
    part = common.item_of(payload)["ticket_part"]
    said_in_public = common.words(part["part_type"]) in {"comment", "quick_reply"}
    return _said(ticket, part, ticket.visibility if said_in_public else "team")


def noted(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell what a teammate, or the hub, noted in a ticket."""
    return _said(_ticket(payload, context), common.item_of(payload)["ticket_part"], "team")


def _ticket(payload: Payload, context: Context) -> Ticket:
    # Topics about a part send `{ticket, ticket_part}`, the others the ticket itself.
    item = common.item_of(payload)
    return Ticket(item["ticket"] or item, payload, context)


def _newest(parts: tuple[Payload, ...], kind: str, payload: Payload) -> Payload:
    found = [part for part in parts if common.words(part["part_type"]).startswith(kind)]
    return found[-1] if found else payload["no such part"]


def _said(ticket: Ticket, part: Payload, visibility: Visibility) -> tuple[Event, ...]:
    data = ConversationReplied(
        **ticket.shown(part),
        actor=common.actor(part["author"]),
        body=Text(text=common.markdown(part), visibility=visibility),
        state=ticket.state,
    )
    return (ticket.event(data, part["created_at"]),)
