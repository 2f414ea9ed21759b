"""What a delivery is about to write: its place in the ledger, and the words its echo is known by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.sdk.integration import ActionManifest
from hub.sdk.text import fingerprint

_MOST_WORDS = 400
_TITLES = ("summary", "title", "subject")


def writes_to(action: ActionManifest, inputs: Mapping[str, Any]) -> str:
    """Return the ledger's name of what is written to: `kind/id-or-key`, or `new/kind`."""
    if action.target is not None:
        return f"{action.target.kind}/{inputs.get(action.target.input, '')}"
    return f"new/{action.creates}" if action.creates else ""


def words(action: ActionManifest, inputs: Mapping[str, Any]) -> str:
    """Return the words an echo is recognised by, with spaces between.

    The texts that are written, with the title of what is created before them; for an action
    without texts (a status, a tag) its plain values. None for what has no place in the ledger.
    """
    if action.target is None and not action.creates:
        return ""
    texts = [str(inputs[name]) for name in action.text_inputs() if inputs.get(name)]
    if texts and action.creates:
        titles = (str(inputs[name]) for name in _TITLES if inputs.get(name))
        texts = [*list(titles)[:1], *texts]
    if not texts:
        own = action.target.input if action.target else ""
        texts = [value for name, value in inputs.items() if name != own and isinstance(value, str)]
    if not texts:
        return ""
    return " ".join(fingerprint(" ".join(texts))[:_MOST_WORDS])
