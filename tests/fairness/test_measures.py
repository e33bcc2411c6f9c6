"""The measures of fairness: laws that hold for any amounts, and p-values that are uniform where all is fair."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from network.fairness.measures import (
    ChiSquare,
    chi_square,
    gini,
    jain,
    mean_interval,
    pooled,
    proportion,
    uniform,
)

# Nothing, or an amount that no change of unit makes vanish.
AMOUNTS = st.lists(st.just(0.0) | st.floats(1e-9, 1e12), min_size=1, max_size=40).filter(any)
SIXTEEN = np.full(16, 1 / 16)


@given(AMOUNTS)
def test_jains_index_lies_between_one_of_n_and_one(amounts: list[float]) -> None:
    assert 1 / len(amounts) * (1 - 1e-12) <= jain(amounts) <= 1 + 1e-12


@given(AMOUNTS)
def test_ginis_coefficient_lies_between_zero_and_one(amounts: list[float]) -> None:
    assert 0 <= gini(amounts) <= 1 - 1 / len(amounts) + 1e-12


@given(AMOUNTS, st.floats(1e-6, 1e6))
def test_neither_depends_on_the_unit(amounts: list[float], unit: float) -> None:
    scaled = [amount * unit for amount in amounts]
    assert jain(scaled) == pytest.approx(jain(amounts))
    assert gini(scaled) == pytest.approx(gini(amounts), abs=1e-9)


@given(AMOUNTS, st.randoms(use_true_random=False))
def test_neither_depends_on_whose_amounts_they_are(amounts: list[float], rng: random.Random) -> None:
    shuffled = list(amounts)
    rng.shuffle(shuffled)
    assert jain(shuffled) == pytest.approx(jain(amounts))
    assert gini(shuffled) == pytest.approx(gini(amounts), abs=1e-9)


@given(st.floats(1e-6, 1e12), st.integers(1, 40))
def test_the_same_for_all_is_even_and_all_for_one_is_not(amount: float, n: int) -> None:
    assert jain([amount] * n) == pytest.approx(1)
    assert gini([amount] * n) == pytest.approx(0, abs=1e-12)
    assert jain([amount] + [0] * (n - 1)) == pytest.approx(1 / n)
    assert gini([amount] + [0] * (n - 1)) == pytest.approx(1 - 1 / n)


@given(AMOUNTS.filter(lambda amounts: len(amounts) > 1))
def test_giving_from_the_richest_to_the_poorest_is_never_less_even(amounts: list[float]) -> None:
    # The transfer principle (Dalton 1920), which both satisfy.
    x = np.sort(amounts)
    moved = x.copy()
    moved[-1] -= (x[-1] - x[0]) / 4
    moved[0] += (x[-1] - x[0]) / 4
    assert jain(moved) >= jain(x) - 1e-12
    assert gini(moved) <= gini(x) + 1e-12


def test_nothing_at_all_is_even() -> None:
    assert (jain([0, 0]), gini([0, 0])) == (1.0, 0.0)


def test_ginis_coefficient_is_the_mean_difference_of_two_over_twice_the_mean() -> None:
    x = np.random.default_rng(1).pareto(1.5, 50)
    assert gini(x) == pytest.approx(np.abs(x[:, None] - x).mean() / (2 * x.mean()))


@given(st.lists(st.integers(100, 1000), min_size=2, max_size=20), st.data())
def test_the_chi_square_test_is_scipys(counts: list[int], data: st.DataObject) -> None:
    weights = np.array(
        data.draw(st.lists(st.integers(1, 5), min_size=len(counts), max_size=len(counts))), float
    )
    fair = weights / weights.sum()
    ours, theirs = chi_square(counts, fair), chisquare(counts, sum(counts) * fair)
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert ours.freedom == len(counts) - 1


def test_where_fewer_than_five_are_expected_of_a_miner_nothing_is_said() -> None:
    assert math.isnan(chi_square([4] * 16, SIXTEEN).p)
    assert chi_square([5] * 16, SIXTEEN).p == 1.0


def test_of_one_miner_alone_nothing_is_said() -> None:
    assert math.isnan(chi_square([100], [1.0]).p)


@pytest.mark.parametrize("weights", [[1] * 16, [1] * 8 + [4] * 8], ids=["equal", "unlike"])
def test_p_values_of_fair_blocks_are_uniform(weights: list[int]) -> None:
    # An hour's blocks of ten seconds each, each found by a miner drawn by its hashing.
    fair = np.array(weights) / sum(weights)
    hours = np.random.default_rng(2021).multinomial(360, fair, size=2000)
    assert uniform([chi_square(hour, fair).p for hour in hours]) > 0.01


def test_p_values_of_fair_shares_are_uniform() -> None:
    # Shares are Poisson, each miner's by itself: their sum is no constant.
    hours = np.random.default_rng(2022).poisson(9000, size=(2000, 16))
    assert uniform([chi_square(hour, SIXTEEN).p for hour in hours]) > 0.01


def test_p_values_of_weighted_sums_are_not_and_so_none_are_made_of_rewards() -> None:
    # Three of four shares are paid thrice: as if it were counts, the sum varies more than a count of its size.
    rng = np.random.default_rng(2023)
    sums = rng.poisson(250, size=(2000, 16)) + 3 * rng.poisson(750, size=(2000, 16))
    assert uniform([chi_square(one, SIXTEEN).p for one in sums]) < 1e-6


def test_p_values_where_one_miner_has_a_tenth_more_are_not_uniform() -> None:
    unfair = np.array([1.1] + [1] * 15) / 16.1
    hours = np.random.default_rng(2024).multinomial(144_000, unfair, size=200)
    assert uniform([chi_square(hour, SIXTEEN).p for hour in hours]) < 1e-6


def test_hours_together_tell_what_one_alone_does_not() -> None:
    tests = [ChiSquare(18.0, 15, 0.26)] * 100
    assert pooled(tests).freedom == 1500
    assert pooled(tests).p < 1e-6
    assert math.isnan(pooled([]).p)


@given(st.integers(0, 500), st.integers(1, 500))
def test_a_proportion_lies_within_its_interval_and_that_within_nothing_and_all(count: int, more: int) -> None:
    found = proportion(count, count + more)
    assert 0 <= found.low <= found.value <= found.high <= 1
    other = proportion(more, count + more)
    assert other.low == pytest.approx(1 - found.high)


def test_intervals_cover_what_is_true_19_times_of_20() -> None:
    rng = np.random.default_rng(2025)
    inside = [
        one.low <= 1 / 16 <= one.high
        for one in (proportion(int(count), 360) for count in rng.binomial(360, 1 / 16, 4000))
    ]
    assert 0.93 < np.mean(inside) < 0.975
    hours = rng.normal(1.0, 0.04, (4000, 12))
    inside = [one.low <= 1.0 <= one.high for one in map(mean_interval, hours)]
    assert 0.94 < np.mean(inside) < 0.96


def test_of_nothing_and_of_one_hour_an_interval_says_nothing() -> None:
    nothing, one = proportion(0, 0), mean_interval([1.5])
    assert (nothing.low, nothing.high) == (0.0, 1.0)
    assert (one.value, one.low, one.high) == (1.5, -math.inf, math.inf)
