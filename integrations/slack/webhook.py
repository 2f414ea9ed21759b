"""Slack's requests: Events API as JSON, interactions and slash commands as forms, all signed.

Source: docs.slack.dev/authentication/verifying-requests-from-slack and /apis/events-api.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from hub.sdk import Context, Envelope, InboundRequest, MalformedPayload, Payload, Reply, json
from hub.sdk.signature import check, check_age
from integrations.slack.normalize import POSTED

_WINDOW = timedelta(minutes=5)
_FORM = "application/x-www-form-urlencoded"
_TEXT = {"content-type": "text/plain"}


def verify(request: InboundRequest, secrets: Sequence[str], context: Context) -> None:
    """Check `X-Slack-Signature: v0=<hex>` over `v0:<timestamp>:<raw body>`, at most 5 minutes old.

    Slack's look at the address's certificate (`ssl_check`) passes unsigned, as it does in Slack's
    own framework: it is answered with an empty 200 and nothing of it is kept. Raises
    `SignatureInvalid`.
    """
    if _is_ssl_check(request):
        return
    timestamp = request.header("x-slack-request-timestamp")
    check_age(timestamp, context.received_at, window=_WINDOW)
    base = b":".join((b"v0", (timestamp or "").encode("utf-8", "replace"), request.body))
    check(request.header("x-slack-signature"), base, secrets, prefix="v0=")


def reply(request: InboundRequest, context: Context) -> Reply | None:
    """Answer `url_verification` with its challenge, and `ssl_check` with nothing."""
    del context
    if request.method != "POST":
        return None
    if _is_ssl_check(request):
        return Reply(headers=_TEXT)
    if _is_form(request):
        return None
    body = request.payload()
    if body["type"].opt_str() != "url_verification":
        return None
    return Reply(headers=_TEXT, body=body["challenge"].str().encode("utf-8", "replace"))


def delivery_id(request: InboundRequest, context: Context) -> str | None:
    """Return `event_id`, or an interaction's `trigger_id`. Raises `MalformedPayload`.

    Slack keeps `event_id` over its retries (`X-Slack-Retry-Num`). Where mentions are read too
    (config `app_mentions`), the two events of one message differ in it, so the message's own name
    is taken, and the second counts as a repeat of the first.
    """
    if _is_form(request):
        return _form(request).payload["trigger_id"].opt_id()
    body = request.payload()
    event = body["event"]
    told = event["type"].opt_str() in ("message", "app_mention")
    if told and context.config.get("app_mentions"):
        channel, ts = event["channel"].opt_str(), event["ts"].opt_str()
        if channel and ts and (event["subtype"].opt_str() or "") in POSTED:
            return f"message:{channel}:{ts}"
    return body["event_id"].opt_id()


def envelopes(request: InboundRequest, context: Context) -> tuple[Envelope, ...]:
    """Return the one event in the request. Raises `MalformedPayload`."""
    del context
    if _is_form(request):
        return () if _is_ssl_check(request) else (_form(request),)
    body = request.payload()
    kind = body["type"].str()
    if kind == "url_verification":
        return ()
    if kind == "event_callback":
        kind = body["event"]["type"].str()
    return (Envelope(type=kind, id=body["event_id"].opt_id(), payload=body),)


def _form(request: InboundRequest) -> Envelope:
    fields = request.form()
    if "payload" in fields:
        payload = Payload(json.loads(fields["payload"]))
        return Envelope(
            type=payload["type"].str(), id=payload["trigger_id"].opt_id(), payload=payload
        )
    payload = Payload({name: json.clean_text(value) for name, value in fields.items()})
    if not payload["command"]:
        raise MalformedPayload("$", "a form with `payload` or `command`", "neither")
    return Envelope(type="slash_command", id=payload["trigger_id"].opt_id(), payload=payload)


def _is_form(request: InboundRequest) -> bool:
    kind = (request.header("content-type") or "").partition(";")[0]
    return kind.strip().lower() == _FORM


def _is_ssl_check(request: InboundRequest) -> bool:
    return _is_form(request) and request.form().get("ssl_check") == "1"
