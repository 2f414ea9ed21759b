"""A stand-in of a Jira site: one project with a workflow, its API, its signed webhooks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import unquote

from hub.sdk import InboundRequest, Response, json
from hub.sdk.sandbox import Sandbox as Base
from hub.sdk.sandbox import answer
from hub.sdk.signature import sign
from hub.sdk.text import from_adf, plain

_HUB = {
    "accountId": "hub-bot",
    "displayName": "The hub",
    "accountType": "app",
    "emailAddress": "hub@acme.example",
}
_PEOPLE = {
    "u-lee": {"accountId": "u-lee", "displayName": "Lee Park", "accountType": "atlassian"},
    "u-kim": {"accountId": "u-kim", "displayName": "Kim Sato", "accountType": "atlassian"},
    "hub-bot": _HUB,
}
_STATUSES = {
    "To Do": ("10000", "new"),
    "In Progress": ("10001", "indeterminate"),
    "In Review": ("10002", "indeterminate"),
    "Done": ("10003", "done"),
}
_TYPES = {"Bug": "1", "Task": "2", "Story": "3"}
_TIER = {
    "fieldId": "customfield_10010", "key": "customfield_10010", "name": "Customer tier", "required": True,
    "hasDefaultValue": False, "allowedValues": [{"value": "Gold"}, {"value": "Silver"}],
}  # fmt: skip
_FIELDS = [
    {"fieldId": name, "key": name, "name": name.capitalize(), "required": name in {"summary", "project", "issuetype"},
     "hasDefaultValue": False}
    for name in ("summary", "project", "issuetype", "description", "labels", "priority")
]  # fmt: skip
_PREFIX = "rest/api/3/"


class _Refused(Exception):
    """An error answer in Jira's form."""

    def __init__(self, status: int, *messages: str, **errors: str) -> None:
        super().__init__(messages, errors)
        self.answer = answer(status, {"errorMessages": list(messages), "errors": errors})


