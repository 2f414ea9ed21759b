"""What the hub does in Typeform: find a response, register the hub's webhook on a form.

Source: typeform.com/developers/responses and /developers/webhooks/reference.
"""

from __future__ import annotations

from typing import Any

from hub.sdk import (
    Account,
    Call,
    Checking,
    Delivered,
    InvalidInput,
    Nothing,
    Payload,
    Probing,
    Rejected,
    Request,
    Sending,
    failed,
    quote,
)
from hub.sdk.actions import unreadable
from hub.sdk.errors import MalformedPayload
from hub.sdk.events import Ref

_FORBIDDEN = 403
_NOT_FOUND = 404
_TAG = "hub"
_STILL_OFF = (
    "The webhook is switched off, because Typeform shows no secret for it: in Typeform open "
    "Connect > Webhooks > Edit, enter the connection's signing secret, and switch the webhook on"
)


def find_response(call: Call) -> Sending:
    """Find one response of a form by its id, or the newest whose answers hold a text.

    Typeform adds a response to this list up to 30 minutes after it was given.
    """
    form = call.text("form")
    # Without response_type the list holds only completed responses.
    query = {"page_size": "1", "response_type": "completed,partial"}
    if call.has("response"):
        query["included_response_ids"] = call.text("response")
    elif call.has("query"):
        query["query"] = call.text("query")
    else:
        raise InvalidInput(
            "response", "is missing", "give the response's id, or a text to look for in `query`"
        )
    response = yield Request(method="GET", path=f"/forms/{quote(form)}/responses", query=query)
    if not response.ok:
        return failed(response, field="form" if response.status == _NOT_FOUND else "")
    try:
        item = response.payload()["items"][0]
        if not item:
            return Nothing(
                reason="no such response is listed; Typeform lists one up to 30 minutes late"
            )
        token = (item["token"] or item["response_id"]).id()
        after = {
            "form": form,
            "submitted_at": item["submitted_at"].opt_str() or "",
            "answers": sum(1 for _ in item["answers"]),
        }
    except MalformedPayload as error:
        return unreadable(error)
    return Delivered(ref=Ref(system="typeform", kind="response", id=token), after=after)


def register_webhook(call: Call) -> Sending:
    """Point a form's webhook of a tag at the hub, and switch it on once it is known to be signed.

    Typeform signs with a secret that a person enters there, and sends unsigned without one, which
    the hub refuses; so the webhook is written switched off, and switched on only when Typeform's
    answer shows that it has a secret. Otherwise the note says what is left to do.
    """
    form, tag = call.text("form"), call.text("tag", _TAG)
    path = f"/forms/{quote(form)}/webhooks/{quote(tag)}"
    wanted = {
        "url": call.text("url"),
        "enabled": call.inputs.get("enabled", True) is not False,
        "verify_ssl": True,
        "event_types": {
            "form_response": True,
            "form_response_partial": call.inputs.get("partial", True) is not False,
        },
    }
    ref = Ref(system="typeform", kind="webhook", id=f"{form}/{tag}")
    response = yield Request(method="GET", path=path)
    if not response.ok and response.status != _NOT_FOUND:
        return failed(response)
    try:
        before = _shown(response.payload()) if response.ok else None
        if before == wanted:
            return Nothing(reason="the form's webhook is already set so", ref=ref)
        return (yield from _write(path, wanted, ref, before))
    except MalformedPayload as error:
        return unreadable(error)


def _write(path: str, wanted: dict[str, Any], ref: Ref, before: dict[str, Any] | None) -> Sending:
    off = {**wanted, "enabled": False}
    response = yield Request(method="PUT", path=path, json=off, repeatable=True)
    if not response.ok:
        return failed(response, field="form" if response.status == _NOT_FOUND else "")
    signed = response.payload()["secret"].opt_str()
    if not (wanted["enabled"] and signed):
        note = _STILL_OFF if wanted["enabled"] else ""
        return Delivered(ref=ref, before=before, after=off, note=note)
    response = yield Request(method="PUT", path=path, json=wanted, repeatable=True)
    if not response.ok:
        return failed(response)
    return Delivered(ref=ref, before=before, after=wanted)


def check_form(call: Call) -> Checking:
    """Check when a route is saved that the form exists and the address is one Typeform can call."""
    faults: list[InvalidInput] = []
    if not call.is_template("url") and not call.text("url", "").startswith(("https://", "http://")):
        faults.append(
            InvalidInput("url", "is not a web address", "paste the connection's webhook address")
        )
    if call.is_template("form"):
        return tuple(faults)
    response = yield Request(method="GET", path=f"/forms/{quote(call.text('form'))}")
    if response.status == _NOT_FOUND:
        mend = "take it from the form's address, after /form/ or /to/"
        faults.append(InvalidInput("form", f"Typeform knows no form {call.text('form')!r}", mend))
    return tuple(faults)


def probe(call: Call) -> Probing:
    """Ask Typeform whose token it is (`GET /me`, scope `accounts:read`)."""
    del call
    response = yield Request(method="GET", path="/me")
    if response.status == _FORBIDDEN:
        return Rejected(
            reason="the token may not read the account: give it the scope accounts:read",
            field="access_token",
        )
    if not response.ok:
        return failed(response)
    try:
        me = response.payload()
        account = me["user_id"].opt_id() or me["alias"].opt_id() or me["email"].id()
        label = me["email"].opt_str() or me["alias"].opt_str() or account
    except MalformedPayload as error:
        return unreadable(error)
    return Account(id=account, label=label, workspace=account)


def _shown(webhook: Payload) -> dict[str, Any]:
    events = webhook["event_types"]
    return {
        "url": webhook["url"].opt_str() or "",
        "enabled": webhook["enabled"].opt_bool() or False,
        "verify_ssl": webhook["verify_ssl"].opt_bool() or False,
        "event_types": {
            "form_response": bool(events["form_response"].raw),
            "form_response_partial": bool(events["form_response_partial"].raw),
        },
    }
