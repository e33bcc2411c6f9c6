"""What one tick brought: the readings of all miners, column by column.

Detection looks at many miners at once, so everything here is an array with one item a miner, in an order that
the caller chooses and keeps. A frame of the log and a line of a recorded trace both become an Observation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Who holds a miner to its entitlement: the kernel's quota; a duty cycle; nobody that counts CPU time (a GPU
# share, a bare percentage).
Law = Literal["kernel", "soft", "none"]


@dataclass(frozen=True)
class Observation:
    """Readings of n miners, (n,) each; what stands where `present` is False means nothing.

    `number`: the tick or frame. `before_ns`, `after_ns`: the device's monotonic times around the read of the
    cumulative counter `usage_ns`; `steal_ns`: what the hypervisor took from its host so far. `boot` and
    `epoch` tell one uptime of the device, and one life of the counter, from the next. `percent`: use in
    percent of entitlement where there are no counters (then the others mean nothing), None where there are.
    `shares`: cumulative shares shown, None where no ledger is mined.
    """

    number: int
    present: Bools
    before_ns: Ints
    after_ns: Ints
    usage_ns: Ints
    steal_ns: Ints
    boot: Ints
    epoch: Ints
    percent: Floats | None = None
    shares: Ints | None = None

    @classmethod
    def nothing(cls, number: int, miners: int) -> Observation:
        """A tick in which nothing came of anyone."""
        none = np.zeros(miners, np.int64)
        return cls(number, np.zeros(miners, bool), none, none, none, none, none, none)

    @classmethod
    def of_percent(cls, number: int, present: Bools, percent: Floats) -> Observation:
        """A tick of percentages without counters."""
        none = np.zeros(len(percent), np.int64)
        return cls(number, present, none, none, none, none, none, none, percent)
