"""Slack's names for things: a message is its channel and its time, `<channel>:<ts>`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hub.sdk import InvalidInput, MalformedPayload, Payload
from hub.sdk.events import Ref

_SYSTEM = "slack"
_CHANNEL = re.compile(r"[CDG][A-Z0-9]{1,20}")
_TS = re.compile(r"(\d{1,11})\.(\d{6})", re.ASCII)
_EPOCH = datetime.fromtimestamp(0, UTC)


def channel_ref(channel: str) -> Ref:
    """Return the reference to a channel by its id."""
    return Ref(system=_SYSTEM, kind="channel", id=channel)


def user_ref(user: str) -> Ref:
    """Return the reference to a person by their id."""
    return Ref(system=_SYSTEM, kind="user", id=user)


def message_ref(channel: str, ts: str, workspace_url: str = "") -> Ref:
    """Return the reference to a message, with its address when the workspace's is known."""
    base = workspace_url.rstrip("/")
    url = f"{base}/archives/{channel}/p{ts.replace('.', '')}" if base else ""
    return Ref(system=_SYSTEM, kind="message", id=f"{channel}:{ts}", url=url)


def read_ts(value: Payload) -> str:
    """Return a message's `ts` (`1355517523.000005`). Raises `MalformedPayload`."""
    raw = value.str()
    if not _TS.fullmatch(raw):
        raise MalformedPayload(value.path, "a time such as 1355517523.000005", "another text")
    return raw


def time_of(ts: str) -> datetime:
    """Return the time that a checked `ts` tells, to the microsecond."""
    seconds, _, micros = ts.partition(".")
    return _EPOCH + timedelta(seconds=int(seconds), microseconds=int(micros))


def split_message(field: str, message: str) -> tuple[str, str]:
    """Return channel and time of a message's id. Raises `InvalidInput`."""
    channel, _, ts = message.strip().partition(":")
    if not (_CHANNEL.fullmatch(channel) and _TS.fullmatch(ts)):
        raise InvalidInput(
            field,
            f"{message[:60]!r} is no message",
            "give its id, such as C0123456789:1355517523.000005",
        )
    return channel, ts


def check_channel(field: str, channel: str) -> str:
    """Return a channel's id. Raises `InvalidInput` for a name, which may change."""
    if not _CHANNEL.fullmatch(channel):
        raise InvalidInput(
            field,
            f"{channel[:60]!r} is no channel's id",
            "open the channel's details in Slack, scroll to the end and copy the id, C0123456789",
        )
    return channel


def check_thread(field: str, channel: str, thread: str) -> str:
    """Return a thread's time, given as such or as its first message's id. Raises `InvalidInput`."""
    if ":" in thread:
        home, ts = split_message(field, thread)
        if home != channel:
            raise InvalidInput(field, f"is in {home}, not in {channel}", "name one channel in both")
        return ts
    if not _TS.fullmatch(thread):
        raise InvalidInput(
            field,
            f"{thread[:60]!r} is no thread",
            "give the id of its first message, or its time, such as 1355517523.000005",
        )
    return thread
