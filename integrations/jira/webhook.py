"""Jira's webhook requests: `X-Hub-Signature: sha256=<hex>` over the raw body.

No time is signed, so a replayed request is found by its delivery id alone
(developer.atlassian.com/cloud/jira/platform/webhooks).
"""

from __future__ import annotations

from collections.abc import Sequence

from hub.sdk import Context, Envelope, InboundRequest
from hub.sdk.signature import check


def verify(request: InboundRequest, secrets: Sequence[str], context: Context) -> None:
    """Accept a body signed with one of the secrets. Raises `SignatureInvalid`."""
    check(request.header("x-hub-signature"), request.body, secrets, prefix="sha256=")


def delivery_id(request: InboundRequest, context: Context) -> str | None:
    """Return the identifier that Jira keeps over retries; Data Center before 10 sends none."""
    return request.header("x-atlassian-webhook-identifier") or None


def envelopes(request: InboundRequest, context: Context) -> tuple[Envelope, ...]:
    """Return the one event of the request. Raises `MalformedPayload`."""
    payload = request.payload()
    return (
        Envelope(
            type=payload["webhookEvent"].str(), id=delivery_id(request, context), payload=payload
        ),
    )
