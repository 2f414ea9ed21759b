"""Conditions and templates: one language, sandboxed, cut off by fuel. Pure.

A place that names something unknown is an error with line and name, not an empty text; a text that
the audience may not read counts as unknown, and the error says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import minijinja

from hub.route.definition import ValueMap
from hub.sdk.errors import HubError

FUEL = 50_000
"""Instructions a template may take: some thousand times what a long reply needs, under 10 ms."""


class TemplateFault(HubError):
    """A condition or template failed on an event, or cannot be read at all.

    `place` is where it stands in the route (`steps.create.inputs.summary`), `line` counts from 1.
    `undefined` says that it named something this event does not have: a condition is then false.
    """

    def __init__(self, place: str, line: int, problem: str, *, undefined: bool = False) -> None:
        super().__init__(f"{place}, line {line}: {problem}")
        self.undefined = undefined
        self.place = place
        self.line = line
        self.problem = problem


def _show(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return int(value)  # "3 of 10", not "3.0 of 10.0"
    if isinstance(value, dict) and "visibility" in value and "text" in value:
        return value["text"]
    return value


_FUNCTIONS = frozenset({"range", "dict", "debug", "namespace", "loop", "self", "super"})
_environment = minijinja.Environment(undefined_behavior="strict", fuel=FUEL, finalizer=_show)


def truth(expression: str, context: Mapping[str, Any], place: str) -> bool:
    """Evaluate a condition; an empty one is true. Raises `TemplateFault`."""
    if not expression.strip():
        return True
    try:
        return bool(_environment.eval_expr(expression, **context))
    except minijinja.TemplateError as error:
        raise _fault(error, place, context) from None


def render(value: Any, context: Mapping[str, Any], place: str) -> Any:
    """Render every text inside `value`, objects and lists included. Raises `TemplateFault`.

    A text that is one single place (`"{{ data.tags }}"`) keeps the value's own type, so lists,
    numbers and truth survive; everything else becomes text.
    """
    if isinstance(value, str):
        return _text(value, context, place)
    if isinstance(value, dict):
        return {key: render(item, context, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, context, f"{place}[{index}]") for index, item in enumerate(value)]
    return value


def syntax_faults(value: Any, place: str) -> list[TemplateFault]:
    """Return every template inside `value` that cannot be read."""
    if isinstance(value, dict):
        return [
            fault for key, item in value.items() for fault in syntax_faults(item, f"{place}.{key}")
        ]
    if isinstance(value, list):
        return [
            fault for n, item in enumerate(value) for fault in syntax_faults(item, f"{place}[{n}]")
        ]
    if isinstance(value, str) and "{" in value:
        try:
            _environment.undeclared_variables_in_str(value)
            _environment.render_str("{% if false %}" + value + "{% endif %}")
        except minijinja.TemplateError as error:
            return [_fault(error, place, {})]
    return []


def names_in(value: Any, place: str) -> list[tuple[str, str]]:
    """Return the dotted names that templates inside `value` read, each with its place."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in names_in(item, f"{place}.{key}")]
    if isinstance(value, list):
        return [found for n, item in enumerate(value) for found in names_in(item, f"{place}[{n}]")]
    if isinstance(value, str) and "{" in value:
        names = _environment.undeclared_variables_in_str(value, nested=True)
        return [(place, name) for name in sorted(names) if name not in _FUNCTIONS]
    return []


def expression_fault(expression: str, place: str) -> TemplateFault | None:
    """Return the fault of a condition that cannot be read, or None."""
    if not expression.strip():
        return None
    try:
        _environment.render_str("{% if false %}{% if " + expression + " %}{% endif %}{% endif %}")
    except minijinja.TemplateError as error:
        return _fault(error, place, {})
    return None


def map_word(
    maps: Mapping[str, ValueMap], name: str, word: str, *, project: str = "", kind: str = ""
) -> str:
    """Translate a word with the route's value map `name`. Raises `TemplateFault`."""
    table = maps.get(name)
    if table is None:
        known = ", ".join(sorted(maps)) or "none"
        raise TemplateFault(f"maps.{name}", 1, f"the route has no such map (it has: {known})")
    for case in table.cases:
        fits = (not case.projects or project in case.projects) and (
            not case.kinds or kind in case.kinds
        )
        if fits and word in case.values:
            return case.values[word]
    if word in table.values:
        return table.values[word]
    if table.default is None:
        problem = f"no value for {word!r} and no default; add the word or a default to the map"
        raise TemplateFault(f"maps.{name}", 1, problem)
    return table.default


@lru_cache(maxsize=4096)
def _single(template: str) -> str | None:
    """Return the expression of a template that is one single place, else None."""
    stripped = template.strip()
    if not (stripped.startswith("{{") and stripped.endswith("}}")):
        return None
    inner = stripped[2:-2]
    if "{{" in inner or "}}" in inner or "{%" in inner:
        return None
    return inner.strip("-").strip()


def _text(template: str, context: Mapping[str, Any], place: str) -> Any:
    if "{{" not in template and "{%" not in template:
        return template
    single = _single(template)
    try:
        if single is not None:
            value = _show(_environment.eval_expr(single, **context))
            if value not in (None, ""):
                return value
            # An expression alone gives nothing for an unknown name; the template is strict.
            return _environment.render_str(template, **context) or None
        return _environment.render_str(template, **context)
    except minijinja.TemplateError as error:
        raise _fault(error, place, context) from None


def _fault(error: minijinja.TemplateError, place: str, context: Mapping[str, Any]) -> TemplateFault:
    line = error.line or 1
    if error.kind == "OutOfFuel":
        return TemplateFault(place, line, f"it never ends: cut off after {FUEL:,} instructions")
    problem = error.detail or error.kind
    withheld: Mapping[str, str] = context.get("withheld", {})
    for path, audience in withheld.items():
        if f"`{path}" in problem or (
            problem.startswith(f"`{path.rpartition('.')[0]}.") and path in problem
        ):
            problem = (
                f"{path} is not for the {audience} to read, and this step reaches the {audience}"
            )
            break
    return TemplateFault(place, line, problem, undefined=error.kind == "UndefinedError")
