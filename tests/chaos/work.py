"""What is sent in a run, by which routes, and what must be found at the vendor afterwards.

Every text is unique, so what the vendor holds can be told apart without asking the hub anything.
Tickets and work items of one number belong to each other: two routes carry comments from one to
the other and back, and two more carry the status, so each of the hub's own writes would go round
for ever if its echo were not recognised.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.house import House
from tests.chaos.sender import SECRET, Hook, Sender, chain
from tests.chaos.vendor import ACCOUNT, TOKEN, Effect, Vendor

DESK, WORK, PLAN, CALM = "desk", "work", "plan", "calm"
_NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
_TALKS, _ISSUES, _STATES, _BORN, _TICKETS, _LONE = 10_000, 20_000, 30_000, 50_000, 70_000, 90_000
_SEEN_SECONDS = 2.5
_LONG = 12
"""Webhooks about one object, at most."""


@dataclass(frozen=True, slots=True)
class Expected:
    """An effect that must be there. `declared` says that the action promises exactly once."""

    connection: str
    kind: str
    target: str
    declared: bool = True


@dataclass
class Work:
    """The webhooks of a run and what they must lead to."""

    chains: list[list[Hook]] = field(default_factory=list)
    expected: dict[str, Expected] = field(default_factory=dict)
    lines: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)
    """(connection, kind, target) -> the texts that must appear there, in this order."""
    topics: dict[str, list[str]] = field(default_factory=dict)
    """What a bug is about -> the tickets that report it."""


def at(seconds: int) -> str:
    """Return a time of the vendor's clock."""
    return (_NOON + timedelta(seconds=seconds)).isoformat()


def plan(count: int, chance: random.Random) -> Work:
    """Make up about `count` webhooks."""
    work = Work()
    left = count
    number = 0
    while left > 0:
        number += 1
        length = min(left, chance.randint(3, _LONG))
        kind = chance.choices(("talk", "issue", "states", "born", "bug"), (3, 3, 3, 1, 3))[0]
        hooks = list(_MAKERS[kind](work, number, length, chance))
        work.chains += [[hook] for hook in hooks] if kind in {"bug", "born"} else [hooks]
        left -= length
    return work


def _talk(work: Work, number: int, length: int, _: random.Random) -> Iterator[Hook]:
    """A customer writes again and again: each reply becomes a comment on the work item."""
    ticket = str(_TALKS + number)
    line = work.lines.setdefault((WORK, "comments", f"ACME-{ticket}"), [])
    for n in range(length):
        text = f"said in {ticket} as number {n}"
        line.append(text)
        work.expected[text] = Expected(WORK, "comments", f"ACME-{ticket}")
        body = {"type": "reply", "ticket": ticket, "reply": f"r{ticket}-{n}", "body": text}
        yield Hook(DESK, f"talk-{ticket}-{n}", {**body, "by": "kim"})


def _issue(work: Work, number: int, length: int, _: random.Random) -> Iterator[Hook]:
    """The team comments on a work item: each comment becomes a note on the ticket."""
    ticket = str(_ISSUES + number)
    line = work.lines.setdefault((DESK, "notes", ticket), [])
    for n in range(length):
        text = f"found for {ticket} as number {n}"
        line.append(text)
        work.expected[text] = Expected(DESK, "notes", ticket)
        body = {"type": "issue.comment", "issue": f"ACME-{ticket}", "comment": f"c{ticket}-{n}"}
        yield Hook(WORK, f"issue-{ticket}-{n}", {**body, "body": text, "by": "lee"})


def _states(work: Work, number: int, length: int, chance: random.Random) -> Iterator[Hook]:
    """A work item changes its state; the webhooks come late and out of order.

    What is older than what the hub knows must not be passed on: of the changes in the order they
    arrive, exactly those that are newer than all before.
    """
    key = f"ACME-{_STATES + number}"
    ranks = sorted(range(1, length + 1), key=lambda rank: rank + chance.uniform(0, 4))
    line = work.lines.setdefault((PLAN, "transitions", f"PLAN-{_STATES + number}"), [])
    newest = 0
    for rank in ranks:
        text = f"Stage {number} {rank}"
        if rank > newest:
            newest = rank
            line.append(text)
            work.expected[text] = Expected(
                PLAN, "transitions", f"PLAN-{_STATES + number}", declared=False
            )
        body = {"type": "issue.status", "issue": key, "status": text, "at": at(rank), "by": "lee"}
        yield Hook(WORK, f"state-{number}-{rank}", body)


