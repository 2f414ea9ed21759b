"""When a failed delivery is tried again. Pure."""

from __future__ import annotations

from hub.sdk.actions import Outcome, RetryLater, Unknown

MINUTE, HOUR = 60.0, 3600.0
STEPS: tuple[float, ...] = (5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 8 * HOUR, 24 * HOUR)
"""Seconds to wait after the first, second … failed attempt; after the last, dead."""
JITTER = 0.2
"""Up to this share is added, so that what failed together does not come back together."""
LONGEST_WAIT = 24 * HOUR
"""The most that a vendor's `Retry-After` is followed for."""
MOST_WAITS = 200
"""How often a vendor may ask to wait before it counts as a failure like any other."""


def next_wait(
    outcome: Outcome, *, attempts: int, waits: int, chance: float
) -> tuple[float, bool] | None:
    """Return the seconds until the next attempt, and whether this one counts; None means dead.

    `attempts` are the counted failures so far, this one not included; `chance` is a random number
    from 0 to 1. A vendor's own word (`Retry-After`) wins over the schedule and costs no attempt.
    """
    if not isinstance(outcome, (RetryLater, Unknown)):
        return None
    if isinstance(outcome, RetryLater) and outcome.after is not None and waits < MOST_WAITS:
        return min(outcome.after, LONGEST_WAIT) + chance * min(1.0, JITTER * outcome.after), False
    if attempts >= len(STEPS):
        return None
    step = STEPS[attempts]
    return step + step * JITTER * chance, True
