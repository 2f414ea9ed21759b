"""What is done with issues: create, edit, move; and what a project demands of a new one."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from hub.sdk import (
    Call,
    Checking,
    Delivered,
    InvalidInput,
    Nothing,
    Payload,
    Rejected,
    Request,
    Response,
    Sending,
    failed,
    quote,
)
from hub.sdk.events import Ref
from hub.sdk.text import plain, shorten, to_adf
from integrations.jira.comments import TEXT_LIMIT
from integrations.jira.finding import MARKER, issue, refused

_SUMMARY_LIMIT = 255
_INPUT_OF = {"issuetype": "issue_type", "project": "project"}
_OWN = ("project", "issuetype", "summary", "description", "labels", "priority", "reporter")
"""Fields that have an input of their own, or that Jira fills in."""


def _fields(call: Call) -> dict[str, Any]:
    """Return the `fields` of the API for the inputs that are given."""
    fields: dict[str, Any] = {}
    if call.has("summary"):
        fields["summary"] = shorten(" ".join(plain(call.text("summary")).split()), _SUMMARY_LIMIT)
    if call.has("description"):
        fields["description"] = to_adf(shorten(call.text("description"), TEXT_LIMIT))
    if call.has("labels"):
        # Jira refuses labels with spaces.
        fields["labels"] = [str(label).replace(" ", "-") for label in _list(call.inputs["labels"])]
    if call.has("priority"):
        fields["priority"] = {"name": call.text("priority")}
    own = call.inputs.get("fields")
    if isinstance(own, dict):
        fields.update(own)
    return fields


def _list(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [item for item in value if item not in (None, "")]
    return [part.strip() for part in str(value).split(",") if part.strip()]


def create_issue(call: Call) -> Sending:
    """Create an issue with the marker as a property (POST /issue)."""
    fields = {
        **_fields(call),
        "project": {"key": call.text("project")},
        "issuetype": {"name": call.text("issue_type")},
    }
    if "summary" not in fields:
        raise InvalidInput("summary", "is missing", "give the issue a title")
    body = {"fields": fields, "properties": [{"key": MARKER, "value": {"marker": call.marker}}]}
    response = yield Request(method="POST", path="/issue", json=body)
    if not response.ok:
        return refused(response, _INPUT_OF)
    ref = issue(response.payload(), call)
    return Delivered(ref=ref, written=(ref,), after={"key": ref.key, "summary": fields["summary"]})


def edit_issue(call: Call) -> Sending:
    """Change fields of an issue (PUT: doing it twice changes nothing)."""
    key, fields = call.text("issue"), _fields(call)
    if not fields:
        return Nothing(reason="no field was given", ref=Ref(system="jira", kind="issue", key=key))
    names = ",".join(sorted(fields))
    response = yield Request(method="GET", path=f"/issue/{quote(key)}", query={"fields": names})
    if not response.ok:
        return refused(response)
    before = response.payload()
    ref = issue(before, call)
    old = {name: before["fields"][name].raw for name in sorted(fields) if before["fields"][name]}
    response = yield Request(
        method="PUT", path=f"/issue/{quote(key)}", json={"fields": fields}, repeatable=True
    )
    if not response.ok:
        return refused(response)
    return Delivered(ref=ref, before=old, after=fields)


def transition_issue(call: Call) -> Sending:
    """Move an issue to a status, or to any status of a category.

    Transition ids differ by workflow, so the way is looked up: by the status it leads to.
    """
    key = call.text("issue")
    status, category = call.text("status", ""), call.text("category", "")
    if not status and not category:
        raise InvalidInput(
            "status", "is missing", "give a status, or a category: todo, in_progress, done"
        )
    response = yield Request(method="GET", path=f"/issue/{quote(key)}", query={"fields": "status"})
    if not response.ok:
        return refused(response)
    payload = response.payload()
    ref, now = issue(payload, call), payload["fields"]["status"]
    held = now["name"].opt_str() or ""
    if _fits(now, status, category):
        return Nothing(reason=f"{ref.key} is {held!r} already", ref=ref)
    response = yield Request(method="GET", path=f"/issue/{quote(key)}/transitions")
    if not response.ok:
        return refused(response)
    ways = list(response.payload()["transitions"])
    way = next((item for item in ways if _fits(item["to"], status, category)), None)
    if way is None:
        there = (
            ", ".join(sorted({repr(item["to"]["name"].opt_str() or "") for item in ways})) or "none"
        )
        wanted = status or f"category {category}"
        reason = f"no transition to {wanted!r} from {held!r}: available are {there}"
        return Rejected(reason=reason, field="status" if status else "category")
    body: dict[str, Any] = {"transition": {"id": way["id"].id()}}
    if call.has("resolution"):
        body["fields"] = {"resolution": {"name": call.text("resolution")}}
    response = yield Request(method="POST", path=f"/issue/{quote(key)}/transitions", json=body)
    if not response.ok:
        return refused(response, {"resolution": "resolution"})
    return Delivered(
        ref=ref, before={"status": held}, after={"status": way["to"]["name"].opt_str()}
    )


_CATEGORY_KEYS = {"todo": "new", "in_progress": "indeterminate", "done": "done"}


def _fits(status: Payload, name: str, category: str) -> bool:
    if name:
        return (status["name"].opt_str() or "").casefold() == name.casefold()
    return status["statusCategory"]["key"].opt_str() == _CATEGORY_KEYS.get(category, category)


def check_create(call: Call) -> Checking:
    """Compare a step's inputs with what the project demands of a new issue.

    An input that is a template counts as given; a project or type that is one cannot be checked.
    """
    if call.is_template("project") or not call.has("project"):
        return ()
    project = call.text("project")
    path = f"/issue/createmeta/{quote(project)}/issuetypes"
    response = yield Request(method="GET", path=path, query={"maxResults": "200"})
    if response.status in {400, 404}:
        return (InvalidInput("inputs.project", f"there is no project {project!r} for this account",
                             "use the key before the number in an issue's name"),)  # fmt: skip
    if not response.ok:
        return (_unasked(response),)
    kinds = {
        kind["name"].opt_str() or "": kind["id"].id()
        for kind in _either(response.payload(), "issueTypes", "values")
    }
    if call.is_template("issue_type") or not call.has("issue_type"):
        return ()
    wanted = call.text("issue_type")
    if wanted not in kinds:
        known = ", ".join(sorted(kinds))
        return (
            InvalidInput(
                "inputs.issue_type", f"{project} has no issue type {wanted!r}", f"it has: {known}"
            ),
        )
    response = yield from _read_fields(path, kinds[wanted])
    if not response.ok:
        return (_unasked(response),)
    return tuple(_field_faults(call, _either(response.payload(), "fields", "values")))


def _read_fields(path: str, kind: str) -> Generator[Request, Response, Response]:
    return (yield Request(method="GET", path=f"{path}/{quote(kind)}", query={"maxResults": "200"}))


def _either(payload: Payload, *names: str) -> list[Payload]:
    """Return the first of these lists that is there: the API has named them differently."""
    return next((list(payload[name]) for name in names if payload[name]), [])


def _field_faults(call: Call, metadata: list[Payload]) -> list[InvalidInput]:
    own = call.inputs.get("fields")
    given: Mapping[str, Any] = own if isinstance(own, dict) else {}
    known = {(item["fieldId"].opt_str() or item["key"].opt_str() or ""): item for item in metadata}
    faults = []
    for name, item in known.items():
        label = item["name"].opt_str() or name
        needed = (
            item["required"].opt_bool() is True and item["hasDefaultValue"].opt_bool() is not True
        )
        if needed and name not in _OWN and given.get(name) in (None, ""):
            values = [
                value
                for v in item["allowedValues"]
                if (value := v["value"].opt_str() or v["name"].opt_str())
            ]
            choice = f"; one of: {', '.join(values)}" if values else ""
            faults.append(
                InvalidInput(
                    f"inputs.fields.{name}", f"the project demands {label!r}", f"give it{choice}"
                )
            )
        if needed and name in {"description", "labels", "priority"} and not call.has(name):
            faults.append(
                InvalidInput(
                    f"inputs.{name}", "the project demands it", "give it a value or a template"
                )
            )
    for name in given:
        if known and name not in known:
            there = (
                ", ".join(sorted(field for field in known if field.startswith("customfield_")))
                or "none"
            )
            faults.append(
                InvalidInput(
                    f"inputs.fields.{name}",
                    "is no field of this issue type",
                    f"custom fields here: {there}",
                )
            )
    return faults


def _unasked(response: Response) -> InvalidInput:
    outcome = failed(response)
    reason = getattr(outcome, "reason", "no answer")
    return InvalidInput("connection", f"Jira could not be asked: {reason}", "test the connection")
