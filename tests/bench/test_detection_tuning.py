"""How thresholds are chosen, and what is counted by them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.detection import tuning
from bench.detection.sst import LAG, RANK, SPAN, WINDOW, scores
from bench.detection.tuning import MINUTE, NEVER, cheating, honest, together


def series(seed: int) -> np.ndarray:
    """One to five minutes of whole scores up to 50, most of them low."""
    random = np.random.default_rng(seed)
    return random.geometric(0.2, random.integers(MINUTE, 5 * MINUTE)).clip(0, 50).astype(float)


@given(st.integers(0, 10**6), st.integers(0, 12))
def test_the_threshold_is_the_lowest_that_keeps_the_rate(seed: int, tolerated: int) -> None:
    values = np.repeat(series(seed), 20)  # as many minutes as there were thirds of one
    one = honest([values[:, None], values[::-1, None]])
    threshold = one.threshold((tolerated + 0.5) / one.hours)
    higher = [value for value in range(51) if value >= threshold]
    assert all(one.accusations(value) <= tolerated for value in higher)
    if threshold > values.min():
        assert one.accusations(threshold - 1) > tolerated


@given(st.integers(0, 10**6), st.integers(0, 51))
def test_an_accusation_stands_until_a_minute_brings_none(seed: int, threshold: int) -> None:
    values = series(seed).tolist()
    minutes = [max(values[first : first + MINUTE]) > threshold for first in range(0, len(values), MINUTE)]
    begins = sum(now and not before for before, now in itertools.pairwise([False, *minutes]))
    assert honest([np.array(values)[:, None]]).accusations(threshold) == begins


def test_traces_of_honest_miners_add_up() -> None:
    first, second = (honest([np.random.default_rng(seed).random((100, 3)) ** 0.1]) for seed in (1, 2))
    both = together([first, second])
    assert both.hours == first.hours + second.hours
    assert both.accusations(0.99) == first.accusations(0.99) + second.accusations(0.99)


@given(st.integers(0, 10**6), st.integers(0, MINUTE - 2), st.integers(0, 51))
def test_a_delay_is_counted_from_the_last_reading_before(seed: int, last: int, threshold: int) -> None:
    scores = series(seed)
    above = [tick for tick, value in enumerate(scores.tolist()) if value > threshold]
    after = [tick for tick in above if tick > last]
    accused_before = any(tick <= last for tick in above)
    expected = NEVER if accused_before or not after else after[0] - last
    assert cheating(scores, last).delay(threshold) == expected


def test_an_old_accusation_does_not_hide_a_cheat() -> None:
    scores = np.zeros(4 * MINUTE)
    scores[0], scores[3 * MINUTE] = 1, 1
    assert cheating(scores, 2 * MINUTE).delay(0.5) == MINUTE


def test_who_looks_back_may_be_early_by_so_much() -> None:
    scores = np.zeros(200)
    scores[97] = 1
    assert cheating(scores, 100, early=5).delay(0.5) == 1
    assert cheating(scores, 100, early=2).delay(0.5) == NEVER


def test_quantiles_count_what_was_never_found() -> None:
    delays = np.array([1.0, 2, 3, NEVER])
    assert tuning.quantile(delays, 0.5) == 2
    assert tuning.quantile(delays, 0.95) == NEVER


def test_f1_and_intervals() -> None:
    assert tuning.f1(10, 0, 0) == 1
    assert tuning.f1(0, 10, 5) == 0
    assert tuning.f1(6, 2, 2) == pytest.approx(0.75)
    # Rule of three; and the textbook interval of 10 events.
    assert tuning.interval(0) == pytest.approx((0, -math.log(0.025)))
    assert tuning.interval(10) == pytest.approx((4.795, 18.39), abs=0.005)


@pytest.mark.parametrize("centred", [False, True])
def test_the_spectrum_transformation_is_that_of_the_paper(centred: bool) -> None:
    x = np.random.default_rng(1).normal(1, 0.1, 3 * SPAN)
    windows = np.array([x[t : t + WINDOW] for t in range(len(x) - WINDOW + 1)])
    if centred:
        windows = windows - windows.mean(axis=1)[:, None]
    expected = np.zeros(len(x))
    for t in range(SPAN - 1, len(x)):
        first = t - SPAN + 1
        U, _, _ = np.linalg.svd(windows[first : first + WINDOW].T)
        V, _, _ = np.linalg.svd(windows[first + LAG : first + LAG + WINDOW].T)
        expected[t] = 1 - ((U[:, :RANK].T @ V[:, 0]) ** 2).sum()
    assert scores(x, centred=centred) == pytest.approx(expected, abs=1e-9)


def test_the_spectrum_transformation_sees_nothing_in_a_sinusoid_and_something_where_it_changes() -> None:
    t = np.arange(200)
    plain = np.sin(t / 3)
    changed = np.where(t < 120, plain, np.sin(2 * t))
    assert scores(plain, centred=True).max() < 1e-9
    assert scores(changed, centred=True)[:120].max() < 1e-9
    assert scores(changed, centred=True)[120:].max() > 0.05
