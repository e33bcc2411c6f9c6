"""Exact SSA: what a miner-tick costs, how close it comes to an SVD, what it keeps: `python -m bench.bench_ssa`.

Costs are this thread's CPU time, so that other work on the machine changes them little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np

from detectors.ssa import statistics
from detectors.ssa.kernel import kernel
from detectors.ssa.parameters import PAPER
from detectors.ssa.statistics import distances
from detectors.ssa.stream import SsaStream

NOISE = 4.0  # standard deviation of a second's use under CFS, percent
GOAL = 1_000_000  # miner-ticks a second
WINDOWS = 2000
# Miners, ticks with the kernel and ticks with numpy: each some seconds at most.
SIZES = ((16, 2000, 200), (1000, 200, 20), (10_000, 40, 5))


def cost(miners: int, ticks: int) -> tuple[float, float]:
    """Microseconds a miner-tick of a stream, least and median over ticks with full windows."""
    rng = np.random.default_rng(1)
    stream, spent = SsaStream(miners), []
    for _ in range(PAPER.span + ticks):
        values = rng.normal(100, NOISE, miners)
        start = time.thread_time_ns()
        stream.push(values)
        spent.append(time.thread_time_ns() - start)
    full = np.array(spent[PAPER.span :]) / miners / 1e3
    return float(full.min()), float(np.median(full))


def each(work: Callable[[np.ndarray], object]) -> tuple[float, float]:
    """Microseconds a window of one call a window, least and median over runs."""
    x = np.random.default_rng(1).normal(100, NOISE, (WINDOWS, PAPER.span))
    spent = []
    for part in np.split(x, 10):
        start = time.thread_time_ns()
        for window in part:
            work(window)
        spent.append((time.thread_time_ns() - start) / len(part) / 1e3)
    return min(spent), float(np.median(spent))


def svd(window: np.ndarray) -> tuple[float, float]:
    """D by equation 6 with a plain SVD, and the relative gap behind lambda_l."""
    P = PAPER
    X = np.array([window[j : j + P.L] for j in range(max(P.K, P.q))]).T
    U, sigma, _ = np.linalg.svd(X[:, : P.K])
    outside = U[:, P.l :].T @ X
    return float((outside[:, P.p : P.q] ** 2).sum()), float(1 - (sigma[P.l] / sigma[P.l - 1]) ** 2)


def worst_error(deviation: float) -> float:
    """Largest relative difference of D from that of the SVD, where the relative gap is above 1 %."""
    x = np.random.default_rng(2).normal(100, deviation, (WINDOWS, PAPER.span))
    D, _ = distances(x, PAPER)
    pairs = [(d, *svd(window)) for d, window in zip(D, x, strict=True)]
    return float(max(abs(d / expected - 1) for d, expected, gap in pairs if gap > 0.01))


def held() -> float:
    """Bytes of arrays that a stream keeps for each miner."""
    miners = 1000
    stream = SsaStream(miners)
    cusum = vars(stream._cusum).values()
    arrays = [item for item in (*vars(stream).values(), *cusum) if isinstance(item, np.ndarray)]
    return sum(array.nbytes for array in arrays) / miners


def main() -> None:
    """Print all tables."""
    compiled = kernel()
    ways = {"numpy": None} if compiled is None else {"kernel": compiled, "numpy": None}
    least, median = each(svd)
    print(f"one SVD at a time     {least:6.2f} us least, {median:6.2f} median")
    best = median
    for miners, with_kernel, with_numpy in SIZES:
        for name, way in ways.items():
            with patch.object(statistics, "kernel", lambda way=way: way):
                one = cost(miners, with_kernel if way else with_numpy)
            print(
                f"{miners:6} miners, {name:6} {one[0]:6.2f} us least, {one[1]:6.2f} median a miner-tick, "
                f"{median / one[1]:5.1f} times as fast as the SVDs"
            )
            best = min(best, one[1])
    print(
        f"at best {1e6 / best:,.0f} miner-ticks a second on one core; {GOAL:,} take {GOAL * best / 1e6:.2f} cores"
    )
    print(f"{held():.0f} bytes a miner")
    for deviation in (0.001, 0.01, 0.1, 1.0, 4.0, 30.0):
        errors = []
        for name, way in ways.items():
            with patch.object(statistics, "kernel", lambda way=way: way):
                errors.append(f"{name} {worst_error(deviation):.1e}")
        print(f"noise {deviation:6} %: D within {', '.join(errors)} of the SVD's")


if __name__ == "__main__":
    main()
