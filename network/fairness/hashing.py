"""What miners prove by hashing: shares, drawn from the CPU time that each really used.

A miner that computes r hashes a CPU-second and used c seconds finds a Poisson number of shares of mean r c / w, w the
expected hashes of one; each at a moment that is uniform over those in which it ran. The hash of a share is uniform up
to the share's target, so what it proves is w / u of u uniform in (0, 1]: it proves work W or more with probability
w / W, and such a share of the network's is a block where W is the block's work. Deterministic: one seed, one draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Found:
    """Shares in the order of their time, (N,) each: when (true ns), whose (row of the miner), the work it proves."""

    at_ns: Ints
    miner: Ints
    proves: Floats


class Hashing:
    """The miners of a network while they hash; `rates`: hashes a CPU-second, `works`: expected hashes of a share."""

    def __init__(self, rates: Mapping[str, int], works: Mapping[str, int], seed: int) -> None:
        self._rows = {name: row for row, name in enumerate(sorted(works))}
        self._works = np.array([works[name] for name in sorted(works)], float)
        self._per_ns = {name: rates[name] / works[name] / NS_PER_S for name in works}
        self._rng = np.random.Generator(np.random.SFC64(seed))
        self._last = dict.fromkeys(works, (0, 0))
        self._total = dict.fromkeys(works, 0)
        self._stretches: list[tuple[int, int, int, int]] = []

    def begin(self, miner: str, at_ns: int, usage_ns: int) -> None:
        """It hashes from now on; its counter stands at `usage_ns`."""
        self._last[miner] = (at_ns, usage_ns)

    def advance(self, miner: str, at_ns: int, usage_ns: int) -> int:
        """Its CPU counter stands at `usage_ns` now; all the shares that it has found."""
        since_ns, used_ns = self._last[miner]
        if at_ns > since_ns and usage_ns >= used_ns:
            self._last[miner] = (at_ns, usage_ns)
            count = int(self._rng.poisson((usage_ns - used_ns) * self._per_ns[miner]))
            if count:
                self._total[miner] += count
                self._stretches.append((self._rows[miner], count, since_ns, at_ns))
        return self._total[miner]

    def found(self) -> Found:
        """Every share found so far; to be asked once, for it draws their moments."""
        rows, counts, since, until = np.array(self._stretches, np.int64).reshape(-1, 4).T
        miner = np.repeat(rows, counts)
        moment = self._rng.random(len(miner))
        at_ns = np.repeat(since, counts) + (moment * np.repeat(until - since, counts)).astype(np.int64)
        proves = self._works[miner] / (1.0 - self._rng.random(len(miner)))
        order = np.argsort(at_ns, kind="stable")
        return Found(at_ns[order], miner[order], proves[order])
