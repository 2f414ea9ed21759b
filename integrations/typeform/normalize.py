"""Typeform's responses -> `survey.responded`, and `feedback.received` when something was said."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from hub.sdk import Context, EventTable, Payload
from hub.sdk.events import (
    Actor,
    Customer,
    Event,
    FeedbackKind,
    FeedbackReceived,
    Ref,
    Score,
    SurveyResponded,
    Text,
)
from hub.sdk.text import from_plain, shorten
from integrations.typeform.answers import Given, plain_values, read_answers

_TITLE_LENGTH = 120
_WORD_LENGTH = 2000

_HIDDEN: dict[str, tuple[str, ...]] = {
    "external_id": ("user_id", "userid", "customer_id", "external_id"),
    "email": ("email", "user_email"),
    "name": ("name", "full_name", "user_name"),
    "company": ("company", "company_name", "account"),
    "plan": ("plan",),
    "language": ("language", "lang", "locale"),
}
"""What the event knows of a customer -> the hidden fields teams commonly use for it."""

_KINDS: dict[str, FeedbackKind] = {
    "bug": "bug",
    "idea": "idea",
    "question": "question",
    "praise": "praise",
    "other": "other",
}
_SCORE_NAMES = {"nps": "NPS", "csat": "CSAT", "ces": "CES", "stars": "Rating", "scale": "Score"}
# NPS calls 0 to 6 detractors and 9 to 10 promoters; the same shares of other scales are read so.
_LOW, _HIGH = 0.6, 0.9


def _response(body: Payload, context: Context, *, complete: bool) -> tuple[Event, ...]:
    """Normalize a response. A partial one has the same subject as the complete one after it.

    Only a complete response becomes feedback, so that half an answer opens no work.
    """
    config = Payload(dict(context.config), "config")
    response = body["form_response"]
    form_id = (response["form_id"] or response["definition"]["id"]).id()
    subject = Ref(
        system="typeform",
        kind="response",
        id=(response["token"] or response["response_id"]).id(),
        url=response["response_url"].opt_str() or "",
    )
    form = Ref(system="typeform", kind="form", id=form_id)
    hidden = plain_values(response["hidden"])
    given = read_answers(response, config)
    customer = _customer(hidden, given)
    score = _main_score(given, config)
    comment = _main_comment(given, config)
    # What people type into a form is plain text; a star in it is a star.
    said = Text(text=from_plain(comment), visibility="public")
    attributes = {**_variables(response["variables"]), **hidden}
    refs = (subject, form, *_linked(hidden, config))
    actor = Actor(
        kind="customer", id=customer.external_id, name=customer.name, email=customer.email
    )
    language = _pick(hidden, "language")
    when = next(
        (response[name].iso_time() for name in _TIMES[complete] if response[name]),
        context.received_at,
    )
    survey = SurveyResponded(
        actor=actor,
        refs=refs,
        survey=form,
        title=response["definition"]["title"].opt_str() or "",
        complete=complete,
        answers=tuple(one.answer for one in given),
        score=score,
        comment=said,
        customer=customer,
        url=subject.url,
        language=language,
        attributes=attributes,
    )
    told = Event(subject=subject, time=when, data=survey)
    if not complete or not (comment or score):
        return (told,)
    feedback = FeedbackReceived(
        actor=actor,
        refs=refs,
        kind=_kind(given, score, config),
        title=Text(text=_title(comment, score), visibility="public"),
        body=said,
        rating=score,
        channel="survey",
        customer=customer,
        url=subject.url,
        language=language,
        attributes=attributes,
    )
    return told, Event(subject=subject, time=when, data=feedback)


# A partial response keeps the time it was begun, so that it never looks newer than the complete
# one, however late it is delivered.
_TIMES = {True: ("submitted_at", "landed_at"), False: ("staged_at", "landed_at", "submitted_at")}


def _pick(hidden: Mapping[str, str | float | bool], what: str) -> str:
    by_name = {name.lower(): value for name, value in hidden.items()}
    for name in _HIDDEN[what]:
        value = by_name.get(name)
        if value not in (None, "") and not isinstance(value, bool):
            return str(value)[:_WORD_LENGTH]  # anyone may put anything into a link
    return ""


def _customer(hidden: Mapping[str, str | float | bool], given: tuple[Given, ...]) -> Customer:
    answered = next(
        (str(one.answer.value) for one in given if one.answer.type == "email" and one.answer.value),
        "",
    )
    return Customer(
        external_id=_pick(hidden, "external_id"),
        email=_pick(hidden, "email") or answered,
        name=_pick(hidden, "name"),
        company=_pick(hidden, "company"),
        plan=_pick(hidden, "plan"),
    )


def _linked(hidden: Mapping[str, str | float | bool], config: Payload) -> tuple[Ref, ...]:
    """Return the things of other tools that hidden fields name, as the connection's config says."""
    links = config["links"]
    return tuple(
        Ref(
            system=links[name]["system"].str(),
            kind=links[name]["kind"].str(),
            id=str(hidden[name])[:_WORD_LENGTH],
        )
        for name in links.keys()  # noqa: SIM118 - a Payload iterates over arrays
        if hidden.get(name) not in (None, "")
    )


