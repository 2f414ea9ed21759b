"""What is put on an issue: comments, properties, links to other tools."""

from __future__ import annotations

import hashlib

from hub.sdk import Call, Delivered, InvalidInput, Request, Sending, quote
from hub.sdk.events import Ref
from hub.sdk.text import shorten, to_adf
from integrations.jira.finding import MARKER, refused

TEXT_LIMIT = 30_000
"""Jira takes about 32,767 characters in a comment or a description."""


def _true(call: Call, name: str) -> bool:
    return call.inputs.get(name) in (True, "true", "True")


def add_comment(call: Call) -> Sending:
    """Comment on an issue. In a service project `public` says that the customer reads it."""
    key = call.text("issue")
    # A service project shows a comment to its customer unless this says otherwise; elsewhere the
    # property means nothing.
    internal = _true(call, "internal") or not _true(call, "public")
    properties = [
        {"key": MARKER, "value": {"marker": call.marker}},
        {"key": "sd.public.comment", "value": {"internal": internal}},
    ]
    body = {"body": to_adf(shorten(call.text("body"), TEXT_LIMIT)), "properties": properties}
    response = yield Request(method="POST", path=f"/issue/{quote(key)}/comment", json=body)
    if not response.ok:
        return refused(response, {"comment": "body", "body": "body"})
    ref = Ref(system="jira", kind="comment", id=response.payload()["id"].id())
    return Delivered(ref=ref, written=(ref,), after={"issue": key, "comment": ref.id})


def set_property(call: Call) -> Sending:
    """Store a value on an issue where people do not see it (PUT: doing it twice changes nothing)."""
    key, name = call.text("issue"), call.text("property")
    path = f"/issue/{quote(key)}/properties/{quote(name)}"
    response = yield Request(
        method="PUT", path=path, json=call.inputs.get("value"), repeatable=True
    )
    if not response.ok:
        return refused(response)
    ref = Ref(system="jira", kind="issue", key=key)
    return Delivered(
        ref=ref, after={"issue": key, "property": name, "value": call.inputs.get("value")}
    )


def add_remote_link(call: Call) -> Sending:
    """Link an issue to a page elsewhere; the same address updates its link."""
    key, url = call.text("issue"), call.text("url")
    if not url.startswith(("https://", "http://")):
        raise InvalidInput("url", "is no web address", "begin it with https://")
    identifier = "hub:" + hashlib.sha256(url.encode()).hexdigest()[:32]
    body = {"globalId": identifier, "object": {"url": url, "title": call.text("title", url)}}
    path = f"/issue/{quote(key)}/remotelink"
    response = yield Request(method="POST", path=path, json=body, repeatable=True)
    if not response.ok:
        return refused(response)
    link = Ref(system="jira", kind="remote_link", id=response.payload()["id"].id())
    return Delivered(ref=link, after={"issue": key, "url": url})
