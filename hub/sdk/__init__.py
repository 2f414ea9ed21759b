"""What an integration may import, and nothing else of the hub."""

from hub.sdk.actions import (
    Account,
    Action,
    AuthFailed,
    Call,
    Checking,
    Delivered,
    Finding,
    Nothing,
    Outcome,
    Probing,
    Rejected,
    RetryLater,
    Sending,
    Unknown,
    failed,
    quote,
    retry_after,
)
from hub.sdk.errors import (
    HubError,
    InvalidInput,
    MalformedPayload,
    SignatureInvalid,
    UnsupportedEvent,
    WrongEndpoint,
)
from hub.sdk.http import InboundRequest, Reply, Request, Response
from hub.sdk.integration import (
    Context,
    Envelope,
    EventTable,
    Inbound,
    Integration,
    Manifest,
)
from hub.sdk.payload import Payload
from hub.sdk.registry import Registry, discover

__all__ = (
    "Account", "Action", "AuthFailed", "Call", "Checking", "Context", "Delivered", "Envelope",
    "EventTable", "Finding", "HubError", "Inbound", "InboundRequest", "Integration",
    "InvalidInput", "MalformedPayload", "Manifest", "Nothing", "Outcome", "Payload", "Probing",
    "Registry", "Rejected", "Reply", "Request", "Response", "RetryLater", "Sending",
    "SignatureInvalid", "Unknown", "UnsupportedEvent", "WrongEndpoint", "discover", "failed",
    "quote", "retry_after",
)  # fmt: skip
