"""Templates over a webhook: minijinja, sandboxed, strict about what is not there, cut by fuel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from minijinja import Environment, TemplateError

from hub.sdk import MalformedPayload
from hub.sdk.text import from_html, from_plain

# One unit is about one instruction of the template engine; a mapping of a whole event takes some
# hundreds, an endless loop is cut after about a millisecond.
FUEL = 50_000

# A text that is one `{{ expression }}` and nothing else gives the value itself, not its text.
_LONE = re.compile(r"\s*\{\{-?((?:(?!\}\}|\{\{|\{%).)*?)-?\}\}\s*", re.DOTALL)
_KINDS = {
    "UndefinedError": "a value that is there",
    "OutOfFuel": "a template that ends (this one was cut by fuel)",
    "SyntaxError": "a template without a fault",
}


class Templates:
    """Renders the texts of a mapping. One object for each config; keeps what it has compiled."""

    def __init__(self) -> None:
        self._environment = Environment(
            undefined_behavior="strict",
            fuel=FUEL,
            filters={"lookup": _lookup, "from_html": from_html, "from_plain": from_plain},
            # The names of templates are paths such as `data.html`, which must not turn escaping on.
            auto_escape_callback=lambda _: False,
            finalizer=_shown,
        )
        self._known: dict[str, str] = {}

    def value(self, template: str, names: Mapping[str, Any], path: str) -> Any:
        """Render one text: a lone `{{ expression }}` to its JSON value, anything else to text.

        `path` is where the text stands in the config. Raises `MalformedPayload` at that path for
        an undefined value, a fault in the template, or one that does not end.
        """
        if "{{" not in template and "{%" not in template:
            return template
        lone = _LONE.fullmatch(template)
        try:
            if lone is None:
                return self._environment.render_template(self._name(template), **names)
            return _plain(self._expression(lone[1], names), path, template)
        except TemplateError as error:
            raise _fault(error, path, template) from None
        except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise MalformedPayload(path, _KINDS["SyntaxError"], f"{error} in {template}") from None

    def holds(self, condition: str, names: Mapping[str, Any], path: str) -> bool:
        """Say whether a bare expression is true; one about a value that is not there is false."""
        try:
            return bool(self._environment.eval_expr(condition, **names))
        except TemplateError as error:
            if error.kind == "UndefinedError":
                return False
            raise _fault(error, path, condition) from None
        except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise MalformedPayload(path, _KINDS["SyntaxError"], f"{error} in {condition}") from None

    def fault(self, template: str, *, condition: bool = False) -> str:
        """Return what is wrong with the way a template is written, or an empty text."""
        try:
            self._environment.add_template(
                "check", "{{ " + template + " }}" if condition else template
            )
        except TemplateError as error:
            return str(error.detail or error.kind)
        return ""

    def _name(self, template: str) -> str:
        if template not in self._known:
            name = f"t{len(self._known)}"
            self._environment.add_template(name, template)
            self._known[template] = name
        return self._known[template]

    def _expression(self, expression: str, names: Mapping[str, Any]) -> Any:
        found = self._environment.eval_expr(expression, **names)
        # An undefined result comes out as None; only rendering it tells it from a null.
        if found is None:
            self._environment.render_str("{{ " + expression + " }}", **names)
        return found


def _fault(error: TemplateError, path: str, template: str) -> MalformedPayload:
    said = error.detail or error.kind
    line = f" on line {error.line}" if error.line and "\n" in template else ""
    shown = template if len(template) <= 200 else template[:199] + "…"  # noqa: PLR2004
    return MalformedPayload(
        path, _KINDS.get(error.kind, "a template that works"), f"{said}{line} in {shown}"
    )


def _lookup(value: object, table: Mapping[str, object]) -> object:
    """Return the table's entry for a word; `*` stands for every other word.

    `{{ payload.state | lookup({"Open": "todo", "Closed": "done", "*": "in_progress"}) }}`.
    Raises `LookupError` for a word without an entry when there is no `*`.
    """
    if value in table:
        return table[str(value)]
    if "*" in table:
        return table["*"]
    message = f"lookup has no entry for {value!r}, and none for '*'"
    raise LookupError(message)


def _shown(value: object) -> object:
    # In a text, a null is nothing, and a truth reads as JSON writes it. A name such as `items`
    # that is not in the payload reaches a method of the object.
    if callable(value):
        message = "a name is not in the payload"
        raise TypeError(message)
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def _plain(value: Any, path: str, template: str) -> Any:
    """Return the value as plain JSON; a template can also reach methods, which are refused."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, path, template) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, path, template) for item in value]
    raise MalformedPayload(
        path, "a JSON value", f"{type(value).__name__} in {template}, which is not in the payload"
    )
