"""HTTP as values: what came in, what to answer, what to send, what came back. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec

from hub.sdk import json
from hub.sdk.payload import Payload

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]


class InboundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request as received. `headers` has lower-case names; `body` is the exact bytes."""

    method: str = "POST"
    path: str = ""
    """What follows the key in the address, without a leading slash; usually empty."""
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the header's value, or None. `name` in any case."""
        return self.headers.get(name.lower())

    def payload(self) -> Payload:
        """Parse the body as JSON. Raises `MalformedPayload`."""
        return Payload(json.loads(self.body))

    def form(self) -> dict[str, str]:
        """Parse the body as `application/x-www-form-urlencoded`; the last value of a name wins."""
        fields = parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return {name: values[-1] for name, values in fields.items()}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to a vendor's handshake, given instead of the ordinary acknowledgment."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call an action wants sent. The core adds the base address, auth, timeout and limits.

    `path` is relative to the manifest's `base_url` and starts with `/`; path parts that come from
    data must be quoted (`hub.sdk.quote`). `json` and `content` exclude each other.
    `repeatable` says that sending twice does no harm (reads, PUT of a whole value), so the core
    may retry within the attempt.
    """

    method: Method
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    json: Any = None
    content: bytes | None = None
    repeatable: bool = False

    @property
    def safe(self) -> bool:
        """Whether a second send cannot change anything."""
        return self.repeatable or self.method in {"GET", "HEAD"}


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004

    def header(self, name: str) -> str | None:
        """Return the header's value, or None. `name` in any case."""
        return self.headers.get(name.lower())

    def payload(self) -> Payload:
        """Parse the body as JSON. Raises `MalformedPayload`, which the core reads as transient."""
        return Payload(json.loads(self.body))

    def excerpt(self, limit: int = 300) -> str:
        """Return the start of the body for an error message, at most `limit` characters."""
        shown = " ".join(json.clean_text(self.body.decode("utf-8", "replace")).split())
        return shown if len(shown) <= limit else shown[: limit - 1] + "\u2026"
