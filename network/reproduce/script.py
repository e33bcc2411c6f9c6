"""What happens in an experiment: who gains how much, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The paper's network: 16 miners (section 5.1).
MINERS = 16
NAMES = tuple(f"m{number:02}" for number in range(1, MINERS + 1))


@dataclass(frozen=True, slots=True)
class Change:
    """From second `t_s` on, miner number `miner` (0 to 15) may use `percent` of its entitlement."""

    t_s: int
    miner: int
    percent: int


@dataclass(frozen=True, slots=True)
class Script:
    """A run of `seconds`, in which all miners run at 100 % of entitlement but for `changes`, by time."""

    name: str
    seconds: int
    changes: tuple[Change, ...]

    def percent(self) -> NDArray[np.int64]:
        """What each miner may use in each second, in percent of entitlement: (seconds, MINERS)."""
        levels = np.full((self.seconds, MINERS), 100, np.int64)
        for change in self.changes:
            levels[change.t_s :, change.miner] = change.percent
        return levels
