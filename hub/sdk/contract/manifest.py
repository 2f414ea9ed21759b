"""Check the manifest against itself, the JSON Schema specification, and the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from hub.sdk.contract.subject import Fault, Subject
from hub.sdk.events import DATA_TYPES
from hub.sdk.integration import ActionManifest, Auth, Mention

_AUTH_NEEDS = {
    "none": (),
    "bearer": ("token",),
    "basic": ("username", "password"),
    "header": ("token",),
    "standard_webhooks": ("token",),
}
_NEEDS_AN_EXAMPLE = "Give the schema `examples`, the first one whole"


def check(subject: Subject) -> Iterator[Fault]:
    """Find faults of `manifest.json` that its own schema cannot see.

    That the folder is named like the id is seen when it is found (`hub.sdk.registry`).
    """
    manifest = subject.manifest
    if not manifest.docs_url.startswith("https://"):
        yield Fault("manifest.json docs_url", "is no https address", "Give the vendor's page")
    yield from _config(subject)
    yield from _receives(subject)
    yield from _sends(subject)


def check_code(subject: Subject) -> Iterator[Fault]:
    """Find events and actions that stand in the manifest and not in the code, or the reverse."""
    receives, sends = subject.manifest.receives, subject.manifest.sends
    if receives is not None and subject.inbound is not None:
        declared, types = set(receives.events), set(subject.inbound.normalize.types)
        yield from _both_ways(
            declared, types, "manifest.json receives.events", "the table of normalize.py"
        )
    actions = sends.actions if sends else {}
    yield from _both_ways(
        set(actions), set(subject.code.actions), "manifest.json sends.actions", "__init__.py"
    )
    for name, action in actions.items():
        code = subject.code.actions.get(name)
        if code is not None and action.once == "marker" and code.find is None:
            yield Fault(
                f"manifest.json sends.actions.{name}.once",
                "is `marker`, and the action has no `find`",
                "Give `Action(run, find=…)` that looks the marker up",
            )


def _both_ways(one: set[str], other: set[str], here: str, there: str) -> Iterator[Fault]:
    for name in sorted(one - other):
        yield Fault(f"{here}.{name}", f"is not in {there}", "Add it there, or remove it here")
    for name in sorted(other - one):
        yield Fault(here, f"lacks {name!r}, which is in {there}", "Add it, or remove it there")


def _config(subject: Subject) -> Iterator[Fault]:
    config = subject.manifest.config
    place = "manifest.json config"
    yield from _schema(config, place)
    if config.get("additionalProperties") is not False:
        yield Fault(place, "lets unknown fields in", 'Give it `"additionalProperties": false`')
    for name, field in _properties(config).items():
        for part in ("title", "description"):
            if not field.get(part):
                yield Fault(f"{place}.{name}", f"has no {part}", "People fill a form in from it")


def _receives(subject: Subject) -> Iterator[Fault]:
    receives = subject.manifest.receives
    if receives is None:
        return
    place = "manifest.json receives"
    if not receives.events:
        yield Fault(f"{place}.events", "is empty", "List the vendor's event types")
    for vendor, shared in receives.events.items():
        for name in shared:
            if name not in DATA_TYPES:
                yield Fault(
                    f"{place}.events.{vendor}",
                    f"names {name!r}, which is no shared event type",
                    f"Use one of {', '.join(DATA_TYPES)}",
                )
    if receives.signature != "none":
        yield from _secret(subject, receives.secret, f"{place}.secret")
    for index, mention in enumerate(receives.mentions):
        yield from _mention(subject, mention, f"{place}.mentions[{index}]")


def _mention(subject: Subject, mention: Mention, place: str) -> Iterator[Fault]:
    for part, pattern in (("key", mention.key), ("url", mention.url)):
        try:
            re.compile(pattern)
        except re.error as error:
            yield Fault(f"{place}.{part}", f"is no regular expression: {error}", "Correct it")
    if not mention.key and not mention.url:
        yield Fault(place, "has neither `key` nor `url`", "Give at least one")
    if mention.keys_from and mention.keys_from not in _properties(subject.manifest.config):
        yield Fault(
            f"{place}.keys_from",
            f"names {mention.keys_from!r}, which is no field of the config",
            "Name one",
        )


def _sends(subject: Subject) -> Iterator[Fault]:
    sends = subject.manifest.sends
    if sends is None:
        return
    fields = _properties(subject.manifest.config)
    templates = {"base_url": sends.base_url}
    templates |= {f"headers.{name}": value for name, value in sends.headers.items()}
    for part, template in templates.items():
        for name in _template_fields(template):
            if name not in fields:
                yield Fault(
                    f"manifest.json sends.{part}",
                    f"names {{{name}}}, which is no field of the config",
                    "Name one",
                )
    yield from _auth(subject, sends.auth, fields)
    setting = sends.rate_limit.setting
    if setting and fields.get(setting, {}).get("type") != "integer":
        yield Fault(
            "manifest.json sends.rate_limit.setting", "is no integer config field", "Name one"
        )
    for name, action in sends.actions.items():
        yield from _action(action, f"manifest.json sends.actions.{name}")


def _auth(subject: Subject, auth: Auth, fields: Mapping[str, Any]) -> Iterator[Fault]:
    for part in _AUTH_NEEDS[auth.kind]:
        name = str(getattr(auth, part))
        if part == "username":
            if name not in fields:
                yield Fault("manifest.json sends.auth.username", "is no config field", "Name one")
        else:
            yield from _secret(subject, name, f"manifest.json sends.auth.{part}")
    if auth.value:
        yield from _secret(subject, auth.value, "manifest.json sends.auth.value")
        if auth.header not in fields:
            yield Fault("manifest.json sends.auth.header", "is no config field", "Name one")
    if auth.kind == "header" and not auth.name:
        yield Fault("manifest.json sends.auth.name", "is empty", "Name the header")


def _action(action: ActionManifest, place: str) -> Iterator[Fault]:
    yield from _schema(action.inputs, f"{place}.inputs")
    inputs = _properties(action.inputs)
    if action.inputs.get("additionalProperties") is not False:
        yield Fault(
            f"{place}.inputs", "lets unknown inputs in", 'Give it `"additionalProperties": false`'
        )
    named = [("target", action.target.input)] if action.target else []
    named += [("lane", name) for name in action.lane]
    for part, name in named:
        if name not in inputs:
            yield Fault(f"{place}.{part}", f"names {name!r}, which is no input", "Name one")
    audiences = {action.audience} if isinstance(action.audience, str) else set()
    if not isinstance(action.audience, str):
        audiences = set(action.audience.values())
        for name in action.audience:
            if name != "*" and inputs.get(name, {}).get("type") != "boolean":
                yield Fault(
                    f"{place}.audience", f"names {name!r}, which is no boolean input", "Name one"
                )
    # An input of free form (a generic tool's JSON) is labelled by what is put into it.
    free = any(field.get("type") in (None, "object", "array") for field in inputs.values())
    if "customer" in audiences and not action.text_inputs() and not free:
        yield Fault(
            f"{place}.inputs",
            'a customer reads it, and no input is marked `"x-text": true`',
            "Mark the input whose text the customer reads",
        )


def _schema(schema: Mapping[str, Any], place: str) -> Iterator[Fault]:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        yield Fault(place, f"is no JSON Schema 2020-12: {error.message}", "Correct it")
        return
    if schema.get("type") != "object":
        yield Fault(place, "is not the schema of an object", 'Give it `"type": "object"`')
    examples = schema.get("examples")
    if not isinstance(examples, list) or not examples:
        yield Fault(place, "has no `examples`", _NEEDS_AN_EXAMPLE)
        return
    validator = Draft202012Validator(schema)
    for index, example in enumerate(examples):
        for wrong in validator.iter_errors(example):
            yield Fault(
                f"{place}.examples[{index}] {wrong.json_path}", wrong.message, "Correct the example"
            )


def _secret(subject: Subject, name: str, place: str) -> Iterator[Fault]:
    field = _properties(subject.manifest.config).get(name)
    if field is None:
        yield Fault(place, f"names {name!r}, which is no field of the config", "Name one")
    elif not field.get("x-secret"):
        yield Fault(
            place,
            f"names {name!r}, which is not marked as a secret",
            f'Give config.{name} `"x-secret": true`',
        )


def _properties(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: field for name, field in properties.items() if isinstance(field, dict)}


def _template_fields(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]
