"""Conversations: begun, answered, noted, closed, opened again, rated and tagged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub.sdk import Context, MalformedPayload, Payload
from hub.sdk.events import (
    Actor,
    Change,
    ConversationClosed,
    ConversationOpened,
    ConversationRated,
    ConversationReplied,
    Data,
    Event,
    FeedbackKind,
    FeedbackReceived,
    FeedbackUpdated,
    Score,
    Text,
    Visibility,
)
from hub.sdk.text import from_plain
from integrations.intercom.normalize import common
from integrations.intercom.refs import ref

# Part types that the customer reads (OpenAPI 2.14, `conversation_part`). Every other type counts
# as internal: a note that is taken for a reply would reach the customer.
_PUBLIC = frozenset({"comment", "open", "close", "assignment", "assign_and_reopen", "quick_reply"})


class Conversation:
    """A conversation as a notification shows it, in the shapes of API 1.x and 2.x."""

    def __init__(self, thing: Payload, notification: Payload, context: Context) -> None:
        self.thing = thing
        self.context = context
        self.id = thing["id"].id()
        self.sent_at = notification["created_at"]
        # API 1.x calls the first message `conversation_message`.
        self.source = thing["conversation_message"] or thing["source"]
        self.said_first = common.markdown(self.source)
        self.parts = tuple(thing["conversation_parts"]["conversation_parts"])
        self.tags = common.names(thing["tags"], "tags")
        self.topics = common.names(thing["topics"], "topics")
        self.attributes = common.attributes(thing["custom_attributes"])
        place = f"inbox/inbox/shared/all/conversation/{self.id}"
        self.url = common.address(thing, notification, context, place=place)
        self.ref = ref("conversation", self.id, url=self.url)
        authors = (part["author"] for part in (self.source, *self.parts))
        self.customer = common.customer_of(thing, *authors)
        open_ = thing["open"].opt_bool() is not False
        self.state = common.words(thing["state"]) or ("open" if open_ else "closed")

    def part(self, wanted: Callable[[Payload], bool]) -> Payload:
        """Return the newest part that is wanted, or an absent one."""
        found = [part for part in self.parts if wanted(part)]
        return found[-1] if found else self.thing["no such part"]

    def need(self, *wanted: Callable[[Payload], bool], what: str) -> Payload:
        """Return the newest part of the first kind there is. Raises `MalformedPayload`."""
        for kind in wanted:
            if part := self.part(kind):
                return part
        path = self.thing["conversation_parts"]["conversation_parts"].path
        raise MalformedPayload(path, what, "none")

    def author(self, part: Payload) -> Actor:
        """Return who wrote a part; a customer's name is at times only with the conversation."""
        actor = common.actor(part["author"])
        return self.by_customer() if actor.id and actor.id == self.customer.id else actor

    def by_customer(self) -> Actor:
        """Return the customer as the one who did it."""
        who = self.customer
        return Actor(kind="customer", id=who.id, name=who.name, email=who.email)

    def kind(self, tags: tuple[str, ...]) -> FeedbackKind:
        """Return the kind of feedback that the conversation is with these tags."""
        signs = common.signs_of(tags=tags, topics=self.topics, found=self.attributes)
        return common.kind_of(signs, self.context)

    def shown(self, *parts: Payload) -> dict[str, Any]:
        """Return the fields that all events of a conversation share; `parts` are referred to."""
        topics = {"Topics": ", ".join(self.topics)} if self.topics else {}
        work = common.work_items(self.attributes, self.context)
        comments = (one for part in parts for one in common.comment(part))
        return {
            "refs": (self.ref, *comments, *common.linked(self.thing), *work),
            "title": common.title(self.thing, self.source, self.said_first, "public"),
            "customer": self.customer,
            "channel": common.channel(self.source["type"]),
            "url": self.url,
            "tags": self.tags,
            "attributes": {**self.attributes, **topics},
        }

    def feedback(self, *parts: Payload) -> dict[str, Any]:
        """Return the fields of the conversation as a report: what the customer first wrote."""
        return {
            **self.shown(*parts),
            "kind": self.kind(self.tags),
            "body": Text(text=self.said_first, visibility="public"),
        }

    def event(self, data: Data, *times: Payload) -> Event:
        """Return an event of the conversation at the first time that Intercom gives."""
        when = common.happened(self.context, *times, self.thing["updated_at"], self.sent_at)
        return Event(subject=self.ref, time=when, data=data)

    def said(self, part: Payload, visibility: Visibility) -> tuple[Event, ...]:
        """Return that a part was said."""
        data = ConversationReplied(
            **self.shown(part),
            actor=self.author(part),
            body=Text(text=common.markdown(part), visibility=visibility),
            state=self.state,
        )
        return (self.event(data, part["created_at"]),)

    def begun(self) -> Event:
        """Return that the conversation began, with its first message."""
        data = ConversationOpened(
            **self.shown(self.source),
            actor=self.author(self.source),
            body=Text(text=self.said_first, visibility="public"),
            state=self.state,
        )
        return self.event(data, self.thing["created_at"])


