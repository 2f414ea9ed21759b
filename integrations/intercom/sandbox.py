"""A stand-in of an Intercom workspace: its API as far as the actions use it, and its webhooks.

A write that comes through the API is told in a webhook too, by the teammate it names and with the
HTML as Intercom gives it back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from hub.sdk import InboundRequest, MalformedPayload, Response, json
from hub.sdk.sandbox import answer
from hub.sdk.signature import sign
from integrations.intercom import sandbox_shapes as shapes
from integrations.intercom.sandbox_shapes import Record
from integrations.intercom.sandbox_workspace import HUB, LEE, Refused, Workspace


class Sandbox(Workspace):
    """An Intercom workspace with two teammates: the hub's token is the first one's."""

    def handle(self, request: InboundRequest) -> Response:
        """Answer a request of the REST API."""
        try:
            document = self._answer(request)
        except Refused as refused:
            return answer(refused.status, refused.document)
        return answer(200, document, x_ratelimit_limit="1666", x_ratelimit_remaining="1665")

    def act(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a customer or a teammate does in Intercom.

        start_conversation {email, name?, body, subject?, tags?, custom_attributes?, channel?}
        customer_reply {conversation, body}; admin_reply, admin_note {conversation, body}
        tag {conversation, tag}; close, reopen {conversation}; rate {conversation, rating, remark?}
        set_attribute {conversation, name, value} (Intercom sends no webhook for it)
        open_ticket {email, name?, type?, title, description, category?}
        ticket_state {ticket, state}; ticket_reply {ticket, body}; ticket_note {ticket, body}

        A conversation or ticket that is not there is a `KeyError` too.
        """
        acts: dict[str, Callable[[Mapping[str, Any]], Record]] = {
            "start_conversation": self._start,
            "customer_reply": self._customer_reply,
            "admin_reply": lambda args: self._admin_part(args, "comment"),
            "admin_note": lambda args: self._admin_part(args, "note"),
            "tag": self._person_tags,
            "close": lambda args: self._admin_part(args, "close"),
            "reopen": lambda args: self._admin_part(args, "open"),
            "rate": self._rate,
            "set_attribute": self._person_sets,
            "open_ticket": self._open_ticket,
            "ticket_state": self._ticket_state,
            "ticket_reply": self._customer_ticket_reply,
            "ticket_note": self._person_ticket_note,
        }
        if name not in acts:
            message = f"{name!r} is none of: {', '.join(acts)}"
            raise KeyError(message)
        try:
            return acts[name](args)
        except Refused as refused:
            message = f"{name} {dict(args)}: {refused}"
            raise KeyError(message) from None

    @classmethod
    def sign(cls, body: bytes, secret: str, now: datetime) -> dict[str, str]:
        """Return the headers of a notification."""
        del now  # Intercom signs no time.
        return {
            "content-type": "application/json",
            "user-agent": "intercom-webhook-delivery-service/1.0",
            "x-hub-signature": f"sha1={sign(secret, body, algorithm='sha1')}",
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return the conversations, what was said in them, the tickets and the contacts."""
        talks = self.state["conversations"].values()
        filed = self.state["tickets"].values()
        people = self.state["contacts"].values()
        return {
            "conversations": [
                {
                    "id": talk["id"],
                    "contact": self.state["contacts"][talk["contact"]]["email"],
                    "subject": talk["message"]["subject"],
                    "body": talk["message"]["body"],
                    "state": talk["state"],
                    "tags": ", ".join(tag["name"] for tag in talk["tags"]),
                    "attributes": json.text(talk["custom_attributes"]),
                    "rating": (talk["rating"] or {}).get("rating"),
                }
                for talk in talks
            ],
            "parts": [
                {
                    "conversation": thing["id"],
                    "id": part["id"],
                    "type": part["part_type"],
                    "author": part["author"]["name"],
                    "body": part["body"],
                }
                for thing in (*talks, *filed)
                for part in thing["parts"]
            ],
            "tickets": [
                {
                    "id": ticket["id"],
                    "ticket_id": ticket["ticket_id"],
                    "type": ticket["ticket_type"],
                    "title": ticket["attributes"]["_default_title_"],
                    "state": ticket["state"],
                    "open": ticket["open"],
                }
                for ticket in filed
            ],
            "contacts": [
                {name: person[name] for name in ("id", "email", "name", "role", "external_id")}
                for person in people
            ],
        }

    # What the API answers.

    def _answer(self, request: InboundRequest) -> Record:
        routes: list[tuple[str, str, Callable[..., Record]]] = [
            ("GET", r"me", self._me),
            ("GET", r"data_attributes", self._data_attributes),
            ("POST", r"tags", self._create_tag),
            ("POST", r"contacts/search", self._search_contacts),
            ("POST", r"contacts", self._create_contact),
            ("GET", r"contacts/([^/]+)", lambda _, key: self._contact(key)),
            ("POST", r"conversations/search", self._search_conversations),
            ("GET", r"conversations/([^/]+)", lambda _, key: self._shown(self._talk(key))),
            ("PUT", r"conversations/([^/]+)", self._update_conversation),
            ("POST", r"conversations/([^/]+)/reply", self._api_reply),
            ("POST", r"conversations/([^/]+)/parts", self._api_part),
            ("POST", r"conversations/([^/]+)/tags", self._api_tag),
            ("GET", r"tickets/([^/]+)", lambda _, key: self._shown_ticket(self._ticket(key))),
            ("PUT", r"tickets/([^/]+)", self._update_ticket),
            ("POST", r"tickets/([^/]+)/reply", self._api_ticket_reply),
            ("POST", r"tickets/([^/]+)/tags", self._api_ticket_tag),
            ("POST", r"messages", self._create_message),
        ]
        if request.header("authorization") != f"Bearer {self.token}":
            raise Refused(401, "unauthorized", "Access Token Invalid")
        path = request.path.strip("/")
        for method, pattern, function in routes:
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                return function(self._body(request), *found.groups())
        raise Refused(404, "not_found", "Requested resource was not found")

    def _body(self, request: InboundRequest) -> Record:
        try:
            body = json.loads(request.body) if request.body else {}
        except MalformedPayload:
            body = None
        if not isinstance(body, dict):
            raise Refused(400, "bad_request", "The body is not a JSON object")
        return body

    def _me(self, _: Record) -> Record:
        return {**HUB, "email_verified": True, "app": self.state["app"]}

    def _data_attributes(self, _: Record) -> Record:
        listed = [
            {"type": "data_attribute", "model": "conversation", "name": name, "custom": True}
            for name in self.state["conversation_attributes"]
        ]
        return {"type": "list", "data": listed}

    def _create_tag(self, body: Record) -> Record:
        name = str(body.get("name") or "")
        if not name:
            raise Refused(400, "parameter_invalid", "Name is missing")
        return self._tag(name)

    def _search_contacts(self, body: Record) -> Record:
        people = self.state["contacts"].values()
        found = [person for person in people if shapes.matches(body.get("query", {}), person)]
        return {"type": "list", "data": found, "total_count": len(found), "pages": {}}

    def _create_contact(self, body: Record) -> Record:
        email = str(body.get("email") or "")
        for person in self.state["contacts"].values():
            if email and person["email"] == email:
                said = f"A contact matching those details already exists with id={person['id']}"
                raise Refused(409, "conflict", said)
        return self._new_contact(email, str(body.get("name") or ""), str(body.get("role", "user")))

    def _search_conversations(self, body: Record) -> Record:
        found = [
            self._shown(talk)
            for talk in self.state["conversations"].values()
            if shapes.matches(body.get("query", {}), {**talk, "contact_ids": talk["contact"]})
        ]
        for talk in found:  # a list shows conversations without their parts
            talk.pop("conversation_parts")
        return {"type": "conversation.list", "conversations": found, "total_count": len(found)}

    def _update_conversation(self, body: Record, key: str) -> Record:
        talk = self._talk(key)
        for name, value in dict(body.get("custom_attributes") or {}).items():
            if name not in self.state["conversation_attributes"]:
                said = f"Custom attribute '{name}' does not exist"
                raise Refused(400, "parameter_invalid", said)
            talk["custom_attributes"][name] = value
        talk["updated_at"] = self._time()
        return self._shown(talk)

    def _api_reply(self, body: Record, key: str) -> Record:
        talk = self._talk(key)
        message_type = str(body.get("message_type"))
        if message_type not in {"comment", "note"}:
            raise Refused(400, "parameter_invalid", "message_type is invalid")
        if not body.get("body"):
            raise Refused(400, "parameter_not_found", "Body is missing")
        self._add_part(talk, message_type, self._admin(body), str(body["body"]))
        return self._shown(talk)

    def _api_part(self, body: Record, key: str) -> Record:
        talk = self._talk(key)
        message_type = str(body.get("message_type"))
        if message_type not in {"close", "open"}:
            raise Refused(400, "parameter_invalid", "message_type is invalid")
        self._add_part(talk, message_type, self._admin(body), str(body.get("body") or ""))
        return self._shown(talk)

    def _api_tag(self, body: Record, key: str) -> Record:
        return self._put_tag(self._talk(key), self._tag_by_id(body), self._admin(body))

    def _update_ticket(self, body: Record, key: str) -> Record:
        ticket = self._ticket(key)
        if isinstance(body.get("open"), bool):
            ticket["open"] = body["open"]
        ticket["attributes"].update(body.get("ticket_attributes") or {})
        ticket["updated_at"] = self._time()
        return self._shown_ticket(ticket)

    def _api_ticket_reply(self, body: Record, key: str) -> Record:
        ticket = self._ticket(key)
        if not body.get("body"):
            raise Refused(400, "parameter_not_found", "Body is missing")
        message_type = str(body.get("message_type"))
        return self._add_ticket_part(ticket, message_type, self._admin(body), str(body["body"]))

    def _api_ticket_tag(self, body: Record, key: str) -> Record:
        self._ticket(key)
        self._admin(body)
        return self._tag_by_id(body)

    def _create_message(self, body: Record) -> Record:
        person = self._contact(str((body.get("to") or {}).get("id")))
        admin = self._admin({"admin_id": (body.get("from") or {}).get("id")})
        if not body.get("body"):
            raise Refused(400, "parameter_not_found", "Body is missing")
        is_email = body.get("message_type") == "email"
        if is_email and not body.get("subject"):
            raise Refused(422, "parameter_not_found", "No subject supplied for email message")
        talk = self._new_talk(
            person,
            body=str(body["body"]),
            subject=str(body.get("subject") or ""),
            channel="email" if is_email else "conversation",
            author=admin,
        )
        self._notify("conversation.admin.single.created", self._shown(talk, parts=()))
        return {
            "type": "admin_message",
            "id": talk["message"]["id"],
            "created_at": talk["created_at"],
            "subject": talk["message"]["subject"],
            "body": talk["message"]["body"],
            "message_type": body.get("message_type"),
            "conversation_id": talk["id"],
        }

    # What people do.

    def _start(self, args: Mapping[str, Any]) -> Record:
        person = self._person(args)
        talk = self._new_talk(
            person,
            body=str(args["body"]),
            subject=str(args.get("subject") or ""),
            channel=str(args.get("channel") or "conversation"),
        )
        talk["tags"] = [self._tag(str(name)) for name in args.get("tags") or ()]
        talk["custom_attributes"] = dict(args.get("custom_attributes") or {})
        self._notify("conversation.user.created", self._shown(talk, parts=()))
        return {"conversation": talk["id"], "contact": person["id"]}

    def _customer_reply(self, args: Mapping[str, Any]) -> Record:
        talk = self._talk(str(args["conversation"]))
        person = self.state["contacts"][talk["contact"]]
        author = {
            "type": person["role"],
            "id": person["id"],
            "name": person["name"],
            "email": person["email"],
        }
        talk["state"] = "open"
        part = self._add_part(talk, "comment", author, str(args["body"]))
        return {"conversation": talk["id"], "part": part["id"]}

    def _admin_part(self, args: Mapping[str, Any], part_type: str) -> Record:
        talk = self._talk(str(args["conversation"]))
        part = self._add_part(talk, part_type, LEE, str(args.get("body") or ""))
        return {"conversation": talk["id"], "part": part["id"]}

    def _person_tags(self, args: Mapping[str, Any]) -> Record:
        talk = self._talk(str(args["conversation"]))
        self._put_tag(talk, self._tag(str(args["tag"])), LEE)
        return {"conversation": talk["id"]}

    def _rate(self, args: Mapping[str, Any]) -> Record:
        talk = self._talk(str(args["conversation"]))
        talk["rating"] = {
            "rating": int(args["rating"]),
            "remark": args.get("remark"),
            "created_at": self._time(),
            "contact": {"type": "contact", "id": talk["contact"]},
            "teammate": {"type": "admin", "id": LEE["id"]},
        }
        talk["updated_at"] = self._time()
        self._notify("conversation.rating.added", self._shown(talk, parts=()))
        return {"conversation": talk["id"]}

    def _person_sets(self, args: Mapping[str, Any]) -> Record:
        talk = self._talk(str(args["conversation"]))
        talk["custom_attributes"][str(args["name"])] = args["value"]
        return {"conversation": talk["id"]}

    def _open_ticket(self, args: Mapping[str, Any]) -> Record:
        person = self._person(args)
        number = self.number("ticket", 901)
        ticket = {
            "id": str(self.number("conversation", 215470000000001)),
            "ticket_id": str(number),
            "contact": person["id"],
            "ticket_type": str(args.get("type") or "Bug report"),
            "category": str(args.get("category") or "Customer"),
            "attributes": {
                "_default_title_": str(args["title"]),
                "_default_description_": str(args["description"]),
            },
            "state": "submitted",
            "open": True,
            "created_at": self._time(),
            "updated_at": self._time(),
            "parts": [],
        }
        self.state["tickets"][ticket["id"]] = ticket
        self._notify("ticket.created", self._shown_ticket(ticket))
        return {"ticket": ticket["id"]}

    def _ticket_state(self, args: Mapping[str, Any]) -> Record:
        ticket = self._ticket(str(args["ticket"]))
        before, ticket["state"] = ticket["state"], str(args["state"])
        part = self._part("ticket_state_updated_by_admin", LEE, "", kind="ticket_part")
        part |= {"previous_ticket_state": before, "ticket_state": ticket["state"]}
        ticket["parts"].append(part)
        ticket["updated_at"] = self._time()
        self._notify("ticket.state.updated", self._shown_ticket(ticket))
        return {"ticket": ticket["id"]}

    def _customer_ticket_reply(self, args: Mapping[str, Any]) -> Record:
        ticket = self._ticket(str(args["ticket"]))
        person = self.state["contacts"][ticket["contact"]]
        author = {
            "type": "user",
            "id": person["id"],
            "name": person["name"],
            "email": person["email"],
        }
        part = self._add_ticket_part(ticket, "comment", author, str(args["body"]))
        return {"ticket": ticket["id"], "part": part["id"]}

    def _person_ticket_note(self, args: Mapping[str, Any]) -> Record:
        ticket = self._ticket(str(args["ticket"]))
        part = self._add_ticket_part(ticket, "note", LEE, str(args["body"]))
        return {"ticket": ticket["id"], "part": part["id"]}
