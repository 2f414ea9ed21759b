"""From Slack's events to shared ones. Sources: docs.slack.dev/reference/events and /interactivity.

Every text is `team`, but for private conversations that nobody listed as a feedback channel: what
is said there is `private`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from hub.sdk import Context, EventTable, Payload, UnsupportedEvent
from hub.sdk.events import (
    Actor,
    Change,
    Event,
    FeedbackReceived,
    FeedbackUpdated,
    MessagePosted,
    Ref,
    Text,
    Visibility,
)
from integrations.slack.feedback import from_command, from_reaction, from_shortcut, kind_of
from integrations.slack.people import author, is_ours, who
from integrations.slack.refs import Site, time_of
from integrations.slack.words import title, words

_Row: TypeAlias = Callable[[Payload, Context], tuple[Event, ...]]

POSTED = frozenset({"", "file_share", "me_message", "thread_broadcast", "bot_message"})
"""Subtypes of a message that somebody wrote just now; empty for an ordinary one."""

_SERVICE = frozenset({
    "message_replied",  # only says that the thread has grown; the reply comes as a message
    "channel_join", "channel_leave", "channel_topic", "channel_purpose", "channel_name",
    "channel_archive", "channel_unarchive", "channel_convert_to_private",
    "channel_convert_to_public", "channel_posting_permissions", "channel_canvas_updated",
    "group_join", "group_leave", "group_topic", "group_purpose", "group_name", "group_archive",
    "group_unarchive", "pinned_item", "unpinned_item", "reminder_add", "bot_add", "bot_remove",
    "bot_enable", "bot_disable", "app_conversation_join", "sh_room_created", "huddle_thread",
    "tabbed_canvas_updated", "document_mention", "assistant_app_thread", "ekm_access_denied",
    "joiner_notification", "joiner_notification_for_inviter",
})  # fmt: skip
"""What Slack itself writes into a channel: understood, and no message of anybody."""

_PRIVATE_TYPES = frozenset({"group", "im", "mpim", "app_home"})


def message(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Normalize `message` by its subtype. An unknown subtype is not supported."""
    event = payload["event"]
    subtype = event["subtype"].opt_str() or ""
    # Slack leaves the subtype of `message_replied` out (docs.slack.dev/reference/events/
    # message/message_replied); it is known by the message inside.
    if subtype in _SERVICE or (not subtype and event["message"]):
        return ()
    if subtype in POSTED:
        return _posted(payload, context)
    row = _SUBTYPES.get(subtype)
    if row is None:
        raise UnsupportedEvent(f"message/{subtype}")
    return row(payload, context)


