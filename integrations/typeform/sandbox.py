"""A stand-in for Typeform: forms that people answer, the API the hub uses, signed webhooks.

It holds what `integrations.typeform.actions` reads and writes: the account, forms, responses and
webhooks, in the shapes of typeform.com/developers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

from hub.sdk import InboundRequest, Response, json
from hub.sdk.sandbox import OutgoingWebhook, answer
from hub.sdk.sandbox import Sandbox as Base
from hub.sdk.signature import sign

_BY_FIELD: dict[str, str] = {
    "nps": "number", "rating": "number", "opinion_scale": "number", "number": "number",
    "short_text": "text", "long_text": "text", "email": "email", "website": "url",
    "phone_number": "phone_number", "date": "date", "yes_no": "boolean", "legal": "boolean",
    "multiple_choice": "choice", "dropdown": "choice", "picture_choice": "choices",
    "ranking": "choices", "file_upload": "file_url",
}  # fmt: skip
"""Which answer type Typeform sends for a question's type."""


class Sandbox(Base):
    """One Typeform account with a survey that asks for an NPS, and its webhook switched on."""

    initial: ClassVar[dict[str, Any]] = {
        "account": {"user_id": "01SANDBOXACCOUNT", "alias": "Acme", "email": "ops@acme.example",
                    "language": "en"},
        "forms": {
            "NpsQ4": {
                "id": "NpsQ4",
                "title": "How are we doing?",
                "hidden": ["user_id", "email", "name", "company", "plan"],
                "fields": [
                    {"id": "Fnps00000001", "ref": "recommend", "type": "nps",
                     "title": "How likely are you to recommend us?", "properties": {}},
                    {"id": "Fwhy00000002", "ref": "why", "type": "long_text",
                     "title": "What is the main reason for your score?", "properties": {}},
                    {"id": "Farea0000003", "ref": "area", "type": "multiple_choice",
                     "title": "What is it about?",
                     "properties": {"choices": [
                         {"id": "Cbroken00001", "ref": "broken", "label": "Something is broken"},
                         {"id": "Cmissing0002", "ref": "missing", "label": "I miss a feature"},
                         {"id": "Cother000003", "ref": "else", "label": "Something else"},
                     ]}},
                    {"id": "Feffort00004", "ref": "effort", "type": "opinion_scale",
                     "title": "How easy was it to get help?",
                     "properties": {"steps": 7, "start_at_one": True}},
                    {"id": "Fstars000005", "ref": "stars", "type": "rating",
                     "title": "How do you like the new export?", "properties": {"steps": 5}},
                    {"id": "Fmail0000006", "ref": "email", "type": "email",
                     "title": "Where can we answer you?", "properties": {}},
                ],
            },
        },
        "responses": [],
        "webhooks": {
            "NpsQ4/hub": {
                "id": "01SANDBOXWEBHOOK", "form_id": "NpsQ4", "tag": "hub",
                "url": "https://hub.example/webhooks/typeform", "enabled": True,
                "verify_ssl": True, "secret": None, "shared_secret": True,
                "event_types": {"form_response": True, "form_response_partial": True},
                "created_at": "2026-11-01T08:00:00Z", "updated_at": "2026-11-01T08:00:00Z",
            },
        },
    }  # fmt: skip

    def handle(self, request: InboundRequest) -> Response:
        """Answer `GET /me`, forms, responses, and webhooks by tag; all else is 404."""
        if request.header("authorization") != f"Bearer {self.token}":
            return _fault(
                401, "AUTHENTICATION_FAILED", "Authentication credentials not found or invalid"
            )
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        query = {name: values[-1] for name, values in parse_qs(request.query).items()}
        forms = self.state["forms"]
        match (request.method, parts):
            case ("GET", ["me"]):
                found = answer(200, self.state["account"])
            case (_, ["forms", name, *_]) if name not in forms:
                found = _fault(404, "FORM_NOT_FOUND", f"Form {name} does not exist")
            case ("GET", ["forms", name]):
                found = answer(200, forms[name])
            case ("GET", ["forms", name, "responses"]):
                found = self._responses(name, query)
            case ("GET", ["forms", name, "webhooks"]):
                hooks = self.state["webhooks"].values()
                mine = [self._hook(hook) for hook in hooks if hook["form_id"] == name]
                found = answer(200, {"items": mine})
            case ("GET" | "PUT" | "DELETE", ["forms", name, "webhooks", tag]):
                found = self._webhook(request, name, tag)
            case _:
                found = _fault(404, "NOT_FOUND", "Endpoint not found")
        return found

    def act(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person does.

        respond {form?, answers: {ref: value}, hidden?, partial?, token?}
            fills a form in; gives {token, event_id}. With `token` the response begun before goes
            on. A choice is named by its text; a matrix is not offered.
        form {id, title, fields}
            makes a form; gives {form}.
        """
        acts: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "respond": self._respond,
            "form": self._form,
        }
        if name not in acts:
            message = f"unknown act {name!r}; known: {', '.join(acts)}"
            raise KeyError(message)
        return acts[name](args)

    @classmethod
    def sign(cls, body: bytes, secret: str, now: datetime) -> dict[str, str]:
        """Return the headers of a webhook; without a secret Typeform sends no signature."""
        del now
        headers = {"content-type": "application/json", "user-agent": "Typeform Webhooks"}
        if secret:
            headers["typeform-signature"] = "sha256=" + sign(secret, body, encoding="base64")
        return headers

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return the responses with their answers as text, and the webhooks."""
        responses = [
            {
                "token": item["token"],
                "form": item["form_id"],
                "submitted": item["submitted_at"] or "in part",
                "answers": "; ".join(
                    f"{one['field']['ref']}: {_shown(one[one['type']])}" for one in item["answers"]
                ),
                "hidden": json.text(item["hidden"]),
            }
            for item in self.state["responses"]
        ]
        webhooks = [
            {name: hook[name] for name in ("form_id", "tag", "url", "enabled")}
            for hook in self.state["webhooks"].values()
        ]
        return {"responses": responses, "webhooks": webhooks}

    def _stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _form(self, args: Mapping[str, Any]) -> dict[str, Any]:
        form = {"hidden": [], **args}
        self.state["forms"][form["id"]] = form
        return {"form": form["id"]}

    def _respond(self, args: Mapping[str, Any]) -> dict[str, Any]:
        form = self.state["forms"][args.get("form", "NpsQ4")]
        partial = bool(args.get("partial"))
        now = self._stamp()
        token = args.get("token") or f"tok{self.number('response'):08d}"
        kept = next((one for one in self.state["responses"] if one["token"] == token), None)
        if kept is None:
            kept = {"token": token, "response_id": token, "landing_id": token, "landed_at": now,
                    "form_id": form["id"], "hidden": {}, "answers": []}  # fmt: skip
            self.state["responses"].append(kept)
        kept["hidden"].update(args.get("hidden", {}))
        fresh = [_answer(form, ref, value) for ref, value in args.get("answers", {}).items()]
        again = {one["field"]["ref"] for one in fresh}
        order = [field["ref"] for field in form["fields"]]
        kept["answers"] = sorted(
            [one for one in kept["answers"] if one["field"]["ref"] not in again] + fresh,
            key=lambda one: order.index(one["field"]["ref"]),
        )
        kept["staged_at"] = now
        kept["submitted_at"] = None if partial else now
        kind = "form_response_partial" if partial else "form_response"
        event_id = f"01EVENT{self.number('event'):06d}"
        self._send(kind, event_id, form, kept)
        return {"token": token, "event_id": event_id}

    def _send(
        self, kind: str, event_id: str, form: dict[str, Any], response: dict[str, Any]
    ) -> None:
        definition = {"id": form["id"], "title": form["title"],
                      "fields": [_public(field) for field in form["fields"]]}  # fmt: skip
        told = {
            "form_id": form["id"],
            "token": response["token"],
            "landed_at": response["landed_at"],
            "definition": definition,
            "answers": response["answers"],
            "response_url": f"https://admin.typeform.com/form/{form['id']}/results"
            f"?responseId={response['token']}#responses",
        }
        if response["submitted_at"]:
            told["submitted_at"] = response["submitted_at"]
        if response["hidden"]:
            told["hidden"] = response["hidden"]
        body = json.dumps({"event_id": event_id, "event_type": kind, "form_response": told})
        for hook in self.state["webhooks"].values():
            wants = hook["enabled"] and hook["event_types"].get(kind)
            if hook["form_id"] != form["id"] or not wants:
                continue
            headers = self.sign(body, self._secret(hook), self.now())
            self.outbox.append(OutgoingWebhook(body=body, headers=headers))

    def _responses(self, form_id: str, query: Mapping[str, str]) -> Response:
        types = query.get("response_type", "completed").split(",")
        included = [one for one in query.get("included_response_ids", "").split(",") if one]
        words = query.get("query", "").casefold()
        items = [
            {name: value for name, value in item.items() if name != "form_id"}
            for item in reversed(self.state["responses"])
            if item["form_id"] == form_id
            and ("completed" if item["submitted_at"] else "partial") in types
            and (not included or item["token"] in included)
            and words in json.text([item["answers"], item["hidden"]]).casefold()
        ]
        size = query.get("page_size", "25")
        if not size.isdigit() or not 1 <= int(size) <= 1000:  # noqa: PLR2004
            return _fault(400, "BAD_REQUEST", "page_size must be a number from 1 to 1000")
        pages = -(-len(items) // int(size))
        return answer(
            200, {"total_items": len(items), "page_count": pages, "items": items[: int(size)]}
        )

    def _webhook(self, request: InboundRequest, form_id: str, tag: str) -> Response:
        name = f"{form_id}/{tag}"
        hook = self.state["webhooks"].get(name)
        if request.method == "PUT":
            return self._put_webhook(request, name, hook)
        if hook is None:
            return _fault(404, "WEBHOOK_NOT_FOUND", f"Webhook {tag} does not exist")
        if request.method == "DELETE":
            del self.state["webhooks"][name]
            return Response(status=204)
        return answer(200, self._hook(hook))

    def _put_webhook(
        self, request: InboundRequest, name: str, hook: dict[str, Any] | None
    ) -> Response:
        body = request.payload().raw
        if not isinstance(body, dict) or not str(body.get("url", "")).startswith("http"):
            details = [{"code": "INVALID_URL", "field": "/url", "in": "body"}]
            return _fault(400, "VALIDATION_ERROR", "url must be a valid web address", details)
        form_id, _, tag = name.partition("/")
        now = self._stamp()
        saved = {
            "id": hook["id"] if hook else f"01HOOK{self.number('webhook'):06d}",
            "form_id": form_id,
            "tag": tag,
            "url": body["url"],
            "enabled": bool(body.get("enabled", False)),
            "verify_ssl": bool(body.get("verify_ssl", True)),
            # The vendor's pages do not say what becomes of a secret that a PUT leaves out.
            "secret": body.get("secret") or (hook["secret"] if hook else None),
            "shared_secret": bool(hook and hook["shared_secret"] and not body.get("secret")),
            "event_types": body.get("event_types") or {"form_response": True},
            "created_at": hook["created_at"] if hook else now,
            "updated_at": now,
        }
        self.state["webhooks"][name] = saved
        return answer(200, self._hook(saved))

    def _secret(self, hook: Mapping[str, Any]) -> str:
        return hook["secret"] or (self.secret if hook.get("shared_secret") else "")

    def _hook(self, hook: Mapping[str, Any]) -> dict[str, Any]:
        shown = {k: v for k, v in hook.items() if k not in ("secret", "shared_secret")}
        secret = self._secret(hook)
        return {**shown, "secret": secret} if secret else shown


def _answer(form: Mapping[str, Any], ref: str, value: Any) -> dict[str, Any]:
    field = next((one for one in form["fields"] if one["ref"] == ref), None)
    if field is None:
        message = f"form {form['id']} has no question {ref!r}"
        raise KeyError(message)
    kind = _BY_FIELD[field["type"]]
    choices = field.get("properties", {}).get("choices", [])
    if kind == "choice":
        value = next((one for one in choices if one["label"] == value), {"other": value})
    elif kind == "choices":
        picked = [one for one in choices if one["label"] in value]
        value = {f"{name}s": [one[name] for one in picked] for name in ("id", "label", "ref")}
    shown = {"id": field["id"], "type": field["type"], "ref": field["ref"]}
    return {"type": kind, kind: value, "field": shown}


def _public(field: Mapping[str, Any]) -> dict[str, Any]:
    # A webhook's definition tells the choices of a question, and not the bounds of a scale.
    properties = field.get("properties", {})
    shown = {name: field[name] for name in ("id", "ref", "type", "title")}
    choices = {"choices": properties["choices"]} if "choices" in properties else {}
    return {**shown, "properties": {}, **choices}


def _shown(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return str(value.get("label") or value.get("other") or ", ".join(value.get("labels", [])))


def _fault(
    status: int, code: str, description: str, details: list[dict[str, str]] | None = None
) -> Response:
    document = {"code": code, "description": description, "details": details or []}
    return answer(status, document)
