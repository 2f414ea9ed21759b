"""The shared schema: written from the structs, read back by everyone who checks an event.

`jsonschema` is the authority; on the hot path `jsonschema_rs` gives the yes or no (1 µs against
200 µs on a typical event), and only a no is explained by `jsonschema`. A property test holds the
two to the same verdict.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
from jsonschema import Draft202012Validator

from hub.sdk import json
from hub.sdk.events import DATA_TYPES, Data, Event, Ref
from hub.sdk.examples import EXAMPLES
from hub.sdk.integration import Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION = "v1"


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is stored and sent: CloudEvents 1.0 attributes around typed `data`."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    dataschema: str
    data: Any
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


def dataschema(event_type: str) -> str:
    """Return the URI that names an event type's schema; it is the file's `$id`."""
    return f"urn:hub:schemas:{event_type}:{VERSION}"


def subject_of(ref: Ref) -> str:
    """Write a reference as a CloudEvents subject: `system/kind/id`, the key where no id is known."""
    return f"{ref.system}/{ref.kind}/{ref.id or ref.key}"


def cloudevent(event: Event, *, event_id: str, connection: str) -> CloudEvent:
    """Wrap an event of a connection; `data` becomes plain JSON values."""
    return CloudEvent(
        id=event_id,
        source=f"/connections/{connection}",
        type=event.type,
        subject=subject_of(event.subject),
        time=event.time,
        dataschema=dataschema(event.type),
        data=msgspec.to_builtins(event.data),
    )


def validate_data(event_type: str, data: object) -> list[str]:
    """Return what is wrong with an event's data (plain JSON values), as `path: problem` lines."""
    if event_type not in DATA_TYPES:
        return [f"type: {event_type!r} is not a type of the shared schema"]
    fast, slow = _validators(event_type)
    if fast.is_valid(data):
        return []
    return explain(slow, data)


def explain(validator: Draft202012Validator, value: object) -> list[str]:
    """Return every fault that `validator` finds in `value`, in the order of the paths."""
    errors = sorted(validator.iter_errors(value), key=lambda error: [str(p) for p in error.path])
    return [f"{_dotted(error.absolute_path)}: {error.message[:300]}" for error in errors]


def generate() -> dict[str, bytes]:
    """Return every file of `schemas/` as it must be: file name -> content."""
    files = {
        f"{name}.{VERSION}.json": _pretty(_data_schema(name, struct))
        for name, struct in DATA_TYPES.items()
    }
    files[f"envelope.{VERSION}.json"] = _pretty(_envelope_schema())
    files[f"manifest.{VERSION}.json"] = _pretty(_manifest_schema())
    return files


def folder() -> Traversable:
    """Return the place of the schema files: inside an installed package, or in the checkout."""
    package = resources.files("hub")
    installed = package.joinpath("_schemas")
    return installed if installed.is_dir() else Path(str(package)).parent / "schemas"


@cache
def _validators(
    event_type: str,
) -> tuple[jsonschema_rs.Draft202012Validator, Draft202012Validator]:
    schema = json.loads(folder().joinpath(f"{event_type}.{VERSION}.json").read_bytes())
    fast = jsonschema_rs.Draft202012Validator(schema, validate_formats=False)
    return fast, Draft202012Validator(schema)


def _data_schema(name: str, struct: type[Data]) -> dict[str, Any]:
    schema = msgspec.json.schema(struct)
    main = schema["$defs"].pop(struct.__name__)
    title = name.replace("_", " ").replace(".", " ").capitalize()
    head = {
        "$schema": DIALECT,
        "$id": dataschema(name),
        "title": title,
        "version": "1.0.0",
    }
    main.pop("title", None)
    example = msgspec.to_builtins(EXAMPLES[name])
    return {**head, **main, "examples": [example], "$defs": schema["$defs"]}


def _envelope_schema() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    example = EXAMPLES["feedback.received"]
    when = datetime.fromisoformat("2026-11-02T09:00:00+00:00")
    wrapped = cloudevent(
        Event(subject=example.refs[0], time=when, data=example),
        event_id="ev_1",
        connection="intercom",
    )
    return {
        "$schema": DIALECT,
        "$id": f"urn:hub:schemas:envelope:{VERSION}",
        "title": "Event",
        "version": "1.0.0",
        "description": "A CloudEvents 1.0 event as the hub stores, shows and sends it.",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0", "description": "The CloudEvents version"},
            "id": {**text, "description": "Unique in the hub, the same over replays"},
            "source": {
                **text,
                "description": "`/connections/<name of the connection>`",
            },
            "type": {
                "enum": sorted(DATA_TYPES),
                "description": "Which file describes `data`",
            },
            "subject": {**text, "description": "`system/kind/id` of what it is about"},
            "time": {
                "type": "string",
                "format": "date-time",
                "description": "The source's own time",
            },
            "dataschema": {**text, "description": "The `$id` of the schema of `data`"},
            "datacontenttype": {"const": "application/json"},
            "data": {"type": "object", "description": "Typed by `dataschema`"},
        },
        "required": [
            "specversion",
            "id",
            "source",
            "type",
            "subject",
            "time",
            "dataschema",
            "data",
        ],
        "additionalProperties": False,
        "examples": [msgspec.to_builtins(wrapped)],
    }


def _manifest_schema() -> dict[str, Any]:
    schema = msgspec.json.schema(Manifest)
    main = schema["$defs"].pop("Manifest")
    head = {"$schema": DIALECT, "$id": f"urn:hub:schemas:manifest:{VERSION}"}
    return {**head, **main, "$defs": schema["$defs"]}


def _pretty(schema: dict[str, Any]) -> bytes:
    return msgspec.json.format(json.dumps(schema), indent=2) + b"\n"


def _dotted(path: Any) -> str:
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else (f".{part}" if shown else str(part))
    return shown or "$"


if __name__ == "__main__":  # `make schemas`: write the files from the structs
    for file_name, content in generate().items():
        Path(str(folder()), file_name).write_bytes(content)