def begun_by_customer(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell of a conversation twice: as one that was opened, and as feedback to be routed."""
    talk = _conversation(payload, context)
    opened = talk.begun()
    feedback = FeedbackReceived(**talk.feedback(talk.source), actor=opened.data.actor)
    return opened, talk.event(feedback, talk.thing["created_at"])


def begun_by_team(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell that a teammate, or the hub, wrote to a customer first."""
    return (_conversation(payload, context).begun(),)


def replied_by_customer(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell what a customer answered."""
    talk = _conversation(payload, context)
    part = talk.need(
        lambda part: _by_customer(part) and _has_words(part), _by_customer, what="a customer's part"
    )
    return talk.said(part, "public")


def replied(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell what a teammate, or Fin, answered the customer.

    Fin's remarks about the conversation itself ("the team will reply soon") come with the same
    topics and are dropped, as is a reply without words.
    """
    talk = _conversation(payload, context)
    if part := talk.part(lambda part: _type(part) in _PUBLIC and _has_words(part)):
        return talk.said(part, "public")
    part = talk.part(_has_words)
    if not part or common.actor(part["author"]).kind == "bot":
        return ()
    return talk.said(part, "team")


def noted(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell what a teammate, or the hub, wrote for the team alone."""
    talk = _conversation(payload, context)
    part = talk.need(lambda part: _type(part).startswith("note"), _has_words, what="a note")
    return talk.said(part, "team")


def assigned(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell what was said with an assignment; an assignment without words is dropped.

    Intercom does not say who may read the words, so they stay in the team.
    """
    talk = _conversation(payload, context)
    part = talk.part(lambda part: "assign" in _type(part) and _has_words(part))
    return talk.said(part, "team") if part else ()


def closed(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell that a conversation was closed, with the last word to the customer if there was one."""
    talk = _conversation(payload, context)
    part = talk.part(lambda part: _type(part) == "close")
    data = ConversationClosed(
        **talk.shown(part),
        actor=talk.author(part),
        body=Text(text=common.markdown(part), visibility="public"),
        state=talk.state,
    )
    return (talk.event(data, part["created_at"]),)


def opened_again(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell that a teammate opened a conversation again, with what was said to the customer."""
    talk = _conversation(payload, context)
    part = talk.part(lambda part: "open" in _type(part))
    # A note can open a conversation too (`note_and_reopen`), and its text is the team's.
    visibility: Visibility = "public" if _type(part) in _PUBLIC else "team"
    data = ConversationOpened(
        **talk.shown(part),
        actor=talk.author(part),
        body=Text(text=common.markdown(part), visibility=visibility),
        state=talk.state,
    )
    return (talk.event(data, part["created_at"]),)


def rated(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell how the customer rated the conversation: from 1 (terrible) to 5 (amazing)."""
    talk = _conversation(payload, context)
    rating = talk.thing["conversation_rating"]
    data = ConversationRated(
        **talk.shown(),
        actor=talk.by_customer(),
        body=Text(text=from_plain(common.words(rating["remark"])), visibility="public"),
        state=talk.state,
        rating=Score(value=rating["rating"].number(), min=1, max=5, kind="csat"),
    )
    # `created_at` of a rating is when it was asked for, so it is not when it was given.
    return (talk.event(data, rating["updated_at"], talk.sent_at),)


def tagged(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell that a part of a conversation was tagged, and what kind of feedback that makes it.

    API 1.x sends the conversation with `tags_added`; API 2.x sends the tag, the part and the
    conversation side by side.
    """
    item = common.item_of(payload)
    within = item["conversation"]
    talk = Conversation(within or item, payload, context)
    one = common.words(item["tag"]["name"])
    added = (one,) if one else common.names(talk.thing["tags_added"], "tags")
    before = tuple(tag for tag in talk.tags if tag not in added)
    talk.tags = tuple(dict.fromkeys((*talk.tags, *added)))
    changes = [Change(field="tags", before=", ".join(before), after=", ".join(talk.tags))]
    if (earlier := talk.kind(before)) != (kind := talk.kind(talk.tags)):
        changes.append(Change(field="kind", before=earlier, after=kind))
    # The tagged part is no ref: the hub may have written it, and the tag is no echo of that.
    data = FeedbackUpdated(
        **talk.feedback(),
        actor=common.actor(item["admin"] or item["tag"]["applied_by"]),
        changes=tuple(changes),
    )
    times = (item["created_at"], talk.sent_at) if within else (talk.sent_at,)
    return (talk.event(data, *times),)


def _conversation(payload: Payload, context: Context) -> Conversation:
    return Conversation(common.item_of(payload), payload, context)


def _type(part: Payload) -> str:
    return common.words(part["part_type"])


def _has_words(part: Payload) -> bool:
    return bool(common.words(part["body"])) or any(part["attachments"])


def _by_customer(part: Payload) -> bool:
    return common.is_customer(part["author"])
