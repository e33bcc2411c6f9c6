"""Shares drawn from CPU time: as many as it pays for, when it was used, each as good as hashes are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, poisson

from network.fairness.hashing import Found, Hashing

S = 1_000_000_000
RATES, WORKS = {"a": 1_000_000, "b": 4_000_000}, {"a": 40_000, "b": 40_000}


def hashing(seed: int = 1) -> Hashing:
    made = Hashing(RATES, WORKS, seed)
    for name in RATES:
        made.begin(name, 0, 0)
    return made


def hours_of(made: Hashing, seconds: int, cpu: float) -> Found:
    for second in range(1, seconds + 1):
        for name in RATES:
            made.advance(name, second * S, int(second * cpu * S))
    return made.found()


def test_shares_are_poisson_in_the_cpu_time_used() -> None:
    # 0.1 CPU for 400 s: 40 CPU-seconds, at 25 and at 100 shares each.
    counts = np.array(
        [np.bincount(hours_of(hashing(seed), 400, 0.1).miner, minlength=2) for seed in range(300)]
    )
    for column, mean in ((0, 1000), (1, 4000)):
        assert counts[:, column].mean() == pytest.approx(mean, rel=0.01)
        # Poisson: the variance is the mean. Discrete, but of so many values that Kolmogorov's test holds.
        assert kstest(counts[:, column], poisson(mean).cdf).pvalue > 0.01


def test_what_a_share_proves_is_above_any_work_in_proportion_to_it() -> None:
    found = hours_of(hashing(), 3000, 0.1)
    # w / u of u uniform: w / proves is.
    assert kstest(40_000 / found.proves, "uniform").pvalue > 0.01


def test_shares_come_in_their_order_and_while_their_miner_ran() -> None:
    made = hashing()
    made.advance("a", 10 * S, 0)
    made.advance("a", 12 * S, 2 * S)
    made.advance("b", 20 * S, 1 * S)
    found = made.found()
    assert (np.diff(found.at_ns) >= 0).all()
    of_a, of_b = found.at_ns[found.miner == 0], found.at_ns[found.miner == 1]
    assert of_a.min() >= 10 * S
    assert of_a.max() < 12 * S
    assert of_b.max() < 20 * S


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3 * S), min_size=1, max_size=20), st.integers(0, 2**32))
def test_what_is_told_is_what_was_found_and_never_falls(steps: list[int], seed: int) -> None:
    made, used, told = hashing(seed), 0, [0]
    for number, step in enumerate(steps, 1):
        used += step
        told.append(made.advance("a", number * S, used))
        assert made.advance("a", number * S, used) == told[-1]
    assert told == sorted(told)
    assert len(made.found().at_ns) == told[-1]


def test_one_seed_is_one_history() -> None:
    one, again, other = (hours_of(hashing(seed), 60, 0.1) for seed in (7, 7, 8))
    assert (one.at_ns == again.at_ns).all()
    assert (one.proves == again.proves).all()
    assert len(one.at_ns) != len(other.at_ns) or (one.at_ns != other.at_ns).any()


def test_who_uses_no_cpu_time_finds_nothing() -> None:
    made = hashing()
    assert made.advance("a", 100 * S, 0) == 0
    assert len(made.found().at_ns) == 0
