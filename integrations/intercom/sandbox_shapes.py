"""The JSON that Intercom shows, and its way with HTML, for the stand-in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Record = dict[str, Any]

_RENAMED = {"strong": "b", "em": "i", "del": "s", "h3": "h2", "h4": "h2", "h5": "h2", "h6": "h2"}
_KEPT = frozenset(
    ("p", "b", "i", "s", "u", "a", "br", "ul", "ol", "li", "h1", "h2", "pre", "code", "img")
)
_BLOCK = re.compile(r"</?(?:p|ul|ol|li|h[1-6]|pre|blockquote|table)\b")
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s[^<>]*)?)>")
_LINK = re.compile(r'(?:href|src)="([^"]*)"')


def reformatted(html: str) -> str:
    """Return HTML as Intercom gives it back: comments, unknown tags and attributes are gone."""
    html = re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL).strip()
    if not _BLOCK.search(html):
        html = "".join(f"<p>{part}</p>" for part in re.split(r"\n{2,}", html) if part)
    return re.sub(r">\s*\n\s*<", ">\n<", _TAG.sub(_tag, html))


def conversation(talk: Record, contact: Record, parts: Sequence[Record]) -> Record:
    """Return a conversation of API 2.14 with some of its parts."""
    author = {
        "type": contact["role"],
        "id": contact["id"],
        "name": contact["name"],
        "email": contact["email"],
    }
    return {
        "type": "conversation",
        "id": talk["id"],
        "created_at": talk["created_at"],
        "updated_at": talk["updated_at"],
        "waiting_since": None,
        "snoozed_until": None,
        "source": {
            "type": talk["channel"],
            "id": talk["message"]["id"],
            "delivered_as": talk["message"]["delivered_as"],
            "subject": talk["message"]["subject"],
            "body": talk["message"]["body"],
            "author": talk["message"]["author"] or author,
            "attachments": [],
            "url": None,
            "redacted": False,
        },
        "contacts": {
            "type": "contact.list",
            "contacts": [
                {
                    "type": "contact",
                    "id": contact["id"],
                    "external_id": contact["external_id"],
                }
            ],
        },
        "admin_assignee_id": None,
        "team_assignee_id": None,
        "open": talk["state"] != "closed",
        "state": talk["state"],
        "read": False,
        "tags": {"type": "tag.list", "tags": talk["tags"]},
        "priority": "not_priority",
        "conversation_rating": talk["rating"],
        "title": talk["title"],
        "custom_attributes": talk["custom_attributes"],
        "topics": {"type": "topic.list", "topics": [], "total_count": 0},
        "ticket": None,
        "linked_objects": {"type": "list", "data": [], "total_count": 0, "has_more": False},
        "conversation_parts": {
            "type": "conversation_part.list",
            "conversation_parts": list(parts),
            "total_count": len(parts),
        },
    }


def ticket(filed: Record, contact: Record) -> Record:
    """Return a ticket of API 2.14."""
    return {
        "type": "ticket",
        "id": filed["id"],
        "ticket_id": filed["ticket_id"],
        "ticket_attributes": filed["attributes"],
        "ticket_state": {
            "type": "ticket_state",
            "id": "1",
            "category": filed["state"],
            "internal_label": filed["state"].replace("_", " ").capitalize(),
            "external_label": filed["state"].replace("_", " ").capitalize(),
        },
        "ticket_type": {
            "type": "ticket_type",
            "id": "1",
            "name": filed["ticket_type"],
            "category": filed["category"],
        },
        "contacts": {
            "type": "contact.list",
            "contacts": [
                {
                    "type": "contact",
                    "id": contact["id"],
                    "external_id": contact["external_id"],
                }
            ],
        },
        "created_at": filed["created_at"],
        "updated_at": filed["updated_at"],
        "ticket_parts": {
            "type": "ticket_part.list",
            "ticket_parts": filed["parts"],
            "total_count": len(filed["parts"]),
        },
        "open": filed["open"],
        "linked_objects": {"type": "list", "data": [], "total_count": 0, "has_more": False},
        "category": filed["category"],
        "is_shared": filed["category"] == "Customer",
        "channel": "messenger",
    }


def fault(status: int, code: str, message: str) -> tuple[int, Record]:
    """Return an error as Intercom writes it."""
    errors = [{"code": code, "message": message}]
    return status, {"type": "error.list", "request_id": "sandbox", "errors": errors}


def matches(query: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Say whether a record fits a search: `=` and `>` on its fields, and `AND` of those."""
    value, operator = query.get("value"), query.get("operator")
    if operator == "AND" and isinstance(value, list):
        return all(matches(clause, found) for clause in value)
    held = found.get(str(query.get("field")))
    if operator == ">":
        return isinstance(held, int) and isinstance(value, int) and held > value
    return held == value


def _tag(found: re.Match[str]) -> str:
    closing, name, rest = found[1], found[2].lower(), found[3]
    name = _RENAMED.get(name, name)
    if name not in _KEPT:
        return ""
    if closing:
        return f"</{name}>"
    link = _LINK.search(rest)
    if name == "a" and link:
        return f'<a href="{link[1]}" rel="nofollow noopener noreferrer" target="_blank">'
    if name == "img" and link:
        return f'<img src="{link[1]}">'
    return '<p class="no-margin">' if name == "p" else f"<{name}>"
