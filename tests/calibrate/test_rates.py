"""Intervals, the threshold for a rate, and how far the tail may be trusted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from network.calibrate.rates import (
    CLUMPS,
    TAIL,
    THRESHOLDS,
    Curve,
    choose,
    dispersion,
    pooled,
)

# Fewer than RESAMPLED: these are many curves.
DRAWS = 40


def curve(alarms: np.ndarray, hours: float, phi: float = 1.0) -> Curve:
    resampled = phi * np.random.default_rng(1).poisson(alarms / phi, (DRAWS, len(alarms))).astype(np.float64)
    return Curve("a kind", hours, 24.0, alarms, np.full_like(alarms, phi), resampled)


def falling(first: float, scale: float) -> np.ndarray:
    """Whole numbers of alarms that fall exponentially with the threshold."""
    return np.floor(first * np.exp(-(THRESHOLDS - 1) / scale))


CURVES = st.builds(
    lambda first, scale, hours, phi: curve(falling(first, scale), hours, phi),
    st.floats(0, 1e6),
    st.floats(0.05, 3),
    st.floats(0.1, 1e6),
    st.floats(1, 10),
)


def test_the_interval_is_poissons() -> None:
    # Garwood's for 0, 1 and 10 events, from tables.
    alarms = np.zeros(len(THRESHOLDS))
    alarms[:2] = 10, 1
    one = curve(alarms, hours=2.0)
    assert one.low[:3] == pytest.approx(np.array([4.795, 0.0253, 0]) / 2, rel=1e-3)
    assert one.high[:3] == pytest.approx(np.array([18.39, 5.572, 3.689]) / 2, rel=1e-3)
    assert one.hours_needed(0.001) == pytest.approx(3689, rel=1e-3)


@settings(max_examples=60)
@given(CURVES)
def test_the_interval_holds_the_rate_and_clumps_make_it_wider(one: Curve) -> None:
    assert (one.low <= one.rate).all()
    assert (one.rate <= one.high).all()
    plain = Curve("", one.hours, one.life, one.alarms, np.ones_like(one.alarms), one.resampled)
    assert (one.low <= plain.low * (1 + 1e-9)).all()
    assert (one.high >= plain.high * (1 - 1e-9)).all()


@settings(max_examples=60)
@given(CURVES, st.floats(1e-5, 10), st.floats(1, 100))
def test_a_stricter_rate_never_lowers_the_threshold(one: Curve, rate: float, stricter: float) -> None:
    lax, strict = choose(one, rate), choose(one, rate / stricter)
    assume(lax is not None and strict is not None)
    assert lax is not None
    assert strict is not None
    # (A tail's threshold is drawn from a sample of alarms, in hundredths; the rest is exact.)
    assert lax.threshold <= strict.threshold + 0.01
    assert strict.extrapolated or not lax.extrapolated


@settings(max_examples=60)
@given(CURVES, st.floats(1e-5, 10))
def test_the_threshold_is_the_smallest_that_telemetry_vouches_for(one: Curve, rate: float) -> None:
    choice = choose(one, rate)
    vouched = one.high <= rate
    if not vouched[-1]:
        assert choice is None or choice.extrapolated
        return
    assert choice is not None
    assert not choice.extrapolated
    at = one.at(choice.threshold)
    assert vouched[at:].all()
    assert at == 0 or not vouched[at - 1]


def test_a_threshold_below_which_alarms_are_rarer_is_not_taken() -> None:
    # W that never falls below 2 crosses 1.5 once and 3 often.
    alarms = np.where(THRESHOLDS < 2, 1.0, falling(1000, 0.5))
    choice = choose(curve(alarms, hours=1000), 0.01)
    assert choice is not None
    assert choice.threshold > 2


def test_an_exponential_tail_is_gone_on_with() -> None:
    scale, hours, rate = 0.4, 100.0, 1e-4
    choice = choose(curve(falling(20_000, scale), hours), rate)
    assert choice is not None
    assert choice.extrapolated
    true = 1 + scale * np.log(20_000 / hours / rate)
    assert choice.low < true < choice.high
    assert choice.estimate == pytest.approx(true, rel=0.05)
    assert choice.threshold >= choice.high


def test_no_threshold_below_what_was_seen() -> None:
    alarms = falling(20_000, 0.2)
    alarms[:300] = np.maximum(alarms[:300], 1)  # one freak
    choice = choose(curve(alarms, hours=100), 1e-3)
    assert choice is not None
    assert choice.extrapolated
    assert choice.threshold >= THRESHOLDS[300]


@pytest.mark.parametrize("alarms", [np.zeros(len(THRESHOLDS)), np.full(len(THRESHOLDS), 50.0)])
def test_nothing_and_all_too_much_give_no_threshold(alarms: np.ndarray) -> None:
    assert choose(curve(alarms, hours=10), 1e-3) is None


def test_clumps_are_counted_as_clumps() -> None:
    rng = np.random.default_rng(5)
    clumps = rng.poisson(0.5, 4000)
    for size in (1, 4):
        counts = np.full((1, len(THRESHOLDS)), size) * clumps[:, None]
        phi = dispersion(counts.sum(axis=0), (counts**2.0).sum(axis=0), len(counts))
        assert phi[0] == pytest.approx(size, rel=0.1)


def test_where_alarms_are_few_they_clump_as_they_did_before() -> None:
    counts = np.zeros((100, len(THRESHOLDS)))
    counts[::10, :50] = 5.0  # 50 alarms in ten stretches
    counts[0, 50:60] = 2.0
    phi = dispersion(counts.sum(axis=0), (counts**2).sum(axis=0), len(counts))
    assert CLUMPS <= 50 <= TAIL
    assert phi[0] > 4
    assert (phi == phi[0]).all()


def test_pooled_counts_hours_and_alarms_but_not_that_kinds_differ() -> None:
    loud, quiet = curve(falling(10_000, 0.5), 100.0, phi=2.0), curve(falling(100, 0.5), 300.0)
    both = pooled([loud, quiet])
    assert both.hours == 400
    assert both.alarms.tolist() == (loud.alarms + quiet.alarms).tolist()
    assert both.dispersion[0] == pytest.approx((2 * 10_000 + 100) / 10_100)
