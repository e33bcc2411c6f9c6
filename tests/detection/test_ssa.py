"""SSA against the equations written out, miner by miner, with a plain SVD."""

import json
import math

import numpy as np
import pytest

from detectors.ssa.parameters import PAPER, SsaParameters
from detectors.ssa.statistics import Statistics, distances
from detectors.ssa.stream import HOLD, SsaStream
from mint.errors import InputError
from tests.detection.ssa_arithmetic import arithmetic

__all__ = ["arithmetic"]  # a fixture: every test here runs with the kernel and with numpy

SPAN = PAPER.span


def straightforward(x: np.ndarray, P: SsaParameters) -> list[tuple[float, float, float, float]]:
    """D, S, W and the relative gap behind lambda_l of every window of one series, by equations 3 to 8."""
    rows: list[tuple[float, float, float, float]] = []
    accepted_mu = None
    for n in range(len(x) - P.span + 1):
        X = np.array([x[n + j : n + j + P.L] for j in range(max(P.K, P.q))]).T
        U, sigma, _ = np.linalg.svd(X[:, : P.K])
        outside = X - U[:, : P.l] @ (U[:, : P.l].T @ X)
        distance = (outside**2).sum(axis=0)
        D = distance[P.p : P.q].sum()
        own = distance[: P.K].sum() / (P.L * P.K)

        def step(mu: float, D: float = D) -> tuple[float, float]:
            S = D / (P.L * P.Q) / mu
            if not rows:
                return S, S
            _, S_before, W_before, _ = rows[-1]
            return S, max(0.0, W_before + S - S_before - 1 / (3 * P.L * P.Q))

        S, W = step(own)
        if P.h < W and accepted_mu is not None:
            S, W = step(accepted_mu)
        if P.h >= W:
            accepted_mu = own
        rows.append((D, S, W, 1 - (sigma[P.l] / sigma[P.l - 1]) ** 2))
    return rows


def push_all(x: np.ndarray, P: SsaParameters) -> list[Statistics]:
    stream = SsaStream(x.shape[1], P)
    return [stream.push(row) for row in x]


