"""D and D~ to nine digits, of any series; a miner's numbers are its own; what has no variance is defined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from detectors.ssa.parameters import PAPER, SsaParameters
from detectors.ssa.statistics import distances
from detectors.ssa.stream import SsaStream
from tests.detection.ssa_arithmetic import arithmetic
from tests.detection.ssa_reference import EPSILON, precise, straightforward

__all__ = ["arithmetic"]  # a fixture: every test here runs with the kernel and with numpy

T = np.arange(PAPER.span)
# Other L than the presets', K below l, test matrices that begin in and after the base, more than fits the kernel.
SHAPES = [
    PAPER,
    SsaParameters(N=24, L=12, p=13, q=37, l=8),
    SsaParameters(N=40, L=9, p=2, q=7, l=3),
    SsaParameters(N=13, L=12, p=1, q=20, l=4),
    SsaParameters(N=6, L=2, p=0, q=3, l=1),
    SsaParameters(N=150, L=70, p=80, q=120, l=6),
]


@st.composite
def series(draw: st.DrawFn) -> np.ndarray:
    """What telemetry can look like, and what it cannot: any size, level, noise, wave, step, spike and rounding."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = 10.0 ** draw(st.integers(-30, 6))
    x = np.full(PAPER.span, draw(st.sampled_from([0.0, 1.0, -1.0, 100.0, 1e4])))
    x += draw(st.sampled_from([0.0, 1e-5, 1e-3, 0.04, 1.0])) * rng.standard_normal(PAPER.span)
    x += draw(st.sampled_from([0.0, 0.0, 0.1, 30.0])) * np.sin(rng.uniform(0.1, 3) * T)
    x += draw(st.sampled_from([0.0, 0.0, 1e-4, 1.0])) * T
    x[rng.integers(PAPER.span) :] += draw(st.sampled_from([0.0, 0.0, 0.1, 100.0]))
    x[rng.integers(PAPER.span)] += draw(st.sampled_from([0.0, 0.0, 10.0, 1e6]))
    telemetry: np.ndarray = draw(st.sampled_from([x, np.round(x), np.abs(x)]))
    return telemetry * size


@given(series())
def test_nine_digits_of_any_series_wherever_the_svd_has_them(x: np.ndarray) -> None:
    D, own = distances(x[None], PAPER)
    assert np.isfinite([D, own]).all()
    assert min(D[0], own[0]) >= 0
    wanted = straightforward(x, PAPER)
    for got, reference, doubt in ((D[0], wanted.D, wanted.doubt[0]), (own[0], wanted.own, wanted.doubt[1])):
        event(f"defined: {doubt < 1e-9}")
        if doubt < 1e-9:
            assert got == pytest.approx(reference, rel=1e-9, abs=0)


