"""Find the faults in a connection's schema and mapping before they meet a webhook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hub.sdk import InvalidInput, MalformedPayload
from hub.sdk.events import DATA_TYPES
from integrations.webhook.normalize import Rules
from integrations.webhook.templates import Templates


def faults(config: Mapping[str, Any]) -> tuple[InvalidInput, ...]:
    """Return every fault that can be seen without a payload, each at its dotted place.

    That is: the schema is no JSON Schema, a template or condition cannot be read, a type or a
    field of `data` is not in the shared schema.
    """
    return tuple(_faults(config))


def _faults(config: Mapping[str, Any]) -> Iterator[InvalidInput]:
    templates = Templates()
    try:
        Rules(config.get("schema"), None)
    except MalformedPayload as error:
        yield InvalidInput(error.path, f"is not {error.expected}: {error.got}")
    if fault := templates.fault(config.get("delivery_id", "")):
        yield InvalidInput("delivery_id", f"cannot be read as a template: {fault}")
    for place, mapping in Rules(None, config.get("mapping")).mappings.items():
        yield from _mapping_faults(mapping, place, templates)


def _mapping_faults(
    mapping: Mapping[str, Any], place: str, templates: Templates
) -> Iterator[InvalidInput]:
    condition = mapping.get("when", "")
    if condition and (fault := templates.fault(condition, condition=True)):
        yield InvalidInput(
            f"{place}.when", f"cannot be read: {fault}", "write it without braces: payload.x == 1"
        )
    for path, template in _texts({**mapping, "when": None}, place):
        if fault := templates.fault(template):
            yield InvalidInput(path, f"cannot be read as a template: {fault}")
    kind = str(mapping.get("type", ""))
    if "{{" in kind:
        return
    struct = DATA_TYPES.get(kind)
    if struct is None:
        known = ", ".join(DATA_TYPES)
        yield InvalidInput(f"{place}.type", f"{kind!r} is not a type", f"use one of {known}")
        return
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    data = mapping.get("data", {})
    for name in data:
        if name not in fields:
            mend = f"use one of {', '.join(fields)}"
            yield InvalidInput(f"{place}.data.{name}", f"is not a field of {kind}", mend)
    for name, field in fields.items():
        if field.required and name not in data:
            yield InvalidInput(f"{place}.data.{name}", "is missing", f"{kind} needs it")


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, f"{path}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _texts(item, f"{path}[{place}]")
