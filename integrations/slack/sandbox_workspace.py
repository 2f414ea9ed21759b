"""What the stand-in's workspace holds and does: the Web API's methods, and the events they send."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

_LONGEST = 40_000
_PAGE = 100
_EMOJI = {"🎉": ":tada:", "👍": ":+1:", "✅": ":white_check_mark:", "🐛": ":bug:"}
# An address not yet between angle brackets: Slack makes a link of it.
_BARE_URL = re.compile(r"(?<![<|\w])(https?://[^\s<>|]+[^\s<>|.,;:!?)])")

Arguments: TypeAlias = Mapping[str, Any]
Document: TypeAlias = dict[str, Any]


class RefusedError(Exception):
    """An answer `{"ok": false, "error": word}`."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Workspace:
    """The state, at one moment. `tell` sends an event to the hub's app."""

    def __init__(
        self,
        state: Document,
        now: datetime,
        number: Callable[[str], int],
        tell: Callable[[Document], None],
    ) -> None:
        self.state = state
        self._now = now
        self._number = number
        self._tell = tell

    def channel(self, name: object) -> Document:
        """Return a channel by id, or by `#name`. Raises `RefusedError`."""
        for channel in self.state["channels"].values():
            if name in (channel["id"], f"#{channel['name']}"):
                found: Document = channel
                return found
        raise RefusedError("channel_not_found")

    def open_channel(self, name: object) -> Document:
        """Return a channel that the app may write in. Raises `RefusedError`."""
        channel = self.channel(name)
        if channel["is_archived"]:
            raise RefusedError("is_archived")
        if not channel["is_member"]:
            raise RefusedError("not_in_channel")
        return channel

    def user(self, name: object) -> Document:
        """Return a member. Raises `RefusedError`."""
        found: Document | None = self.state["users"].get(name) if isinstance(name, str) else None
        if found is None:
            raise RefusedError("user_not_found")
        return found

    def find(self, channel: str, ts: object) -> Document:
        """Return a message. Raises `RefusedError`."""
        for message in self.state["messages"]:
            if message["channel"] == channel and message["ts"] == ts:
                found: Document = message
                return found
        raise RefusedError("message_not_found")

    def dm(self, user: str) -> Document:
        """Return the direct messages of the app with a member; they begin now if need be."""
        channel = f"D{user[1:]}"
        return self.state["channels"].setdefault(  # type: ignore[no-any-return]
            channel,
            {"id": channel, "name": "", "is_im": True, "user": user, "is_archived": False,
             "is_member": True, "is_private": True},
        )  # fmt: skip

    def stamp(self) -> str:
        """Return a message's time, which no other message has."""
        return f"{int(self._now.timestamp())}.{self._number('ts') % 1_000_000:06d}"

    def write(self, channel: str, user: str, text: str, *, thread: str = "", broadcast: bool = False,
              metadata: object = None) -> Document:  # fmt: skip
        """Keep a message of a person or the app, and tell of it. Raises `RefusedError`."""
        place = self.channel(channel)
        root = self._thread(place["id"], thread) if thread else None
        message: Document = {"type": "message", "channel": place["id"], "user": user,
                             "team": self.state["team"]["id"], "ts": self.stamp(),
                             "text": as_kept(text)}  # fmt: skip
        bot = self.state["bot"]
        if user == bot["user_id"]:
            message.update(bot_id=bot["bot_id"], app_id=bot["app_id"], bot_profile={
                "id": bot["bot_id"], "app_id": bot["app_id"], "name": bot["name"],
                "deleted": False, "team_id": self.state["team"]["id"],
            })  # fmt: skip
        if root is not None:
            root["thread_ts"] = root["ts"]
            root["reply_count"] = root.get("reply_count", 0) + 1
            message.update(thread_ts=root["ts"], parent_user_id=root["user"])
        if broadcast:
            message["subtype"] = "thread_broadcast"
        if isinstance(metadata, dict):
            message["metadata"] = metadata
        self.state["messages"].append(message)
        self._tell(self._shown(message) | {"event_ts": message["ts"], **self._type(place)})
        if f"<@{bot['user_id']}>" in message["text"]:
            shown = {k: v for k, v in self._shown(message).items() if k != "subtype"}
            self._tell(shown | {"type": "app_mention", "event_ts": message["ts"]})
        return message

    def edit(self, channel: str, ts: str, text: str, *, by_app: bool = False) -> Document:
        """Change a message's text, and tell of it. Raises `RefusedError`."""
        place = self.channel(channel)
        message = self.find(place["id"], ts)
        if by_app and message.get("bot_id") != self.state["bot"]["bot_id"]:
            raise RefusedError("cant_update_message")
        before = self._shown(message)
        stamp = self.stamp()
        message["text"] = as_kept(text)
        message["edited"] = {"user": message["user"], "ts": stamp}
        self._hidden(
            "message_changed", place, message=self._shown(message), previous_message=before
        )
        return {"channel": place["id"], "ts": ts, "message": f"{place['id']}:{ts}"}

    def delete(self, channel: str, ts: str) -> Document:
        """Take a message back, and tell of it. Raises `RefusedError`."""
        place = self.channel(channel)
        message = self.find(place["id"], ts)
        before = self._shown(message)
        if message.get("reply_count"):
            # What others said under it stays, so the message is emptied.
            message.update(subtype="tombstone", user="USLACKBOT", hidden=True,
                           text="This message was deleted.")  # fmt: skip
            now = self._shown(message)
            self._hidden("message_changed", place, message=now, previous_message=before)
        else:
            self.state["messages"].remove(message)
            self._hidden("message_deleted", place, deleted_ts=ts, previous_message=before)
        return {"channel": place["id"], "ts": ts}

    def react(
        self, channel: str, ts: object, user: str, name: str, *, removed: bool = False
    ) -> None:
        """Put a reaction on a message or take it off, and tell of it. Raises `RefusedError`."""
        message = self.find(self.channel(channel)["id"], ts)
        reactions = message.setdefault("reactions", [])
        found = next((one for one in reactions if one["name"] == name), None)
        has = found is not None and user in found["users"]
        if has != removed:
            raise RefusedError("no_reaction" if removed else "already_reacted")
        if found is None:
            found = {"name": name, "users": [], "count": 0}
            reactions.append(found)
        if removed:
            found["users"].remove(user)
        else:
            found["users"].append(user)
        found["count"] = len(found["users"])
        if not found["users"]:
            reactions.remove(found)
        self._tell(
            {
                "type": "reaction_removed" if removed else "reaction_added",
                "user": user,
                "reaction": name,
                "item": {"type": "message", "channel": message["channel"], "ts": ts},
                "item_user": message["user"],
                "event_ts": self.stamp(),
            }
        )

    def page(self, arguments: Arguments, thread: str = "") -> Document:
        """Return messages as `conversations.history` and `.replies` do. Raises `RefusedError`."""
        place = self.channel(arguments.get("channel"))
        if not place["is_member"]:
            raise RefusedError("not_in_channel")
        found = [one for one in self.state["messages"] if one["channel"] == place["id"]]
        if thread:
            found = [one for one in found if thread in (one["ts"], one.get("thread_ts"))]
            if not found:
                raise RefusedError("thread_not_found")
        else:
            found = [
                one for one in reversed(found)
                if one.get("thread_ts", one["ts"]) == one["ts"]
                or one.get("subtype") == "thread_broadcast"
            ]  # fmt: skip
        oldest = _seconds(arguments.get("oldest"))
        found = [one for one in found if float(one["ts"]) > oldest or one["ts"] == thread]
        start = _whole(str(arguments.get("cursor") or "").removeprefix("page:"), 0)
        end = start + min(max(_whole(arguments.get("limit"), _PAGE), 1), 999)
        all_metadata = str(arguments.get("include_all_metadata")).lower() in ("true", "1")
        more = end < len(found)
        return {
            "messages": [self._shown(one, metadata=all_metadata) for one in found[start:end]],
            "has_more": more,
            "response_metadata": {"next_cursor": f"page:{end}" if more else ""},
        }

    def _thread(self, channel: str, ts: str) -> Document:
        try:
            message = self.find(channel, ts)
            root = message.get("thread_ts", ts)
            return message if root == ts else self.find(channel, root)
        except RefusedError:
            raise RefusedError("thread_not_found") from None

    def _hidden(self, subtype: str, place: Document, **more: object) -> None:
        ts = self.stamp()
        self._tell({"type": "message", "subtype": subtype, "hidden": True, "channel": place["id"],
                    "ts": ts, "event_ts": ts, **self._type(place), **more})  # fmt: skip

    def _shown(self, message: Document, *, metadata: bool = False) -> Document:
        hidden = () if metadata else ("metadata",)
        return {name: value for name, value in message.items() if name not in hidden}

    def _type(self, place: Document) -> Document:
        kind = "group" if place["is_private"] else "channel"
        return {"channel_type": "im" if place.get("is_im") else kind}


