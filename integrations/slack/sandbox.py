"""A stand-in of one Slack workspace: its channels, people and messages, and the hub's app in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from hub.sdk import InboundRequest, MalformedPayload, Response, json
from hub.sdk.sandbox import OutgoingWebhook, answer
from hub.sdk.sandbox import Sandbox as Base
from hub.sdk.signature import sign
from integrations.slack.sandbox_workspace import METHODS, RefusedError, Workspace

_FORM = "application/x-www-form-urlencoded"
_TOKEN = "sandbox-verification-token"  # noqa: S105 - Slack's old proof, in every event and unused


class Sandbox(Base):
    """One workspace with two team channels, a quiet one, two colleagues, and the hub's app."""

    initial: ClassVar[dict[str, Any]] = {
        "team": {"id": "T0ACME", "name": "Acme", "domain": "acme"},
        "bot": {"user_id": "U0HUB", "bot_id": "B0HUB", "app_id": "A0HUB", "name": "hub"},
        "channels": {
            name: {"id": name, "name": called, "is_archived": False, "is_member": True,
                   "is_private": False}
            for name, called in (("C0PRODUCT", "product-feedback"), ("C0RELEASES", "releases"),
                                 ("C0GENERAL", "general"))
        },
        "users": {
            "U0LEE": {"id": "U0LEE", "name": "lee", "real_name": "Lee Park",
                      "email": "lee@acme.example"},
            "U0MIA": {"id": "U0MIA", "name": "mia", "real_name": "Mia Sato",
                      "email": "mia@acme.example"},
        },
        "messages": [
            {"type": "message", "channel": "C0GENERAL", "user": "U0MIA", "team": "T0ACME",
             "ts": "1793520000.000100", "text": "Welcome to the workspace."},
            {"type": "message", "channel": "C0GENERAL", "user": "U0HUB", "team": "T0ACME",
             "bot_id": "B0HUB", "app_id": "A0HUB", "ts": "1793520000.000200",
             "text": "The hub is here."},
        ],
        "ephemerals": [],
    }  # fmt: skip

    def handle(self, request: InboundRequest) -> Response:
        """Answer a Web API method; every refusal is a 200 with `ok: false`, as Slack's are."""
        method = request.path.rstrip("/").rpartition("/")[2]
        given = request.header("authorization")
        if given != f"Bearer {self.token}":
            return _refused("invalid_auth" if given else "not_authed")
        call = METHODS.get(method)
        if call is None:
            return _refused("unknown_method")
        try:
            document = call(self._workspace(), _arguments(request))
        except RefusedError as refusal:
            return _refused(refusal.word)
        return answer(200, {"ok": True, **document})

    def act(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person does.

        message {channel, user, text, thread_ts?}
            writes in a channel or a thread; gives {channel, ts, message}. Mentioning the hub's
            app (`<@U0HUB>`) sends `app_mention` as well.
        edit {channel, ts, text}, delete {channel, ts}
            changes a message, or takes it back.
        react {channel, ts, user, reaction}, unreact {…}
            puts a reaction on a message, or takes it back.
        shortcut {channel, ts, user, callback_id?}
            chooses a message shortcut of the app.
        command {channel, user, command, text}
            types a slash command of the app.
        """
        acts: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "message": self._message,
            "edit": lambda args: self._workspace().edit(args["channel"], args["ts"], args["text"]),
            "delete": lambda args: self._workspace().delete(args["channel"], args["ts"]),
            "react": lambda args: self._react(args, removed=False),
            "unreact": lambda args: self._react(args, removed=True),
            "shortcut": self._shortcut,
            "command": self._command,
        }
        if name not in acts:
            raise KeyError(f"unknown act {name!r}; known: {', '.join(acts)}")
        try:
            return acts[name](args)
        except RefusedError as refusal:
            raise KeyError(f"{refusal.word}: {json.text(dict(args))}") from None

    @classmethod
    def sign(cls, body: bytes, secret: str, now: datetime) -> dict[str, str]:
        """Return the headers of a request that Slack sends."""
        stamp = f"{int(now.timestamp())}"
        base = f"v0:{stamp}:".encode() + body
        return {
            "content-type": "application/json",
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": f"v0={sign(secret, base)}",
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return the channels, and every message with its thread and reactions."""
        names = {one["id"]: one["name"] for one in self.state["channels"].values()}
        messages = [
            {
                "channel": names.get(one["channel"], one["channel"]),
                "ts": one["ts"],
                "thread": one.get("thread_ts", ""),
                "by": one.get("user", ""),
                "text": one["text"],
                "reactions": " ".join(
                    f":{item['name']}: {item['count']}" for item in one.get("reactions", [])
                ),
            }
            for one in self.state["messages"]
        ]
        hints = [
            {name: one[name] for name in ("channel", "user", "text")}
            for one in self.state["ephemerals"]
        ]
        return {"messages": messages, "hints": hints}

    def _workspace(self) -> Workspace:
        return Workspace(self.state, self.now(), self.number, self._event)

    def _event(self, event: dict[str, Any]) -> None:
        team, bot = self.state["team"]["id"], self.state["bot"]
        self.send(
            {
                "token": _TOKEN,
                "team_id": team,
                "context_team_id": team,
                "context_enterprise_id": None,
                "api_app_id": bot["app_id"],
                "event": event,
                "type": "event_callback",
                "event_id": f"Ev{self.number('event'):08d}",
                "event_time": int(self.now().timestamp()),
                "authorizations": [
                    {
                        "enterprise_id": None,
                        "team_id": team,
                        "user_id": bot["user_id"],
                        "is_bot": True,
                        "is_enterprise_install": False,
                    }
                ],
                "is_ext_shared_channel": False,
                "event_context": f"4-{event['type']}-{team}-{bot['app_id']}",
            }
        )

    def _message(self, args: Mapping[str, Any]) -> dict[str, Any]:
        space = self._workspace()
        user = space.user(args["user"])["id"]
        made = space.write(args["channel"], user, args["text"], thread=args.get("thread_ts", ""))
        return {key: made[key] for key in ("channel", "ts")} | {
            "message": f"{made['channel']}:{made['ts']}"
        }

    def _react(self, args: Mapping[str, Any], *, removed: bool) -> dict[str, Any]:
        space = self._workspace()
        user = space.user(args["user"])["id"]
        name = args["reaction"].strip(":")
        space.react(args["channel"], args["ts"], user, name, removed=removed)
        return {"message": f"{args['channel']}:{args['ts']}", "reaction": name}

    def _shortcut(self, args: Mapping[str, Any]) -> dict[str, Any]:
        space, team = self._workspace(), self.state["team"]
        channel, user = space.channel(args["channel"]), space.user(args["user"])
        message = space.find(channel["id"], args["ts"])
        trigger = f"{self.number('trigger')}.{team['id']}"
        self._send_form(
            {
                "payload": json.text(
                    {
                        "type": "message_action",
                        "token": _TOKEN,
                        "action_ts": f"{self.now().timestamp():.6f}",
                        "team": {"id": team["id"], "domain": team["domain"]},
                        "user": {"id": user["id"], "username": user["name"],
                                 "team_id": team["id"], "name": user["name"]},
                        "channel": {"id": channel["id"], "name": channel["name"]},
                        "is_enterprise_install": False,
                        "enterprise": None,
                        "callback_id": args.get("callback_id", "send_as_feedback"),
                        "trigger_id": trigger,
                        "response_url": f"https://hooks.slack.example/app/{trigger}",
                        "message_ts": message["ts"],
                        "message": {k: v for k, v in message.items() if k != "channel"},
                    }
                )
            }
        )  # fmt: skip
        return {"message": f"{channel['id']}:{message['ts']}", "trigger_id": trigger}

    def _command(self, args: Mapping[str, Any]) -> dict[str, Any]:
        space, team = self._workspace(), self.state["team"]
        channel, user = space.channel(args["channel"]), space.user(args["user"])
        trigger = f"{self.number('trigger')}.{team['id']}"
        self._send_form(
            {
                "token": _TOKEN,
                "team_id": team["id"],
                "team_domain": team["domain"],
                "channel_id": channel["id"],
                "channel_name": channel["name"],
                "user_id": user["id"],
                "user_name": user["name"],
                "command": args["command"],
                "text": args.get("text", ""),
                "api_app_id": self.state["bot"]["app_id"],
                "is_enterprise_install": "false",
                "response_url": f"https://hooks.slack.example/commands/{trigger}",
                "trigger_id": trigger,
            }
        )
        return {"trigger_id": trigger}

    def _send_form(self, fields: Mapping[str, str]) -> None:
        body = urlencode(fields).encode()
        headers = {**self.sign(body, self.secret, self.now()), "content-type": _FORM}
        self.outbox.append(OutgoingWebhook(body=body, headers=headers))


def _refused(word: str) -> Response:
    return answer(200, {"ok": False, "error": word})


def _arguments(request: InboundRequest) -> dict[str, Any]:
    """Read a method's arguments: of the address, of a form, or of a JSON object."""
    arguments: dict[str, Any] = dict(parse_qsl(request.query, keep_blank_values=True))
    kind = (request.header("content-type") or "").lower()
    if kind.startswith(_FORM):
        arguments.update(request.form())
    elif re.match(r"application/json\b", kind) and request.body:
        try:
            body = json.loads(request.body)
        except MalformedPayload:
            raise RefusedError("invalid_json") from None
        if not isinstance(body, dict):
            raise RefusedError("json_not_object")
        arguments.update(body)
    return arguments