def app_mention(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Normalize `app_mention`: the same message comes as `message` too, so it is dropped.

    It is read where the config says so, for an app that hears nothing but mentions.
    """
    return _posted(payload, context) if context.config.get("app_mentions") else ()


def reaction_added(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Normalize a reaction; one chosen in the config makes feedback of the message."""
    reacted = _reaction(payload, context, removed=False)
    return reacted + from_reaction(payload, context, _event_time(payload, context))


def reaction_removed(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Normalize a reaction that was taken back."""
    return _reaction(payload, context, removed=True)


def _posted(payload: Payload, context: Context) -> tuple[Event, ...]:
    event = payload["event"]
    said = _Said(payload, event, context)
    time = time_of(event["ts"])
    actor = author(event)
    events = [said.event(time, actor)]
    if said.is_feedback(actor, context):
        body = said.body
        data = FeedbackReceived(
            actor=actor,
            refs=(said.ref, said.channel_ref),
            kind=kind_of(said.channel, event["text"].opt_str() or "", context),
            title=Text(text=title(body.text), visibility=body.visibility),
            body=body,
            channel="chat",
            url=said.ref.url,
        )
        events.append(Event(subject=said.ref, time=time, data=data))
    return tuple(events)


def _changed(payload: Payload, context: Context) -> tuple[Event, ...]:
    event = payload["event"]
    now, before = event["message"], event["previous_message"]
    if now["subtype"].opt_str() == "tombstone":
        # A message with replies is not deleted but emptied.
        return _removed(payload, before, now["ts"].str(), context)
    said, old = _Said(payload, now, context), words(before)
    if before and said.body.text == old:
        return ()  # a link was unfolded, or a reply counted: nobody changed a word
    time = _event_time(payload, context)
    actor = who(now["edited"]["user"]) or author(now)
    events = [said.event(time, actor, edited=True)]
    if said.is_feedback(author(now), context):
        data = FeedbackUpdated(
            actor=actor,
            refs=(said.ref, said.channel_ref),
            kind=kind_of(said.channel, now["text"].opt_str() or "", context),
            title=Text(text=title(said.body.text), visibility=said.body.visibility),
            body=said.body,
            channel="chat",
            url=said.ref.url,
            changes=(Change(field="body", before=old, after=said.body.text),),
        )
        events.append(Event(subject=said.ref, time=time, data=data))
    return tuple(events)


def _deleted(payload: Payload, context: Context) -> tuple[Event, ...]:
    event = payload["event"]
    before = event["previous_message"]
    ts = event["deleted_ts"].opt_str() or before["ts"].str()
    return _removed(payload, before, ts, context)


def _removed(payload: Payload, before: Payload, ts: str, context: Context) -> tuple[Event, ...]:
    said = _Said(payload, before, context, ts=ts)
    # Slack does not tell who deleted it: the author or an administrator.
    return (said.event(_event_time(payload, context), Actor(), removed=True),)


_SUBTYPES: dict[str, _Row] = {"message_changed": _changed, "message_deleted": _deleted}


class _Said:
    """A message in its place: what it says, where, and who may read it."""

    def __init__(
        self, payload: Payload, told: Payload, context: Context, *, ts: str | None = None
    ) -> None:
        site = Site(context.config, payload["team_id"].opt_str() or "")
        event = payload["event"]
        self.channel = event["channel"].str()
        self.ts = told["ts"].str() if ts is None else ts
        self.thread = told["thread_ts"].opt_str() or self.ts
        self.from_bot = bool(told["bot_id"])
        self.ref = site.message(self.channel, self.ts, self.thread)
        self.channel_ref = site.channel(self.channel)
        self.thread_ref: Ref | None = None
        if self.thread != self.ts:
            self.thread_ref = site.thread(self.channel, self.thread)
        visibility = visibility_of(self.channel, event["channel_type"].opt_str() or "", context)
        self.body = Text(text=words(told), visibility=visibility)

    def event(
        self, time: datetime, actor: Actor, *, edited: bool = False, removed: bool = False
    ) -> Event:
        """Return `message.posted`."""
        threads = () if self.thread_ref is None else (self.thread_ref,)
        data = MessagePosted(
            actor=actor,
            refs=(self.ref, *threads, self.channel_ref),
            body=self.body,
            channel=self.channel_ref,
            thread=self.thread_ref,
            edited=edited,
            removed=removed,
            url=self.ref.url,
        )
        return Event(subject=self.ref, time=time, data=data)

    def is_feedback(self, actor: Actor, context: Context) -> bool:
        """Whether it is a report: a top-level message in a channel kept for reports."""
        listed = self.channel in (context.config.get("feedback_channels") or ())
        welcome = not self.from_bot or bool(context.config.get("feedback_from_apps"))
        return listed and self.thread_ref is None and welcome and not is_ours(actor, context)


def visibility_of(channel: str, channel_type: str, context: Context) -> Visibility:
    """Return who may read what is said in a channel."""
    if channel in (context.config.get("feedback_channels") or ()):
        return "team"
    # Ids of direct messages start with D, of old private channels with G; a C may be either.
    private = channel_type in _PRIVATE_TYPES or channel.startswith(("D", "G"))
    return "private" if private else "team"


def _reaction(payload: Payload, context: Context, *, removed: bool) -> tuple[Event, ...]:
    event = payload["event"]
    item = event["item"]
    if item["type"].str() != "message":
        return ()  # a file or its comment, which have no place in a channel
    channel, ts = item["channel"].str(), item["ts"].str()
    name, user = event["reaction"].str(), event["user"].opt_str() or ""
    site = Site(context.config, payload["team_id"].opt_str() or "")
    subject, place = site.message(channel, ts), site.channel(channel)
    data = MessagePosted(
        actor=who(event["user"]) or Actor(),
        refs=(subject, site.reaction(channel, ts, name, user), place),
        body=Text(text="", visibility=visibility_of(channel, "", context)),
        channel=place,
        reaction=name.partition("::")[0],  # `+1::skin-tone-3` is a thumb as well
        removed=removed,
        url=subject.url,
    )
    return (Event(subject=subject, time=_event_time(payload, context), data=data),)


def _event_time(payload: Payload, context: Context) -> datetime:
    """Return when the change happened, which for an edit is not the message's own time."""
    if payload["event"]["event_ts"]:
        return time_of(payload["event"]["event_ts"])
    return payload["event_time"].unix_time() if payload["event_time"] else context.received_at


table = EventTable(
    {
        "message": message,
        "app_mention": app_mention,
        "reaction_added": reaction_added,
        "reaction_removed": reaction_removed,
        "message_action": from_shortcut,
        "slash_command": from_command,
    }
)
