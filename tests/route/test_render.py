"""Conditions, templates and value maps: strict, cut off, and told with place and name."""

from __future__ import annotations

from typing import Any

import pytest

from hub.route.definition import Case, ValueMap
from hub.route.render import TemplateFault, map_word, render, syntax_faults, truth

CONTEXT: dict[str, Any] = {
    "data": {
        "title": {"text": "Hey", "visibility": "public"},
        "tags": ["a", "b"],
        "rating": None,
        "n": 3.0,
    },
    "withheld": {"data.comment": "customer"},
}


def test_a_single_place_keeps_its_type_and_texts_are_shown() -> None:
    value = {
        "a": "{{ data.title }}!",
        "b": "{{ data.tags }}",
        "c": ["{{ data.n }}"],
        "d": 4,
        "e": "{{ data.rating }}",
    }
    assert render(value, CONTEXT, "x") == {
        "a": "Hey!",
        "b": ["a", "b"],
        "c": [3],
        "d": 4,
        "e": None,
    }


@pytest.mark.parametrize(("template", "line", "said"), [
    ("{{ data.nope }}", 1, "data.nope"),
    ("one\n{{ data.title }}\n{{ nope.x }}", 3, "nope"),
    ("{{ data.comment.text }}", 1, "data.comment is not for the customer to read"),
    ("{{ data.rating.value }}", 1, "value"),
    ("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", 1, "never ends"),
])  # fmt: skip
def test_a_fault_names_place_line_and_name(template: str, line: int, said: str) -> None:
    with pytest.raises(TemplateFault) as caught:
        render(template, CONTEXT, "steps.a.inputs.body")
    assert caught.value.line == line
    assert caught.value.place == "steps.a.inputs.body"
    assert said in str(caught.value)


def test_conditions() -> None:
    assert truth("", CONTEXT, "when")
    assert truth("'a' in data.tags and not data.rating", CONTEXT, "when")
    assert not truth("data.n > 5", CONTEXT, "when")
    with pytest.raises(TemplateFault) as caught:
        truth("data.rating.value <= 3", CONTEXT, "when")
    assert caught.value.undefined


def test_what_cannot_be_read_is_found_before_any_event() -> None:
    faults = syntax_faults({"a": "{{ x", "b": ["{% if %}"], "c": "{{ fine }}"}, "inputs")
    assert [fault.place for fault in faults] == ["inputs.a", "inputs.b[0]"]


def test_value_maps_go_by_case_then_values_then_default() -> None:
    maps = {
        "status": ValueMap(
            cases=(
                Case(projects=("OPS",), kinds=("Bug",), values={"Done": "resolved"}),
                Case(projects=("OPS",), values={"Done": "closed"}),
            ),
            values={"Done": "shipped", "In Review": "in progress", "In Testing": "in progress"},
            default="open",
        ),
        "strict": ValueMap(values={"a": "b"}),
    }
    assert map_word(maps, "status", "Done", project="OPS", kind="Bug") == "resolved"
    assert map_word(maps, "status", "Done", project="OPS", kind="Task") == "closed"
    assert map_word(maps, "status", "Done", project="APP") == "shipped"
    assert map_word(maps, "status", "In Testing", project="OPS") == "in progress"
    assert map_word(maps, "status", "Unheard of") == "open"
    with pytest.raises(TemplateFault, match="no value for 'z' and no default"):
        map_word(maps, "strict", "z")
    with pytest.raises(TemplateFault, match="it has: status, strict"):
        map_word(maps, "other", "z")
