"""Take in any tool's webhook: checked as the connection's `signature` setting says.

The scheme `standard_webhooks` is the Standard Webhooks specification 1.0.0
(github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

from hub.sdk import Context, Envelope, InboundRequest, MalformedPayload, Payload, SignatureInvalid
from hub.sdk.signature import Algorithm, Encoding, check, check_age, check_equal, sign
from integrations.webhook.templates import Templates

# The tolerance the specification's own libraries use, and most vendors who sign a time.
WINDOW = timedelta(minutes=5)

_DEFAULT_SCHEME = "standard_webhooks"
_PRIVATE = frozenset({"authorization", "proxy-authorization", "cookie", "webhook-signature"})


def verify(request: InboundRequest, secrets: Sequence[str], context: Context) -> None:
    """Check the request by the scheme of the connection's `signature` setting.

    Without the setting it is Standard Webhooks, so a connection without a secret takes nothing
    unless `none` is chosen in so many words. Raises `SignatureInvalid`.
    """
    setting = Payload(context.config.get("signature", {}), "signature")
    try:
        scheme = _SCHEMES.get(setting["scheme"].opt_str() or _DEFAULT_SCHEME)
        if scheme is None:
            raise SignatureInvalid("the signature setting names no known scheme")
        scheme(request, secrets, setting, context)
    except MalformedPayload:
        raise SignatureInvalid("the signature setting cannot be read") from None


def delivery_id(request: InboundRequest, context: Context) -> str | None:
    """Return the id the sender keeps over its retries, or None when it has none.

    The config field `delivery_id` is a header's name, or a template over `payload` and `headers`;
    without it, it is the header `webhook-id` of Standard Webhooks. Raises `MalformedPayload`.
    """
    setting = context.config.get("delivery_id") or "webhook-id"
    if "{{" not in setting:
        return request.header(setting.strip()) or None
    names = {"payload": request.payload().raw, "headers": _shown_headers(request, context)}
    found = _templates(setting).value(setting, names, "delivery_id")
    return None if found in (None, "") else str(found)


def envelopes(request: InboundRequest, context: Context) -> tuple[Envelope, ...]:
    """Return the request as one envelope, `{"payload": body, "headers": {…}}`.

    Headers that carry credentials are left out, so that no mapping can copy them into an event.
    Raises `MalformedPayload`.
    """
    body = request.payload()
    whole = {"payload": body.raw, "headers": _shown_headers(request, context)}
    return (
        Envelope(type=event_name(body), id=delivery_id(request, context), payload=Payload(whole)),
    )


def event_name(body: Payload) -> str:
    """Return what the sender calls the event, where senders usually say it, else `webhook`."""
    named = (body[name].raw for name in ("type", "event_type", "event", "event_name"))
    return next((name[:100] for name in named if isinstance(name, str) and name), "webhook")


def keys(secret: str) -> Iterator[bytes]:
    """Yield the key bytes a Standard Webhooks secret may stand for.

    The specification writes a secret as `whsec_` and base64. Senders also use base64 without the
    prefix, and some the plain text of the secret.
    """
    _, prefix, coded = secret.rpartition("whsec_")
    try:
        yield base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError):
        if prefix:
            return
    if not prefix:
        yield secret.encode()


def check_standard(
    headers: Callable[[str], str | None], body: bytes, secrets: Sequence[str], context: Context
) -> None:
    """Check the three headers of Standard Webhooks. Raises `SignatureInvalid`."""
    name, when, given = (headers(f"webhook-{part}") for part in ("id", "timestamp", "signature"))
    if not name or not when:
        raise SignatureInvalid("the webhook-id or webhook-timestamp header is missing")
    content = f"{name}.{when}.".encode("utf-8", "replace") + body
    candidates = [key for secret in secrets if secret for key in keys(secret)]
    claims = [one[3:] for one in (given or "").split() if one.startswith("v1,")]
    made = [sign(key, content, encoding="base64") for key in candidates]
    if not made:
        raise SignatureInvalid("no secret is configured")
    for claim in claims:
        try:
            check_equal(claim, made)
        except SignatureInvalid:
            continue
        return check_age(when, context.received_at, window=WINDOW)
    raise SignatureInvalid("the signature is missing or does not match")


@lru_cache(maxsize=256)
def _templates(setting: str) -> Templates:
    del setting  # one for each setting, so that what it compiles is bounded
    return Templates()


def _none(
    request: InboundRequest, secrets: Sequence[str], setting: Payload, context: Context
) -> None:
    """Accept: the person chose to trust whoever knows the address."""


def _standard(
    request: InboundRequest, secrets: Sequence[str], setting: Payload, context: Context
) -> None:
    del setting
    check_standard(request.header, request.body, secrets, context)


def _token(
    request: InboundRequest, secrets: Sequence[str], setting: Payload, context: Context
) -> None:
    del context
    given = request.header(setting["header"].opt_str() or "authorization") or ""
    prefix = setting["prefix"].opt_str() or ""
    if not given.startswith(prefix):
        raise SignatureInvalid("the token has another prefix")
    check_equal(given[len(prefix) :].strip(), secrets)


def _hmac(
    algorithm: Algorithm, encoding: Encoding
) -> Callable[[InboundRequest, Sequence[str], Payload, Context], None]:
    def scheme(
        request: InboundRequest, secrets: Sequence[str], setting: Payload, context: Context
    ) -> None:
        content = request.body
        timed = setting["timestamp_header"].opt_str()
        when = request.header(timed) if timed else None
        if timed:
            content = f"{when or ''}.".encode("utf-8", "replace") + content
        check(
            request.header(setting["header"].opt_str() or "x-signature"),
            content,
            secrets,
            prefix=setting["prefix"].opt_str() or "",
            algorithm=algorithm,
            encoding=encoding,
        )
        if timed:
            check_age(when, context.received_at, window=WINDOW)

    return scheme


_SCHEMES: dict[str, Callable[[InboundRequest, Sequence[str], Payload, Context], None]] = {
    "none": _none,
    "standard_webhooks": _standard,
    "token_header": _token,
    "hmac_sha256_hex": _hmac("sha256", "hex"),
    "hmac_sha256_base64": _hmac("sha256", "base64"),
    "hmac_sha1_hex": _hmac("sha1", "hex"),
}


def _shown_headers(request: InboundRequest, context: Context) -> Mapping[str, Any]:
    setting = Payload(context.config.get("signature", {}))["header"].raw
    hidden = _PRIVATE | ({setting.lower()} if isinstance(setting, str) else set())
    return {name: value for name, value in request.headers.items() if name not in hidden}
