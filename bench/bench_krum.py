"""What Krum costs, exact, by the number of miners: `python -m bench krum`, or `python -m bench.bench_krum`.

All on one core (OPENBLAS_NUM_THREADS=1 is set here). Where byzfl and flwr can be imported they are timed on the
same matrix; neither is in a lock of ours, for byzfl needs torch. What they compute differs a little, in float64:
byzfl leaves out f of the n - 1 others and not f + 1, both take roots and square them again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from detectors.krum import krum

Floats = NDArray[np.float64]

D = 60  # values in a behaviour vector
# Vectors of up to one period's entitlement in ppm, as honest ones are: float64. And larger ones, as forged counters
# make them.
KINDS = (
    ("float64", 10**6, (16, 100, 1_000, 5_000, 10_000)),
    ("int64", 2**27, (16, 1_000)),
    ("object", 2**61, (16, 60)),
)
COUNTS = (16, 100, 1_000, 10_000)
# flwr takes n^2 norms in Python: two minutes for 10,000 miners.
FLWR_MOST = 1_000
# Work is repeated for so long, and the shortest run counts.
REPEATED_S = 0.5


def shortest(work: Callable[..., object], *arguments: object) -> float:
    """Seconds that `work` takes, in the shortest of the runs that fit into REPEATED_S."""
    best, began, now = np.inf, time.perf_counter(), 0.0
    while best == np.inf or now - began < REPEATED_S:
        start = time.perf_counter()
        work(*arguments)
        now = time.perf_counter()
        best = min(best, now - start)
    return float(best)


def most_byzantine(n: int) -> int:
    """The largest f that n vectors bear."""
    return (n - 3) // 2


def ours() -> None:
    """Milliseconds a round, of f = 1 or the largest the longer, for each arithmetic that magnitudes can call for."""
    rng = np.random.default_rng(1)
    for name, size, counts in KINDS:
        before: tuple[int, float] | None = None
        for n in counts:
            G = rng.integers(-size, size, (n, D))
            took = max(shortest(krum, G, f) for f in (1, most_byzantine(n)))
            grows = ""
            if before is not None:
                grows = f"   as n^{np.log(took / before[1]) / np.log(n / before[0]):.1f} from n = {before[0]}"
            print(f"{name:8} n = {n:6}, d = {D}: {took * 1e3:9.2f} ms{grows}", flush=True)
            before = n, took


def of_byzfl() -> Callable[[Floats, int], object]:
    """Krum of byzfl, on one thread; its errors where it cannot be imported."""
    import_module("torch").set_num_threads(1)
    aggregator = import_module("byzfl").Krum
    return lambda G, f: aggregator(f)(G)


def of_flwr() -> Callable[[Floats, int], object]:
    """Krum of flwr; its errors where it cannot be imported."""
    aggregate = import_module("flwr.server.strategy.aggregate").aggregate_krum
    return lambda G, f: aggregate([([row], 1) for row in G], f, 0)


def compared() -> None:
    """Ours and theirs on the same matrices."""
    for name, load, most in (("byzfl", of_byzfl, COUNTS[-1]), ("flwr", of_flwr, FLWR_MOST)):
        try:
            theirs = load()
        except (ImportError, RuntimeError) as error:  # RuntimeError: its torch and torchvision do not fit
            print(f"{name} cannot be imported, so not compared: {error}")
            continue
        rng = np.random.default_rng(2)
        for n in COUNTS:
            G, f = rng.integers(-(10**6), 10**6, (n, D)), most_byzantine(n)
            own = shortest(krum, G, f)
            line = f"{name} {version(name):7} n = {n:6}, d = {D}, f = {f:4}: ours {own * 1e3:9.2f} ms, theirs"
            if n > most:
                print(f"{line} not run: n^2 norms in Python", flush=True)
                continue
            took = shortest(theirs, G.astype(np.float64), f)
            print(f"{line} {took * 1e3:10.2f} ms, {took / own:.1f} times ours", flush=True)


def main() -> None:
    """Print it all."""
    ours()
    compared()


if __name__ == "__main__":
    main()
