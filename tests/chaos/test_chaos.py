"""The short form: two seeds with every kind of fault, and each seed that ever failed."""

from __future__ import annotations

import pytest

from tests.chaos.storm import run, short

SEEDS = (101, 102)
"""An even and an odd one: together they have every kind of fault."""
SEEDS_THAT_FAILED: dict[int, str] = {
    103: "who joined a claim at the moment it was settled was never told that it shipped",
}
"""Kept for ever, with what was wrong. (101 failed too: a lane that got another name once the id of
its object was known was overtaken.)"""


@pytest.mark.timeout(150)
@pytest.mark.parametrize("seed", [*SEEDS, *SEEDS_THAT_FAILED])
async def test_faults_lose_nothing_double_nothing_and_reorder_nothing(seed: int) -> None:
    result = await run(seed, short(seed))
    assert result.ok, result.report()
    assert result.counts["acknowledged"] == result.counts["webhooks"]
    assert result.counts["copies"] > 0
    assert sum(result.vendor.values()) > 0
