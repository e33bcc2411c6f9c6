"""What the SSA statistics cost, and how close they come to a plain SVD: `python -m bench.bench_ssa`."""

from __future__ import annotations

import time

import numpy as np

from detectors.ssa.parameters import PAPER
from detectors.ssa.statistics import distances
from detectors.ssa.stream import SsaStream

NOISE = 4.0  # standard deviation of a second's use under CFS, percent


def cost(miners: int, ticks: int) -> float:
    """Microseconds a miner-tick, median over ticks with full windows."""
    rng = np.random.default_rng(1)
    stream, seconds = SsaStream(miners), []
    for _ in range(PAPER.span + ticks):
        values = rng.normal(100, NOISE, miners)
        start = time.perf_counter()
        stream.push(values)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[PAPER.span :])) / miners * 1e6


def naive_cost(windows: int) -> float:
    """The same distances, one SVD a window in a plain loop."""
    x = np.random.default_rng(1).normal(100, NOISE, (windows, PAPER.span))
    start = time.perf_counter()
    for window in x:
        _svd(window)
    return (time.perf_counter() - start) / windows * 1e6


def _svd(window: np.ndarray) -> tuple[float, float]:
    """D by equation 6, and the relative gap behind lambda_l."""
    P = PAPER
    X = np.array([window[j : j + P.L] for j in range(max(P.K, P.q))]).T
    U, sigma, _ = np.linalg.svd(X[:, : P.K])
    outside = U[:, P.l :].T @ X
    return float((outside[:, P.p : P.q] ** 2).sum()), float(1 - (sigma[P.l] / sigma[P.l - 1]) ** 2)


def worst_error(deviation: float, windows: int = 2000) -> float:
    """Largest relative difference of D from that of the SVD, where the relative gap is above 1 %."""
    x = np.random.default_rng(2).normal(100, deviation, (windows, PAPER.span))
    D, _ = distances(x, PAPER)
    pairs = [(d, *_svd(window)) for d, window in zip(D, x, strict=True)]
    return float(max(abs(d / expected - 1) for d, expected, gap in pairs if gap > 0.01))


def main() -> None:
    """Print both tables."""
    for miners, ticks in ((16, 400), (1000, 20)):
        print(f"{miners:5} miners: {cost(miners, ticks):6.1f} us a miner-tick")
    print(f"one SVD at a time: {naive_cost(2000):.1f} us")
    for deviation in (0.001, 0.01, 0.1, 1.0, 4.0, 30.0):
        print(f"noise {deviation:6} %: D within {worst_error(deviation):.1e} of the SVD's")


if __name__ == "__main__":
    main()
