"""Read Typeform's answers: one row for each answer type, and scores with their scale.

What an answer means stands in `field.type` rather than in its own `type`: NPS, ratings and opinion
scales all arrive as numbers. Source: typeform.com/developers/webhooks/example-payload and
/developers/responses/JSON-response-explanation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from hub.sdk import MalformedPayload, Payload, json
from hub.sdk.events import Answer, Score

AnswerType: TypeAlias = Literal[
    "text", "number", "score", "boolean", "choice", "choices", "date", "email", "phone",
    "url", "file", "payment", "ranking", "matrix", "other",
]  # fmt: skip
ScoreKind: TypeAlias = Literal["nps", "csat", "ces", "stars", "scale"]
Value: TypeAlias = str | float | bool | tuple[str, ...] | dict[str, str | float | bool] | None

# `{{field:ref}}` in a title stands for an earlier answer, `{{hidden:name}}` for a hidden field;
# the webhook carries titles with these unresolved.
_PIPING = re.compile(r"\{\{\s*(field|hidden):([^{}]+?)\s*\}\}")

_LARGEST = 1e15


class Scale(NamedTuple):
    """The lowest and highest value of a score, and what kind of score it is."""

    min: float
    max: float
    kind: ScoreKind


# What Typeform's editor offers when nobody changes it: NPS is always 0 to 10, a rating has five
# steps from 1, an opinion scale eleven from 0 (developer docs, "Create form").
_DEFAULTS: dict[str, Scale] = {
    "nps": Scale(0, 10, "nps"),
    "rating": Scale(1, 5, "stars"),
    "opinion_scale": Scale(0, 10, "scale"),
}
_KINDS: dict[str, ScoreKind] = {
    "nps": "nps",
    "csat": "csat",
    "ces": "ces",
    "stars": "stars",
    "scale": "scale",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A field of the form's definition; `matrix` is the question that a row belongs to."""

    id: str
    ref: str
    title: str
    type: str
    properties: Payload
    matrix: Question | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """One answer with the question's own type, which says what the answer means."""

    answer: Answer
    field_type: str
    field_id: str

    def is_named(self, name: str) -> bool:
        """Whether `name` is the question's reference or id."""
        return name in (self.answer.id, self.field_id)


def read_answers(response: Payload, config: Payload) -> tuple[Given, ...]:
    """Return the answers of a `form_response` in order; the rows of a matrix become one answer.

    Raises `MalformedPayload` when an answer's value is not of its type.
    """
    questions = dict(_questions(response["definition"]["fields"], None))
    known = _known_words(response)
    found: dict[str, Given] = {}
    for item in response["answers"]:
        field = item["field"]
        field_id = field["id"].opt_id() or ""
        ref = field["ref"].opt_str() or field_id
        question = questions.get(field_id) or questions.get(ref)
        title = _PIPING.sub(
            lambda match: known.get(f"{match[1]}:{match[2]}", match[0]),
            question.title if question else "",
        )
        field_type = field["type"].opt_str() or (question.type if question else "")
        kind, value = _read(item, field_type)
        if question and question.matrix:
            _add_row(found, question.matrix, title or ref, value)
            continue
        score = None
        if isinstance(value, (int, float)) and kind == "number" and field_type in _DEFAULTS:
            kind = "score"
            score = _score(value, _scale(field_type, field_id, ref, question, config))
        answer = Answer(id=ref, question=title, type=kind, value=value, score=score)
        found[f"{len(found)}:{ref}"] = Given(answer, field_type, field_id)
    return tuple(found.values())


def _questions(fields: Payload, matrix: Question | None) -> Iterator[tuple[str, Question]]:
    for field in fields:
        question = Question(
            id=field["id"].opt_id() or "",
            ref=field["ref"].opt_str() or "",
            title=field["title"].opt_str() or "",
            type=field["type"].opt_str() or "",
            properties=field["properties"],
            matrix=matrix,
        )
        for name in (question.id, question.ref):
            if name:
                yield name, question
        # A group's questions, a contact block's parts and a matrix's rows stand inside it.
        inside = question if question.type == "matrix" else None
        for nested in (field["fields"], field["properties"]["fields"]):
            yield from _questions(nested, inside)


def _known_words(response: Payload) -> dict[str, str]:
    known: dict[str, str] = {}
    for item in response["answers"]:
        _, value = _read(item, "")
        if isinstance(value, tuple):
            value = ", ".join(value)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            for name in (item["field"]["id"].opt_id(), item["field"]["ref"].opt_str()):
                known[f"field:{name}"] = str(value)
    for name in response["hidden"].keys():  # noqa: SIM118 - a Payload iterates over arrays
        shown = response["hidden"][name].raw
        known[f"hidden:{name}"] = shown if isinstance(shown, str) else ""
    return known


