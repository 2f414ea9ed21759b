"""What is wrong with a route before any event meets it: every fault, with its place and its mend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from msgspec import inspect

from hub.route.context import NAMES
from hub.route.definition import LINK, Route, Step
from hub.route.render import expression_fault, names_in, syntax_faults
from hub.sdk import Registry
from hub.sdk.errors import InvalidInput
from hub.sdk.events import DATA_TYPES
from hub.sdk.integration import ActionManifest
from hub.store.connections import Connection

_TEMPLATE = re.compile(r"\{\{|\{%")
_FAMILIES = tuple(sorted({name.partition(".")[0] for name in DATA_TYPES}))


def read_route(document: object) -> Route | InvalidInput:
    """Read a route's JSON; returns the first fault of its form instead when it has one."""
    try:
        return msgspec.convert(document, Route)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        mend = "compare it with schemas/route.v1.json"
        return InvalidInput(path.rstrip("`") or "route", problem, mend)


def check_route(
    route: Route, registry: Registry, connections: Mapping[str, Connection]
) -> list[InvalidInput]:
    """Return every fault that can be told without asking a vendor. `connections` by name."""
    faults = list(_check_on(route))
    faults += [
        InvalidInput(f"connections[{n}]", f"there is no connection {name!r}", _known(connections))
        for n, name in enumerate(route.connections)
        if name not in connections
    ]
    if (fault := expression_fault(route.when, "when")) is not None:
        faults.append(InvalidInput("when", fault.problem, "mend the expression"))
    else:
        faults += _unknown_names(
            "{% if " + route.when + " %}{% endif %}" if route.when else "", "when", route
        )
    seen: set[str] = set()
    for number, step in enumerate(route.steps):
        place = f"steps[{number}]"
        if step.name in seen:
            faults.append(
                InvalidInput(f"{place}.name", f"{step.name!r} is there twice", "rename it")
            )
        if step.after and step.after not in seen:
            faults.append(
                InvalidInput(f"{place}.after", f"no earlier step is called {step.after!r}",
                             f"earlier steps: {', '.join(sorted(seen)) or 'none'}")
            )  # fmt: skip
        faults += _check_step(step, place, route, registry, connections)
        seen.add(step.name)
    return faults


def _check_on(route: Route) -> Iterator[InvalidInput]:
    for number, name in enumerate(route.on):
        family = name.removesuffix(".*")
        if name not in DATA_TYPES and not (name.endswith(".*") and family in _FAMILIES):
            yield InvalidInput(
                f"on[{number}]",
                f"{name!r} is no event type",
                f"one of {', '.join(sorted(DATA_TYPES))}",
            )


def _check_step(
    step: Step, place: str, route: Route, registry: Registry, connections: Mapping[str, Connection]
) -> Iterator[InvalidInput]:
    for name, text in (("when", step.when),):
        if (fault := expression_fault(text, f"{place}.{name}")) is not None:
            yield InvalidInput(f"{place}.{name}", fault.problem, "mend the expression")
        elif text:
            yield from _unknown_names("{% if " + text + " %}{% endif %}", f"{place}.{name}", route)
    texts: dict[str, Any] = {"inputs": dict(step.inputs), "about": step.about, "once": step.once}
    for name, value in texts.items():
        broken = syntax_faults(value, f"{place}.{name}")
        for fault in broken:
            yield InvalidInput(
                fault.place, f"line {fault.line}: {fault.problem}", "mend the template"
            )
        if not broken:
            yield from _unknown_names(value, f"{place}.{name}", route)
    connection = connections.get(step.connection)
    if connection is None:
        yield InvalidInput(
            f"{place}.connection",
            f"there is no connection {step.connection!r}",
            _known(connections),
        )
        return
    available = registry.get(connection.integration)
    if step.action == LINK:
        if not step.inputs.get("work_item"):
            yield InvalidInput(
                f"{place}.inputs.work_item", "is missing", "name the work item by its key"
            )
        if (
            available is None
            or available.manifest.receives is None
            or not available.manifest.receives.mentions
        ):
            yield InvalidInput(
                f"{place}.connection", f"{step.connection} holds no work items", "choose another"
            )
        return
    actions = available.manifest.sends.actions if available and available.manifest.sends else {}
    action = actions.get(step.action)
    if action is None:
        known = ", ".join(sorted(actions)) or "none"
        yield InvalidInput(
            f"{place}.action",
            f"{connection.integration} has no action {step.action!r}",
            f"it has: {known}",
        )
        return
    if step.about and not action.creates:
        yield InvalidInput(f"{place}.about", "belongs to an action that creates", "remove it")
    yield from _check_inputs(step, action, f"{place}.inputs")


def _check_inputs(step: Step, action: ActionManifest, place: str) -> Iterator[InvalidInput]:
    """Compare inputs with the action's schema; what holds a template is of any type."""
    validator = Draft202012Validator(action.inputs)
    properties: Mapping[str, Any] = action.inputs.get("properties", {})
    for error in validator.iter_errors(step.inputs):
        if _templated(error.instance):
            continue
        path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path)
        if error.validator == "required":
            for name in error.validator_value:
                if name not in error.instance:
                    mend = str(properties.get(name, {}).get("description", "give it"))
                    yield InvalidInput(f"{place}{path}.{name}", "is missing", mend)
        elif error.validator == "additionalProperties":
            for name in sorted(set(error.instance) - set(properties)):
                yield InvalidInput(f"{place}{path}.{name}", "is not an input of this action",
                                   f"it takes: {', '.join(sorted(properties))}")  # fmt: skip
        else:
            yield InvalidInput(f"{place}{path}", error.message[:300], "change the value")


def _templated(value: object) -> bool:
    return isinstance(value, str) and bool(_TEMPLATE.search(value))


def _unknown_names(value: Any, place: str, route: Route) -> Iterator[InvalidInput]:
    """Find names that no event of this route has, so that a misspelling does not wait for one."""
    for where, name in names_in(value, place):
        root, _, rest = name.partition(".")
        if root not in NAMES:
            yield InvalidInput(
                where,
                f"{root!r} is not known",
                f"there is: {', '.join(sorted(NAMES - {'withheld'}))}",
            )
        elif root == "data" and rest:
            fields = _fields(route)
            field = rest.partition(".")[0]
            if fields and field not in fields:
                yield InvalidInput(
                    where,
                    f"no event of this route has data.{field}",
                    f"they have: {', '.join(sorted(fields))}",
                )
        elif root == "steps" and rest and route.step(rest.partition(".")[0]) is None:
            yield InvalidInput(
                where, f"there is no step {rest.partition('.')[0]!r}", "name an earlier step"
            )


def _fields(route: Route) -> set[str]:
    fields: set[str] = set()
    for name, struct in DATA_TYPES.items():
        if route.takes(name):
            shape = inspect.type_info(struct)
            if isinstance(shape, inspect.StructType):
                fields |= {field.encode_name for field in shape.fields}
    return fields


def _known(connections: Mapping[str, Connection]) -> str:
    return f"there is: {', '.join(sorted(connections)) or 'none yet'}"
