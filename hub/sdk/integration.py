"""An integration's declaration: the manifest (data) and the functions (code)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from hub.sdk.actions import Account, Action, Call, Probing
from hub.sdk.errors import InvalidInput, UnsupportedEvent
from hub.sdk.events import Event
from hub.sdk.http import InboundRequest, Reply
from hub.sdk.payload import Payload

Identifier: TypeAlias = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{1,39}$")]
Audience: TypeAlias = Literal["customer", "team"]
Once: TypeAlias = Literal["idempotency_key", "marker", "natural", "none"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the manifest's parts: a misspelt field is an error."""


class Acknowledge(_Part, frozen=True, kw_only=True):
    """The answer to an accepted webhook, in the shape the vendor wants."""

    status: Annotated[int, Meta(ge=200, le=299)] = 200
    content_type: str = "application/json"
    body: str = "{}"


class Mention(_Part, frozen=True, kw_only=True):
    """How this tool's things are named in the texts of other tools, to link what is mentioned.

    `key` and `url` are regular expressions whose first group (or the whole match) is the key.
    `keys_from` names a config field with the list of accepted prefixes (a Jira project's key),
    so that `UTF-8` is not taken for an issue.
    """

    kind: Identifier
    key: str = ""
    url: str = ""
    keys_from: str = ""


class Receives(_Part, frozen=True, kw_only=True):
    """The inbound side."""

    events: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description="Vendor event type -> the shared types it may become; `*` for any other"),
    ]
    signature: Annotated[
        Literal["required", "optional", "none"],
        Meta(
            description=(
                "`required`: closed without a secret. `optional`: the connection's config says. "
                "`none`: the vendor signs nothing, and the key in the address is the only proof."
            )
        ),
    ] = "required"
    secret: Annotated[str, Meta(description="The config field that holds the signing secret")] = ""
    content_types: tuple[str, ...] = ("application/json",)
    acknowledge: Acknowledge = Acknowledge()
    when_removed: Annotated[
        Literal[200, 404, 410, 503],
        Meta(description="Answer for a removed connection; some vendors disable a hook on 404"),
    ] = 404
    mentions: tuple[Mention, ...] = ()


class Auth(_Part, frozen=True, kw_only=True):
    """How the core signs in. Values name config fields, secret or not.

    `bearer` needs `token`; `basic` needs `username` and `password`; `header` needs `name` (the
    header itself) and `token`; `standard_webhooks` signs the body with the secret in `token` as
    the Standard Webhooks specification 1.0.0 says, with `Call.marker` as the `webhook-id`, and
    sends unsigned when that config field is empty; beside it, the secret in `value` is sent in the
    header that the config field `header` names, for receivers that want a key of their own.
    """

    kind: Literal["none", "bearer", "basic", "header", "standard_webhooks"] = "none"
    token: str = ""
    username: str = ""
    password: str = ""
    name: str = ""
    header: str = ""
    value: str = ""


class RateLimit(_Part, frozen=True, kw_only=True):
    """At most `requests` in any `seconds`, for one connection, over all workers."""

    requests: Annotated[int, Meta(ge=1)] = 50
    seconds: Annotated[float, Meta(gt=0)] = 1.0
    setting: Annotated[
        str,
        Meta(
            description=(
                "The integer config field that says another number of requests, where it depends "
                "on the customer's plan or server; empty if none"
            )
        ),
    ] = ""

    def of(self, config: Mapping[str, Any]) -> int:
        """Return the requests for a connection with this config."""
        return int(config.get(self.setting) or self.requests)


class Target(_Part, frozen=True, kw_only=True):
    """The thing an action writes to: its kind, and the input that names it (by id or key)."""

    kind: Identifier
    input: str


class ActionManifest(_Part, frozen=True, kw_only=True):
    """What an action is called, takes and promises.

    `inputs` is a JSON Schema (2020-12) of an object. An input property may carry
    `"x-text": true`: it is Markdown, rendered into the tool's own form by the action.
    """

    title: str
    description: str
    inputs: dict[str, Any]
    audience: Annotated[
        Audience | dict[str, Audience],
        Meta(
            description=(
                "Who can read what it writes. An object `{input: audience}` says that the audience "
                "holds when that boolean input is true, and `*` otherwise."
            )
        ),
    ] = "team"
    once: Annotated[
        Once,
        Meta(
            description=(
                "How it takes effect once: the vendor's idempotency key, a marker that `find` "
                "looks up, natural (doing it twice changes nothing), or none."
            )
        ),
    ]
    creates: Annotated[str, Meta(description="The kind of thing it creates; empty if none")] = ""
    target: Target | None = None
    lane: Annotated[
        tuple[str, ...],
        Meta(description="Inputs that name what must stay in order; the target's input by default"),
    ] = ()

    def audience_of(self, inputs: Mapping[str, Any]) -> Audience:
        """Return who can read what a call with these inputs writes."""
        if isinstance(self.audience, str):
            return self.audience
        for name, audience in self.audience.items():
            if name != "*" and inputs.get(name) in (True, "true", "True"):
                return audience
        return self.audience.get("*", "customer")

    def text_inputs(self) -> tuple[str, ...]:
        """Return the names of the inputs that are Markdown."""
        properties = self.inputs.get("properties", {})
        return tuple(name for name, schema in properties.items() if schema.get("x-text"))


