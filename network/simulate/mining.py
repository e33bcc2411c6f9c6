"""What the simulated miners of a device have mined: shares at random moments of the CPU time that they really used.

Between two shares of a miner lies an exponential amount of CPU time, so that shares in any amount are Poisson. What its
agent says of that CPU time is another matter (liars.py).
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from mint.charter.model import Charter
from mint.work import NS_PER_S, work_rule
from network.simulate.streams import stream


class Mining:
    """The shares of a device's miners, told as its samples tell them; `share_ns`: CPU time that one takes, by miner."""

    def __init__(self, share_ns: Mapping[str, float], seed: int) -> None:
        self._miners = {
            name: _Miner(1 / mean, stream(seed, name, "shares")) for name, mean in share_ns.items()
        }

    def __call__(self, miner: str, usage_ns: int) -> int:
        """How many shares the miner has told when its CPU counter stands at so many ns."""
        return self._miners[miner].told(usage_ns)


class _Miner:
    __slots__ = ("_count", "_next_ns", "_per_ns", "_random", "_seen_ns")

    def __init__(self, per_ns: float, rng: random.Random) -> None:
        self._per_ns, self._random = per_ns, rng.expovariate
        self._begin()

    def _begin(self) -> None:
        self._count, self._seen_ns, self._next_ns = 0, 0, self._random(self._per_ns)

    def told(self, usage_ns: int) -> int:
        if usage_ns < self._seen_ns:  # the parent cgroup was made anew
            self._begin()
        self._seen_ns = usage_ns
        while self._next_ns <= usage_ns:
            self._count += 1
            self._next_ns += self._random(self._per_ns)
        return self._count


def share_ns(charter: Charter, device: str) -> dict[str, float]:
    """CPU time that a share takes, in ns, by miner of this device; empty where no ledger is mined."""
    rules = {miner.name: work_rule(charter, miner) for miner in charter.miners_on(device)}
    return {
        name: rule.share_work * NS_PER_S / rule.hashes for name, rule in rules.items() if rule is not None
    }
