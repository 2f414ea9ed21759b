"""Jira's events in shared terms: issues, comments, versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hub.sdk import Context, EventTable, MalformedPayload, Payload
from hub.sdk.events import (
    Actor,
    Change,
    Event,
    Ref,
    ReleasePublished,
    Status,
    StatusCategory,
    Text,
    Visibility,
    WorkItemCommented,
    WorkItemCreated,
    WorkItemDeleted,
    WorkItemStatusChanged,
    WorkItemUpdated,
)
from hub.sdk.text import from_adf, from_wiki

_CATEGORIES: dict[str, StatusCategory] = {
    "new": "todo",
    "indeterminate": "in_progress",
    "done": "done",
    "undefined": "todo",
}
# Only the name of the status before is in the changelog; its category is read from common names.
_BY_NAME: dict[str, StatusCategory] = {
    "to do": "todo", "open": "todo", "backlog": "todo", "new": "todo", "reopened": "todo",
    "selected for development": "todo",
    "in progress": "in_progress", "in review": "in_progress", "code review": "in_progress",
    "in testing": "in_progress", "blocked": "in_progress",
    "done": "done", "closed": "done", "resolved": "done", "released": "done",
}  # fmt: skip
_CANCELED = ("Won't Do", "Won't Fix", "Duplicate", "Cannot Reproduce", "Declined")
# A comment changes the issue as well; the comment's own webhook tells it better.
_BY_COMMENT = frozenset({"issue_commented", "issue_comment_edited", "issue_comment_deleted"})
_ACCOUNT_TYPES: dict[str, Any] = {"app": "bot", "customer": "customer", "atlassian": "user"}


def issue_ref(issue: Payload, context: Context) -> Ref:
    """Return the reference to an issue: its number lasts, its key may change."""
    key = issue["key"].str()
    return Ref(system="jira", kind="issue", id=issue["id"].id(), key=key, url=_browse(key, context))


def _browse(key: str, context: Context) -> str:
    site = context.config.get("site")
    return f"https://{site}/browse/{key}" if site else ""


def _actor(person: Payload) -> Actor:
    """Return who did it; Data Center names people by `name` or `key`."""
    if not person:
        return Actor(kind="system")
    identifier = (
        person["accountId"].opt_str() or person["name"].opt_str() or person["key"].opt_str()
    )
    return Actor(
        kind=person["accountType"].one_of(_ACCOUNT_TYPES, "user"),
        id=identifier or "",
        name=person["displayName"].opt_str() or "",
        email=person["emailAddress"].opt_str() or "",
    )


def _person(person: Payload) -> Actor | None:
    return _actor(person) if person else None


def markdown(text: Payload) -> str:
    """Return a Jira text as Markdown: a document (ADF) or wiki markup, which plain text also is."""
    if not text:
        return ""
    if isinstance(text.raw, dict):
        return from_adf(text.raw)
    return from_wiki(text.str())


def _status(fields: Payload, context: Context) -> Status:
    status = fields["status"]
    category = status["statusCategory"]["key"].one_of(_CATEGORIES, "todo")
    name = status["name"].opt_str() or ""
    resolution = fields["resolution"]["name"].opt_str() or ""
    # "Won't Do" has the category done as well, and must not be told as shipped.
    canceled = context.config.get("canceled_resolutions", _CANCELED)
    if category == "done" and resolution in canceled:
        category = "canceled"
    return Status(name=name, category=category)


def _common(payload: Payload, context: Context) -> dict[str, Any]:
    """Return what every event of an issue carries. Comments carry a reduced issue."""
    issue = payload["issue"]
    fields = issue["fields"]
    ref = issue_ref(issue, context)
    return {
        "key": ref.key,
        "title": Text(text=fields["summary"].opt_str() or "", visibility="team"),
        "kind": fields["issuetype"]["name"].opt_str() or "",
        "status": _status(fields, context),
        "project": fields["project"]["key"].opt_str() or ref.key.rpartition("-")[0],
        "priority": fields["priority"]["name"].opt_str() or "",
        "resolution": fields["resolution"]["name"].opt_str() or "",
        "labels": fields["labels"].strings(),
        "assignee": _person(fields["assignee"]),
        "reporter": _person(fields["reporter"]),
        "fix_versions": tuple(name for v in fields["fixVersions"] if (name := v["name"].opt_str())),
        "url": ref.url,
    }


def _time(payload: Payload, context: Context) -> datetime:
    """Return when it happened: Jira stamps every webhook with the change's own time."""
    if payload["timestamp"]:
        return payload["timestamp"].unix_millis()
    updated = payload["issue"]["fields"]["updated"]
    return updated.iso_time() if updated else context.received_at