def _born(work: Work, number: int, length: int, _: random.Random) -> Iterator[Hook]:
    """People create work items: each is noted on the ticket of the same number."""
    for n in range(length):
        ticket = f"{_BORN + number}{n:02}"
        text = f"Born {ticket}"
        work.expected[text] = Expected(DESK, "notes", ticket)
        body = {"type": "issue.created", "issue": f"ACME-{ticket}", "title": ticket, "by": "lee"}
        yield Hook(WORK, f"born-{ticket}", body)


def _bug(work: Work, number: int, length: int, chance: random.Random) -> Iterator[Hook]:
    """Customers report bugs, some the same one: one work item each, and everybody hears of it."""
    for n in range(length):
        ticket = f"{_TICKETS + number}{n:02}"
        topic = f"topic-{number}-{chance.randrange(max(1, length // 2))}"
        work.topics.setdefault(topic, []).append(ticket)
        work.expected[topic] = Expected(WORK, "issues", "")
        work.expected[f"Filed {ticket}"] = Expected(DESK, "notes", ticket)
        work.expected[f"Report {ticket} of {topic}"] = Expected(WORK, "comments", topic)
        work.expected[f"Shipped {ticket}"] = Expected(DESK, "replies", ticket, declared=False)
        body = {"type": "ticket", "ticket": ticket, "title": f"It stops in {ticket}"}
        more = {"email": f"c{ticket}@example.com", "tags": [topic], "body": "Every time."}
        yield Hook(DESK, f"bug-{ticket}", {**body, **more})


def lone(work: Work) -> Hook:
    """Make up the one webhook of a connection: no later one calls the workers to it."""
    ticket = str(_LONE)
    text = f"said alone in {ticket}"
    work.expected[text] = Expected(WORK, "comments", f"ACME-{ticket}")
    body = {"type": "reply", "ticket": ticket, "reply": f"r{ticket}", "body": text, "by": "kim"}
    return Hook(CALM, f"lone-{ticket}", body)


_MAKERS = {"talk": _talk, "issue": _issue, "states": _states, "born": _born, "bug": _bug}

ROUTES: tuple[dict[str, Any], ...] = (
    {"name": "bugs", "on": ["feedback.received"], "connections": [DESK], "steps": [
        {"name": "create", "connection": WORK, "action": "create_issue", "about": "{{ data.tags[0] }}",
         "inputs": {"summary": "{{ data.tags[0] }}", "body": "{{ data.body }}"}},
        {"name": "tell", "connection": DESK, "action": "note", "after": "create",
         "inputs": {"ticket": "{{ subject.id }}", "body": "Filed {{ subject.id }}"}},
        {"name": "say", "connection": WORK, "action": "comment", "after": "create",
         "inputs": {"issue": "{{ steps.create.key }}", "body": "Report {{ subject.id }} of {{ data.tags[0] }}"}}]},
    {"name": "up", "on": ["conversation.replied"], "connections": [DESK, CALM], "steps": [
        {"name": "comment", "connection": WORK, "action": "comment",
         "inputs": {"issue": "ACME-{{ subject.id }}", "body": "{{ data.body }}"}}]},
    {"name": "down", "on": ["work_item.commented"], "connections": [WORK], "steps": [
        {"name": "note", "connection": DESK, "action": "note",
         "inputs": {"ticket": "{{ subject.id }}", "body": "{{ data.comment }}"}}]},
    {"name": "born", "on": ["work_item.created"], "connections": [WORK], "steps": [
        {"name": "note", "connection": DESK, "action": "note",
         "inputs": {"ticket": "{{ subject.id }}", "body": "Born {{ data.title }}"}}]},
    {"name": "forth", "on": ["work_item.status_changed"], "connections": [WORK],
     "when": "data.status.category == 'todo'", "steps": [
        {"name": "move", "connection": PLAN, "action": "transition",
         "inputs": {"issue": "PLAN-{{ subject.id }}", "status": "{{ data.status.name }}"}}]},
    {"name": "back", "on": ["work_item.status_changed"], "connections": [PLAN], "steps": [
        {"name": "move", "connection": WORK, "action": "transition",
         "inputs": {"issue": "ACME-{{ subject.id }}", "status": "{{ data.status.name }}"}}]},
    {"name": "shipped", "on": ["work_item.status_changed"], "connections": [WORK],
     "when": "data.status.category == 'done'", "for_each": "report", "steps": [
        {"name": "answer", "connection": DESK, "action": "reply",
         "inputs": {"ticket": "{{ report.id }}", "body": "Shipped {{ report.id }}"}}]},
)  # fmt: skip