class Sandbox(Base):
    """A site with the project APP: Bug, Task, and Story, which demands a customer tier."""

    initial: ClassVar[dict[str, Any]] = {"issues": {}, "versions": []}

    @classmethod
    def sign(cls, body: bytes, secret: str, now: datetime) -> dict[str, str]:
        """Return a webhook's headers; the identifier is one for each body and time."""
        identifier = hashlib.sha256(body + now.isoformat().encode()).hexdigest()[:32]
        return {
            "content-type": "application/json",
            "x-atlassian-webhook-identifier": identifier,
            "x-atlassian-webhook-flow": "Primary",
            "x-hub-signature": "sha256=" + sign(secret, body),
        }

    def handle(self, request: InboundRequest) -> Response:
        """Answer a request of the REST API."""
        given = (request.header("authorization") or "").removeprefix("Basic ")
        try:
            password = base64.b64decode(given).decode().rpartition(":")[2]
        except ValueError:
            password = ""
        if password != self.token:
            return answer(
                401, {"errorMessages": ["Client must be authenticated to access this resource."]}
            )
        path = [unquote(part) for part in request.path.removeprefix(_PREFIX).strip("/").split("/")]
        try:
            return self._route(request, path)
        except _Refused as refused:
            return refused.answer

    def act(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person does in Jira.

        create_issue {project?, summary, type?, description?, labels?, author?} -> id, key
        comment {issue, body, author?, internal?, public?} -> comment
        transition {issue, status, resolution?, author?}; release {name, author?}
        """
        acts: dict[str, Callable[[Mapping[str, Any], dict[str, Any]], dict[str, Any]]] = {
            "create_issue": self._person_creates,
            "comment": self._person_comments,
            "transition": self._person_moves,
            "release": self._person_releases,
        }
        if name not in acts:
            message = f"{name!r} is none of: {', '.join(acts)}"
            raise KeyError(message)
        try:
            return acts[name](
                args, _PEOPLE.get(str(args.get("author") or "u-lee"), _PEOPLE["u-lee"])
            )
        except _Refused as refused:
            message = f"{name} {dict(args)}: {refused}"
            raise KeyError(message) from None

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return issues and comments."""
        issues = list(self.state["issues"].values())
        return {
            "issues": [
                {"key": i["key"], "summary": i["summary"], "type": i["type"], "status": i["status"],
                 "labels": ", ".join(i["labels"]), "links": len(i["links"])}
                for i in issues
            ],
            "comments": [
                {"issue": i["key"], "author": c["author"]["displayName"], "body": c["body"]}
                for i in issues for c in i["comments"]
            ],
        }  # fmt: skip

    def _route(self, request: InboundRequest, path: list[str]) -> Response:
        match (request.method, path):
            case ("GET", ["myself"]):
                return answer(200, _HUB)
            case ("POST", ["search", "jql"]):
                return self._search()
            case ("POST", ["issue"]):
                return self._create(_body(request))
            case ("GET", ["issue", "createmeta", project, "issuetypes"]):
                _project(project)
                return answer(
                    200, {"issueTypes": [{"id": n, "name": name} for name, n in _TYPES.items()]}
                )
            case ("GET", ["issue", "createmeta", project, "issuetypes", kind]):
                _project(project)
                return answer(
                    200, {"fields": _FIELDS + ([_TIER] if kind == _TYPES["Story"] else [])}
                )
            case (_, ["issue", key, *rest]):
                return self._issue(request, self._found(key), rest)
        return answer(404, {"errorMessages": ["No such resource."]})

    def _issue(self, request: InboundRequest, issue: dict[str, Any], rest: list[str]) -> Response:
        match (request.method, rest):
            case ("GET", []):
                return answer(
                    200, {"id": issue["id"], "key": issue["key"], "fields": self._fields(issue)}
                )
            case ("PUT", []):
                return self._edit(issue, _body(request))
            case ("GET", ["transitions"]):
                ways = [s for s in _STATUSES if s != issue["status"]]
                return answer(
                    200,
                    {
                        "transitions": [
                            {"id": str(11 + n), "name": s, "to": _status(s)}
                            for n, s in enumerate(ways)
                        ]
                    },
                )
            case ("POST", ["transitions"]):
                ways = [s for s in _STATUSES if s != issue["status"]]
                chosen = int(str(_body(request).get("transition", {}).get("id") or 0)) - 11
                if not 0 <= chosen < len(ways):
                    raise _Refused(
                        400,
                        "It seems that you have tried to perform a workflow operation that is not valid.",
                    )
                resolution = (_body(request).get("fields") or {}).get("resolution", {}).get("name")
                self._move(issue, ways[chosen], resolution, _HUB)
                return answer(204)
            case ("POST", ["comment"]):
                body = _body(request)
                if not isinstance(body.get("body"), dict):
                    raise _Refused(400, comment="Comment body is not valid!")
                comment = self._comment(
                    issue, from_adf(body["body"]), _HUB, properties=body.get("properties") or []
                )
                return answer(201, {"id": comment["id"], "author": _HUB, "body": body["body"]})
            case ("GET", ["comment"]):
                return answer(
                    200,
                    {
                        "comments": list(reversed(issue["comments"])),
                        "total": len(issue["comments"]),
                    },
                )
            case ("GET", ["properties", name]):
                if name not in issue["properties"]:
                    raise _Refused(404, "The property does not exist.")
                return answer(200, {"key": name, "value": issue["properties"][name]})
            case ("PUT", ["properties", name]):
                issue["properties"][name] = json.loads(request.body)
                return answer(200)
            case ("POST", ["remotelink"]):
                return self._link(issue, _body(request))
        return answer(404, {"errorMessages": ["No such resource."]})

    def _found(self, key: str) -> dict[str, Any]:
        for issue in self.state["issues"].values():
            if key in {issue["key"], issue["id"]}:
                found: dict[str, Any] = issue
                return found
        raise _Refused(404, "Issue does not exist or you do not have permission to see it.")

    def _search(self) -> Response:
        newest = sorted(self.state["issues"].values(), key=lambda i: int(i["id"]), reverse=True)
        found = [
            {"id": i["id"], "key": i["key"], "fields": self._fields(i)}
            for i in newest
            if i["author"] == _HUB["accountId"]
        ]
        return answer(200, {"issues": found, "isLast": True})

    def _create(self, body: dict[str, Any]) -> Response:
        fields = body.get("fields") or {}
        project = (fields.get("project") or {}).get("key")
        kind = (fields.get("issuetype") or {}).get("name")
        errors: dict[str, str] = {}
        if project != "APP":
            errors["project"] = "valid project is required"
        if kind not in _TYPES:
            errors["issuetype"] = "Specify a valid issue type"
        if not fields.get("summary"):
            errors["summary"] = "You must specify a summary of the issue."
        if kind == "Story" and not fields.get("customfield_10010"):
            errors["customfield_10010"] = "Customer tier is required."
        if "description" in fields and not isinstance(fields["description"], dict):
            errors["description"] = "Operation value must be an Atlassian Document"
        if errors:
            raise _Refused(400, **errors)
        issue = self._new(
            str(fields["summary"]), str(kind), from_adf(fields.get("description") or {}), fields.get("labels") or [],
            _HUB, priority=(fields.get("priority") or {}).get("name"),
        )  # fmt: skip
        issue["properties"] = {item["key"]: item["value"] for item in body.get("properties") or []}
        self._notify("jira:issue_created", issue, _HUB, issue_event_type_name="issue_created")
        return answer(
            201,
            {
                "id": issue["id"],
                "key": issue["key"],
                "self": f"https://acme.atlassian.net/rest/api/3/issue/{issue['id']}",
            },
        )

    def _new(
        self,
        summary: str,
        kind: str,
        description: str,
        labels: list[str],
        author: dict[str, Any],
        *,
        priority: str | None = None,
    ) -> dict[str, Any]:
        number = self.number("issue")
        issue: dict[str, Any] = {
            "id": str(10_000 + number), "key": f"APP-{number}", "summary": summary, "type": kind,
            "description": description, "labels": [str(label) for label in labels], "status": "To Do",
            "resolution": None, "priority": priority or "Medium", "author": author["accountId"],
            "created": self._stamp(), "updated": self._stamp(), "comments": [], "links": [], "properties": {},
        }  # fmt: skip
        self.state["issues"][issue["key"]] = issue
        return issue

    def _edit(self, issue: dict[str, Any], body: dict[str, Any]) -> Response:
        items = []
        for name, value in (body.get("fields") or {}).items():
            shown = (
                from_adf(value) if isinstance(value, dict) and value.get("type") == "doc" else value
            )
            shown = shown.get("name") if isinstance(shown, dict) and "name" in shown else shown
            items.append(_item(name, str(issue.get(name) or ""), str(shown)))
            issue[name] = shown
        self._changed(issue, items, _HUB)
        return answer(204)

    def _move(
        self, issue: dict[str, Any], status: str, resolution: str | None, who: dict[str, Any]
    ) -> None:
        items = [_item("status", issue["status"], status)]
        issue["status"] = status
        done = _STATUSES[status][1] == "done"
        held, issue["resolution"] = issue["resolution"], (resolution or "Done") if done else None
        if held != issue["resolution"]:
            items.append(_item("resolution", held or "", issue["resolution"] or ""))
        self._changed(issue, items, who)

    def _changed(
        self, issue: dict[str, Any], items: list[dict[str, Any]], who: dict[str, Any]
    ) -> None:
        issue["updated"] = self._stamp()
        log = {"id": str(self.number("changelog", 20_000)), "items": items}
        self._notify(
            "jira:issue_updated", issue, who, issue_event_type_name="issue_generic", changelog=log
        )

    def _comment(
        self,
        issue: dict[str, Any],
        text: str,
        who: dict[str, Any],
        *,
        properties: list[Any],
        extra: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        comment = {
            "id": str(self.number("comment", 30_000)), "author": who, "updateAuthor": who,
            # Webhooks carry comments as text, whatever they were written as.
            "body": plain(text), "created": self._stamp(), "updated": self._stamp(), "properties": properties,
            **(extra or {}),
        }  # fmt: skip
        issue["comments"].append(comment)
        shown = {name: value for name, value in comment.items() if name != "properties"}
        self._notify("comment_created", issue, who, comment=shown)
        return comment

    def _link(self, issue: dict[str, Any], body: dict[str, Any]) -> Response:
        for link in issue["links"]:
            if body.get("globalId") and link["globalId"] == body["globalId"]:
                link.update(body.get("object") or {})
                return answer(200, {"id": link["id"]})
        link = {
            "id": self.number("link", 40_000),
            "globalId": body.get("globalId"),
            **(body.get("object") or {}),
        }
        issue["links"].append(link)
        return answer(201, {"id": link["id"]})

    def _person_creates(self, args: Mapping[str, Any], who: dict[str, Any]) -> dict[str, Any]:
        issue = self._new(
            str(args["summary"]),
            str(args.get("type") or "Bug"),
            str(args.get("description") or ""),
            list(args.get("labels") or ()),
            who,
        )
        self._notify("jira:issue_created", issue, who, issue_event_type_name="issue_created")
        return {"id": issue["id"], "key": issue["key"]}

    def _person_comments(self, args: Mapping[str, Any], who: dict[str, Any]) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if args.get("internal"):
            extra["visibility"] = {"type": "role", "value": "Developers"}
        if "public" in args:
            extra["jsdPublic"] = bool(args["public"])
        comment = self._comment(
            self._found(str(args["issue"])), str(args["body"]), who, properties=[], extra=extra
        )
        return {"comment": comment["id"]}

    def _person_moves(self, args: Mapping[str, Any], who: dict[str, Any]) -> dict[str, Any]:
        issue = self._found(str(args["issue"]))
        status = str(args["status"])
        if status not in _STATUSES:
            message = f"{status!r} is none of: {', '.join(_STATUSES)}"
            raise KeyError(message)
        self._move(issue, status, args.get("resolution"), who)
        return {"status": status}

    def _person_releases(self, args: Mapping[str, Any], who: dict[str, Any]) -> dict[str, Any]:
        version = {
            "id": str(self.number("version", 50_000)), "name": str(args["name"]), "description": str(args.get("description") or ""),
            "released": True, "releaseDate": self.now().date().isoformat(), "projectId": 10_000,
        }  # fmt: skip
        self.state["versions"].append(version)
        self.send(
            {
                "timestamp": self._millis(),
                "webhookEvent": "jira:version_released",
                "user": who,
                "version": version,
            }
        )
        return {"version": version["id"]}

    def _fields(self, issue: dict[str, Any]) -> dict[str, Any]:
        resolution = {"name": issue["resolution"]} if issue["resolution"] else None
        return {
            "summary": issue["summary"], "description": plain(issue["description"]), "status": _status(issue["status"]),
            "resolution": resolution, "issuetype": {"id": _TYPES[issue["type"]], "name": issue["type"]},
            "project": {"id": "10000", "key": "APP", "name": "App"}, "priority": {"name": issue["priority"]},
            "labels": issue["labels"], "assignee": None, "reporter": _PEOPLE.get(issue["author"], _HUB),
            "fixVersions": [], "created": issue["created"], "updated": issue["updated"],
        }  # fmt: skip

    def _notify(self, event: str, issue: dict[str, Any], who: dict[str, Any], **more: Any) -> None:
        fields = self._fields(issue)
        if event.startswith("comment"):
            # Comment events carry a reduced issue and no `user`.
            shown_to = "service_desk" if "jsdPublic" in more["comment"] else "software"
            fields["project"]["projectTypeKey"] = shown_to
            fields = {
                name: fields[name]
                for name in ("summary", "issuetype", "project", "priority", "status", "assignee")
            }
        shown = {
            "id": issue["id"],
            "key": issue["key"],
            "self": f"https://acme.atlassian.net/rest/api/2/{issue['id']}",
            "fields": fields,
        }
        head: dict[str, Any] = {"timestamp": self._millis(), "webhookEvent": event}
        if not event.startswith("comment"):
            head["user"] = who
        self.send({**head, **more, "issue": shown})

    def _stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"

    def _millis(self) -> int:
        return int(self.now().timestamp() * 1000)


def _body(request: InboundRequest) -> dict[str, Any]:
    found = json.loads(request.body or b"{}")
    return found if isinstance(found, dict) else {}


def _project(key: str) -> None:
    if key != "APP":
        raise _Refused(404, "No project could be found with key '" + key + "'.")


def _status(name: str) -> dict[str, Any]:
    number, category = _STATUSES[name]
    return {"id": number, "name": name, "statusCategory": {"key": category}}


def _item(field: str, before: str, after: str) -> dict[str, Any]:
    return {
        "field": field,
        "fieldId": field,
        "fieldtype": "jira",
        "from": None,
        "fromString": before,
        "to": None,
        "toString": after,
    }