def _created(payload: Payload, context: Context) -> tuple[Event, ...]:
    data = WorkItemCreated(
        **_common(payload, context),
        actor=_actor(payload["user"]),
        body=Text(text=markdown(payload["issue"]["fields"]["description"]), visibility="team"),
    )
    return (
        Event(
            subject=issue_ref(payload["issue"], context), time=_time(payload, context), data=data
        ),
    )


def _changes(payload: Payload) -> tuple[Change, ...]:
    changes = []
    for item in payload["changelog"]["items"]:
        before = item["fromString"].opt_str() or item["from"].opt_id() or ""
        after = item["toString"].opt_str() or item["to"].opt_id() or ""
        changes.append(Change(field=item["field"].str().lower(), before=before, after=after))
    return tuple(changes)


def _updated(payload: Payload, context: Context) -> tuple[Event, ...]:
    changes = _changes(payload)
    if not changes and payload["issue_event_type_name"].opt_str() in _BY_COMMENT:
        return ()
    subject = issue_ref(payload["issue"], context)
    common = {**_common(payload, context), "actor": _actor(payload["user"]), "changes": changes}
    moved = next((change for change in changes if change.field == "status"), None)
    time = _time(payload, context)
    if moved is None:
        body = Text(text=markdown(payload["issue"]["fields"]["description"]), visibility="team")
        return (Event(subject=subject, time=time, data=WorkItemUpdated(**common, body=body)),)
    previous = Status(name=moved.before, category=_BY_NAME.get(moved.before.lower(), "todo"))
    data = WorkItemStatusChanged(**common, previous_status=previous)
    return (Event(subject=subject, time=time, data=data),)


def _deleted(payload: Payload, context: Context) -> tuple[Event, ...]:
    data = WorkItemDeleted(**_common(payload, context), actor=_actor(payload["user"]))
    return (
        Event(
            subject=issue_ref(payload["issue"], context), time=_time(payload, context), data=data
        ),
    )


def _visibility(comment: Payload, issue: Payload) -> Visibility:
    """Return who may read a comment: restricted ones stay where they are.

    Only a service project has customers who read comments. `jsdPublic` is true elsewhere as well,
    so without a project that says it is one, a comment is the company's.
    """
    if comment["visibility"]:
        return "private"
    service = issue["fields"]["project"]["projectTypeKey"].opt_str() == "service_desk"
    return "public" if service and comment["jsdPublic"].opt_bool() is True else "team"


def _comment(*, edited: bool) -> Any:
    def normalize(payload: Payload, context: Context) -> tuple[Event, ...]:
        subject = issue_ref(payload["issue"], context)
        comment = payload["comment"]
        ref = Ref(system="jira", kind="comment", id=comment["id"].id())
        author = (
            comment["updateAuthor"] if edited and comment["updateAuthor"] else comment["author"]
        )
        data = WorkItemCommented(
            **_common(payload, context),
            actor=_actor(author or payload["user"]),
            refs=(subject, ref),
            comment=Text(
                text=markdown(comment["body"]), visibility=_visibility(comment, payload["issue"])
            ),
            comment_ref=ref,
            edited=edited,
        )
        return (Event(subject=subject, time=_comment_time(payload, context), data=data),)

    return normalize


def _comment_time(payload: Payload, context: Context) -> datetime:
    if payload["timestamp"]:
        return payload["timestamp"].unix_millis()
    comment = payload["comment"]
    stamp = comment["updated"] or comment["created"]
    return stamp.iso_time() if stamp else context.received_at


def _released(payload: Payload, context: Context) -> tuple[Event, ...]:
    version = payload["version"]
    name = version["name"].str()
    ref = Ref(system="jira", kind="version", id=version["id"].id(), key=name)
    data = ReleasePublished(
        actor=_actor(payload["user"]),
        name=name,
        project=version["projectId"].opt_id() or "",
        notes=Text(text=version["description"].opt_str() or "", visibility="team"),
        released_on=version["releaseDate"].opt_str() or version["userReleaseDate"].opt_str() or "",
    )
    return (Event(subject=ref, time=_time(payload, context), data=data),)


def _dropped(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Understood, and of no use: nothing in the shared schema tells it."""
    if not isinstance(payload.raw, dict):
        raise MalformedPayload("$", "object", "something else")
    return ()


table = EventTable(
    {
        "jira:issue_created": _created,
        "jira:issue_updated": _updated,
        "jira:issue_deleted": _deleted,
        "comment_created": _comment(edited=False),
        "comment_updated": _comment(edited=True),
        "comment_deleted": _dropped,
        "jira:version_released": _released,
        "jira:version_created": _dropped,
        "jira:version_updated": _dropped,
        "jira:version_deleted": _dropped,
        "issuelink_created": _dropped,
        "issuelink_deleted": _dropped,
        "issue_property_set": _dropped,
        "issue_property_deleted": _dropped,
    }
)
