"""The schema files and the structs are one thing, and two validators give one verdict."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from hub.route import schema as route_schema
from hub.route.definition import Route
from hub.sdk import json
from hub.sdk.events import DATA_TYPES
from hub.sdk.examples import EXAMPLES
from hub.sdk.schemas import folder, generate, validate_data
from hub.sdk.visibility import to_plain

FILES = {**generate(), route_schema.FILE: route_schema.generate()}


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_file_is_what_the_structs_say(name: str) -> None:
    assert folder().joinpath(name).read_bytes() == FILES[name], "run `make schemas`"


def test_no_other_file_lies_there() -> None:
    assert {entry.name for entry in folder().iterdir()} == set(FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_schema_is_valid_described_and_its_examples_hold(name: str) -> None:
    schema = json.loads(FILES[name])
    Draft202012Validator.check_schema(schema)
    assert schema["title"]
    assert schema["description"]
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    if not name.startswith("manifest"):
        assert schema["examples"]
    for example in schema.get("examples", ()):
        validator.validate(example)


@pytest.mark.parametrize("event_type", sorted(DATA_TYPES))
def test_examples_read_back_as_the_struct(event_type: str) -> None:
    plain = json.loads(json.dumps(EXAMPLES[event_type]))
    assert msgspec.convert(plain, DATA_TYPES[event_type]) == EXAMPLES[event_type]
    assert validate_data(event_type, plain) == []


def test_the_route_example_is_a_route() -> None:
    msgspec.convert(route_schema.EXAMPLE, Route)


def test_a_fault_is_told_with_its_path() -> None:
    plain = to_plain(EXAMPLES["survey.responded"])
    plain = json.loads(json.dumps(plain))
    plain["answers"][1]["type"] = "guess"
    faults = validate_data("survey.responded", plain)
    assert faults[0].startswith("answers[1].type: ")
    assert validate_data("weather.changed", {}) == [
        "type: 'weather.changed' is not a type of the shared schema"
    ]


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(sorted(DATA_TYPES)), st.data())
def test_the_fast_validator_agrees_with_the_authority(event_type: str, data: st.DataObject) -> None:
    schema = json.loads(FILES[f"{event_type}.v1.json"])
    document: Any = copy.deepcopy(schema["examples"][0])
    place: Any = document
    for _ in range(data.draw(st.integers(0, 3))):
        if not isinstance(place, dict) or not place:
            break
        key = data.draw(st.sampled_from(sorted(place)))
        if isinstance(place[key], dict) and data.draw(st.booleans()):
            place = place[key]
        else:
            place[key] = data.draw(_JSON)
    fast = jsonschema_rs.Draft202012Validator(schema, validate_formats=False).is_valid(document)
    assert fast == Draft202012Validator(schema).is_valid(document)
