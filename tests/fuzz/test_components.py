"""The components amid lies: a campaign with every cast of liars (tests/fuzz/campaign.py).

`python -m tests.fuzz` goes on with other seeds for as long as one likes.
"""

from __future__ import annotations

import pytest

from tests.fuzz.campaign import CASTS, FLOOD, campaign

SEEDS = (1, 2, 3)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cast", CASTS, ids=lambda cast: "+".join(cast) or "nobody")
def test_lies_end_in_rejections_or_faults_and_everyone_goes_on(cast: tuple[str, ...], seed: int) -> None:
    told = campaign(seed, cast)
    assert told.injected > 300
    assert told.rejected > 100


@pytest.mark.parametrize("cast", [("det4", "edge2"), ("manager",)], ids="+".join)
def test_a_flood_of_lies_fills_nothing(cast: tuple[str, ...]) -> None:
    assert campaign(1, cast, FLOOD).injected > 2_000
