"""Krum: equations 10 and 11 in exact integers, whatever the order, size and magnitude."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import krum as module
from detectors.krum import far_from_benchmark, krum
from mint.errors import InputError


def reference(G: list[list[int]], f: int) -> list[int]:
    """Equation 10 as written, in Python's integers."""
    n = len(G)
    scores = []
    for i in range(n):
        others = sorted(
            sum((a - b) ** 2 for a, b in zip(G[i], G[j], strict=True)) for j in range(n) if j != i
        )
        scores.append(sum(others[: n - f - 2]))
    return scores


@st.composite
def behaviours(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    f = draw(st.integers(0, 3))
    n = draw(st.integers(2 * f + 3, 12))
    d = draw(st.integers(1, 5))
    size = draw(st.sampled_from([3, 10**6, 2**26, 2**30, 2**62]))
    row = st.lists(st.integers(-size, size), min_size=d, max_size=d)
    return np.array(draw(st.lists(row, min_size=n, max_size=n)), np.int64), f


@given(behaviours())
def test_scores_are_those_of_the_equation(case: tuple[np.ndarray, int]) -> None:
    G, f = case
    result = krum(G, f)
    expected = reference(G.tolist(), f)
    assert list(result.scores) == expected
    assert result.best == expected.index(min(expected))
    assert all(type(score) is int for score in result.scores)


@given(behaviours(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(case: tuple[np.ndarray, int], random: Random) -> None:
    G, f = case
    names = [f"miner-{row:02}" for row in range(len(G))]
    order = list(range(len(G)))
    random.shuffle(order)
    straight = krum(G, f, names)
    shuffled = krum(G[order], f, [names[row] for row in order])
    assert names[straight.best] == names[order[shuffled.best]]
    assert [straight.scores[row] for row in order] == list(shuffled.scores)


@pytest.mark.parametrize("limit", [2**53, 2**63])
@pytest.mark.parametrize("beyond", [False, True])
@given(st.integers(1, 7), st.randoms(use_true_random=False))
def test_the_widest_vectors_of_each_arithmetic_are_exact(
    limit: int, beyond: bool, d: int, random: Random
) -> None:
    width = (
        math.isqrt(limit // d) - 1 + beyond
    )  # the widest that float64, or int64, has room for; and one more
    G = [[random.choice((0, 1, width // 2, width - 1, width)) - 2**61 for _ in range(d)] for _ in range(9)]
    assert list(krum(np.array(G, np.int64), 0).scores) == reference(G, 0)


@pytest.mark.parametrize("alike", [0, 20])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, alike: int) -> None:
    G = np.random.default_rng(1).integers(-1000, 1000, (50, 7))
    G[:alike] = G[0]
    whole = krum(G, 10)
    monkeypatch.setattr(module, "BLOCK", 130)
    assert krum(G, 10) == whole
    assert list(whole.scores) == reference(G.tolist(), 10)


def test_sums_beyond_64_bits_are_exact() -> None:
    G = np.zeros((11, 1), np.int64)
    G[5:] = 2**30 + 1  # distances below 2^63, the sum of nine above it
    assert list(krum(G, 0).scores) == reference(G.tolist(), 0)
    G[5:] = 2**62
    assert list(krum(G, 0).scores) == reference(G.tolist(), 0)


def test_sums_are_split_where_int64_would_overflow() -> None:
    numbers = np.full((2, 9), 2**60 + 12345, np.int64)
    assert module._row_sums(numbers, 2**60 + 12345) == [9 * (2**60 + 12345)] * 2


def test_ties_go_to_the_smallest_id() -> None:
    G = np.zeros((5, 3), np.int64)
    assert krum(G, 1).best == 0
    assert krum(G, 1, ["e", "d", "a", "c", "b"]).best == 2


def test_distances_from_the_benchmark() -> None:
    G = np.array([[0, 0], [3, 4], [-(2**62), 2**62]], np.int64)
    assert far_from_benchmark(G, 0) == (0, 25, 2**125)
    assert far_from_benchmark(G[:2], 1) == (25, 0)


def test_six_identical_colluders_of_sixteen_have_the_top_scores() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        G = rng.integers(-5_000, 5_000, (16, 1)).repeat(6, axis=1)  # the mean over d ticks, ppm
        G[10:] = 100_000
        result = krum(G, 6)
        assert result.best < 10
        assert min(far_from_benchmark(G, result.best)[10:]) > max(far_from_benchmark(G, result.best)[:10])
        assert min(result.scores[10:]) > max(result.scores[:10])


@pytest.mark.parametrize(("n", "f"), [(4, 1), (6, 2), (2, 0), (5, -1)])
def test_too_few_vectors_are_refused(n: int, f: int) -> None:
    with pytest.raises(InputError, match=r"n >= 2f \+ 3"):
        krum(np.zeros((n, 2), np.int64), f)


@pytest.mark.parametrize("G", [np.zeros((5, 2)), np.zeros(5, np.int64), np.zeros((0, 2), np.int64)])
def test_wrong_arrays_are_refused(G: np.ndarray) -> None:
    with pytest.raises(InputError, match="int64"):
        krum(G, 1)


def test_ids_must_match_the_rows() -> None:
    with pytest.raises(InputError, match="miner ids"):
        krum(np.zeros((5, 2), np.int64), 1, ["a"])