def as_kept(text: str) -> str:
    """Return a text as Slack keeps it: addresses linked, emoji as codes, no blanks at the end."""
    for sign, code in _EMOJI.items():
        text = text.replace(sign, code)
    return _BARE_URL.sub(r"<\1>", text).rstrip()


def _auth_test(space: Workspace, arguments: Arguments) -> Document:
    del arguments
    team, bot = space.state["team"], space.state["bot"]
    return {"url": f"https://{team['domain']}.slack.com/", "team": team["name"],
            "user": bot["name"], "team_id": team["id"], "user_id": bot["user_id"],
            "bot_id": bot["bot_id"], "is_enterprise_install": False}  # fmt: skip


def _post_message(space: Workspace, arguments: Arguments) -> Document:
    channel = space.open_channel(arguments.get("channel"))["id"]
    bot = space.state["bot"]["user_id"]
    made = space.write(
        channel, bot, _text(arguments), thread=str(arguments.get("thread_ts") or ""),
        broadcast=arguments.get("reply_broadcast") is True, metadata=arguments.get("metadata"),
    )  # fmt: skip
    shown = {name: value for name, value in made.items() if name != "channel"}
    return {"channel": channel, "ts": made["ts"], "message": shown}


def _update(space: Workspace, arguments: Arguments) -> Document:
    text = _text(arguments)
    channel, ts = str(arguments.get("channel")), str(arguments.get("ts"))
    space.edit(channel, ts, text, by_app=True)
    return {"channel": channel, "ts": ts, "text": text, "message": {"text": text}}


