"""Intercom's webhooks: one signed notification a request.

Source: https://developers.intercom.com/docs/references/2.14/webhooks/webhook-models
"""

from __future__ import annotations

from collections.abc import Sequence

from hub.sdk import Context, Envelope, InboundRequest, Reply
from hub.sdk.signature import check


def verify(request: InboundRequest, secrets: Sequence[str], context: Context) -> None:
    """Accept a body signed with the app's client secret. Raises `SignatureInvalid`."""
    del context  # Intercom signs no time, so there is no replay window to check.
    check(
        request.header("x-hub-signature"),
        request.body,
        secrets,
        prefix="sha1=",
        algorithm="sha1",
    )


def delivery_id(request: InboundRequest, context: Context) -> str | None:
    """Return the notification's id, the same when Intercom sends it again; a ping has none."""
    del context
    return request.payload()["id"].opt_id()


def envelopes(request: InboundRequest, context: Context) -> tuple[Envelope, ...]:
    """Return the one notification of the request. Raises `MalformedPayload`."""
    del context
    body = request.payload()
    return (Envelope(type=body["topic"].str(), id=body["id"].opt_id(), payload=body),)


def reply(request: InboundRequest, context: Context) -> Reply | None:
    """Answer the HEAD request by which Intercom checks an address when it is saved."""
    del context
    return Reply(status=200) if request.method == "HEAD" else None
