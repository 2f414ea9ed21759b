"""What an integration may raise, and what each means to the vendor and to the operator.

HubError
    SignatureInvalid      the request is forged or cannot be checked: 401, counted, body not kept
    MalformedPayload      signed, but not what the vendor sends: stored, acknowledged, failed
    UnsupportedEvent      understood, but of a type the integration has no use for: 2xx, counted
    WrongEndpoint         the right vendor at the wrong address: 400 with the mend in words
    InvalidInput          a config field, route input or action input with a fault: 422
"""

from __future__ import annotations


class HubError(Exception):
    """Base of every error the sdk declares."""


class SignatureInvalid(HubError):
    """The request's signature is missing, wrong, too old, or cannot be read.

    Raise it for *any* input that does not verify; `verify` must raise nothing else. `reason` is a
    short phrase for metrics and logs and must not contain the signature or the secret.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MalformedPayload(HubError):
    """A verified request whose content is not what the vendor documents.

    `path` names the place (`issue.fields.status.name`), so that the reader can find it.
    """

    def __init__(self, path: str, expected: str, got: str) -> None:
        super().__init__(f"{path}: expected {expected}, got {got}")
        self.path = path
        self.expected = expected
        self.got = got


class UnsupportedEvent(HubError):
    """A vendor event type that has no row in the integration's table. Acknowledged and counted."""

    def __init__(self, event_type: str) -> None:
        super().__init__(f"event type {event_type!r} is not supported")
        self.event_type = event_type


class WrongEndpoint(HubError):
    """The vendor sent something that belongs to another address; say which in `mend`."""

    def __init__(self, mend: str) -> None:
        super().__init__(mend)
        self.mend = mend


class InvalidInput(HubError):
    """One field that a person can correct. `field` is a dotted path, `mend` says what to do."""

    def __init__(self, field: str, problem: str, mend: str = "") -> None:
        super().__init__(f"{field}: {problem}" + (f" ({mend})" if mend else ""))
        self.field = field
        self.problem = problem
        self.mend = mend