def _read(item: Payload, field_type: str) -> tuple[AnswerType, Value]:
    """Return the shared type and the value of one answer; a null value is a skipped question."""
    given = item["type"].opt_str() or "other"
    kind, read = _READERS.get(given, ("other", _anything))
    kind = _BY_FIELD.get((given, field_type), kind)
    return kind, read(item[given]) if item[given] else None


def _number(value: Payload) -> float:
    number = value.number()
    # JSON can say 1e999, and a whole number of any length.
    if not -_LARGEST <= number <= _LARGEST:
        raise MalformedPayload(value.path, "number", "a number out of range")
    return number


def _label(choice: Payload) -> str:
    # An answer typed into "Other" has no label; a picture without a caption has only ids.
    for name in ("label", "other", "ref"):
        if text := choice[name].opt_str():
            return text
    return choice["id"].opt_id() or ""


def _labels(choices: Payload) -> tuple[str, ...]:
    if isinstance(choices.raw, list):  # a checkbox field sends the choices one by one
        return tuple(_label(choice) for choice in choices)
    labels = choices["labels"].strings() or choices["refs"].strings() or choices["ids"].strings()
    other = choices["other"].opt_str()
    return (*labels, other) if other else labels


def _payment(payment: Payload) -> dict[str, str | float | bool]:
    # The cardholder's name and the last digits of the card stay behind: nobody downstream needs
    # them, and the raw webhook has them.
    paid: dict[str, str | float | bool] = {"amount": payment["amount"].opt_id() or ""}
    if payment["success"]:
        paid["success"] = payment["success"].bool()
    return paid


def _signature(signature: Payload) -> str:
    return signature.raw if isinstance(signature.raw, str) else signature["url"].opt_str() or ""


def _spoken(said: Payload) -> str:
    if isinstance(said.raw, str):
        return said.raw
    for name in ("transcript", "text", "video_url", "audio_url", "url"):
        if text := said[name].opt_str():
            return text
    return said["video_id"].opt_id() or ""


def _anything(value: Payload) -> Value:
    raw = value.raw
    return raw if isinstance(raw, (str, bool, int, float)) else json.text(raw)


_READERS: dict[str, tuple[AnswerType, Callable[[Payload], Value]]] = {
    "text": ("text", Payload.str),
    "email": ("email", Payload.str),
    "url": ("url", Payload.str),
    "phone_number": ("phone", Payload.str),
    "date": ("date", Payload.str),
    "number": ("number", _number),
    "boolean": ("boolean", Payload.bool),
    "choice": ("choice", _label),
    "choices": ("choices", _labels),
    "file_url": ("file", Payload.str),
    "payment": ("payment", _payment),
    "signature": ("file", _signature),
    "multi_format": ("text", _spoken),
}
"""Typeform's answer type -> the shared type and how its value is read."""

_BY_FIELD: dict[tuple[str, str], AnswerType] = {
    ("text", "dropdown"): "choice",
    ("choices", "ranking"): "ranking",
}


def _add_row(found: dict[str, Given], matrix: Question, row: str, value: Value) -> None:
    name = f"matrix:{matrix.id or matrix.ref}"
    before = found[name].answer.value if name in found else {}
    rows = dict(before) if isinstance(before, dict) else {}
    rows[row] = ", ".join(value) if isinstance(value, tuple) else _cell(value)
    answer = Answer(id=matrix.ref or matrix.id, question=matrix.title, type="matrix", value=rows)
    found[name] = Given(answer, "matrix", matrix.id)


def _cell(value: Value) -> str | float | bool:
    return value if isinstance(value, (str, bool, int, float)) else ""


def _scale(
    field_type: str, field_id: str, ref: str, question: Question | None, config: Payload
) -> Scale:
    """Return the bounds by what the connection says, else the definition, else the defaults."""
    low, high, kind = _DEFAULTS[field_type]
    properties = question.properties if question else Payload({})
    steps = properties["steps"].opt_int()
    if steps and field_type != "nps":
        low = 1 if field_type == "rating" or properties["start_at_one"].opt_bool() else 0
        high = low + steps - 1
    said = config["scales"][ref] or config["scales"][field_id]
    return Scale(
        _or(said["min"].opt_number(), low),
        _or(said["max"].opt_number(), high),
        said["kind"].one_of(_KINDS, kind),
    )


def _or(given: float | None, otherwise: float) -> float:
    return otherwise if given is None else given


def _score(value: float, scale: Scale) -> Score:
    # A value outside the bounds proves them wrong (an opinion scale set to 1 to 11): widen them.
    return Score(value=value, min=min(scale.min, value), max=max(scale.max, value), kind=scale.kind)


def plain_values(values: Payload) -> Mapping[str, str | float | bool]:
    """Return an object's members as text, number or truth; nulls are left out."""
    return {
        name: raw if isinstance(raw, (str, bool, int, float)) else json.text(raw)
        for name in values.keys()  # noqa: SIM118 - a Payload iterates over arrays
        if (raw := values[name].raw) is not None
    }
