"""The page that shows what each stand-in holds."""

from __future__ import annotations

from importlib import resources
from typing import Any

from minijinja import Environment

from hub.sandbox.house import House, Room, Webhook
from hub.sdk import MalformedPayload, json

_ROWS = 12
_HOOKS = 6
_REQUESTS = 6
_CELL = 140
_TYPES = ("topic", "webhookEvent", "event_type", "type", "event")


def render(house: House) -> str:
    """Return the page as HTML."""
    environment = Environment(
        templates={"page.html": resources.files(__package__).joinpath("page.html").read_text()},
        auto_escape_callback=lambda _: True,
    )
    rooms = [_room(house[name]) for name in house]
    return environment.render_template(
        "page.html", rooms=rooms, missing=house.missing, waiting=house.waiting
    )


def _room(room: Room) -> dict[str, Any]:
    try:
        tables, fault = room.sandbox.tables(), ""
    except Exception as error:  # noqa: BLE001 - a faulty stand-in must not take the page away
        tables, fault = {}, f"{type(error).__name__}: {error}"
    return {
        "id": room.id,
        "title": room.title,
        "fault": fault,
        "target": room.target.url if room.target else "",
        "sent": room.sent,
        "handled": room.handled,
        "waiting": len(room.pending),
        "faults": sum(fault.times for fault in room.faults),
        "tables": [_table(name, rows) for name, rows in tables.items()],
        "webhooks": [_hook(hook) for hook in list(room.webhooks)[: -_HOOKS - 1 : -1]],
        "requests": list(room.requests)[: -_REQUESTS - 1 : -1],
    }


def _table(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    shown = [[_cell(row.get(column)) for column in columns] for row in rows[: -_ROWS - 1 : -1]]
    return {
        "name": name.replace("_", " "),
        "columns": [column.replace("_", " ") for column in columns],
        "rows": shown,
        "count": len(rows),
        "more": max(0, len(rows) - _ROWS),
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.text(value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _hook(webhook: Webhook) -> dict[str, Any]:
    return {
        "number": webhook.number,
        "time": webhook.at[11:19],
        "type": _type(webhook.body),
        "state": webhook.state,
        "kind": {"sent": "good", "retrying": "busy", "waiting": "busy"}.get(webhook.state, "bad"),
        "attempts": webhook.attempts,
        "note": webhook.note,
    }


def _type(body: bytes) -> str:
    try:
        document = json.loads(body)
    except MalformedPayload:
        return f"{len(body)} bytes"
    if isinstance(document, dict):
        inner = document.get("event")
        if isinstance(inner, dict) and isinstance(inner.get("type"), str):
            return str(inner["type"])
        for name in _TYPES:
            if isinstance(document.get(name), str):
                return str(document[name])
    return f"{len(body)} bytes"
