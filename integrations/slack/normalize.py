"""Slack's messages and reactions -> `message.posted`, and `feedback.received` from set channels.

Source: docs.slack.dev/reference/events/message and its subtypes, /reference/events/reaction_added.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hub.sdk import Context, EventTable, Payload
from hub.sdk.events import Actor, Event, FeedbackReceived, MessagePosted, Ref, Text, Visibility
from hub.sdk.text import from_mrkdwn, from_plain, plain, shorten
from integrations.slack.refs import channel_ref, message_ref, read_ts, time_of

_TITLE_LENGTH = 120
_WORD_LENGTH = 2000
_POSTED = frozenset({"", "bot_message", "file_share", "me_message", "thread_broadcast"})
"""Subtypes that are somebody's words. The others tell of the channel: joins, topics, pins …"""
_DIRECT = frozenset({"im", "mpim"})


def _message(body: Payload, context: Context) -> tuple[Event, ...]:
    event = body["event"]
    subtype = event["subtype"].opt_str() or ""
    if subtype == "message_changed":
        return _changed(event, context)
    if subtype == "message_deleted":
        return (_removed(event, event["deleted_ts"], event["previous_message"], context),)
    # `message_replied` arrives without its subtype (a known fault of the Events API) and holds the
    # thread's first message; the reply comes as a message of its own.
    if subtype not in _POSTED or event["message"]:
        return ()
    return _posted(event, context)


def _posted(event: Payload, context: Context) -> tuple[Event, ...]:
    ts = read_ts(event["ts"])
    channel, subject = _place(event, ts, context)
    body = Text(text=_words(event), visibility=_visibility(event))
    thread = _thread(event, channel, ts, context)
    actor = _author(event)
    posted = MessagePosted(
        actor=actor,
        refs=(subject,),
        body=body,
        channel=channel_ref(channel),
        thread=thread,
        url=subject.url,
    )
    told = Event(subject=subject, time=time_of(ts), data=posted)
    wanted = context.config.get("feedback_channels")
    listed = isinstance(wanted, (list, tuple)) and channel in wanted
    if not listed or thread or not body.text or actor.kind != "user" or _is_own(actor, context):
        return (told,)
    feedback = FeedbackReceived(
        actor=actor,
        refs=(subject,),
        title=Text(text=_title(body.text), visibility=body.visibility),
        body=body,
        channel="slack",
        url=subject.url,
    )
    return told, Event(subject=subject, time=time_of(ts), data=feedback)


def _changed(event: Payload, context: Context) -> tuple[Event, ...]:
    message, previous = event["message"], event["previous_message"]
    if message["subtype"].raw == "tombstone":
        # The first message of a thread is deleted: Slack keeps a stone in its place.
        return (_removed(event, message["ts"], previous, context),)
    if previous and all(
        message[part].raw == previous[part].raw for part in ("text", "blocks", "files")
    ):
        return ()  # an unfurled link, a counted reply, a language found: nobody wrote anything
    ts = read_ts(message["ts"])
    channel, subject = _place(event, ts, context)
    changed = message["edited"]["ts"] or event["event_ts"] or event["ts"]
    data = MessagePosted(
        actor=_editor(message),
        refs=(subject,),
        body=Text(text=_words(message), visibility=_visibility(event)),
        channel=channel_ref(channel),
        thread=_thread(message, channel, ts, context),
        edited=True,
        url=subject.url,
    )
    return (Event(subject=subject, time=time_of(read_ts(changed)), data=data),)


def _removed(event: Payload, deleted: Payload, previous: Payload, context: Context) -> Event:
    """Tell that a message is gone. Slack does not say who deleted it."""
    ts = read_ts(deleted)
    channel, subject = _place(event, ts, context)
    data = MessagePosted(
        refs=(subject,),
        body=Text(text=_words(previous), visibility=_visibility(event)),
        channel=channel_ref(channel),
        thread=_thread(previous, channel, ts, context),
        removed=True,
        url=subject.url,
    )
    when = read_ts(event["event_ts"] or event["ts"])
    return Event(subject=subject, time=time_of(when), data=data)


