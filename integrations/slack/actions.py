"""What the hub does in Slack. Source: docs.slack.dev/reference/methods.

Texts are rendered so that they can notify nobody: what reads like a mention in a customer's words
comes out as the letters it is.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from hub.sdk import (
    Account,
    Call,
    Checking,
    Delivered,
    Finding,
    InvalidInput,
    MalformedPayload,
    Nothing,
    Outcome,
    Payload,
    Probing,
    Request,
    Response,
    RetryLater,
    Sending,
)
from hub.sdk.text import shorten, to_mrkdwn
from integrations.slack.faults import read, word_of
from integrations.slack.refs import Site, is_channel, is_ts, is_user, split

_LONGEST = 40_000  # characters; Slack cuts off what is longer
_MARKER_TYPE = "hub_delivery"
# The hub's own schedule tries again for a day and a half; an earlier attempt is not older.
_BACK = timedelta(hours=48)
_PAGE = 200  # the most that Slack recommends
_PAGES = 20
_SHOWN = 300
_JSON = {"content-type": "application/json; charset=utf-8"}
_WHERE = "paste the id that stands at the end of the channel's details, such as C0PRODUCT"
_WHICH = "give it as <channel id>:<timestamp>, as in a Slack event's subject.id"

_Asking = Generator[Request, Response, "str | Outcome"]


def post_message(call: Call) -> Sending:
    """Post in a channel, or in a thread of it; a member's id posts a direct message."""
    text, thread = _text(call), _thread(call)
    channel = yield from _channel(call)
    if isinstance(channel, Outcome):
        return channel
    return (yield from _post(call, channel, thread, {"text": text}))


def find_message(call: Call) -> Finding:
    """Find what an earlier attempt of `post_message` may have posted."""
    thread = _thread(call)
    channel = yield from _channel(call)
    if isinstance(channel, Outcome):
        return channel
    return (yield from _find(call, channel, thread))


def reply_in_thread(call: Call) -> Sending:
    """Reply to a message in its thread."""
    channel, thread = _message(call)
    more: dict[str, Any] = {"text": _text(call)}
    if call.inputs.get("broadcast") in (True, "true", "True"):
        more["reply_broadcast"] = True
    return (yield from _post(call, channel, thread, more))


def find_reply(call: Call) -> Finding:
    """Find what an earlier attempt of `reply_in_thread` may have posted."""
    channel, thread = _message(call)
    return (yield from _find(call, channel, thread))


def update_message(call: Call) -> Sending:
    """Replace the text of one of the hub's own messages."""
    channel, ts = _message(call)
    text = _text(call)
    response = yield _write("chat.update", {"channel": channel, "ts": ts, "text": text}, again=True)
    body = read(response)
    if isinstance(body, Outcome):
        return body
    channel, ts = body["channel"].str(), body["ts"].str()
    return Delivered(ref=_site(call).message(channel, ts), after={"text": shorten(text, _SHOWN)})


def post_ephemeral(call: Call) -> Sending:
    """Show a message to one member only, until that member leaves the page; nothing is kept."""
    user = call.text("user")
    if not is_user(user):
        raise InvalidInput("user", "is not a member's id", "look it up with find_user_by_email")
    channel = _plain_channel(call)
    message = {"channel": channel, "user": user, "text": _text(call), **_in_thread(_thread(call))}
    body = read((yield _write("chat.postEphemeral", message)))
    if isinstance(body, Outcome):
        return body
    return Delivered(after={"channel": channel, "user": user, "ts": body["message_ts"].str()})


def add_reaction(call: Call) -> Sending:
    """Add a reaction of the hub's bot to a message."""
    channel, ts = _message(call)
    name = call.text("reaction").strip().strip(":")
    ref = _site(call).message(channel, ts)
    order = {"channel": channel, "timestamp": ts, "name": name}
    response = yield _write("reactions.add", order, again=True)
    if word_of(response) == "already_reacted":
        return Nothing(reason=f"the message has the hub's :{name}: already", ref=ref)
    body = read(response)
    if isinstance(body, Outcome):
        return body
    mine = call.account.id if call.account else ""
    written = (_site(call).reaction(channel, ts, name, mine),) if mine else ()
    return Delivered(ref=ref, written=written, after={"reaction": name})


def find_user_by_email(call: Call) -> Sending:
    """Find the member of the workspace with an e-mail address."""
    query = {"email": call.text("email").strip()}
    body = read((yield Request(method="GET", path="/users.lookupByEmail", query=query)))
    if isinstance(body, Outcome):
        return body
    user = body["user"]
    found, name = user["id"].str(), user["name"].opt_str() or ""
    shown = user["real_name"].opt_str() or user["profile"]["real_name"].opt_str() or name
    return Delivered(
        ref=_site(call).user(found, name), after={"id": found, "name": name, "real_name": shown}
    )


def probe(call: Call) -> Probing:
    """Ask whose token it is. The bot's user id and its bot id both name the hub in webhooks."""
    del call
    body = read((yield _write("auth.test", {}, again=True)))
    if isinstance(body, Outcome):
        return body
    user, bot = body["user_id"].str(), body["bot_id"].opt_str()
    name, team = body["user"].opt_str() or user, body["team"].opt_str()
    return Account(
        id=user,
        label=f"{name} in {team}" if team else name,
        aliases=(bot,) if bot else (),
        workspace=body["team_id"].opt_str() or "",
    )