@pytest.mark.parametrize(
    "P", [PAPER, SsaParameters(N=24, L=12, p=13, q=37, l=8), SsaParameters(N=40, L=9, p=2, q=7, l=3)]
)
@pytest.mark.parametrize("deviation", [0.3, 4.0, 60.0])
def test_agrees_with_the_equations(P: SsaParameters, deviation: float) -> None:
    rng = np.random.default_rng(5)
    x = 100 + rng.normal(0, deviation, (P.span + 40, 6))
    x[P.span + 10 :, 2] *= 2
    pushed = push_all(x, P)
    for miner in range(6):
        expected = straightforward(x[:, miner], P)
        assert all(gap > 1e-6 for *_, gap in expected)
        got = [(one.D[miner], one.S[miner], one.W[miner]) for one in pushed[P.span - 1 :]]
        wanted = [row[:3] for row in expected]
        np.testing.assert_allclose(np.array(got)[:, :2], np.array(wanted)[:, :2], rtol=1e-9)
        np.testing.assert_allclose(np.array(got)[:, 2], np.array(wanted)[:, 2], rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("deviation", [1e-3, 1e-2, 0.1, 1.0, 5.0, 50.0])
def test_distances_hold_nine_digits_at_any_noise(deviation: float) -> None:
    x = 100 + np.random.default_rng(6).normal(0, deviation, (300, SPAN))
    D, own = distances(x, PAPER)
    for window, d, mu in zip(x, D, own, strict=True):
        X = np.array([window[j : j + 12] for j in range(24)]).T
        U, sigma, _ = np.linalg.svd(X[:, :13])
        if sigma[4] / sigma[3] < 0.99:  # else the subspace is hardly defined
            outside = (U[:, 4:].T @ X) ** 2
            assert d == pytest.approx(outside[:, 12:].sum(), rel=1e-9)
            assert mu == pytest.approx(outside[:, :13].sum() / (12 * 13), rel=1e-9)


def test_threshold_of_equation_9() -> None:
    assert PAPER.h == pytest.approx(0.60515, abs=5e-6)
    assert SsaParameters(q=36).h == pytest.approx(0.428, abs=5e-4)
    assert PAPER.drift == pytest.approx(1 / 432)
    assert SsaParameters(threshold=17.0).h == 17.0


def test_statistics_begin_when_the_window_is_full() -> None:
    pushed = push_all(np.random.default_rng(1).normal(100, 4, (SPAN, 2)), PAPER)
    for one in pushed[:-1]:
        assert np.isnan([one.D, one.S, one.W]).all()
    assert (pushed[-1].W == pushed[-1].S).all()  # W_1 = S_1
    assert (pushed[0].h == PAPER.h).all()


def test_miners_do_not_touch_one_another() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(100, 4, (60, 37)) * rng.choice([0.01, 1, 30], 37)
    order = rng.permutation(37)
    straight, shuffled = SsaStream(37), SsaStream(37)
    for row in x:
        one, other = straight.push(row), shuffled.push(row[order])
        for name in ("D", "S", "W"):
            assert getattr(one, name)[order].tobytes() == getattr(other, name).tobytes()
    alone = SsaStream(1)
    for row in x:
        last = alone.push(row[11:12])
    assert last.W[0] == one.W[11]


def test_constant_series_have_no_distance() -> None:
    x = np.tile([100.0, 0.0, 1e-300, -7.3e8], (SPAN + 30, 1))
    for one in push_all(x, PAPER)[SPAN - 1 :]:
        assert (one.D == 0).all()
        assert (one.S == 0).all()
        assert (one.W == 0).all()


def test_the_least_change_of_a_constant_series_scores_enormously_and_finitely() -> None:
    x = np.full((SPAN + 1, 1), 100.0)
    x[-1] = 100.1
    assert push_all(x, PAPER)[-1].S[0] > 1e8
    x[:] = 0
    x[-1] = 1
    assert math.isfinite(push_all(x, PAPER)[-1].S[0])


def test_exact_signals_lie_in_their_subspace() -> None:
    t = np.arange(60.0)
    x = np.stack([100 + 5 * np.sin(t), 100 * 1.01**t, 3 + t], axis=1)
    for one in push_all(x, PAPER)[SPAN - 1 :]:
        assert (one.D < 1e-15).all()


def test_a_doubling_stands_out_and_is_over_when_the_window_has_passed() -> None:
    x = np.random.default_rng(4).normal(100, 4, (200, 1))
    x[100:] *= 2
    W = [one.W[0] for one in push_all(x, PAPER)]
    assert max(W[60:100]) < 20
    assert max(W[100:103]) > 20
    assert max(W[100:112]) > 100
    assert W[-1] < 20


def test_short_gaps_are_held_and_long_ones_start_again() -> None:
    rng = np.random.default_rng(8)
    stream = SsaStream(3)
    for _ in range(SPAN):
        values = rng.normal(100, 4, 3)
        stream.push(values)
    held = SsaStream.restore(stream.snapshot())
    for missing in range(HOLD):
        one = stream.push(np.array([100.0, math.nan, 100.0]), np.array([True, False, True]))
        other = held.push(np.array([100.0, values[1], 100.0]))
        assert one.W.tobytes() == other.W.tobytes(), missing
    gone = stream.push(np.array([100.0, math.nan, 100.0]), np.array([True, False, True]))
    assert np.isnan(gone.W).tolist() == [False, True, False]
    for _ in range(SPAN - 1):
        gone = stream.push(rng.normal(100, 4, 3))
        assert math.isnan(gone.W[1])
    gone = stream.push(rng.normal(100, 4, 3))
    assert gone.W[1] == gone.S[1]  # a beginning


def test_a_miner_that_never_came_stays_undefined() -> None:
    stream = SsaStream(2)
    for _ in range(SPAN + 5):
        one = stream.push(np.array([100.0, math.nan]), np.array([True, False]))
    assert np.isnan(one.W).tolist() == [False, True]


def test_reset_is_a_fresh_start_of_one_miner() -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(100, 4, (2 * SPAN + 20, 2))
    stream, fresh = SsaStream(2), SsaStream(1)
    for tick, row in enumerate(x):
        if tick == SPAN + 10:
            stream.reset(1)
        one = stream.push(row)
        if tick >= SPAN + 10:
            other = fresh.push(row[1:])
    assert one.W[1] == other.W[0]
    assert not math.isnan(one.W[0])


def test_a_restored_stream_continues_bit_for_bit() -> None:
    rng = np.random.default_rng(10)
    x, present = rng.normal(100, 4, (120, 5)), rng.random((120, 5)) > 0.1
    straight = SsaStream(5)
    other = SsaStream(5)
    for tick, (row, here) in enumerate(zip(x, present, strict=True)):
        if tick % 17 == 3:
            other = SsaStream.restore(json.loads(json.dumps(other.snapshot())))
        one, two = straight.push(row, here), other.push(row, here)
        for name in ("D", "S", "W"):
            assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


def test_joining_and_leaving_leaves_the_others_alone() -> None:
    rng = np.random.default_rng(11)
    x = rng.normal(100, 4, (80, 3))
    stream, straight = SsaStream(3), SsaStream(3)
    for tick, row in enumerate(x):
        expected = straight.push(row)
        if tick == 50:
            stream.arrange([2, -1, 0])
        one = stream.push(row if tick < 50 else np.array([row[2], 100.0, row[0]]))
    assert stream.miners == 3
    assert one.W[[0, 2]].tolist() == expected.W[[2, 0]].tolist()
    assert math.isnan(one.W[1])
    stream.arrange([])
    assert len(stream.push(np.array([])).W) == 0


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"L": 1}, "L"),
        ({"N": 12}, "N"),
        ({"l": 0}, "l"),
        ({"l": 12}, "l"),
        ({"p": -1}, "p"),
        ({"q": 12}, "q"),
        ({"q": 49}, "q"),
        ({"t_alpha": math.nan}, "t_alpha"),
        ({"threshold": 0.0}, "threshold"),
    ],
)
def test_impossible_parameters_are_named(wrong: dict[str, float], names: str) -> None:
    with pytest.raises(InputError, match=f"SSA parameter {names}:"):
        SsaParameters(**wrong)  # type: ignore[arg-type]  # one wrong value at a time


def test_impossible_ticks_are_refused_and_change_nothing() -> None:
    stream = SsaStream(2)
    before = stream.snapshot()
    with pytest.raises(InputError, match="row 1"):
        stream.push(np.array([1.0, math.inf]))
    with pytest.raises(InputError, match="one for each of 2"):
        stream.push(np.array([1.0]))
    with pytest.raises(InputError, match="other parameters"):
        SsaStream.restore(before, SsaParameters(N=48))
    with pytest.raises(InputError, match="rows 0 to 1"):
        stream.arrange([2])
    assert stream.snapshot() == before


def test_enormous_values_do_no_harm() -> None:
    stream = SsaStream(2)
    for tick in range(SPAN + 5):
        one = stream.push(np.array([1e308 if tick % 3 else -1e300, 100.0 + tick % 2]))
    assert np.isfinite(one.W).all()