def _reaction(body: Payload, context: Context, *, removed: bool) -> tuple[Event, ...]:
    event = body["event"]
    item = event["item"]
    if item["type"].opt_str() not in (None, "message"):
        return ()  # a reaction to a file, from the days when files had them
    ts = read_ts(item["ts"])
    channel, subject = _place(item, ts, context)
    user = event["user"].opt_id() or ""
    actor = Actor(kind="user" if user else "unknown", id=user)
    if _is_own(actor, context):
        actor = Actor(kind="bot", id=user)
    data = MessagePosted(
        actor=actor,
        refs=(subject,),
        body=Text(text="", visibility="team"),
        channel=channel_ref(channel),
        reaction=event["reaction"].str()[:_WORD_LENGTH],
        removed=removed,
        url=subject.url,
    )
    return (Event(subject=subject, time=time_of(read_ts(event["event_ts"])), data=data),)


def _dropped(body: Payload, context: Context) -> tuple[Event, ...]:
    """Drop what is understood and of no use: see the README, "What comes in"."""
    del body, context
    return ()


def _place(event: Payload, ts: str, context: Context) -> tuple[str, Ref]:
    channel = event["channel"].id()
    base = context.config.get("workspace_url")
    return channel, message_ref(channel, ts, base if isinstance(base, str) else "")


def _thread(message: Payload, channel: str, ts: str, context: Context) -> Ref | None:
    if not message["thread_ts"]:
        return None
    first = read_ts(message["thread_ts"])
    base = context.config.get("workspace_url")
    address = base if isinstance(base, str) else ""
    return None if first == ts else message_ref(channel, first, address)


def _visibility(event: Payload) -> Visibility:
    """Return `private` for direct messages, which Slack shows only to those in them."""
    return "private" if event["channel_type"].opt_str() in _DIRECT else "team"


def _author(message: Payload) -> Actor:
    user, bot = message["user"].opt_id(), message["bot_id"].opt_id()
    name = (
        message["user_profile"]["real_name"].opt_str()
        or message["bot_profile"]["name"].opt_str()
        or message["username"].opt_str()
        or ""
    )
    if bot or message["subtype"].raw == "bot_message":
        return Actor(kind="bot", id=user or bot or "", name=name)
    return Actor(kind="user" if user else "unknown", id=user or "", name=name)


def _editor(message: Payload) -> Actor:
    author = _author(message)
    editor = message["edited"]["user"].opt_id()
    own = {author.id, message["bot_id"].opt_id()}
    return author if not editor or editor in own else Actor(kind="user", id=editor)


def _is_own(actor: Actor, context: Context) -> bool:
    return context.account is not None and context.account.is_actor(actor.id)


def _words(message: Payload) -> str:
    """Return a message as Markdown: its text, else its attachments', and its files by name."""
    text = from_mrkdwn(message["text"].opt_str() or "")
    if not text:
        text = "\n\n".join(_attachments(message["attachments"]))
    return "\n\n".join(part for part in (text, *_files(message["files"])) if part)


def _attachments(attachments: Payload) -> Iterator[str]:
    for attachment in attachments:
        said = attachment["text"].opt_str() or attachment["fallback"].opt_str()
        if said:
            yield from_mrkdwn(said)


def _files(files: Payload) -> Iterator[str]:
    for file in files:
        name = file["title"].opt_str() or file["name"].opt_str() or "file"
        url = file["permalink"].opt_str() or ""
        shown = from_plain(" ".join(name.split()))
        usable = url.startswith("https://") and not set(url) & set(" <>()\n")
        yield f"[{shown}](<{url}>)" if usable else shown


def _title(markdown: str) -> str:
    first = next((line for line in plain(markdown).splitlines() if line.strip()), "")
    return from_plain(shorten(" ".join(first.split()), _TITLE_LENGTH))


table = EventTable(
    {
        "message": _message,
        "app_mention": _dropped,
        "reaction_added": partial(_reaction, removed=False),
        "reaction_removed": partial(_reaction, removed=True),
        "slash_command": _dropped,
        "interactive": _dropped,
        "app_rate_limited": _dropped,
    }
)
