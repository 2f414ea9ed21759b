"""A route as a person writes it. `schemas/route.v1.json` is generated from this file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

StepName: TypeAlias = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]
RouteName: TypeAlias = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
Expression: TypeAlias = Annotated[
    str, Meta(description="An expression that is true or false, such as `data.kind == 'bug'`")
]
Template: TypeAlias = Annotated[
    str, Meta(description="Text with `{{ places }}`, such as `{{ data.title }}`")
]

LINK = "link"
"""The one action that is the hub's own: it links the event's subject to a piece of work."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a route's parts: a misspelt field is an error."""


class Case(_Part, frozen=True, kw_only=True):
    """The rows of a value map for some projects or kinds of work; an empty list means any."""

    projects: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    values: dict[str, str]


class ValueMap(_Part, frozen=True, kw_only=True):
    """Words of one tool to words of another: many to one, by project and kind, with a default.

    The first case that fits and knows the word wins, then `values`, then `default`. Without a
    default an unknown word makes the delivery dead, with the word named.
    """

    cases: tuple[Case, ...] = ()
    values: dict[str, str] = {}
    default: str | None = None


class Step(_Part, frozen=True, kw_only=True):
    """One thing to do in one tool."""

    name: StepName
    action: Annotated[str, Meta(description="An action of the connection's integration, or `link`")]
    connection: Annotated[str, Meta(description="The name of the connection it is done through")]
    inputs: Annotated[
        dict[str, Any],
        Meta(description="The action's inputs; every text in them may be a template"),
    ] = {}
    when: Expression = ""
    after: Annotated[
        str,
        Meta(
            description=(
                "An earlier step that must have been delivered first; its result can be used as "
                "`steps.<name>.key`, `.id` and `.url`"
            )
        ),
    ] = ""
    about: Annotated[
        Template,
        Meta(
            description=(
                "For an action that creates: what the created thing is about. Two events with the "
                "same text share one: the second is linked to it instead of creating another. "
                "The event's subject by default"
            )
        ),
    ] = ""
    once: Annotated[
        Template,
        Meta(
            description=(
                "Do this step once for every value of this text, over all events. With `for_each` "
                "it is once for each report and status by default"
            )
        ),
    ] = ""


class Route(_Part, frozen=True, kw_only=True):
    """Which events are acted on, and how."""

    name: RouteName
    title: str = ""
    enabled: bool = True
    on: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="Event types; `work_item.*` takes all of a family"),
    ]
    connections: Annotated[
        tuple[str, ...], Meta(description="Only events of these connections; all when empty")
    ] = ()
    when: Expression = ""
    for_each: Annotated[
        Literal["", "report", "work_item"],
        Meta(
            description=(
                "Run the steps once for every report linked to the event's work item (`report`), "
                "or for every work item linked to the event's report (`work_item`)"
            )
        ),
    ] = ""
    maps: dict[str, ValueMap] = {}
    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]

    def takes(self, event_type: str) -> bool:
        """Whether an event type is among those named in `on`."""
        return any(
            name == event_type or (name.endswith(".*") and event_type.startswith(name[:-1]))
            for name in self.on
        )

    def step(self, name: str) -> Step | None:
        """Return a step by its name."""
        return next((step for step in self.steps if step.name == name), None)