@pytest.mark.parametrize("P", SHAPES)
def test_nine_digits_for_any_parameters(P: SsaParameters) -> None:
    x = 100 + np.random.default_rng(1).normal(0, 4, (11, P.span))
    x[7:, P.N // 2 :] += 40
    defined = 0
    for window, D, own in zip(x, *distances(x, P), strict=True):
        wanted = straightforward(window, P)
        if max(wanted.doubt) < 1e-9:
            defined += 1
            assert pytest.approx(wanted.D, rel=1e-9) == D
            assert own == pytest.approx(wanted.own, rel=1e-9)
    assert defined > 7 or P.l >= P.K


@pytest.mark.parametrize("deviation", [1e-6, 1e-5, 1e-4, 1e-3, 0.1, 10.0])
def test_nine_digits_where_the_mean_costs_the_svd_its_own(deviation: float) -> None:
    x = 100 + np.random.default_rng(2).normal(0, deviation, (6, PAPER.span))
    off = 0.0
    for window, D, own in zip(x, *distances(x, PAPER), strict=True):
        wanted = precise(window, PAPER)
        assert pytest.approx(wanted.D, rel=1e-9) == D
        assert own == pytest.approx(wanted.own, rel=1e-9)
        off = max(off, abs(straightforward(window, PAPER).D / wanted.D - 1))
    assert off > 1e-10 or deviation > 1e-5  # the reference is needed


@given(st.integers(0, 2**32 - 1), st.integers(1, 37))
def test_a_row_is_bit_for_bit_the_same_in_any_company(seed: int, miners: int) -> None:
    rng = np.random.default_rng(seed)
    x = 100 + rng.standard_normal((miners, PAPER.span)) * rng.choice([0, 1e-9, 0.1, 4, 1e5], (miners, 1))
    x *= rng.choice([0, 1e-200, 1, 1e6], (miners, 1))
    x += 50 * np.sin(T) * rng.choice([0, 0, 1], (miners, 1))  # of rank 2: some are decomposed by SVD
    order = rng.permutation(miners)
    together, shuffled = distances(x, PAPER), distances(x[order], PAPER)
    row = rng.integers(miners)
    alone = distances(x[row : row + 1], PAPER)
    for one, other, single in zip(together, shuffled, alone, strict=True):
        assert one[order].tobytes() == other.tobytes()
        assert one[row] == single[0]


@pytest.mark.parametrize("level", [0.0, 100.0, 1 / 3, -7.3e8])
def test_of_a_constant_series_the_mean_alone_is_signal(level: float) -> None:
    x = np.full((1, PAPER.span), level)
    assert distances(x, PAPER)[0][0] == 0
    x[0, PAPER.N + 3 :] += 10.0  # after the base, in two thirds of the test vectors
    X = np.array([x[0, j : j + PAPER.L] for j in range(PAPER.p, PAPER.q)])
    away = X if level == 0 else X - X.mean(axis=1, keepdims=True)
    D, own = distances(x, PAPER)
    assert own[0] == 0
    if abs(level) < 1e8:  # else one ten-millionth of the level is what is left of its digits
        assert D[0] == pytest.approx((away**2).sum(), rel=1e-12)


def test_of_a_series_of_small_rank_all_that_is_new_lies_outside() -> None:
    x = 100 + 30 * np.sin(0.7 * T)[None]  # rank 3 of l = 4
    x[0, PAPER.N :] += 5 * np.random.default_rng(3).standard_normal(PAPER.span - PAPER.N)
    span, _ = np.linalg.qr(np.stack([np.ones(12), np.sin(0.7 * T[:12]), np.cos(0.7 * T[:12])], axis=1))
    X = np.array([x[0, j : j + PAPER.L] for j in range(PAPER.p, PAPER.q)]).T
    D, own = distances(x, PAPER)
    assert D[0] == pytest.approx(((X - span @ (span.T @ X)) ** 2).sum(), rel=1e-9)
    assert own[0] < (100 * EPSILON * 100) ** 2


@settings(max_examples=20)  # of 60 ticks each
@given(st.integers(0, 2**32 - 1))
def test_among_joins_gaps_and_fresh_starts_each_miner_is_as_if_alone(seed: int) -> None:
    """The whole of a stream's life against one stream a miner, each told of its own events alone."""
    rng = np.random.default_rng(seed)
    P = SsaParameters(N=5, L=3, p=2, q=5, l=1)
    together, alone = SsaStream(2, P), [SsaStream(1, P), SsaStream(1, P)]
    for _ in range(60):
        if rng.random() < 0.05:
            origin = [int(row) for row in rng.permutation(len(alone))[: rng.integers(0, 4)]] + [-1]
            together.arrange(origin)
            alone = [alone[row] if row >= 0 else SsaStream(1, P) for row in origin]
        if rng.random() < 0.05:
            row = int(rng.integers(len(alone)))
            together.reset(row)
            alone[row].reset(0)
        present = rng.random(len(alone)) > rng.choice([0, 0.2, 0.8])
        values = 100 + rng.standard_normal(len(alone))
        one = together.push(np.where(present, values, np.nan), present)
        for row, stream in enumerate(alone):
            other = stream.push(values[row : row + 1], present[row : row + 1])
            for name in ("D", "S", "W"):
                assert getattr(one, name)[row : row + 1].tobytes() == getattr(other, name).tobytes()
