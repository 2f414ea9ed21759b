"""The durable schedule: monotone, jittered, with an end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.deliver.schedule import JITTER, LONGEST_WAIT, MOST_WAITS, STEPS, next_wait
from hub.sdk.actions import AuthFailed, Delivered, Rejected, RetryLater, Unknown

CHANCE = st.floats(0, 1)


def test_the_steps_are_those_that_are_documented() -> None:
    assert STEPS == (5, 30, 120, 600, 3600, 10_800, 28_800, 86_400)


@given(st.integers(0, 20), CHANCE, st.sampled_from([RetryLater(reason="x"), Unknown(reason="x")]))
def test_a_passing_fault_waits_its_step_and_then_ends(
    attempts: int, chance: float, outcome: object
) -> None:
    found = next_wait(outcome, attempts=attempts, waits=0, chance=chance)  # type: ignore[arg-type]
    if attempts >= len(STEPS):
        assert found is None
    else:
        assert found is not None
        wait, counts = found
        assert counts
        assert STEPS[attempts] <= wait <= STEPS[attempts] * (1 + JITTER)


@given(st.floats(0, 1e9), st.integers(0, 8), CHANCE)
def test_the_vendors_word_wins_and_costs_nothing(
    after: float, attempts: int, chance: float
) -> None:
    found = next_wait(
        RetryLater(reason="x", after=after), attempts=attempts, waits=0, chance=chance
    )
    assert found is not None
    wait, counts = found
    assert not counts
    assert min(after, LONGEST_WAIT) <= wait <= LONGEST_WAIT + 1


def test_a_vendor_that_never_stops_asking_to_wait_counts_in_the_end() -> None:
    found = next_wait(RetryLater(reason="x", after=1), attempts=0, waits=MOST_WAITS, chance=0)
    assert found == (5, True)


def test_what_is_final_is_not_tried_again() -> None:
    for outcome in (Rejected(reason="x"), AuthFailed(reason="x"), Delivered()):
        assert next_wait(outcome, attempts=0, waits=0, chance=0) is None
