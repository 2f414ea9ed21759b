"""Private stays private: what each audience can see of an event."""

from __future__ import annotations

from typing import Any

import pytest

from hub.sdk import json
from hub.sdk.events import DATA_TYPES
from hub.sdk.examples import EXAMPLES
from hub.sdk.visibility import view

_HIDDEN = "the-inside-words"


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    return []


def _labelled(value: Any, visibility: str) -> Any:
    """Return data whose every labelled text is the hidden words with this label."""
    if isinstance(value, dict):
        if set(value) == {"text", "visibility"}:
            return {"text": _HIDDEN, "visibility": visibility}
        return {key: _labelled(item, visibility) for key, item in value.items()}
    if isinstance(value, list):
        return [_labelled(item, visibility) for item in value]
    return value


@pytest.mark.parametrize("event_type", sorted(DATA_TYPES))
@pytest.mark.parametrize(("audience", "visibility", "seen"), [
    ("customer", "private", False), ("customer", "team", False), ("customer", "public", True),
    ("team", "private", False), ("team", "team", True), ("team", "public", True),
])  # fmt: skip
def test_labelled_texts(event_type: str, audience: Any, visibility: str, seen: bool) -> None:
    data = _labelled(json.loads(json.dumps(EXAMPLES[event_type])), visibility)
    found = view(event_type, data, audience)
    has_text = _HIDDEN in _texts(data)
    assert (_HIDDEN in _texts(found.data)) == (seen and has_text)
    if has_text and not seen:
        assert found.withheld


@pytest.mark.parametrize("event_type", sorted(DATA_TYPES))
def test_a_customer_sees_no_unlabelled_text_and_nobody_elses_name(event_type: str) -> None:
    data = json.loads(json.dumps(EXAMPLES[event_type]))
    shown = _texts(view(event_type, data, "customer").data)
    for private in (
        "Lee Park",
        "Anna Berg",
        "anna@example.com",
        "Berg Optik",
        "The export loses rows.",
    ):
        public = any(
            private == t.get("text") and t.get("visibility") == "public" for t in _dicts(data)
        )
        assert public or private not in shown


def _dicts(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in _dicts(item))]
    if isinstance(value, list):
        return [found for item in value for found in _dicts(item)]
    return []
