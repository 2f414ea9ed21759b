"""`schemas/route.v1.json`: what editors complete a route with. Written from the structs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hub.route.definition import Route
from hub.sdk import json
from hub.sdk.schemas import DIALECT, VERSION, folder

FILE = f"route.{VERSION}.json"

EXAMPLE = {
    "name": "shipped",
    "title": "When it ships, everybody who asked hears it where they asked",
    "on": ["work_item.status_changed"],
    "when": "data.status.category == 'done'",
    "for_each": "report",
    "steps": [
        {
            "name": "answer",
            "connection": "support",
            "action": "reply",
            "when": "report.system == 'intercom'",
            "inputs": {"conversation": "{{ report.id }}", "body": "It is fixed. Thank you!"},
        }
    ],
}


def generate() -> bytes:
    """Return the file as it must be."""
    schema = msgspec.json.schema(Route)
    main = schema["$defs"].pop("Route")
    head = {"$schema": DIALECT, "$id": f"urn:hub:schemas:route:{VERSION}"}
    whole = {**head, **main, "examples": [EXAMPLE], "$defs": schema["$defs"]}
    return msgspec.json.format(json.dumps(whole), indent=2) + b"\n"


if __name__ == "__main__":  # `make schemas`
    Path(str(folder()), FILE).write_bytes(generate())
