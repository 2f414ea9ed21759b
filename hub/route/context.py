"""What templates and conditions can name. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


class EventView:
    """An event as templates see it: built once for each audience, however many routes ask.

    `systems` names each connection's (integration, name).
    """

    def __init__(
        self, event: WaitingEvent, connection: str, systems: Mapping[int, tuple[str, str]]
    ) -> None:
        self._event = event
        self._connection = connection
        self._systems = systems
        self._bases: dict[Audience, dict[str, Any]] = {}

    def context(
        self,
        route: Route,
        audience: Audience,
        *,
        report: Node | None = None,
        work_item: Node | None = None,
        steps: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Return the names that a route's templates for this audience may use.

        `report` and `work_item` are the linked things a fan-out runs over, or the first linked
        ones. The customer of an event is named to the customer only in an answer to that
        customer's own report.
        """
        context = dict(self.base(audience))
        if report is not None:
            context["report"] = _thing(report, audience, self._systems)
        if work_item is not None:
            context["work_item"] = _thing(work_item, audience, self._systems)
        if steps:
            context["steps"] = dict(steps)
        if route.maps:
            context["map"] = _mapping(route, context["data"])
        return context

    def base(self, audience: Audience) -> dict[str, Any]:
        """Return the names that do not depend on the route."""
        base = self._bases.get(audience)
        if base is None:
            base = self._bases[audience] = self._base(audience)
        return base

    def _base(self, audience: Audience) -> dict[str, Any]:
        event, connection = self._event, self._connection
        seen = view(event.type, event.data, audience)
        data = seen.data
        own = event.type.startswith(REPORTS)
        customer = (
            event.data["customer"] if own and event.data.get("customer") else data.get("customer")
        )
        refs = data.get("refs") or []
        time = event.time.isoformat()
        source = f"/connections/{connection}"
        return {
            "event": {
                "id": f"ev_{event.id}",
                "type": event.type,
                "subject": event.subject,
                "time": time,
                "source": source,
                # The whole event as a document, for receivers that take CloudEvents.
                "document": None if audience == "customer" else {
                    "specversion": "1.0", "id": f"ev_{event.id}", "type": event.type,
                    "source": source, "subject": event.subject, "time": time,
                    "datacontenttype": "application/json", "data": data,
                },
            },
            "data": data,
            "actor": data.get("actor"),
            "refs": refs,
            "subject": refs[0] if refs else None,
            "customer": customer,
            "report": None,
            "work_item": None,
            "steps": {},
            "connection": connection,
            "map": _no_maps,
            "withheld": {f"data.{path}": audience for path in seen.withheld},
        }  # fmt: skip


def _mapping(route: Route, data: Mapping[str, Any]) -> Callable[[str, object], str]:
    kind, project = str(data.get("kind") or ""), str(data.get("project") or "")

    def mapped(name: str, word: object) -> str:
        return map_word(route.maps, name, str(word), project=project, kind=kind)

    return mapped


def _no_maps(name: str, word: object) -> str:
    return map_word({}, name, str(word))


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
