"""Any JSON -> shared events, by the connection's `schema` and `mapping`.

Without a mapping the payload must be an event of the shared schema already, as another hub's
action `send` sends it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from hub.sdk import Context, EventTable, MalformedPayload, Payload, UnsupportedEvent, json
from hub.sdk.events import DATA_TYPES, Data, Event, Ref
from integrations.webhook.shape import MILLIS_FROM, fit
from integrations.webhook.templates import Templates
from integrations.webhook.webhook import event_name

_REF_PARTS = ("system", "kind", "id", "key", "url")
_WRONG = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]+)`")
_PLACE = re.compile(r"(?P<said>.*?)(?: - at `\$(?P<place>.*)`)?", re.DOTALL)


class Rules:
    """The connection's schema and mappings, compiled once."""

    def __init__(self, schema: Any, mapping: Any) -> None:
        self.templates = Templates()
        listed = mapping if isinstance(mapping, list) else [mapping] if mapping else []
        self.mappings: dict[str, dict[str, Any]] = {
            (f"mapping[{place}]" if isinstance(mapping, list) else "mapping"): one
            for place, one in enumerate(listed)
        }
        self._validator = None if schema is None else validator(schema)

    def check(self, body: Any) -> None:
        """Hold a payload against the schema. Raises `MalformedPayload` at the fault."""
        if self._validator is None:
            return
        try:
            error = best_match(self._validator.iter_errors(body))
        except (Unresolvable, RecursionError, re.error) as fault:
            raise MalformedPayload("schema", "a usable schema", f"{fault}") from None
        if error is not None:
            raise _unlike(error)


def validator(schema: Any) -> Validator:
    """Return the schema's validator, which never fetches anything.

    Raises `MalformedPayload` at `schema` when it is not a JSON Schema.
    """
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        path = ".".join(["schema", *map(str, error.absolute_path)])
        raise MalformedPayload(path, "a JSON Schema", error.message[:200]) from None
    return kind(schema, registry=EMPTY_REGISTRY)


def _normalize(whole: Payload, context: Context) -> tuple[Event, ...]:
    body = whole["payload"]
    if not body:
        raise MalformedPayload("payload", "a JSON value", "nothing")
    config = context.config
    rules = _rules(json.dumps([config.get("schema"), config.get("mapping")]))
    rules.check(body.raw)
    if not rules.mappings:
        return (_shared_event(body),)
    names = {"payload": body.raw, "headers": whole["headers"].raw or {}}
    events: list[Event] = []
    matched = False
    for place, mapping in rules.mappings.items():
        condition = mapping.get("when")
        if condition and not rules.templates.holds(condition, names, f"{place}.when"):
            continue
        matched = True
        events.extend(
            _event(mapping, place, rules.templates, scope, context)
            for scope in _items(mapping, place, rules.templates, names)
        )
    if not matched:
        raise UnsupportedEvent(event_name(body))
    return tuple(events)


@lru_cache(maxsize=256)
def _rules(key: bytes) -> Rules:
    schema, mapping = json.loads(key)
    return Rules(schema, mapping)


