"""Send JSON to any address, signed as Standard Webhooks 1.0.0; the core signs."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, quote

from hub.sdk import (
    Call,
    Delivered,
    InvalidInput,
    MalformedPayload,
    Rejected,
    Request,
    Sending,
    failed,
    json,
)

_GONE = 410
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# These belong to the signature and to the connection itself.
_RESERVED = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "authorization"}
)


def send(call: Call) -> Sending:
    """POST the document to the connection's path at the receiver, or to another path there.

    The receiver sees the delivery's marker as `webhook-id`, the same over all attempts, by which
    it tells a repeat. 410 is a receiver that says it wants no more.
    """
    if not call.setting("url"):
        mend = "fill in the connection's `url`, the receiver, to send"
        raise InvalidInput("url", "the connection has no address", mend)
    content = json.dumps(_document(call))
    headers = {"content-type": _content_type(call), **_headers(call)}
    path, query = _place(call)
    response = yield Request(
        method="POST", path=path, query=query, headers=headers, content=content
    )
    if response.status == _GONE:
        return Rejected(
            reason="HTTP 410: the receiver is gone for good; pause this connection, or give it "
            "the receiver's new address",
            field="url",
        )
    if not response.ok:
        return failed(response)
    return Delivered(after={"status": response.status, "bytes": len(content)})


def _document(call: Call) -> Any:
    if "document" not in call.inputs or call.inputs["document"] in (None, ""):
        mend = "write `{{ event.document }}` to send the whole event"
        raise InvalidInput("document", "is missing", mend)
    document = call.inputs["document"]
    if not isinstance(document, str):
        return document
    try:
        return json.loads(document)
    except MalformedPayload as error:
        mend = "end every value in the template with `| tojson`"
        raise InvalidInput("document", f"is not JSON: {error.got}", mend) from None


def _content_type(call: Call) -> str:
    # A whole event goes out in the JSON form of CloudEvents 1.0 ("structured content mode").
    document = _document(call)
    whole = isinstance(document, dict) and document.get("specversion") == "1.0"
    return "application/cloudevents+json" if whole else "application/json"


def _place(call: Call) -> tuple[str, dict[str, str]]:
    """Return the path and query to post to: the step's own, else the connection's."""
    path, _, query = (call.text("path", "") or call.setting("path", "/")).partition("?")
    if not path.startswith("/") or path.startswith("//") or re.search(r"[\s#\\\x00-\x1f]", path):
        raise InvalidInput("path", "is not a path", "write it as /part/part")
    if ".." in path.split("/"):
        raise InvalidInput("path", "leaves the connection's address", "leave `..` out")
    fields = dict(parse_qsl(query, keep_blank_values=True))
    return quote(path, safe="/%:@!$&'()*+,;=~-._"), fields


def _headers(call: Call) -> dict[str, str]:
    headers = call.inputs.get("headers") or {}
    if not isinstance(headers, dict):
        raise InvalidInput("headers", "is not an object", "write {name: value}")
    for name, value in headers.items():
        place = f"headers.{name}"
        if not _HEADER_NAME.fullmatch(name) or re.search(r"[\x00-\x1f\x7f]", str(value)):
            raise InvalidInput(place, "is not a header", "use plain letters, on one line")
        if name.lower() in _RESERVED or name.lower().startswith("webhook-"):
            raise InvalidInput(place, "is set by the hub", "leave it out")
    return {name.lower(): str(value) for name, value in headers.items()}
