"""What an attempt came to, as it is stored: pure."""

from __future__ import annotations

import random

import msgspec

from hub.deliver.caller import Record
from hub.deliver.schedule import next_wait
from hub.sdk.actions import (
    AuthFailed,
    Delivered,
    Nothing,
    Outcome,
    Rejected,
    RetryLater,
    Unknown,
)
from hub.sdk.events import Ref
from hub.sdk.integration import ActionManifest
from hub.store.lanes import Due, Ended, Taken

_MOST_TRIES = 250
_NAMES = {
    Delivered: "delivered", Nothing: "nothing", RetryLater: "retry", Rejected: "rejected",
    AuthFailed: "auth_failed", Unknown: "unknown",
}  # fmt: skip


def not_sent(lane: Taken) -> Ended:
    """Say that nothing left: the delivery is as it was before."""
    due = lane.due
    if due is None:
        return Ended(taken=lane, state="")
    return Ended(
        taken=lane, state="pending", attempts=due.attempts, waits=due.waits,
        uncertain=due.uncertain, maybe_duplicate=due.maybe_duplicate,
    )  # fmt: skip


def refusal(action: ActionManifest, due: Due) -> str:
    """Return why a delivery must not leave; empty when it may."""
    if action.audience_of(due.inputs) == "customer" and due.audience != "customer":
        return "the text was not made for a customer to read, and this action reaches one"
    return f"given up after {_MOST_TRIES} tries" if due.tries > _MOST_TRIES else ""


def read_outcome(
    outcome: Outcome, record: Record, lane: Taken, due: Due, action: ActionManifest
) -> Ended:
    """Turn an outcome into what is stored."""
    attempts, waits, wait, state = due.attempts, due.waits, 0.0, "dead"
    # Whatever is in doubt stays so until an answer settles it, also over a replay by hand.
    uncertain = due.uncertain
    reason = getattr(outcome, "reason", "") or getattr(outcome, "note", "")
    if isinstance(outcome, (Delivered, Nothing)):
        state, uncertain = "delivered", False
    elif isinstance(outcome, AuthFailed):
        state = "pending"
    elif isinstance(outcome, (RetryLater, Unknown)):
        may_have = isinstance(outcome, Unknown) or outcome.effect
        uncertain = due.uncertain or (record.wrote and may_have)
        chance = random.random()  # noqa: S311 - jitter
        later = next_wait(outcome, attempts=attempts, waits=waits, chance=chance)
        if later is None:
            reason = f"given up after {attempts + 1} attempts: {reason}"
        else:
            wait, counts = later
            state = "pending"
            attempts, waits = (attempts + 1, waits) if counts else (attempts, waits + 1)
    doubtful = action.once == "none" and (due.uncertain or uncertain)
    ref: Ref | None = getattr(outcome, "ref", None)
    written = outcome.written if isinstance(outcome, Delivered) else ()
    refs = [*written, *([ref] if ref is not None and action.creates else [])]
    last = record.calls[-1] if record.calls else {}
    after = outcome.after if isinstance(outcome, Delivered) else None
    result = None
    if state == "delivered":
        result = {"ref": msgspec.to_builtins(ref) if ref else None, "after": after}
    return Ended(
        taken=lane, state=state, reason=reason, wait=wait, attempts=attempts, waits=waits, uncertain=uncertain,
        maybe_duplicate=due.maybe_duplicate or doubtful,
        outcome="found" if record.found else _NAMES.get(type(outcome), "unknown"), status=last.get("status"),
        calls=record.calls, result=result,
        before=outcome.before if isinstance(outcome, Delivered) else None, after=after,
        refs=tuple(dict.fromkeys(f"{r.kind}/{r.id}" for r in refs if r.id)),
    )  # fmt: skip
