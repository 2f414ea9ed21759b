"""Slack's requests: signed raw bytes, an event, a slash command or a pressed button in each.

Source: docs.slack.dev/authentication/verifying-requests-from-slack, /apis/events-api,
/interactivity/implementing-slash-commands and /interactivity/handling-user-interaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import parse_qs

from hub.sdk import Context, Envelope, InboundRequest, MalformedPayload, Payload, Reply, json
from hub.sdk.signature import check, check_age

_FORM = "application/x-www-form-urlencoded"
# "If the timestamp is more than five minutes from local time, it could be a replay attack."
_WINDOW = timedelta(minutes=5)
_VERSION = "v0"
_JSON = {"content-type": "application/json"}


def verify(request: InboundRequest, secrets: Sequence[str], context: Context) -> None:
    """Check `X-Slack-Signature: v0=<hex>`, an HMAC-SHA256 over `v0:<time>:<raw body>`.

    The time is that of `X-Slack-Request-Timestamp` and may be five minutes away. Raises
    `SignatureInvalid`.
    """
    sent_at = request.header("x-slack-request-timestamp") or ""
    check_age(sent_at, context.received_at, window=_WINDOW)
    signed = f"{_VERSION}:{sent_at}:".encode("utf-8", "replace") + request.body
    check(request.header("x-slack-signature"), signed, secrets, prefix=f"{_VERSION}=")


def delivery_id(request: InboundRequest, context: Context) -> str | None:
    """Return `event_id`, which Slack keeps over its retries (`X-Slack-Retry-Num` counts them).

    Commands and pressed buttons are never retried and have no id. Raises `MalformedPayload`.
    """
    del context
    return None if _is_form(request) else request.payload()["event_id"].opt_id()


def envelopes(request: InboundRequest, context: Context) -> tuple[Envelope, ...]:
    """Return the one event in the request. Raises `MalformedPayload`.

    A form is named `slash_command` or `interactive`; an event that Slack wraps in `event_callback`
    is named by the type inside.
    """
    del context
    if _is_form(request):
        return (_form(request.form()),)
    body = request.payload()
    kind = body["type"].str()
    name = body["event"]["type"].str() if kind == "event_callback" else kind
    return (Envelope(type=name, id=body["event_id"].opt_id(), payload=body),)


def reply(request: InboundRequest, context: Context) -> Reply | None:
    """Answer the two handshakes: `url_verification` with its challenge, `ssl_check` with 200.

    Raises `MalformedPayload` when a handshake has no challenge in it.
    """
    del context
    if request.method in ("GET", "HEAD"):
        asked = parse_qs(request.query).get("ssl_check", [])
        return Reply() if asked[-1:] == ["1"] else None
    if _is_form(request):
        return Reply() if request.form().get("ssl_check") == "1" else None
    body = request.payload()
    if body["type"].raw != "url_verification":
        return None
    return Reply(headers=_JSON, body=json.dumps({"challenge": body["challenge"].str()}))


def _form(fields: dict[str, str]) -> Envelope:
    if "payload" in fields:
        return Envelope(
            type="interactive", id=None, payload=Payload(json.loads(fields["payload"]), "payload")
        )
    if "command" in fields:
        return Envelope(type="slash_command", id=None, payload=Payload(dict(fields)))
    raise MalformedPayload("$", "a form with `command` or `payload`", "another form")


def _is_form(request: InboundRequest) -> bool:
    kind = (request.header("content-type") or "").partition(";")[0]
    return kind.strip().lower() == _FORM