def _post_ephemeral(space: Workspace, arguments: Arguments) -> Document:
    channel = space.open_channel(arguments.get("channel"))["id"]
    user = arguments.get("user")
    if user not in space.state["users"]:
        raise RefusedError("user_not_in_channel")
    hint = {"channel": channel, "user": user, "text": _text(arguments), "ts": space.stamp()}
    space.state["ephemerals"].append(hint)
    return {"message_ts": hint["ts"]}


def _add_reaction(space: Workspace, arguments: Arguments) -> Document:
    name = str(arguments.get("name") or "")
    if not re.fullmatch(r"[a-z0-9_+'-]{1,100}", name.partition("::")[0]):
        raise RefusedError("invalid_name")
    bot = space.state["bot"]["user_id"]
    space.react(str(arguments.get("channel")), arguments.get("timestamp"), bot, name)
    return {}


def _info(space: Workspace, arguments: Arguments) -> Document:
    return {"channel": dict(space.channel(arguments.get("channel")))}


def _list(space: Workspace, arguments: Arguments) -> Document:
    del arguments
    channels = [one for one in space.state["channels"].values() if not one.get("is_im")]
    return {"channels": channels, "response_metadata": {"next_cursor": ""}}


def _open(space: Workspace, arguments: Arguments) -> Document:
    user = space.user(arguments.get("users"))["id"]
    return {"channel": {"id": space.dm(user)["id"]}}


def _history(space: Workspace, arguments: Arguments) -> Document:
    return space.page(arguments)


def _replies(space: Workspace, arguments: Arguments) -> Document:
    return space.page(arguments, str(arguments.get("ts") or "none"))


def _lookup(space: Workspace, arguments: Arguments) -> Document:
    for user in space.state["users"].values():
        if user["email"] == arguments.get("email"):
            profile = {"real_name": user["real_name"], "email": user["email"]}
            shown = {name: value for name, value in user.items() if name != "email"}
            return {"user": {**shown, "team_id": space.state["team"]["id"], "deleted": False,
                             "is_bot": False, "profile": profile}}  # fmt: skip
    raise RefusedError("users_not_found")


METHODS: dict[str, Callable[[Workspace, Arguments], Document]] = {
    "auth.test": _auth_test,
    "chat.postMessage": _post_message,
    "chat.update": _update,
    "chat.postEphemeral": _post_ephemeral,
    "reactions.add": _add_reaction,
    "conversations.info": _info,
    "conversations.list": _list,
    "conversations.open": _open,
    "conversations.history": _history,
    "conversations.replies": _replies,
    "users.lookupByEmail": _lookup,
}
"""The Web API methods that the stand-in answers."""


def _text(arguments: Arguments) -> str:
    text = arguments.get("text")
    if not isinstance(text, str) or not text.strip():
        raise RefusedError("no_text")
    if len(text) > _LONGEST:
        raise RefusedError("msg_too_long")
    return text


def _seconds(value: object) -> float:
    try:
        return float(str(value or 0))
    except ValueError:
        raise RefusedError("invalid_ts_oldest") from None


def _whole(value: object, default: int) -> int:
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() else default