def _variables(variables: Payload) -> dict[str, str | float | bool]:
    read: dict[str, str | float | bool] = {}
    for variable in variables:
        name = variable["key"].opt_str()
        value = variable[variable["type"].opt_str() or ""]
        if name and value:
            read[name] = value.str() if variable["type"].raw == "text" else value.number()
    return read


def _main_score(given: tuple[Given, ...], config: Payload) -> Score | None:
    """Return the score of the question named in the config, else the NPS, else the first score."""
    scored = [one for one in given if one.answer.score]
    named = config["score_question"].opt_str()
    if named:
        scored = [one for one in scored if one.is_named(named)]
    best = min(scored, key=lambda one: one.field_type != "nps", default=None)
    return best.answer.score if best else None


def _main_comment(given: tuple[Given, ...], config: Payload) -> str:
    """Return the main free text.

    That is the answer named in the config; else the first long text; else the first recording's
    transcript; else the first short text after a score (a "why?", where one before it may be a
    name).
    """
    named = config["comment_question"].opt_str()
    if named:
        return next((_words(one) for one in given if one.is_named(named)), "")
    for field_type in ("long_text", "multi_format"):
        for one in given:
            if one.field_type == field_type and _words(one):
                return _words(one)
    first = next((place for place, one in enumerate(given) if one.answer.score), len(given))
    return next((_words(one) for one in given[first:] if one.field_type == "short_text"), "")


def _words(one: Given) -> str:
    return one.answer.value.strip() if isinstance(one.answer.value, str) else ""


def _kind(given: tuple[Given, ...], score: Score | None, config: Payload) -> FeedbackKind:
    """Return the kind by an answered choice, else by the score, as the connection's config says."""
    by_choice = config["kind_by_choice"]
    for one in given:
        value = one.answer.value
        for label in value if isinstance(value, tuple) else (value,):
            if isinstance(label, str) and by_choice[label]:
                return by_choice[label].one_of(_KINDS, "other")
    if score is None:
        return "other"
    share = (score.value - score.min) / (score.max - score.min) if score.max > score.min else 0
    band = "low" if share <= _LOW else "high" if share >= _HIGH else "middle"
    return config["kind_by_score"][band].one_of(_KINDS, "other")


def _title(comment: str, score: Score | None) -> str:
    if comment:
        return shorten(" ".join(comment.split()), _TITLE_LENGTH)
    if score is None:
        return ""
    return f"{_SCORE_NAMES[score.kind]} {score.value:g} of {score.max:g}"


table = EventTable(
    {
        "form_response": partial(_response, complete=True),
        "form_response_partial": partial(_response, complete=False),
    }
)
