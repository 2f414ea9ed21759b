"""What conversations, tickets and contacts have in common: times, people, texts and links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from hub.sdk import Context, Payload
from hub.sdk.events import Actor, ActorKind, Customer, Event, FeedbackKind, Ref, Text, Visibility
from hub.sdk.text import from_html, from_plain, plain, shorten
from integrations.intercom.refs import ref

_ACTORS: dict[str, ActorKind] = {
    **dict.fromkeys(("user", "lead", "contact", "visitor"), "customer"),
    "admin": "user",
    "teammate": "user",
    "bot": "bot",
    "operator": "bot",
}
_KINDS: dict[str, FeedbackKind] = {
    "bug": "bug",
    "idea": "idea",
    "question": "question",
    "praise": "praise",
    "other": "other",
}
# `source.type` (OpenAPI 2.14, `conversation_source`); a type without a row is its own channel.
_CHANNELS = {
    "conversation": "chat",
    "in_app": "chat",
    "inapp": "chat",
    "messenger": "chat",
    "chat": "chat",
    "push": "chat",
    "phone_call": "phone",
    "phone_switch": "phone",
    "conversation_message": "",
}
_APPS = {
    "https://api.eu.intercom.io": "https://app.eu.intercom.com",
    "https://api.au.intercom.io": "https://app.au.intercom.com",
}
_KEY = re.compile(r"\b[A-Z][A-Z0-9_]+-[0-9]+\b")
_HTML = re.compile(r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>")
_TITLE = 120


def dropped(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Understood, and of no use to the shared schema."""
    del payload, context
    return ()


def item_of(notification: Payload) -> Payload:
    """Return the thing a notification is about."""
    return notification["data"]["item"]


def happened(context: Context, *times: Payload) -> datetime:
    """Return the first time that is there; when Intercom gives none, that of the arrival.

    The API writes unix seconds, the contacts in webhooks ISO 8601.
    """
    for time in times:
        if time:
            return time.iso_time() if isinstance(time.raw, str) else time.unix_time()
    return context.received_at


def identifier(value: Payload) -> str:
    """Return an id as text, empty when it is absent, null or empty."""
    return "" if value.raw == "" else value.opt_id() or ""


def words(value: Payload) -> str:
    """Return a text as it is, empty when it is absent or null."""
    return value.opt_str() or ""


def items(value: Payload, name: str) -> Iterable[Payload]:
    """Return a list object's entries: they stand under `data`, or under their own name."""
    return value["data"] or value[name]


def names(value: Payload, name: str) -> tuple[str, ...]:
    """Return the names in a list object; entries with an id alone are left out."""
    found = (words(entry["name"]) for entry in items(value, name))
    return tuple(dict.fromkeys(name for name in found if name))


def actor(author: Payload) -> Actor:
    """Return who did it."""
    return Actor(
        kind=author["type"].one_of(_ACTORS, "unknown"),
        id=identifier(author["id"]),
        name=words(author["name"]),
        email=words(author["email"]),
    )


def is_customer(author: Payload) -> bool:
    """Return whether an author stands outside the company."""
    return author["type"].one_of(_ACTORS, "unknown") == "customer"


def customer_of(thing: Payload, *authors: Payload) -> Customer:
    """Return the customer of a conversation or a ticket.

    `contacts` holds ids alone, so the name and the address come from what the customer wrote.
    """
    contact = thing["user"] or thing["contacts"]["contacts"][0]
    contact_id = identifier(contact["id"])
    known = [contact, *(author for author in authors if is_customer(author))]
    same = [one for one in known if identifier(one["id"]) == (contact_id or identifier(one["id"]))]
    custom = thing["custom_attributes"]
    return Customer(
        id=next(filter(None, (identifier(one["id"]) for one in same)), ""),
        external_id=identifier(contact["external_id"]) or identifier(contact["user_id"]),
        email=next(filter(None, (words(one["email"]) for one in same)), ""),
        name=next(filter(None, (words(one["name"]) for one in same)), ""),
        company=named(custom, "company"),
        plan=named(custom, "plan"),
    )


def attributes(*sources: Payload) -> dict[str, str | float | bool]:
    """Return attributes that hold something; lists of values are joined, objects left out."""
    found: dict[str, str | float | bool] = {}
    for source in sources:
        for name in source.keys():  # noqa: SIM118 - a Payload is no mapping
            value = source[name].raw
            if isinstance(value, list):
                value = ", ".join(entry for entry in value if isinstance(entry, str))
            if isinstance(value, (str, int, float)) and value != "":
                found[name] = value
    return found


