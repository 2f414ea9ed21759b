"""How things of Slack are named, the same from webhooks and from answers of the Web API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from hub.sdk import MalformedPayload, Payload
from hub.sdk.events import Ref

_SYSTEM = "slack"
# Seconds since 1970 and a part that makes it unique in its channel; a message's lasting name.
_TS = re.compile(r"(\d{1,11})\.(\d{1,6})")


class Site:
    """Where a workspace's things are opened. `team` makes an address work without its name."""

    def __init__(self, config: Mapping[str, Any], team: str = "") -> None:
        self._home = str(config.get("workspace_url") or "").rstrip("/")
        self._team = team

    def at(self, home: str) -> Site:
        """Return the same for a workspace whose address is known, unless the config names it."""
        return self if self._home else Site({"workspace_url": home}, self._team)

    def channel(self, channel: str, name: str = "") -> Ref:
        """Name a channel."""
        return Ref(system=_SYSTEM, kind="channel", id=channel, key=name, url=self._address(channel))

    def message(self, channel: str, ts: str, thread: str = "") -> Ref:
        """Name a message by its channel and its time; `thread` is the time of the thread's root."""
        url = self._address(channel, ts, thread)
        return Ref(system=_SYSTEM, kind="message", id=f"{channel}:{ts}", url=url)

    def thread(self, channel: str, ts: str) -> Ref:
        """Name a thread by its root message.

        It is a kind of its own: what a person says under a message of the hub is not the hub's.
        """
        return Ref(
            system=_SYSTEM, kind="thread", id=f"{channel}:{ts}", url=self._address(channel, ts)
        )

    def reaction(self, channel: str, ts: str, name: str, user: str) -> Ref:
        """Name one person's reaction to a message."""
        return Ref(system=_SYSTEM, kind="reaction", id=f"{channel}:{ts}:{name}:{user}")

    def command(self, trigger: str) -> Ref:
        """Name one use of a slash command."""
        return Ref(system=_SYSTEM, kind="command", id=trigger)

    def user(self, user: str, name: str = "") -> Ref:
        """Name a member of the workspace."""
        return Ref(system=_SYSTEM, kind="user", id=user, key=name)

    def _address(self, channel: str, ts: str = "", thread: str = "") -> str:
        if not self._home:
            # Documented for channels only: docs.slack.dev/interactivity/deep-linking
            query = {"channel": channel} | ({"team": self._team} if self._team else {})
            return f"https://slack.com/app_redirect?{urlencode(query)}"
        address = f"{self._home}/archives/{channel}"
        if ts:
            address += f"/p{ts.replace('.', '')}"
        if ts and thread and thread != ts:
            address += "?" + urlencode({"thread_ts": thread, "cid": channel})
        return address


def time_of(value: Payload) -> datetime:
    """Read a Slack timestamp such as `1793606400.000100`. Raises `MalformedPayload`."""
    found = _TS.fullmatch(value.str())
    if found is None:
        raise MalformedPayload(
            value.path, "a Slack timestamp such as 1793606400.000100", "another text"
        )
    seconds, part = found.groups()
    micros = int(part.ljust(6, "0"))
    return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=micros)


def split(name: str) -> tuple[str, str] | None:
    """Split a message's id `<channel>:<ts>`; None when it is no such id."""
    channel, _, ts = name.strip().partition(":")
    return (channel, ts) if is_channel(channel) and is_ts(ts) else None


def is_ts(text: str) -> bool:
    """Whether a text is a Slack timestamp."""
    return _TS.fullmatch(text) is not None


def is_channel(text: str) -> bool:
    """Whether a text is the id of a channel, a private channel or a direct message."""
    return re.fullmatch(r"[CGD][A-Z0-9]{2,}", text) is not None


def is_user(text: str) -> bool:
    """Whether a text is the id of a member."""
    return re.fullmatch(r"[UW][A-Z0-9]{2,}", text) is not None
