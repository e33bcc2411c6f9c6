"""SSA with a direction: growth above entitlement against the series' own noise."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.ssa.direction import LEAST, PRIOR, SCALES, TOLERANCE, Direction
from detectors.ssa.parameters import CALIBRATED

Floats = NDArray[np.float64]
H = CALIBRATED.h
MINERS = 40


def independent(rng: np.random.Generator, ticks: int) -> Floats:
    return rng.normal(100, 5, (ticks, MINERS))


def correlated(rng: np.random.Generator, ticks: int) -> Floats:
    noise = rng.normal(0, 4, (ticks, MINERS))
    for tick in range(1, ticks):
        noise[tick] += 0.6 * noise[tick - 1]
    return 100 + noise


def heavy(rng: np.random.Generator, ticks: int) -> Floats:
    return 100 + 3 * rng.standard_t(3, (ticks, MINERS))


def bounded(rng: np.random.Generator, ticks: int) -> Floats:
    """What a quota of the kernel's leaves: use moves about within a period, and no further."""
    return np.asarray(100 + np.diff(rng.uniform(0, 12, (ticks + 1, MINERS)), axis=0))


NOISES = {
    "independent": independent,
    "correlated": correlated,
    "heavy": heavy,
    "bounded": bounded,
}


def run(series: Floats) -> tuple[Direction, Floats]:
    """The end, and W tick by tick."""
    direction, everyone = Direction(series.shape[1]), np.ones(series.shape[1], bool)
    scores = np.empty_like(series)
    for tick, values in enumerate(series):
        direction.push(values, everyone)
        scores[tick] = direction.W
    return direction, scores


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize(("gain", "median"), [(100, 2), (50, 2), (20, 8)])
def test_a_step_shows_within_ticks_whatever_the_noise(
    noise: Callable[[np.random.Generator, int], Floats], gain: float, median: int
) -> None:
    median += 2 * (noise is heavy) + 4 * (noise is correlated)  # one of their ticks says less
    series = noise(np.random.default_rng(1), 460)
    series[400:] += gain
    _, W = run(series)
    assert W[:400].max() < H
    first = (W[400:] > H).argmax(axis=0) + 1
    assert (W[400:] > H).any(axis=0).all()
    assert np.median(first) <= median


def test_under_bounded_noise_a_small_gain_shows_soon_for_sums_do_not_spread() -> None:
    series = bounded(np.random.default_rng(2), 2460)
    direction, _ = run(series[:2400])
    s = np.sqrt(direction.variance)
    assert (s[5] < 4 * s[0]).all()  # of independent noise: 5.7
    series[2400:] += 5
    _, W = run(series)
    assert W[:2400].max() < H
    assert np.median((W[2400:] > H).argmax(axis=0) + 1) <= 12


def test_the_scale_of_independent_noise_grows_as_it_should() -> None:
    direction, _ = run(independent(np.random.default_rng(3), 4000))
    known = SCALES <= 64
    ratio = np.sqrt(direction.variance[known].mean(axis=1) / SCALES[known])
    assert ratio == pytest.approx(5, rel=0.15)


series_of_miners = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(series_of_miners)
def test_who_is_never_above_entitlement_never_scores(values: list[float]) -> None:
    _, W = run(np.minimum(np.array(values), 100 + TOLERANCE)[:, None])
    assert (W == 0).all()


# Of heavy tails two ticks in a row may be far out by themselves.
@given(st.integers(0, 2**32), st.floats(0, 1e9), st.sampled_from(["independent", "correlated", "bounded"]))
@settings(max_examples=25)
def test_one_tick_of_any_size_adds_less_to_the_score_than_an_alarm_takes(
    seed: int, spike: float, kind: str
) -> None:
    series = NOISES[kind](np.random.default_rng(seed), 120)
    _, plain = run(series)
    series[100] += spike
    _, spiked = run(series)
    assert (spiked - plain).max() < H


def test_lumps_that_are_collected_are_no_alarm() -> None:
    series = bounded(np.random.default_rng(4), 600)
    series[100::50] += 165
    series[101::50] -= 96
    series[102::50] -= 69
    assert run(series)[1].max() < H


def test_noise_that_grows_on_both_sides_is_no_gain() -> None:
    series = independent(np.random.default_rng(8), 900)
    series[600:] += np.random.default_rng(9).normal(-5, 25, (300, MINERS))
    _, W = run(series)
    assert (W[600:].max(axis=0) > H).mean() <= 0.05


def test_before_anything_is_known_a_doubling_shows_and_noise_does_not() -> None:
    _, W = run(np.full((5, 1), 200.0))
    assert (W[:, 0] > H).argmax() <= 2
    assert run(100 + PRIOR * np.random.default_rng(5).normal(size=(60, 200)))[1].max() < H


def test_noise_free_telemetry_is_taken_as_having_the_least_noise() -> None:
    series = np.full((8000, 1), 100.0)
    series[7000:] += TOLERANCE
    direction, W = run(series)
    assert np.sqrt(direction.variance[0, 0]) == pytest.approx(LEAST, rel=0.01)
    assert W.max() == 0


def test_a_missing_tick_changes_no_score_and_has_none() -> None:
    direction = Direction(2)
    for values in independent(np.random.default_rng(6), 50)[:, :2]:
        direction.push(values, np.ones(2, bool))
    sums = direction.sums.copy()
    direction.push(np.array([np.nan, 1e9]), np.array([True, False]))
    assert np.isnan(direction.W).all()
    assert np.isnan(direction.S).all()
    assert (direction.sums == sums).all()


def test_what_was_decided_on_is_forgiven_and_the_noise_stays() -> None:
    series = independent(np.random.default_rng(7), 300)
    series[290:] += 100
    direction, W = run(series)
    noise = direction.variance.copy()
    assert W[-1].min() > H
    direction.forgive(0)
    direction.push(np.full(MINERS, 100.0), np.ones(MINERS, bool))
    assert direction.W[0] == 0
    assert direction.W[1] > H
    direction.reset(1)
    assert (direction.variance[:, 1] == (PRIOR**2 * SCALES).astype(np.float32)).all()
    assert direction.variance[0, 0] == pytest.approx(noise[0, 0], rel=0.1)


@given(st.integers(0, 2**32), st.integers(1, 80))
@settings(max_examples=20)
def test_it_goes_on_bit_for_bit_from_its_state_and_whatever_row_a_miner_is_in(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    series = rng.normal(100, 30, (90, 4))
    here = rng.random((90, 4)) < 0.9
    straight, other, order = Direction(4), Direction(4), [2, 0, 3, 1]
    for tick in range(90):
        straight.push(series[tick], here[tick])
        if tick < cut:
            other.push(series[tick], here[tick])
            continue
        if tick == cut:
            state, other = json.loads(json.dumps(other.state())), Direction(4)
            other.restore(state)
            other.arrange([*order, -1])
        other.push(np.append(series[tick][order], 100), np.append(here[tick][order], True))
        assert np.array_equal(other.W[:4], straight.W[order], equal_nan=True)
        assert np.array_equal(other.S[:4], straight.S[order], equal_nan=True)
