"""Looking routes up by their words finds exactly those that trying each would find."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.route.definition import Route, Step
from hub.route.render import TemplateFault, truth
from hub.route.select import Compiled, Routes, asked_word

_PATHS = st.sampled_from(["data.project", "data.kind", "data.status.name", "data.nope", "data.n"])
_WORDS = st.sampled_from(["APP", "WEB", "bug", "a b", "x and y", "it or not", ""])
_CLAUSES = st.one_of(
    st.builds(lambda path, word: f"{path} == '{word}'", _PATHS, _WORDS),
    st.builds(lambda path, word: f'{path} == "{word}"', _PATHS, _WORDS),
    st.builds(lambda path, word: f"{path} != '{word}'", _PATHS, _WORDS),
    st.sampled_from(["data.n > 2", "data.tags | length > 0", "'APP' in data.project", "true"]),
)
_WHENS = st.one_of(
    st.just(""),
    st.lists(_CLAUSES, min_size=1, max_size=3).map(" and ".join),
    st.lists(_CLAUSES, min_size=2, max_size=3).map(" or ".join),
    st.builds(lambda a, b, c: f"{a} and {b} or {c}", _CLAUSES, _CLAUSES, _CLAUSES),
    st.builds(lambda a, b: f"not ({a}) and {b}", _CLAUSES, _CLAUSES),
    st.builds(lambda a: f"({a}) if data.n else false", _CLAUSES),
)
_DATA = st.fixed_dictionaries(
    {"kind": _WORDS, "status": st.fixed_dictionaries({"name": _WORDS}), "n": st.integers(0, 4)},
    optional={"project": st.one_of(_WORDS, st.none()), "tags": st.lists(_WORDS, max_size=2)},
)


def _route(number: int, when: str, connections: tuple[str, ...] = ()) -> Compiled:
    step = Step(name="s", connection="c", action="note")
    return Compiled(
        number, 1, Route(name=f"r{number}", on=("feedback.*",), when=when, connections=connections, steps=(step,))
    )  # fmt: skip


def _matches(when: str, context: dict[str, object]) -> bool:
    try:
        return truth(when, context, "when")
    except TemplateFault as fault:
        return not fault.undefined  # any other fault is told as the route's own


@given(st.lists(_WHENS, max_size=8), _DATA)
def test_no_route_that_matches_is_passed_over(whens: list[str], data: dict[str, object]) -> None:
    routes = Routes([_route(number, when) for number, when in enumerate(whens)])
    context: dict[str, object] = {"data": data}
    fitting = routes.fitting("feedback.received", "desk", context)
    for position, when in enumerate(whens):
        if _matches(when, context):
            assert position in fitting, when


@pytest.mark.parametrize(
    ("when", "asked"),
    [
        ("data.project == 'APP'", ("data.project", "APP")),
        ('data.n > 2 and data.project == "APP"', ("data.project", "APP")),
        ("data.project == 'APP' or data.n > 2", None),
        ("not data.project == 'APP'", None),
        ("(data.project == 'APP') and true", None),
        ("data.project == 'APP' if data.n else true", None),
        ("data.project | upper == 'APP'", None),
        ("data.project == 'this or that'", ("data.project", "this or that")),
        ("", None),
    ],
)  # fmt: skip
def test_only_what_is_demanded_is_looked_up(when: str, asked: tuple[str, str] | None) -> None:
    assert asked_word(when) == asked


def test_of_a_thousand_routes_few_are_tried() -> None:
    routes = Routes([_route(n, f"data.project == 'P{n}'") for n in range(1000)])
    assert routes.fitting("feedback.received", "desk", {"data": {"project": "P7"}}) == {7}
    assert routes.of("work_item.created", "desk") == ()


def test_a_route_of_another_connection_does_not_fit() -> None:
    routes = Routes([_route(0, "", ("other",)), _route(1, "", ("desk",))])
    assert routes.fitting("feedback.received", "desk", {"data": {}}) == {1}
