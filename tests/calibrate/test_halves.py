"""What calibration promises of one half of telemetry holds on the other: `python -m bench calibration` at length."""

from __future__ import annotations

import numpy as np
import pytest

from network.calibrate.alarms import measure
from network.calibrate.rates import Curve, choose
from tests.calibrate.plain import clean, noise

MINERS, TICKS = 150, 1500
# Of telemetry of this length, which is the beginning of every miner's life; nothing to set in a charter.
RATE = 0.5


def half(seed: int) -> Curve:
    telemetry = clean(noise(seed, MINERS, TICKS))
    return measure(telemetry, "calibrated", np.random.default_rng(seed))


@pytest.fixture(scope="module")
def halves() -> tuple[Curve, Curve]:
    return half(1), half(2)


def test_the_other_half_alarms_at_the_rate_that_was_set(halves: tuple[Curve, Curve]) -> None:
    for ours, other in (halves, halves[::-1]):
        choice = choose(ours, RATE)
        assert choice is not None
        assert not choice.extrapolated
        at = other.at(choice.threshold)
        # Not above the rate, and what this half makes of it is what that half made of it.
        assert other.low[at] <= RATE
        assert max(ours.low[at], other.low[at]) <= min(ours.high[at], other.high[at])
        # The threshold is near where it must be: one third lower breaks the promise.
        assert other.low[other.at(choice.threshold * 2 / 3)] > RATE


def test_a_tail_found_on_a_tenth_holds_on_the_whole(halves: tuple[Curve, Curve]) -> None:
    tenth = clean(noise(3, MINERS // 10, TICKS))
    choice = choose(measure(tenth, "calibrated", np.random.default_rng(3)), RATE)
    assert choice is not None
    assert choice.extrapolated
    for whole in halves:
        assert whole.low[whole.at(choice.threshold)] <= RATE
        assert whole.high[whole.at(choice.low)] >= RATE
