"""Looking things up in Jira: what an earlier attempt made, an issue, whose token it is."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from hub.sdk import (
    Account,
    Call,
    Delivered,
    Finding,
    InvalidInput,
    Nothing,
    Outcome,
    Payload,
    Probing,
    Request,
    Response,
    RetryLater,
    Sending,
    failed,
    quote,
)
from hub.sdk.events import Ref

MARKER = "hub.origin"
"""The entity property in which what the hub makes carries its marker. People do not see it."""
_CANDIDATES = 20
_COMMENTS = 50


def refused(response: Response, fields: Mapping[str, str] | None = None) -> Outcome:
    """Read an error answer `{errorMessages: [text], errors: {field: text}}`, naming the input."""
    try:
        payload = response.payload()
        errors = {name: payload["errors"][name].str() for name in payload["errors"].keys()}  # noqa: SIM118
        texts = [
            *payload["errorMessages"].strings(),
            *(f"{name}: {text}" for name, text in errors.items()),
        ]
    except Exception:  # noqa: BLE001 - an error page in another form
        return failed(response)
    field = next(iter(errors), "")
    return failed(response, reason="; ".join(texts), field=(fields or {}).get(field, field))


def issue(payload: Payload, call: Call) -> Ref:
    """Return the reference to an issue of an answer (`id` and `key`)."""
    key = payload["key"].str()
    site = call.setting("site")
    return Ref(
        system="jira", kind="issue", id=payload["id"].id(), key=key,
        url=f"https://{site}/browse/{key}" if site else "",
    )  # fmt: skip


def search(jql: str, fields: list[str], *, most: int) -> Request:
    """Return a search (POST /search/jql; the older /search is gone)."""
    body = {"jql": jql, "fields": fields, "maxResults": most}
    return Request(method="POST", path="/search/jql", json=body, repeatable=True)


def quoted(text: str) -> str:
    """Write a text as a JQL string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def find_created(call: Call) -> Finding:
    """Look for the issue that an earlier attempt may have made.

    JQL finds properties only where an app has declared them for the index, so the newest issues
    that the hub's account has made in the project are asked for theirs, one by one.
    """
    jql = (
        f"project = {quoted(call.text('project'))} AND creator = currentUser() "
        'AND created >= "-3d" ORDER BY created DESC'
    )
    response = yield search(jql, ["summary"], most=_CANDIDATES)
    if not response.ok:
        return failed(response)
    newest = list(response.payload()["issues"])[:_CANDIDATES]
    for found in newest:
        ref = issue(found, call)
        response = yield Request(
            method="GET", path=f"/issue/{quote(ref.id)}/properties/{quote(MARKER)}"
        )
        if response.status == 404:  # noqa: PLR2004 - it has none
            continue
        if not response.ok:
            return failed(response)
        if response.payload()["value"]["marker"].opt_str() == call.marker:
            return Delivered(ref=ref, written=(ref,), note="found by its marker")
    if len(newest) == _CANDIDATES:
        reason = f"it is not among the {_CANDIDATES} newest issues of the hub, and there are more"
        return RetryLater(reason=reason)
    return None


def find_comment(call: Call) -> Finding:
    """Look for the comment that an earlier attempt may have made, by its property."""
    path = f"/issue/{quote(call.text('issue'))}/comment"
    query = {"orderBy": "-created", "maxResults": str(_COMMENTS), "expand": "properties"}
    response = yield Request(method="GET", path=path, query=query)
    if not response.ok:
        return failed(response)
    for comment in response.payload()["comments"]:
        for item in comment["properties"]:
            if item["key"].opt_str() == MARKER and item["value"]["marker"].opt_str() == call.marker:
                ref = Ref(system="jira", kind="comment", id=comment["id"].id())
                return Delivered(ref=ref, written=(ref,), note="found by its marker")
    return None


def find_issue(call: Call) -> Sending:
    """Find one issue by its key, by JQL, or by the marker it was made with."""
    if call.has("key"):
        path = f"/issue/{quote(call.text('key'))}"
        response = yield Request(method="GET", path=path, query={"fields": "summary,status"})
        if response.status == 404:  # noqa: PLR2004
            return Nothing(reason=f"there is no issue {call.text('key')}")
        if not response.ok:
            return refused(response)
        return _found(response.payload(), call)
    if call.has("marker"):
        marked = Call(inputs=call.inputs, config=call.config, marker=call.text("marker"))
        found: Outcome | None = yield from find_created(marked)
        return found or Nothing(reason="no issue has this marker")
    if not call.has("jql"):
        raise InvalidInput("key", "is missing", "give a key, a jql, or a marker with its project")
    response = yield search(call.text("jql"), ["summary", "status"], most=1)
    if not response.ok:
        return refused(response, {"jql": "jql"})
    for item in response.payload()["issues"]:
        return _found(item, call)
    return Nothing(reason="no issue fits the jql")


def _found(payload: Payload, call: Call) -> Delivered:
    ref = issue(payload, call)
    fields = payload["fields"]
    after: dict[str, Any] = {
        "key": ref.key,
        "summary": fields["summary"].opt_str(),
        "status": fields["status"]["name"].opt_str(),
    }
    return Delivered(ref=ref, after=after)


def read(path: str, **query: str) -> Generator[Request, Response, Response]:
    """Read one thing."""
    return (yield Request(method="GET", path=path, query=query))


def probe(call: Call) -> Probing:
    """Ask whose token it is (GET /myself)."""
    response = yield Request(method="GET", path="/myself")
    if not response.ok:
        return failed(response)
    payload = response.payload()
    return Account(
        id=payload["accountId"].str(),
        label=payload["displayName"].opt_str() or "",
        workspace=call.setting("site"),
    )
