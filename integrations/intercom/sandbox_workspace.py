"""What the stand-in's workspace holds, and the webhooks it sends when that changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hub.sdk import sandbox
from integrations.intercom import sandbox_shapes as shapes
from integrations.intercom.sandbox_shapes import Record, fault

HUB = {"type": "admin", "id": "7001", "name": "Product Hub", "email": "hub@acme.example"}
LEE = {"type": "admin", "id": "7002", "name": "Lee Park", "email": "lee@acme.example"}


class Refused(Exception):
    """An answer that is not 2xx."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.document = fault(status, code, message)


class Workspace(sandbox.Sandbox):
    """Conversations, tickets, contacts and tags, kept in the state."""

    initial: ClassVar[dict[str, Any]] = {
        "app": {"type": "app", "id_code": "acme1234", "name": "Acme", "region": "US"},
        "admins": [HUB, LEE],
        "contacts": {},
        "conversations": {},
        "tickets": {},
        "tags": {},
        "conversation_attributes": ["Jira issue", "Category", "Plan", "Severity"],
    }

    def _time(self) -> int:
        return int(self.now().timestamp())

    def _found(self, table: str, key: str) -> Record:
        found: Record | None = self.state[table].get(key)
        if found is None:
            raise Refused(404, "not_found", "Resource Not Found")
        return found

    def _talk(self, key: str) -> Record:
        return self._found("conversations", key)

    def _ticket(self, key: str) -> Record:
        return self._found("tickets", key)

    def _contact(self, key: str) -> Record:
        return self._found("contacts", key)

    def _admin(self, body: Record) -> Record:
        for admin in self.state["admins"]:
            if admin["id"] == str(body.get("admin_id")):
                return dict(admin)
        raise Refused(404, "admin_not_found", "Admin not found")

    def _person(self, args: Mapping[str, Any]) -> Record:
        email = str(args["email"])
        for person in self.state["contacts"].values():
            if person["email"] == email:
                return dict(person)
        return self._new_contact(email, str(args.get("name") or ""), "user")

    def _new_contact(self, email: str, name: str, role: str) -> Record:
        number = self.number("contact")
        person = {
            "type": "contact",
            "id": f"66f0c0de{number:016x}",
            "workspace_id": self.state["app"]["id_code"],
            "external_id": None,
            "role": role,
            "email": email,
            "name": name or None,
            "created_at": self._time(),
            "updated_at": self._time(),
            "custom_attributes": {},
            "tags": {"type": "list", "data": []},
            "companies": {"type": "list", "data": []},
        }
        self.state["contacts"][person["id"]] = person
        times = {name: self.now().isoformat() for name in ("created_at", "updated_at")}
        self._notify(f"contact.{role}.created", {**person, **times})
        return person

    def _new_talk(
        self,
        person: Record,
        *,
        body: str,
        subject: str,
        channel: str,
        author: Record | None = None,
    ) -> Record:
        talk: Record = {
            "id": str(self.number("conversation", 215470000000001)),
            "contact": person["id"],
            "channel": channel,
            "title": None,
            "state": "closed" if author else "open",
            "created_at": self._time(),
            "updated_at": self._time(),
            "tags": [],
            "custom_attributes": {},
            "rating": None,
            "parts": [],
            "message": {
                "id": str(self.number("message", 403918396)),
                "subject": subject,
                "body": shapes.reformatted(body),
                "delivered_as": "admin_initiated" if author else "customer_initiated",
                "author": author,
            },
        }
        self.state["conversations"][talk["id"]] = talk
        return talk

    def _tag(self, name: str) -> Record:
        for tag in self.state["tags"].values():
            if tag["name"].lower() == name.lower():
                return dict(tag)
        tag = {"type": "tag", "id": str(self.number("tag", 7522907)), "name": name}
        self.state["tags"][tag["id"]] = tag
        return dict(tag)

    def _tag_by_id(self, body: Record) -> Record:
        return self._found("tags", str(body.get("id")))

    def _put_tag(self, talk: Record, tag: Record, admin: Record) -> Record:
        applied = {**tag, "applied_at": self._time(), "applied_by": {**admin}}
        if all(held["id"] != tag["id"] for held in talk["tags"]):
            talk["tags"].append(applied)
            talk["updated_at"] = self._time()
            part = talk["parts"][-1] if talk["parts"] else talk["message"]
            item = {
                "type": "conversation_part_tag",
                "created_at": self._time(),
                "tag": applied,
                "conversation_part": {"type": "conversation_part", "id": part["id"]},
                "conversation": self._shown(talk, parts=()),
            }
            self._notify("conversation_part.tag.created", item)
        return applied

    def _part(self, part_type: str, author: Record, body: str, *, kind: str) -> Record:
        return {
            "type": kind,
            "id": str(self.number("part", 37358121213)),
            "part_type": part_type,
            "body": shapes.reformatted(body) if body else None,
            "created_at": self._time(),
            "updated_at": self._time(),
            "author": dict(author),
            "attachments": [],
            "redacted": False,
        }

    def _add_part(self, talk: Record, part_type: str, author: Record, body: str) -> Record:
        part = self._part(part_type, author, body, kind="conversation_part")
        talk["parts"].append(part)
        talk["updated_at"] = self._time()
        if part_type in {"close", "open"}:
            talk["state"] = "closed" if part_type == "close" else "open"
        by_team = {
            "comment": "conversation.admin.replied",
            "note": "conversation.admin.noted",
            "close": "conversation.admin.closed",
            "open": "conversation.admin.opened",
        }
        is_team = author["type"] == "admin"
        topic = by_team[part_type] if is_team else "conversation.user.replied"
        self._notify(topic, self._shown(talk, parts=(part,)))
        return part

    def _add_ticket_part(self, ticket: Record, kind: str, author: Record, body: str) -> Record:
        if kind not in {"comment", "note"}:
            raise Refused(400, "parameter_invalid", "message_type is invalid")
        part = self._part(kind, author, body, kind="ticket_part")
        ticket["parts"].append(part)
        ticket["updated_at"] = self._time()
        by = "admin" if author["type"] == "admin" else "contact"
        topic = "ticket.note.created" if kind == "note" else f"ticket.{by}.replied"
        shown = self._shown_ticket(ticket)
        item = {"type": "ticket_ticket_part", "ticket": shown, "ticket_part": part}
        self._notify(topic, item)
        return part

    def _shown(self, talk: Record, *, parts: tuple[Record, ...] | None = None) -> Record:
        person = self.state["contacts"][talk["contact"]]
        return shapes.conversation(talk, person, talk["parts"] if parts is None else parts)

    def _shown_ticket(self, ticket: Record) -> Record:
        return shapes.ticket(ticket, self.state["contacts"][ticket["contact"]])

    def _notify(self, topic: str, item: Record) -> None:
        # The time is part of the id: a workspace that is begun anew repeats its numbers.
        number = self.number("notification")
        stamp = int(self.now().timestamp() * 1000)
        self.send(
            {
                "type": "notification_event",
                "app_id": self.state["app"]["id_code"],
                "data": {"type": "notification_event_data", "item": item},
                "links": {},
                "id": f"notif_{stamp:012x}-{number:08x}",
                "topic": topic,
                "delivery_status": "pending",
                "delivery_attempts": 1,
                "delivered_at": 0,
                "first_sent_at": self._time(),
                "created_at": self._time(),
                "self": None,
            }
        )
