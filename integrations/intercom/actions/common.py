"""How every action speaks to Intercom: its addresses, the teammate who writes, and its faults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from hub.sdk import (
    Call,
    InvalidInput,
    MalformedPayload,
    Outcome,
    Payload,
    Rejected,
    Response,
    RetryLater,
    failed,
    quote,
    retry_after,
)
from hub.sdk.events import Ref
from hub.sdk.text import SAME_TEXT, fingerprint, from_html, similarity
from integrations.intercom.refs import ref

_PLACES = {"conversation": "conversations", "ticket": "tickets"}
# How far back an earlier attempt is looked for: the retries of a delivery end after 37 hours.
_LOOK_BACK = timedelta(days=2)


def kind_of(call: Call) -> str:
    """Return whether the call is about a conversation or a ticket. Raises `InvalidInput`."""
    kind = call.text("kind", "conversation")
    if kind not in _PLACES:
        raise InvalidInput("kind", f"is {kind!r}", "give `conversation` or `ticket`")
    return kind


def path_of(call: Call, rest: str = "") -> str:
    """Return the path of the conversation or ticket that the call names."""
    return f"/{_PLACES[kind_of(call)]}/{quote(call.text('conversation'))}{rest}"


def target(call: Call) -> Ref:
    """Refer to the conversation or ticket that the call names."""
    return ref(kind_of(call), call.text("conversation"))


def writer(call: Call) -> str:
    """Return the id of the teammate in whose name the hub writes. Raises `InvalidInput`."""
    admin_id = call.setting("admin_id") or (call.account.id if call.account else "")
    if not admin_id:
        mend = "test the connection, or give the connection's config an `admin_id`"
        raise InvalidInput("admin_id", "nobody is known to write as", mend)
    return admin_id


def since(call: Call) -> int:
    """Return the unix time since when an earlier attempt may have written."""
    return max(0, int((call.now - _LOOK_BACK).timestamp()))


def refused(response: Response, call: Call, *, missing: str = "", field: str = "") -> Outcome:
    """Read an answer that is not 2xx.

    `missing` says in words what a 404 means; `field` is the input at fault.
    Errors are `{type: "error.list", errors: [{code, message}]}`, see
    https://developers.intercom.com/docs/references/rest-api/errors/error-objects
    """
    said = _message(response)
    if response.status == 404 and missing:  # noqa: PLR2004
        return Rejected(reason=f"HTTP 404: {missing} ({said or 'not found'})", field=field)
    if response.status == 403:  # noqa: PLR2004
        mend = "give the app the permission in Developer Hub > Authentication, and install it again"
        return Rejected(reason=f"HTTP 403: {said or 'forbidden'} ({mend})", field=field)
    if response.status == 429:  # noqa: PLR2004
        reason = f"HTTP 429: {said or 'too many requests'}"
        return RetryLater(
            reason=reason, after=_wait(response, call.now), limited=True, effect=False
        )
    return failed(response, reason=said, field=field)


def unread(response: Response, what: str) -> MalformedPayload:
    """Say that an earlier attempt could not be looked for, so the look-up is tried again later."""
    return MalformedPayload("$", what, f"HTTP {response.status}: {response.excerpt(120)}")


def same(written: str, seen: str) -> bool:
    """Return whether HTML that Intercom shows is the Markdown that the hub wrote."""
    if similarity(fingerprint(written), fingerprint(seen)) >= SAME_TEXT:
        return True
    return from_html(seen).strip() == written.strip()


def gone(call: Call) -> str:
    """Say that the conversation or ticket is not there."""
    return (
        f"{kind_of(call)} {call.text('conversation')} is not in this workspace: "
        "it was deleted, or the id belongs to another one"
    )


def opt_list(value: Payload) -> tuple[Payload, ...]:
    """Return an array's items; anything else counts as empty."""
    return tuple(value) if isinstance(value.raw, list) else ()


def _message(response: Response) -> str:
    try:
        errors = opt_list(response.payload()["errors"])
        return "; ".join(
            f"{error['code'].opt_str() or 'error'}: {error['message'].opt_str() or ''}"
            for error in errors
        )
    except MalformedPayload:
        return ""


def _wait(response: Response, now: datetime) -> float | None:
    # Intercom sends no Retry-After but the unix time at which its window of 10 s begins anew
    # (docs: REST API > Errors > Rate limiting).
    asked = retry_after(response)
    if asked is not None:
        return asked
    try:
        reset = datetime.fromtimestamp(int(response.header("x-ratelimit-reset") or ""), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    try:
        now = parsedate_to_datetime(response.header("date") or "")
        return max(0.0, (reset - now).total_seconds())
    except (ValueError, TypeError):
        return max(0.0, (reset - now).total_seconds()) if now.year > 1970 else None  # noqa: PLR2004