def check_channel(call: Call) -> Checking:
    """Check when a route is saved that the channel exists, is open, and has the app in it."""
    channel = call.text("channel", "").strip()
    if call.is_template("channel") or not channel or is_user(channel):
        return ()
    if not is_channel(channel):
        return (InvalidInput("channel", "is not a channel's id", _WHERE),)
    query = {"channel": channel}
    response = yield Request(method="GET", path="/conversations.info", query=query)
    if word_of(response) == "missing_scope":
        return ()  # the app may post without being allowed to look
    body = read(response)
    if isinstance(body, Outcome):
        place = getattr(body, "field", "") or "connection"
        return (InvalidInput(place, getattr(body, "reason", "Slack did not answer")),)
    found = body["channel"]
    if found["is_archived"].raw is True:
        return (InvalidInput("channel", "is archived", "unarchive it or choose another"),)
    if found["is_member"].raw is False:
        return (InvalidInput("channel", "does not have the app in it", "type /invite there"),)
    return ()


def _post(call: Call, channel: str, thread: str, more: dict[str, Any]) -> Sending:
    message = {
        "channel": channel,
        **more,
        **_in_thread(thread),
        # Nobody asked for previews of what a customer links to.
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": _MARKER_TYPE, "event_payload": {"marker": call.marker}},
    }
    body = read((yield _write("chat.postMessage", message)))
    if isinstance(body, Outcome):
        return body
    return _posted(call, body["channel"].str(), body["ts"].str(), thread, more["text"])


def _find(call: Call, channel: str, thread: str) -> Finding:
    """Look through the newest messages for the marker."""
    method = "conversations.replies" if thread else "conversations.history"
    query = {
        "channel": channel,
        "include_all_metadata": "true",
        "oldest": f"{(call.now - _BACK).timestamp():.6f}",
        "limit": str(_PAGE),
    }
    if thread:
        query["ts"] = thread
    for _ in range(_PAGES):
        body = read((yield Request(method="GET", path=f"/{method}", query=query)))
        if isinstance(body, Outcome):
            return body
        for message in _listed(body["messages"]):
            metadata = message["metadata"]
            ours = metadata["event_type"].raw == _MARKER_TYPE
            if ours and metadata["event_payload"]["marker"].raw == call.marker:
                text = message["text"].opt_str() or ""
                return _posted(call, channel, message["ts"].str(), thread, text)
        cursor = body["response_metadata"]["next_cursor"].opt_str()
        if not cursor:
            return None
        query = {**query, "cursor": cursor}
    reason = f"{channel} has so many new messages that an earlier attempt could not be ruled out"
    return RetryLater(reason=reason, effect=False)


def _posted(call: Call, channel: str, ts: str, thread: str, text: str) -> Delivered:
    ref = _site(call).message(channel, ts, thread)
    shown = {"channel": channel, "ts": ts, "text": shorten(text, _SHOWN)}
    return Delivered(ref=ref, written=(ref,), after=shown)


def _listed(messages: Payload) -> Payload:
    # An answer without the list must not be read as "nothing is there".
    if not isinstance(messages.raw, list):
        raise MalformedPayload(messages.path, "array", "something else")
    return messages


def _channel(call: Call) -> _Asking:
    """Return the channel to post in; a direct message with a member is opened first."""
    named = call.text("channel").strip()
    if not is_user(named):
        return _plain_channel(call)
    body = read((yield _write("conversations.open", {"users": named}, again=True)))
    return body if isinstance(body, Outcome) else body["channel"]["id"].str()


def _plain_channel(call: Call) -> str:
    named = call.text("channel").strip()
    if not is_channel(named):
        raise InvalidInput("channel", "is not a channel's id", _WHERE)
    return named


def _message(call: Call) -> tuple[str, str]:
    found = split(call.text("message"))
    if found is None:
        raise InvalidInput("message", "does not name a message", _WHICH)
    return found


def _thread(call: Call) -> str:
    """Return the time of the thread's root, empty for a message of its own."""
    named = call.text("thread", "").strip()
    found = split(named)
    if found is None:
        if named and not is_ts(named):
            raise InvalidInput("thread", "does not name a message", _WHICH)
        return named
    channel, ts = found
    if is_channel(call.text("channel").strip()) and channel != call.text("channel").strip():
        raise InvalidInput("thread", "is in another channel", "use reply_in_thread")
    return ts


def _in_thread(thread: str) -> dict[str, str]:
    return {"thread_ts": thread} if thread else {}


def _text(call: Call) -> str:
    """Render the text within Slack's limit: escaping makes it longer than it was."""
    limit = _LONGEST
    text = to_mrkdwn(shorten(call.text("text"), limit))
    while len(text) > _LONGEST:
        limit = limit * 3 // 4
        text = to_mrkdwn(shorten(call.text("text"), limit))
    if not text.strip():
        raise InvalidInput("text", "has no words", "give the step a text")
    return text


def _write(method: str, body: dict[str, Any], *, again: bool = False) -> Request:
    return Request(method="POST", path=f"/{method}", headers=_JSON, json=body, repeatable=again)


def _site(call: Call) -> Site:
    return Site(call.config, call.account.workspace if call.account else "")
