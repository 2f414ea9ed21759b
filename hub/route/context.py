"""What templates and conditions can name. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.links.refs import REPORTS
from hub.route.definition import Route
from hub.route.render import map_word
from hub.sdk import json
from hub.sdk.integration import Audience
from hub.sdk.visibility import view
from hub.store.events import WaitingEvent
from hub.store.graph import Node

NAMES = frozenset(
    {"event", "data", "actor", "refs", "subject", "customer", "report", "work_item", "steps",
     "connection", "map", "withheld"}
)  # fmt: skip
"""Every name a template may start with."""


def build(
    *,
    event: WaitingEvent,
    connection: str,
    route: Route,
    audience: Audience,
    systems: Mapping[int, tuple[str, str]],
    report: Node | None = None,
    work_item: Node | None = None,
    steps: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the context of one event for one audience.

    `systems` names each connection's (integration, name). `report` and `work_item` are the linked
    things a fan-out runs over, or the first linked ones. The customer of an event is named to the
    customer only in an answer to that customer's own report.
    """
    seen = view(event.type, event.data, audience)
    data = seen.data
    withheld = {f"data.{path}": audience for path in seen.withheld}
    own = event.type.startswith(REPORTS)
    if own and event.data.get("customer"):
        customer = event.data["customer"]
    else:
        customer = data.get("customer")
    refs = data.get("refs") or []
    kind, project = str(data.get("kind") or ""), str(data.get("project") or "")

    def mapped(name: str, word: object) -> str:
        return map_word(route.maps, name, str(word), project=project, kind=kind)

    return {
        "event": {
            "id": f"ev_{event.id}",
            "type": event.type,
            "subject": event.subject,
            "time": event.time.isoformat(),
            "source": f"/connections/{connection}",
            # The whole event as a document, for receivers that take CloudEvents.
            "document": None if audience == "customer" else {
                "specversion": "1.0", "id": f"ev_{event.id}", "type": event.type,
                "source": f"/connections/{connection}", "subject": event.subject,
                "time": event.time.isoformat(), "datacontenttype": "application/json",
                "data": data,
            },
        },
        "data": data,
        "actor": data.get("actor"),
        "refs": refs,
        "subject": refs[0] if refs else None,
        "customer": customer,
        "report": None if report is None else _thing(report, audience, systems),
        "work_item": None if work_item is None else _thing(work_item, audience, systems),
        "steps": dict(steps or {}),
        "connection": connection,
        "map": mapped,
        "withheld": withheld,
    }  # fmt: skip


def result_of(
    node: Node | None, *, joined: bool, delivered: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what a finished step is in `steps.<name>`: key, id, url, joined, and its result."""
    result = dict(delivered or {})
    ref = result.get("ref") or {}
    return {
        "id": node.external_id if node else ref.get("id", ""),
        "key": node.key if node else ref.get("key", ""),
        "url": node.url if node else ref.get("url", ""),
        "joined": joined,
        "result": result.get("after") or {},
    }


def _thing(
    node: Node, audience: Audience, systems: Mapping[int, tuple[str, str]]
) -> dict[str, Any]:
    system, name = systems.get(node.connection_id, ("", ""))
    title = node.title if isinstance(node.title, dict) else None
    may = title is not None and (
        title.get("visibility") == "public"
        or (audience == "team" and title.get("visibility") == "team")
    )
    return {
        "system": system,
        "connection": name,
        "kind": node.kind,
        "id": node.external_id,
        "key": node.key,
        "url": node.url,
        "title": title["text"] if may and title else None,
        "customer": json.loads(json.dumps(node.customer)) if node.customer else {},
        "status": {"name": node.status, "category": node.category},
    }
