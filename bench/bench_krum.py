"""What Krum costs, exact, by the number of miners: `python -m bench.bench_krum`."""

from __future__ import annotations

import time

import numpy as np

from detectors.krum import krum

D = 60  # values in a behaviour vector


def main() -> None:
    """Print milliseconds a round, best of three, for each arithmetic that magnitudes can call for."""
    rng = np.random.default_rng(1)
    kinds = (
        ("float64", 10**6, (16, 100, 1000, 10_000)),
        ("int64", 2**27, (16, 1000)),
        ("object", 2**61, (16, 60)),
    )
    for name, size, counts in kinds:
        for n in counts:
            G = rng.integers(-size, size, (n, D))
            best = np.inf
            for _ in range(3):
                start = time.perf_counter()
                krum(G, (n - 3) // 2)
                best = min(best, time.perf_counter() - start)
            print(f"{name:8} n = {n:6}, d = {D}: {best * 1e3:9.2f} ms")


if __name__ == "__main__":
    main()
