"""Is this event the echo of something the hub wrote? Pure.

Three signs, the surest first: the event carries the id of a thing the hub made; it was done by the
hub's account and says what the hub wrote (compared by words, since vendors reformat text); it was
done by an account kept for the hub alone. What only looks related (same account, same object, other
words; or the hub's very words a moment later from another account) is not an echo, but counts as a
hop, so that a chain that slips through still ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hub.links.refs import texts_of
from hub.sdk.actions import Account
from hub.sdk.text import SAME_TEXT, fingerprint, similarity
from hub.store.writes import Write

MOST_HOPS = 8
"""Routes that may lead to one another before the breaker ends the chain."""
MOST_WRITES = 20
"""Writes on one object within a minute, after which the hub's own events are not routed."""
MINUTE = timedelta(minutes=1)
_NEAR = timedelta(seconds=15)
# A loop turns within seconds; what people do an hour later on the same object is no part of one.
_CHAIN = timedelta(minutes=5)
# Without a known account only the words speak, and only for as long as a webhook usually takes.
_UNSIGNED = timedelta(minutes=10)


class Verdict(NamedTuple):
    """What an event is: an echo, part of a chain, or neither."""

    echo: bool
    reason: str
    write: Write | None
    hop: int


NOT_OURS = Verdict(echo=False, reason="", write=None, hop=0)


def targets(refs: Sequence[Mapping[str, Any]], event_type: str) -> list[str]:
    """Return the names under which a write on the event's things would be in the ledger."""
    names = [f"{ref['kind']}/{name}" for ref in refs for name in (ref["id"], ref["key"]) if name]
    if event_type.endswith((".created", ".opened", ".posted", ".received", ".replied")) and refs:
        names.append(f"new/{refs[0]['kind']}")
    return list(dict.fromkeys(names))


def judge(
    *,
    event_type: str,
    data: Mapping[str, Any],
    at: datetime,
    account: Account | None,
    dedicated: bool,
    writes: Sequence[Write],
    made: Write | None,
) -> Verdict:
    """Decide about one event. `writes` are the recent ones on its things, `made` the write that
    made what the event says has come to be (see `newborn`), `at` when the event's webhook came in.
    """  # noqa: D205
    actor = str(data["actor"]["id"])
    ours = account is not None and account.is_actor(actor)
    said = [fingerprint(text) for text in _said(event_type, data)] if writes else []
    if account is not None and actor and not ours:
        # Somebody else's, yet another automation may be handing on what the hub wrote.
        copied = (w for w in writes if at - w.at < _NEAR and _same(said, w.words))
        write = next(copied, None)
        return NOT_OURS if write is None else Verdict(False, "", write, write.hop + 1)  # noqa: FBT003
    if made is not None:
        return Verdict(True, f"it is what dl_{made.delivery_id} made", made, made.hop + 1)  # noqa: FBT003
    newest = writes[0] if writes else None
    if ours and dedicated:
        return Verdict(True, "the hub's own account did it", newest, _hop(newest))  # noqa: FBT003
    if newest is None:
        return NOT_OURS
    for write in writes:
        if account is None and at - write.at > _UNSIGNED:
            continue
        if _same(said, write.words):
            reason = f"it says what dl_{write.delivery_id} wrote"
            return Verdict(True, reason, write, write.hop + 1)  # noqa: FBT003
    if ours and newest is not None and not any(said) and at - newest.at < _NEAR:
        reason = f"the hub's account did it right after dl_{newest.delivery_id}"
        return Verdict(True, reason, newest, newest.hop + 1)  # noqa: FBT003
    chained = newest is not None and at - newest.at < _CHAIN
    if newest is not None and chained and (ours or account is None or not actor):
        return Verdict(False, "", newest, newest.hop + 1)  # noqa: FBT003
    return NOT_OURS


def too_many(writes: Sequence[Write], at: datetime) -> bool:
    """Whether one object was written to so often in the last minute that a loop is likely."""
    return sum(1 for write in writes if at - write.at < MINUTE) > MOST_WRITES


def _hop(write: Write | None) -> int:
    return 0 if write is None else write.hop + 1


def newborn(event_type: str, data: Mapping[str, Any]) -> list[str]:
    """Return the names (`kind/id`) of what the event says has just come to be.

    Only the making of a thing is an echo of the hub's making it: what people then do to it (a
    comment on the hub's issue, a reaction to its message) is theirs.
    """
    refs = data.get("refs") or []
    born: Sequence[Mapping[str, Any]] = ()
    if event_type.endswith((".created", ".opened", ".received")):
        born = refs[:1]
    elif event_type.endswith(".posted"):
        again = data.get("reaction") or data.get("edited") or data.get("removed")
        born = () if again else refs[:1]
    elif event_type == "work_item.commented":
        comment = data.get("comment_ref")
        born = [comment] if comment else ()
    elif event_type.startswith("conversation."):
        born = refs[1:2]
    return [f"{ref['kind']}/{ref['id']}" for ref in born if ref["id"]]


def _same(said: Sequence[tuple[str, ...]], words: Sequence[str]) -> bool:
    wrote = tuple(words)
    return bool(wrote) and any(text and similarity(wrote, text) >= SAME_TEXT for text in said)


def _said(event_type: str, data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts an event tells as new, the one most likely written by an action first."""
    if event_type == "work_item.status_changed":
        yield data["status"]["name"]
        yield data["status"]["category"]
        return
    for name in ("comment", "body", "notes"):
        text = data.get(name)
        if isinstance(text, dict) and text.get("text"):
            yield text["text"]
    title = data.get("title")
    if event_type.endswith((".created", ".opened", ".received")):
        body = data.get("body") or {}
        if isinstance(title, dict) and title.get("text"):
            yield f"{title['text']} {body.get('text', '')}"
            yield title["text"]
        return
    for change in data.get("changes") or ():
        if change["after"]:
            yield change["after"]
    if not any(data.get(name) for name in ("comment", "body", "changes")):
        yield from texts_of(data)
