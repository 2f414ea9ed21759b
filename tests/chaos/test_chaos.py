"""The short form: two seeds with every kind of fault, and each seed that ever failed."""

from __future__ import annotations

import pytest

from tests.chaos.storm import run, short

SEEDS = (101, 102)
"""An even and an odd one: together they have every kind of fault."""
SEEDS_THAT_FAILED: tuple[int, ...] = ()
"""Kept for ever, with what was wrong."""


@pytest.mark.timeout(150)
@pytest.mark.parametrize("seed", [*SEEDS, *SEEDS_THAT_FAILED])
async def test_faults_lose_nothing_double_nothing_and_reorder_nothing(seed: int) -> None:
    result = await run(seed, short(seed))
    assert result.ok, result.report()
    assert result.counts["acknowledged"] == result.counts["webhooks"]
    assert result.counts["copies"] > 0
    assert sum(result.vendor.values()) > 0
