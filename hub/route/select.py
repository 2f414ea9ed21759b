"""Which routes an event can match at all, found without trying each. Pure.

Most conditions ask first that something equals a word (`data.project == 'APP'`). Routes are looked
up by such words, so that a thousand of them cost little more than the few that fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.route.definition import Route

_EQUALS = re.compile(r"([a-z_]+(?:\.[a-z_]+)+)\s*==\s*(?:'([^'\\]*)'|\"([^\"\\]*)\")")
# Whatever could make a part of the condition count for less than an `and` does.
_LOOSE = re.compile(r"\b(?:or|not|if|else|is|in)\b|[()|?\[\]{}]")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A stored route, ready to run."""

    id: int
    version: int
    route: Route


@dataclass(slots=True)
class _OfType:
    """The routes that take one event type from one connection: those to try, and by words."""

    routes: tuple[Compiled, ...]
    always: list[int] = field(default_factory=list)
    by_word: dict[str, dict[str, list[int]]] = field(default_factory=dict)


class Routes:
    """Routes in their order, looked up by event type, connection and the words they ask for."""

    def __init__(self, routes: Sequence[Compiled]) -> None:
        self._routes = tuple(routes)
        self._known: dict[tuple[str, str], _OfType] = {}

    def of(self, event_type: str, connection: str) -> tuple[Compiled, ...]:
        """Return the routes that take this event type, in order, whatever their connections."""
        return self._of(event_type, connection).routes

    def fitting(
        self, event_type: str, connection: str, context: Mapping[str, Any]
    ) -> frozenset[int]:
        """Return the positions in `of` that can match this context; the others surely do not."""
        found = self._of(event_type, connection)
        fit = set(found.always)
        for path, words in found.by_word.items():
            value = _value(context, path)
            if isinstance(value, str):
                fit.update(words.get(value, ()))
            elif value is not None:
                fit.update(position for some in words.values() for position in some)
        return frozenset(fit)

    def _of(self, event_type: str, connection: str) -> _OfType:
        key = (event_type, connection)
        found = self._known.get(key)
        if found is None:
            taking = tuple(item for item in self._routes if item.route.takes(event_type))
            found = self._known[key] = _OfType(taking)
            for position, item in enumerate(taking):
                if item.route.connections and connection not in item.route.connections:
                    continue
                asked = asked_word(item.route.when)
                if asked is None:
                    found.always.append(position)
                else:
                    found.by_word.setdefault(asked[0], {}).setdefault(asked[1], []).append(position)
        return found


def asked_word(when: str) -> tuple[str, str] | None:
    """Return the (path, word) that a condition demands to be equal, or None when it may do without.

    Only conditions that are an `and` of comparisons are understood.
    """
    if _LOOSE.search(re.sub(r"'[^']*'|\"[^\"]*\"", "''", when)):
        return None
    for part in re.split(r"\band\b", when):
        found = _EQUALS.fullmatch(part.strip())
        if found:
            return found[1], found[2] if found[2] is not None else found[3]
    return None


def _value(context: Mapping[str, Any], path: str) -> Any:
    value: Any = context
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