def _items(
    mapping: Mapping[str, Any], place: str, templates: Templates, names: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Yield the names a mapping's templates see: once, or for each item of a batch."""
    if "each" not in mapping:
        yield names
        return
    items = templates.value(mapping["each"], names, f"{place}.each")
    if not isinstance(items, list):
        raise MalformedPayload(f"{place}.each", "an array", json.text(items)[:100])
    for item in items:
        yield {**names, "item": item}


def _event(
    mapping: Mapping[str, Any],
    place: str,
    templates: Templates,
    names: Mapping[str, Any],
    context: Context,
) -> Event:
    kind = templates.value(mapping.get("type", ""), names, f"{place}.type")
    struct = DATA_TYPES.get(kind) if isinstance(kind, str) else None
    if struct is None:
        raise MalformedPayload(f"{place}.type", "a type of the shared schema", repr(kind)[:100])
    subject = _subject(mapping.get("subject"), place, templates, names, context)
    when = _time(
        templates.value(mapping.get("time", ""), names, f"{place}.time"), f"{place}.time", context
    )
    rendered = _render(mapping.get("data", {}), f"{place}.data", templates, names)
    visibility = str(mapping.get("visibility", "team"))
    data = _convert(fit(rendered, struct, visibility), struct, f"{place}.data")
    about = tuple(ref for ref in data.refs if (ref.id or ref.key) and ref != subject)
    data = msgspec.structs.replace(data, refs=(subject, *about))
    return Event(subject=subject, time=when, data=data)


def _render(value: Any, path: str, templates: Templates, names: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return templates.value(value, names, path)
    if isinstance(value, dict):
        return {
            name: _render(item, f"{path}.{name}", templates, names) for name, item in value.items()
        }
    if isinstance(value, list):
        return [
            _render(item, f"{path}[{place}]", templates, names) for place, item in enumerate(value)
        ]
    return value


def _subject(
    given: Any, place: str, templates: Templates, names: Mapping[str, Any], context: Context
) -> Ref:
    """Return what the event is about. A plain text is its id; its kind is the connection's name.

    So two connections that both count from 1 do not mix their things up.
    """
    path = f"{place}.subject"
    rendered = _render(given if isinstance(given, dict) else {"id": given}, path, templates, names)
    parts = {name: _part(rendered.get(name), f"{path}.{name}") for name in _REF_PARTS}
    if not parts["id"] and not parts["key"]:
        raise MalformedPayload(path, "an id", "nothing")
    parts["system"] = parts["system"] or "webhook"
    parts["kind"] = parts["kind"] or context.connection
    return Ref(**parts)


def _part(value: Any, path: str) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list, bool)):
        raise MalformedPayload(path, "text or number", json.text(value)[:100])
    return str(value)


def _time(value: Any, path: str, context: Context) -> datetime:
    """Read ISO 8601, or a number of seconds or milliseconds; nothing is the time of arrival."""
    if value is None or value == "":
        return context.received_at
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return Payload(value, path).iso_time()
    shown = Payload(value, path)
    return shown.unix_millis() if abs(shown.number()) >= MILLIS_FROM else shown.unix_time()


def _convert(data: Any, struct: type[Data], path: str) -> Data:
    """Read rendered data into its struct. Raises `MalformedPayload` naming the field."""
    try:
        return msgspec.convert(data, struct, strict=False)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), struct, path) from None


def _misfit(message: str, struct: type[Data], path: str) -> MalformedPayload:
    found = _PLACE.fullmatch(message)
    said = found["said"] if found else message
    place = path + ((found["place"] if found else "") or "")
    if named := _FIELD.match(said):
        place = f"{place}.{named['name']}"
        if named["what"] == "missing required":
            return MalformedPayload(place, "a value", "nothing")
        return MalformedPayload(place, f"a field of {struct.type}", "a name it does not have")
    if wrong := _WRONG.match(said):
        return MalformedPayload(place, wrong["expected"], wrong["got"])
    return MalformedPayload(place, f"a value that fits {struct.type}", said)


def _unlike(error: ValidationError) -> MalformedPayload:
    path = "payload"
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    if error.validator == "type":
        return MalformedPayload(path, str(error.validator_value), json.text(error.instance)[:100])
    if error.validator == "required" and isinstance(error.validator_value, list):
        present = error.instance if isinstance(error.instance, dict) else {}
        for name in error.validator_value:
            if name not in present:
                return MalformedPayload(f"{path}.{name}", "a value, as the schema says", "nothing")
    expected = f"what the schema's {error.validator!r} allows"
    return MalformedPayload(path, expected, error.message[:200])


def _shared_event(body: Payload) -> Event:
    """Read an event of the shared schema, in its CloudEvents form."""
    struct = DATA_TYPES.get(body["type"].str())
    if struct is None:
        raise UnsupportedEvent(event_name(body))
    when = body["time"].iso_time()
    body["data"].keys()
    try:
        data = msgspec.convert(body["data"].raw, struct)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), struct, "data") from None
    if data.refs:
        return Event(subject=data.refs[0], time=when, data=data)
    system, _, rest = body["subject"].str().partition("/")
    kind, _, name = rest.partition("/")
    if not (system and kind and name):
        raise MalformedPayload("subject", "system/kind/id", body["subject"].str()[:100])
    return Event(subject=Ref(system=system, kind=kind, id=name), time=when, data=data)


table = EventTable({"*": _normalize})
