"""Feedback that people pass on from Slack: by shortcut, by slash command, by reaction.

Source: docs.slack.dev/interactivity/implementing-shortcuts and /implementing-slash-commands.
"""

from __future__ import annotations

from datetime import datetime

from hub.sdk import Context, Payload
from hub.sdk.events import Actor, Event, FeedbackKind, FeedbackReceived, Text
from hub.sdk.text import from_mrkdwn
from integrations.slack.people import is_ours, who
from integrations.slack.refs import Site, time_of
from integrations.slack.words import title, words

_KINDS: dict[str, FeedbackKind] = {
    "bug": "bug", "idea": "idea", "question": "question", "praise": "praise", "other": "other",
}  # fmt: skip


def kind_of(channel: str, text: str, context: Context) -> FeedbackKind:
    """Return the kind of feedback: by a word of the text, else by the channel (config `kinds`)."""
    kinds = context.config.get("kinds") or {}
    said = text.casefold()
    for mark, kind in kinds.items():
        if mark != channel and mark.casefold() in said:
            return _KINDS.get(kind, "other")
    return _KINDS.get(kinds.get(channel, ""), "other")


def from_shortcut(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Normalize the message shortcut "send as feedback"; other shortcuts are dropped.

    It is the one way in which Slack hands over the text of an older message. Whoever chose it
    passes the message on to the team, also out of a private channel.
    """
    wanted = context.config.get("feedback_shortcut") or "send_as_feedback"
    if payload["callback_id"].opt_str() != wanted:
        return ()
    told = payload["message"]
    channel = payload["channel"]["id"].str()
    ts = payload["message_ts"].opt_str() or told["ts"].str()
    team = payload["team"]
    site = Site(context.config, team["id"].opt_str() or "")
    if domain := team["domain"].opt_str():
        site = site.at(f"https://{domain}.slack.com")
    user = payload["user"]
    name = user["name"].opt_str() or user["username"].opt_str() or ""
    actor = Actor(kind="user", id=user["id"].opt_str() or "", name=name)
    subject = site.message(channel, ts, told["thread_ts"].opt_str() or "")
    place = site.channel(channel, payload["channel"]["name"].opt_str() or "")
    body = words(told)
    data = FeedbackReceived(
        actor=actor,
        refs=(subject, place),
        kind=kind_of(channel, told["text"].opt_str() or "", context),
        title=Text(text=title(body), visibility="team"),
        body=Text(text=body, visibility="team"),
        channel="chat",
        url=subject.url,
    )
    time = time_of(payload["action_ts"]) if payload["action_ts"] else context.received_at
    return (Event(subject=subject, time=time, data=data),)


def from_command(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Normalize the slash command chosen in the config; others, and an empty one, are dropped."""
    command, text = payload["command"].str(), payload["text"].opt_str() or ""
    if command != context.config.get("feedback_command") or not text.strip():
        return ()
    channel = payload["channel_id"].str()
    site = Site(context.config, payload["team_id"].opt_str() or "")
    if domain := payload["team_domain"].opt_str():
        site = site.at(f"https://{domain}.slack.com")
    subject = site.command(payload["trigger_id"].id())
    place = site.channel(channel, payload["channel_name"].opt_str() or "")
    name = payload["user_name"].opt_str() or ""
    body = from_mrkdwn(text)
    data = FeedbackReceived(
        actor=Actor(kind="user", id=payload["user_id"].opt_str() or "", name=name),
        refs=(subject, place),
        kind=kind_of(channel, text, context),
        title=Text(text=title(body), visibility="team"),
        body=Text(text=body, visibility="team"),
        channel="chat",
        url=place.url,
    )
    return (Event(subject=subject, time=context.received_at, data=data),)


def from_reaction(payload: Payload, context: Context, time: datetime) -> tuple[Event, ...]:
    """Make feedback of a message that got the chosen reaction (config `feedback_reaction`).

    Slack's event does not carry the message's text, so neither does the feedback: its title says
    where to read it. A message of a feedback channel is feedback already.
    """
    event = payload["event"]
    item = event["item"]
    name = event["reaction"].str().partition("::")[0]
    chosen = str(context.config.get("feedback_reaction") or "").strip(":")
    if not chosen or name != chosen or item["type"].str() != "message":
        return ()
    channel, ts = item["channel"].str(), item["ts"].str()
    actor, wrote = who(event["user"]) or Actor(), who(event["item_user"]) or Actor()
    if channel in (context.config.get("feedback_channels") or ()):
        return ()
    if is_ours(actor, context) or is_ours(wrote, context):
        return ()
    site = Site(context.config, payload["team_id"].opt_str() or "")
    subject, place = site.message(channel, ts), site.channel(channel)
    data = FeedbackReceived(
        actor=actor,
        refs=(subject, place),
        kind=kind_of(channel, f":{name}:", context),
        title=Text(text=f"A message in Slack was marked with {name}", visibility="team"),
        body=Text(text="", visibility="team"),
        channel="chat",
        url=subject.url,
    )
    return (Event(subject=subject, time=time, data=data),)
