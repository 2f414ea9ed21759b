"""What is checked (an integration's folder) and what a check says about it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import msgspec

from hub.sdk import json
from hub.sdk.actions import Account
from hub.sdk.errors import MalformedPayload
from hub.sdk.http import InboundRequest, Method
from hub.sdk.integration import Context, Inbound, Integration, Manifest
from hub.sdk.registry import Available
from hub.sdk.sandbox import Sandbox

RECEIVED_AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
"""When every sample was received, unless its `context.json` says another time."""

SECRET = "sample-secret"  # noqa: S105 - invented, and the same in every sample


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault in an integration: where it is, what is wrong, and what to do about it."""

    integration: str
    check: str
    place: str
    problem: str
    mend: str

    def __str__(self) -> str:
        """Write the finding as one line."""
        return f"{self.integration} [{self.check}] {self.place}: {self.problem}. {self.mend}."


class Fault(NamedTuple):
    """A finding before it is known which integration and check it belongs to."""

    place: str
    problem: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A folder of `samples/`: a request as received, and the events it must become."""

    name: str
    request: InboundRequest
    context: Context
    secret: str
    expected: object

    @property
    def place(self) -> str:
        """The folder, as a finding names it."""
        return f"samples/{self.name}"


class _ContextFile(msgspec.Struct, forbid_unknown_fields=True):
    """`context.json`: what differs from the context every sample has."""

    config: dict[str, Any] | None = None
    received_at: datetime | None = None
    account: Account | None = None
    secret: str | None = None
    method: Method = "POST"
    path: str = ""
    query: str = ""


class Subject:
    """One integration under check. Its parts are read when first asked for, and kept."""

    def __init__(self, available: Available) -> None:
        self.available = available
        self.id = available.id
        self.manifest: Manifest = available.manifest
        self.folder: Traversable = available.folder

    @cached_property
    def code(self) -> Integration:
        """The integration's functions. Raises `ImportError` and what its modules raise."""
        return self.available.code

    @cached_property
    def inbound(self) -> Inbound | None:
        """The inbound functions, when the manifest has an inbound side."""
        return self.code.inbound if self.manifest.receives else None

    @cached_property
    def stand_in(self) -> type[Sandbox] | None:
        """The class of the vendor's stand-in."""
        return self.available.sandbox()

    @cached_property
    def fault(self) -> str:
        """Why the code cannot be imported; empty when it can."""
        try:
            _ = (self.code, self.stand_in)
        except Exception as error:  # noqa: BLE001 - a contributor's module may raise anything
            return f"{type(error).__name__}: {error}"
        return ""

    @cached_property
    def config(self) -> dict[str, Any]:
        """The manifest's example of a connection's config, secrets included."""
        examples = self.manifest.config.get("examples")
        first = examples[0] if isinstance(examples, list) and examples else {}
        return first if isinstance(first, dict) else {}

    @cached_property
    def secret(self) -> str:
        """The signing secret of the samples."""
        field = self.manifest.receives.secret if self.manifest.receives else ""
        return str(self.config.get(field) or SECRET)

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """Every secret of the example config."""
        held = (self.config.get(name) for name in self.manifest.secret_fields())
        return tuple(value for value in held if isinstance(value, str) and value)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The example config as code sees it: without its secrets."""
        return self.open(self.config)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The samples that can be read; the others are in `unreadable`."""
        return tuple(item for item in self._read if isinstance(item, Sample))

    @cached_property
    def unreadable(self) -> tuple[Fault, ...]:
        """What is wrong with the samples that cannot be read."""
        return tuple(item for item in self._read if isinstance(item, Fault))

    @cached_property
    def _read(self) -> tuple[Sample | Fault, ...]:
        return tuple(self._load())

    def open(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a config without its secrets."""
        hidden = self.manifest.secret_fields()
        return {name: value for name, value in config.items() if name not in hidden}

    def context(self, received_at: datetime = RECEIVED_AT) -> Context:
        """Return the context of a sample that has no `context.json`."""
        return Context(config=self.settings, received_at=received_at)

    def modules(self) -> Iterator[tuple[str, str]]:
        """Yield the path (inside the folder) and the text of every Python file."""
        yield from _modules(self.folder, "")

    def auth_headers(self) -> dict[str, str]:
        """Return the headers by which the core signs in with the example config."""
        if self.manifest.sends is None:
            return {}
        auth = self.manifest.sends.auth
        held = {name: str(value) for name, value in self.config.items()}
        if auth.kind == "bearer":
            return {"authorization": f"Bearer {held.get(auth.token, '')}"}
        if auth.kind == "basic":
            pair = f"{held.get(auth.username, '')}:{held.get(auth.password, '')}"
            return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        if auth.kind == "header":
            return {auth.name.lower(): held.get(auth.token, "")}
        return {}

    def _load(self) -> Iterator[Sample | Fault]:
        root = self.folder.joinpath("samples")
        if not root.is_dir():
            return
        for folder in sorted(root.iterdir(), key=lambda entry: entry.name):
            if not folder.is_dir() or folder.name.startswith((".", "__")):
                continue
            place = f"samples/{folder.name}"
            try:
                yield self._sample(folder)
            except FileNotFoundError as error:
                missing = str(error.filename or error).rpartition("/")[2]
                yield Fault(place, f"{missing} is missing", "Add the file")
            except (msgspec.MsgspecError, MalformedPayload, ValueError) as error:
                yield Fault(place, f"cannot be read: {error}", "Correct the file")

    def _sample(self, folder: Traversable) -> Sample:
        bodies = [entry for entry in folder.iterdir() if entry.name.startswith("body.")]
        if len(bodies) != 1:
            message = f"expected one file body.*, got {len(bodies)}"
            raise ValueError(message)
        headers = msgspec.json.decode(
            folder.joinpath("headers.json").read_bytes(), type=dict[str, str]
        )
        given = _ContextFile()
        if folder.joinpath("context.json").is_file():
            raw = folder.joinpath("context.json").read_bytes()
            given = msgspec.json.decode(raw, type=_ContextFile)
        if not folder.joinpath("sample.md").is_file():
            raise FileNotFoundError("sample.md")
        config = self.config if given.config is None else given.config
        return Sample(
            name=folder.name,
            request=InboundRequest(
                method=given.method,
                path=given.path,
                query=given.query,
                headers=headers,
                body=bodies[0].read_bytes(),
            ),
            context=Context(
                config=self.open(config),
                received_at=given.received_at or RECEIVED_AT,
                account=given.account,
            ),
            secret=self.secret if given.secret is None else given.secret,
            expected=json.loads(folder.joinpath("events.json").read_bytes()),
        )


def _modules(folder: Traversable, inside: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith((".", "__")) and entry.name != "samples":
            yield from _modules(entry, f"{inside}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield f"{inside}{entry.name}", entry.read_text(encoding="utf-8")