async def furnish(house: House, vendor: Vendor) -> dict[str, str]:
    """Make the connections and routes by the API; returns each connection's webhook path."""
    paths: dict[str, str] = {}
    for name, project in ((DESK, "DESK"), (WORK, "ACME"), (PLAN, "PLAN"), (CALM, "CALM")):
        config: dict[str, Any] = {"api_url": f"{vendor.url}/{name}", "projects": [project]}
        secrets: dict[str, Any] = {"token": TOKEN, "secret": SECRET}
        made = await house.call(
            "POST", "/connections",
            {"name": name, "integration": "acme", "config": {**config, **secrets}},
        )  # fmt: skip
        paths[name] = "/webhooks/" + made["webhook_url"].partition("/webhooks/")[2]
        # Whose the hub's writes are is known from the start, as when a person connects a tool.
        tested = await house.call("POST", f"/connections/{name}/test?allow_duplicate=true")
        assert tested["ok"], tested
    for route in ROUTES:
        await house.call("POST", "/routes?vendor_check=false", route)
    # What one process changes the others see "after a second"; some look once a second for it.
    await asyncio.sleep(_SEEN_SECONDS)
    return paths


def echo_of(effect: Effect) -> Hook:
    """Return the webhook by which the vendor tells of what the hub did."""
    more: dict[str, Any] = {
        "issues": {"type": "issue.created", "issue": effect.key, "title": effect.text, "body": effect.body},
        "comments": {"type": "issue.comment", "issue": effect.target, "comment": effect.id, "body": effect.text},
        "notes": {"type": "reply", "ticket": effect.target, "reply": effect.id, "body": effect.text, "note": True},
        "replies": {"type": "reply", "ticket": effect.target, "reply": effect.id, "body": effect.text},
        "transitions": {"type": "issue.status", "issue": effect.target, "status": effect.text},
    }[effect.kind]  # fmt: skip
    return Hook(effect.connection, f"echo-{effect.number}", {**more, "by": ACCOUNT})


async def ship(work: Work, sender: Sender, vendor: Vendor, chance: random.Random) -> None:
    """Finish each bug once everybody who reported it has been told of its work item.

    The news that it is done comes first, the older one that it was begun comes late.
    """
    left = dict(work.topics)
    while left:
        keys = {e.text: e.key for e in vendor.log if e.kind == "issues"}
        noted = {e.text for e in vendor.log if e.kind == "notes"}
        for topic, tickets in list(left.items()):
            if topic in keys and noted.issuperset(f"Filed {ticket}" for ticket in tickets):
                del left[topic]
                # Later than the news of its creation, which carries the hub's own clock.
                now = int((datetime.now(UTC) - _NOON).total_seconds())
                states = (("Done", now + 7200), ("In Progress", now + 3600))
                hooks = [
                    Hook(WORK, f"{topic}-{name}", {
                        "type": "issue.status", "issue": keys[topic], "status": name,
                        "at": at(seconds), "by": "lee"})
                    for name, seconds in states
                ]  # fmt: skip
                await chain(sender, hooks, chance, seconds=0.05)
        await asyncio.sleep(0.1)
