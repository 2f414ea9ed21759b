"""Check and make webhook signatures on raw bytes, in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from hub.sdk.errors import SignatureInvalid

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]


def sign(
    secret: str | bytes,
    content: bytes,
    *,
    algorithm: Algorithm = "sha256",
    encoding: Encoding = "hex",
) -> str:
    """Return the HMAC of `content` as hex or base64 text."""
    key = secret.encode() if isinstance(secret, str) else secret
    digest = hmac.new(key, content, getattr(hashlib, algorithm)).digest()
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


def check(
    given: str | None,
    content: bytes,
    secrets: Sequence[str],
    *,
    prefix: str = "",
    algorithm: Algorithm = "sha256",
    encoding: Encoding = "hex",
) -> None:
    """Accept `given` (the header's value) if any secret signs `content`; newest secret first.

    Raises `SignatureInvalid` for everything else: no secret, no header, another prefix, wrong
    bytes, not ASCII.
    """
    live = [secret for secret in secrets if secret]
    if not live:
        raise SignatureInvalid("no secret is configured")
    if not given:
        raise SignatureInvalid("the signature header is missing")
    if not given.startswith(prefix):
        raise SignatureInvalid("the signature has another scheme")
    claimed = given[len(prefix) :].strip().encode("utf-8", "replace")
    if encoding == "hex":
        claimed = claimed.lower()
    for secret in live:
        made = sign(secret, content, algorithm=algorithm, encoding=encoding).encode()
        if hmac.compare_digest(made, claimed):
            return
    raise SignatureInvalid("the signature does not match")


def check_age(timestamp: str | None, now: datetime, *, window: timedelta) -> None:
    """Accept a signed unix time (seconds, as text) no further than `window` from `now`.

    Raises `SignatureInvalid` when it is missing, unreadable, too old or too far ahead.
    """
    if not timestamp:
        raise SignatureInvalid("the signed time is missing")
    try:
        when = datetime.fromtimestamp(int(timestamp), UTC)
    except (ValueError, OverflowError, OSError):
        raise SignatureInvalid("the signed time is unreadable") from None
    if abs(now - when) > window:
        raise SignatureInvalid("the signed time is outside the replay window")


def check_equal(given: str | None, secrets: Sequence[str]) -> None:
    """Accept a shared token sent as it is (a header or a password). Raises `SignatureInvalid`."""
    live = [secret for secret in secrets if secret]
    if not live:
        raise SignatureInvalid("no secret is configured")
    claimed = (given or "").encode("utf-8", "replace")
    if not any(hmac.compare_digest(claimed, secret.encode()) for secret in live):
        raise SignatureInvalid("the token does not match")
