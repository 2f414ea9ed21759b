"""Who did something in Slack."""

from __future__ import annotations

from hub.sdk import Context, Payload
from hub.sdk.events import Actor

_SLACKBOT = "USLACKBOT"


def who(user: Payload) -> Actor | None:
    """Return a member named by id, or None when nobody is named."""
    name = user.opt_str()
    if not name:
        return None
    return Actor(kind="system" if name == _SLACKBOT else "user", id=name)


def author(message: Payload) -> Actor:
    """Return who wrote a message. An app's message may name its bot user, its bot id or both."""
    bot = message["bot_id"].opt_str()
    if not bot:
        return who(message["user"]) or Actor()
    name = message["username"].opt_str() or message["bot_profile"]["name"].opt_str() or ""
    return Actor(kind="bot", id=message["user"].opt_str() or bot, name=name)


def is_ours(actor: Actor, context: Context) -> bool:
    """Whether the hub's own account did it."""
    return context.account is not None and context.account.is_actor(actor.id)
