"""A stand-in for any tool: takes signed POSTs on any path, and sends signed webhooks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from hub.sdk import Context, InboundRequest, MalformedPayload, Response, SignatureInvalid, json
from hub.sdk.sandbox import OutgoingWebhook, answer
from hub.sdk.sandbox import Sandbox as Base
from hub.sdk.signature import sign
from integrations.webhook.webhook import check_standard, keys


class Sandbox(Base):
    """A receiver that keeps what it is sent, once for each `webhook-id`."""

    initial: ClassVar[dict[str, Any]] = {"received": {}, "answer": {"status": 200, "times": 0}}

    def handle(self, request: InboundRequest) -> Response:
        """Check the signature and keep a POST; a GET lists what is kept."""
        if request.method == "GET":
            return answer(200, {"received": list(self.state["received"].values())})
        if request.method != "POST":
            return answer(405, {"error": "only GET and POST are taken"}, allow="GET, POST")
        try:
            context = Context(received_at=self.now())
            check_standard(request.header, request.body, [self.token], context)
            document = request.payload().raw
        except SignatureInvalid as error:
            return answer(401, {"error": error.reason})
        except MalformedPayload as error:
            return answer(400, {"error": str(error)})
        forced = self.state["answer"]
        if forced["times"] > 0:
            forced["times"] -= 1
            return answer(forced["status"], {"error": "told to answer so"})
        name = request.header("webhook-id") or ""
        known = self.state["received"].setdefault(
            name,
            {"id": name, "path": "/" + request.path.strip("/"), "document": document,
             "at": self.now().isoformat(), "times": 0},
        )  # fmt: skip
        known["times"] += 1
        return answer(200, {"id": name, "repeat": known["times"] > 1})

    def act(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person or the tool does.

        post {document, id?}
            sends a signed webhook; gives {id}. The same `id` again is the same webhook again.
        answer {status, times?}
            makes the receiver answer the next POSTs so (once by default); gives {}.
        """
        acts: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "post": self._post,
            "answer": self._answer,
        }
        if name not in acts:
            message = f"unknown act {name!r}; known: {', '.join(acts)}"
            raise KeyError(message)
        return acts[name](args)

    @classmethod
    def sign(cls, body: bytes, secret: str, now: datetime) -> dict[str, str]:
        """Return the headers of a Standard Webhooks message with this body."""
        digest = hashlib.sha256(body + now.isoformat().encode()).hexdigest()
        return cls._signed(f"msg_{digest[:24]}", body, secret, now)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return what was received: one row for each `webhook-id`."""
        rows = [
            {**message, "document": json.text(message["document"])}
            for message in self.state["received"].values()
        ]
        return {"received": rows}

    @classmethod
    def _signed(cls, name: str, body: bytes, secret: str, now: datetime) -> dict[str, str]:
        when = str(int(now.timestamp()))
        key = next(keys(secret))
        made = sign(key, f"{name}.{when}.".encode() + body, encoding="base64")
        return {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": when,
            "webhook-signature": f"v1,{made}",
        }

    def _post(self, args: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(args["document"])
        name = str(args.get("id") or f"msg_{self.number('message'):06d}")
        headers = self._signed(name, body, self.secret, self.now())
        self.outbox.append(OutgoingWebhook(body=body, headers=headers))
        return {"id": name}

    def _answer(self, args: Mapping[str, Any]) -> dict[str, Any]:
        self.state["answer"] = {"status": int(args["status"]), "times": int(args.get("times", 1))}
        return {}