class Sends(_Part, frozen=True, kw_only=True):
    """The outbound side."""

    actions: dict[str, ActionManifest]
    base_url: Annotated[
        str,
        Meta(description="Address with `{field}` for config fields, such as `https://{site}/api`"),
    ]
    auth: Auth = Auth()
    headers: dict[str, str] = {}
    rate_limit: RateLimit = RateLimit()
    timeout_seconds: Annotated[float, Meta(gt=0, le=120)] = 20.0


class Manifest(_Part, frozen=True, kw_only=True):
    """What the hub knows of an integration before any of its code runs: `manifest.json`."""

    id: Identifier
    title: str
    description: str
    docs_url: str
    config: Annotated[
        dict[str, Any],
        Meta(
            description=(
                "JSON Schema (2020-12) of a connection's config. A property with "
                '`"x-secret": true` is write-only and encrypted at rest. `examples[0]` is used '
                "by the samples."
            )
        ),
    ]
    receives: Receives | None = None
    sends: Sends | None = None

    def secret_fields(self) -> tuple[str, ...]:
        """Return the config fields that are secrets."""
        properties = self.config.get("properties", {})
        return tuple(name for name, schema in properties.items() if schema.get("x-secret"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an inbound function may know besides the request. `config` holds no secrets."""

    connection: str = "sample"
    config: Mapping[str, Any] = field(default_factory=dict)
    received_at: datetime
    account: Account | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One vendor event: its type in the vendor's words, its own id if it has one, its payload."""

    type: str
    id: str | None
    payload: Payload


Normalizer: TypeAlias = Callable[[Payload, Context], tuple[Event, ...]]


class EventTable:
    """Dispatch from a vendor's event type to a small pure function.

    `types` is what the manifest must list. The row `*` takes every type without a row of its own.
    """

    def __init__(self, rows: Mapping[str, Normalizer]) -> None:
        self._rows = dict(rows)
        self.types = frozenset(rows)

    def __call__(self, envelope: Envelope, context: Context) -> tuple[Event, ...]:
        """Normalize one envelope. Raises `UnsupportedEvent` and what the row raises."""
        row = self._rows.get(envelope.type) or self._rows.get("*")
        if row is None:
            raise UnsupportedEvent(envelope.type)
        return row(envelope.payload, context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """The functions of `webhook.py` and `normalize.py`.

    verify(request, secrets, context)
        accepts or raises `SignatureInvalid`, whatever the input. `secrets` newest first;
        `context.received_at` is the time to compare signed times with.
    delivery_id(request, context)
        the vendor's id of this webhook, the same over its retries, or None when it has none (the
        core then uses a hash of the body). May raise `MalformedPayload`.
    envelopes(request, context)
        the vendor events in the request. Raises `MalformedPayload` or `WrongEndpoint`.
    normalize(envelope, context)
        the shared events. An empty tuple is "understood and deliberately dropped". Pure.
    reply(request, context)
        the answer to a handshake, or None when it is an ordinary webhook. A POST is verified
        before it is asked; a GET or HEAD is not.
    """

    verify: Callable[[InboundRequest, Sequence[str], Context], None]
    delivery_id: Callable[[InboundRequest, Context], str | None]
    envelopes: Callable[[InboundRequest, Context], tuple[Envelope, ...]]
    normalize: EventTable
    reply: Callable[[InboundRequest, Context], Reply | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One vendor: `integration = Integration(...)` in the folder's `__init__.py`.

    `probe` asks the vendor who the credentials belong to; it tests a connection before it is used.
    `check_config` finds what the manifest's JSON Schema cannot say (a template that cannot be
    read); it gets the config without secrets, and each fault names its field.
    """

    inbound: Inbound | None = None
    actions: Mapping[str, Action] = field(default_factory=dict)
    probe: Callable[[Call], Probing] | None = None
    check_config: Callable[[Mapping[str, Any]], tuple[InvalidInput, ...]] | None = None
