"""Typeform's webhooks: signed raw bytes, one response in each request.

Source: typeform.com/developers/webhooks and /developers/webhooks/secure-your-webhooks.
"""

from __future__ import annotations

from collections.abc import Sequence

from hub.sdk import Context, Envelope, InboundRequest
from hub.sdk.signature import check


def verify(request: InboundRequest, secrets: Sequence[str], context: Context) -> None:
    """Check `Typeform-Signature: sha256=<base64>`, an HMAC-SHA256 over the raw body.

    Typeform leaves the header out when its webhook has no secret; that is refused like a forged
    one. No time is signed, so there is no replay window. Raises `SignatureInvalid`.
    """
    del context
    given = request.header("typeform-signature")
    check(given, request.body, secrets, prefix="sha256=", encoding="base64")


def delivery_id(request: InboundRequest, context: Context) -> str | None:
    """Return `event_id`, which Typeform keeps over its retries. Raises `MalformedPayload`."""
    del context
    return request.payload()["event_id"].opt_id()


def envelopes(request: InboundRequest, context: Context) -> tuple[Envelope, ...]:
    """Return the one response in the request. Raises `MalformedPayload`."""
    del context
    body = request.payload()
    return (Envelope(type=body["event_type"].str(), id=body["event_id"].opt_id(), payload=body),)
