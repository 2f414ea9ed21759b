"""Write a stand-in of a vendor: a small stateful API that also sends its signed webhooks.

A stand-in does no I/O: the host (`hub.sandbox`) takes the HTTP requests in, calls `handle`, and
sends what lands in `outbox`. State is one JSON object, so the host can keep it on disk and a page
can show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from hub.sdk import json
from hub.sdk.http import InboundRequest, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingWebhook:
    """A webhook the stand-in wants sent to the hub: exact bytes, headers with its signature."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Sandbox:
    """Base of a vendor's stand-in.

    A subclass is named `Sandbox` in the folder's `sandbox.py`. It keeps everything it knows in
    `self.state` (a JSON object), reads the time from `self.now()`, and appends to `self.outbox`.
    `self.secret` is the signing secret shared with the hub's connection; `self.token` is what it
    accepts as credentials.
    """

    initial: ClassVar[dict[str, Any]] = {}
    """The state of a new workspace."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        state: dict[str, Any] | None = None,
        secret: str = "sample-secret",  # noqa: S107 - a stand-in's own, known to everyone
        token: str = "sample-token",  # noqa: S107
    ) -> None:
        self.now = now
        self.state: dict[str, Any] = (
            state if state is not None else json.loads(json.dumps(self.initial))
        )
        self.secret = secret
        self.token = token
        self.outbox: list[OutgoingWebhook] = []

    def handle(self, request: InboundRequest) -> Response:
        """Answer one API request as the vendor would: credentials, faults and limits included."""
        raise NotImplementedError

    def act(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person does in the vendor's screens; returns what the screen would show.

        Raises `KeyError` with the known names for an unknown `name`.
        """
        raise NotImplementedError

    @classmethod
    def sign(cls, body: bytes, secret: str, now: datetime) -> dict[str, str]:
        """Return the headers (signature included) of a webhook with this body."""
        raise NotImplementedError

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return what the stand-in holds, as rows to show: table name -> rows of plain values."""
        raise NotImplementedError

    def number(self, name: str, start: int = 1) -> int:
        """Return the next number of a sequence kept in the state."""
        sequences = self.state.setdefault("sequences", {})
        sequences[name] = int(sequences.get(name, start - 1)) + 1
        return int(sequences[name])

    def send(self, document: object) -> None:
        """Queue a signed webhook with `document` as its JSON body."""
        body = json.dumps(document)
        headers = self.sign(body, self.secret, self.now())
        self.outbox.append(OutgoingWebhook(body=body, headers=headers))


def answer(status: int, document: object = None, **headers: str) -> Response:
    """Return a JSON answer; header names are given with `_` for `-`."""
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    if document is None:
        return Response(status=status, headers=named)
    named.setdefault("content-type", "application/json")
    return Response(status=status, headers=named, body=json.dumps(document))