def named(source: Payload, name: str) -> str:
    """Return the attribute of that name in any case, as text; empty when there is none."""
    for key in source.keys():  # noqa: SIM118 - a Payload is no mapping
        if key.lower() == name and isinstance(source[key].raw, str):
            return source[key].str()
    return ""


def work_items(found: Mapping[str, Any], context: Context) -> tuple[Ref, ...]:
    """Return the work items that attributes name by key or by address."""
    wanted = {str(name).lower() for name in context.config.get("work_item_attributes", ())}
    system = str(context.config.get("work_item_system", ""))
    refs: dict[str, Ref] = {}
    for name, value in found.items():
        if system and name.lower() in wanted and isinstance(value, str):
            for key, url in _keys(value):
                refs.setdefault(key, Ref(system=system, kind="issue", key=key, url=url))
    return tuple(refs.values())


def kind_of(signs: Iterable[str], context: Context) -> FeedbackKind:
    """Return the kind of feedback by the first row of the config's table that fits a sign."""
    table: Mapping[str, str] = context.config.get("kinds", {})
    given = {sign.lower() for sign in signs}
    for sign, kind in table.items():
        if sign.lower() in given:
            return _KINDS.get(kind, "other")
    return "other"


def signs_of(
    *,
    tags: Iterable[str] = (),
    topics: Iterable[str] = (),
    ticket_type: str = "",
    found: Mapping[str, Any],
) -> Iterator[str]:
    """Name everything about a report that the config's table of kinds may speak of."""
    yield from (f"tag:{tag}" for tag in tags)
    yield from (f"topic:{topic}" for topic in topics)
    yield f"ticket_type:{ticket_type}"
    yield from (f"attribute:{name}={value}" for name, value in found.items())


def written(text: str) -> str:
    """Return a field's text as Markdown: HTML where a teammate's editor made it, else plain."""
    return from_html(text) if _HTML.search(text) else from_plain(text)


def markdown(part: Payload) -> str:
    """Return what a part says, with its files as links."""
    said = from_html(words(part["body"]))
    files = [
        f"[{words(file['name']) or 'file'}]({url})"
        for file in part["attachments"]
        if (url := words(file["url"]))
    ]
    return "\n\n".join(filter(None, [said, *files]))


def title(thing: Payload, source: Payload, body: str, visibility: Visibility) -> Text:
    """Return the subject, else the title that the team or Fin gave, else how the text begins."""
    if subject := plain(from_html(words(source["subject"]))):
        return Text(text=subject, visibility=visibility)
    if given := plain(from_html(words(thing["title"]))):
        return Text(text=given, visibility="team")
    return Text(text=beginning(body), visibility=visibility)


def beginning(body: str) -> str:
    """Return the first line of a text, shortened to a title."""
    lines = (line.strip() for line in plain(body).splitlines())
    return shorten(next(filter(None, lines), ""), _TITLE)


def channel(kind: Payload) -> str:
    """Return where it was said, by Intercom's name of the channel; API 1.x tells none."""
    name = words(kind)
    return _CHANNELS.get(name, name)


def address(thing: Payload, notification: Payload, context: Context, *, place: str) -> str:
    """Return where a teammate opens a thing. `place` is the path after the workspace's id."""
    if given := words(thing["links"]["conversation_web"]):
        return given
    host = _APPS.get(str(context.config.get("api_url", "")), "https://app.intercom.com")
    area, rest = place.split("/", 1)
    return f"{host}/a/{area}/{words(notification['app_id'])}/{rest}"


def linked(thing: Payload) -> tuple[Ref, ...]:
    """Return the tickets and conversations that teammates linked to a thing."""
    return tuple(
        ref(kind, found)
        for entry in thing["linked_objects"]["data"]
        if (kind := words(entry["type"])) in {"ticket", "conversation"}
        and (found := identifier(entry["id"]))
    )


def comment(part: Payload) -> tuple[Ref, ...]:
    """Refer to a part of a conversation; none when the part has no id."""
    part_id = identifier(part["id"])
    return (ref("comment", part_id),) if part_id else ()


def _keys(value: str) -> Iterator[tuple[str, str]]:
    for token in re.split(r"[\s,;]+", value.strip()):
        url = token if token.startswith(("http://", "https://")) else ""
        for key in _KEY.findall(token):
            yield key, url
    if value.strip() and not _KEY.search(value) and not re.search(r"\s", value.strip()):
        yield value.strip().rsplit("/", 1)[-1], value.strip() if "://" in value else ""
