"""The statistics of a changing set of miners, tick by tick.

    ok --missing--> held (up to HOLD ticks) --missing--> empty --span samples--> ok

**Missing ticks.** Equation 3 wants evenly spaced samples. A short gap is bridged with the last value; after
HOLD missing ticks in a row the miner starts again, and has no statistics until its window is full.
**Joining, leaving**: `arrange`. **Rightful changes** of level (a penalty, a new charter): `reset`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detectors.ssa.parameters import PAPER, SsaParameters
from detectors.ssa.statistics import Bools, Cusum, Statistics
from detectors.ssa.trajectory import Floats
from mint.errors import InputError

# Missing ticks in a row that are bridged: a held value is a sample without noise, and a window of 24 with
# more than an eighth of those describes the bridge, not the miner.
HOLD = 3
# Values are taken as no larger than this (percent: ten million CPUs), so that no square of one overflows.
LIMIT = 1e9


class SsaStream:
    """Rolling windows and statistics of `miners` miners, told apart by row (0 to miners - 1).

    About 340 bytes a miner with the default parameters; a push costs one decomposition a miner.
    """

    def __init__(self, miners: int, parameters: SsaParameters = PAPER) -> None:
        self.parameters = parameters
        self._clear(miners)

    def _clear(self, miners: int) -> None:
        # Oldest sample first; the newest `_filled` of a row are real.
        self._window = np.zeros((miners, self.parameters.span))
        self._filled = np.zeros(miners, np.int64)
        self._missing = np.zeros(miners, np.int64)
        self._cusum = Cusum.fresh(miners)

    @property
    def miners(self) -> int:
        """How many rows there are."""
        return len(self._filled)

    def push(self, values: Floats, present: Bools | None = None) -> Statistics:
        """One tick: each miner's value (percent of entitlement), and whether there is one; gives (miners,) each.

        D, S and W are nan for a miner whose window is not full. InputError where a present value is not
        finite.
        """
        here = np.ones(self.miners, bool) if present is None else np.asarray(present, bool)
        given = np.asarray(values, np.float64)
        if given.shape != (self.miners,) or here.shape != (self.miners,):
            raise InputError(
                "SSA tick", f"{given.shape} values", f"give one for each of {self.miners} miners"
            )
        wrong = np.flatnonzero(here & ~np.isfinite(given))
        if len(wrong):
            row = int(wrong[0])
            raise InputError(f"SSA tick, row {row}", f"{given[row]} is no number", "mark the tick as missing")
        taken = np.maximum(np.minimum(given, LIMIT), -LIMIT)
        if here.all():
            self._missing[:] = 0
            self._take(slice(None), taken)
        else:
            self._missing = np.where(here, 0, self._missing + 1)
            self.reset(*np.flatnonzero(self._missing > HOLD))
            going = here | (self._filled > 0)
            self._take(going, np.where(here, taken, self._window[:, -1])[going])
        return self._statistics()

    def _take(self, going: Bools | slice, taken: Floats) -> None:
        """The next sample of the miners `going`."""
        self._window[going, :-1] = self._window[going, 1:]
        self._window[going, -1] = taken
        self._filled[going] = np.minimum(self._filled[going] + 1, self.parameters.span)

    def _statistics(self) -> Statistics:
        full = self._filled == self.parameters.span
        D, S, W = told = np.full((3, self.miners), np.nan)
        if full.all():
            told[:] = self._cusum.step(slice(None), self._window, self.parameters)
        elif full.any():
            told[:, full] = self._cusum.step(np.flatnonzero(full), self._window[full], self.parameters)
        return Statistics(D, S, W, np.full(self.miners, self.parameters.h))

    def reset(self, *rows: int) -> None:
        """Re-baseline these miners: forget what they did, and start with their next sample."""
        if not rows:
            return
        self._filled[list(rows)] = 0
        for state in (self._cusum.started, self._cusum.settled):
            state[list(rows)] = False

    def arrange(self, origin: Sequence[int]) -> None:
        """Row i becomes what row origin[i] was, or a new miner where that is -1: joins, leaves, another order."""
        old, kept = self.snapshot(), np.asarray(origin, np.int64)
        if kept.ndim != 1 or (kept < -1).any() or (kept >= self.miners).any():
            raise InputError("SSA rows", f"{list(origin)}", f"name rows 0 to {self.miners - 1}, or -1")
        self._fill(old, [int(row) for row in kept])

    def snapshot(self) -> dict[str, list[Any]]:
        """Everything but the parameters, in lists of numbers, one item a miner: `restore` goes on bit for bit."""
        cusum = self._cusum
        return {
            "window": self._window.tolist(),
            "filled": self._filled.tolist(),
            "missing": self._missing.tolist(),
            "S": cusum.S.tolist(),
            "W": cusum.W.tolist(),
            "mu": cusum.mu.tolist(),
            "started": cusum.started.tolist(),
            "settled": cusum.settled.tolist(),
        }

    @classmethod
    def restore(cls, snapshot: dict[str, list[Any]], parameters: SsaParameters = PAPER) -> SsaStream:
        """The stream that `snapshot()` was taken of; InputError when it was taken with another span."""
        stream = cls(0, parameters)
        if any(len(row) != parameters.span for row in snapshot["window"]):
            raise InputError("SSA snapshot", "taken with other parameters", "start afresh")
        stream._fill(snapshot, list(range(len(snapshot["filled"]))))
        return stream

    def _fill(self, snapshot: dict[str, list[Any]], origin: list[int]) -> None:
        self._clear(len(origin))
        arrays = {
            "window": self._window,
            "filled": self._filled,
            "missing": self._missing,
            "S": self._cusum.S,
            "W": self._cusum.W,
            "mu": self._cusum.mu,
            "started": self._cusum.started,
            "settled": self._cusum.settled,
        }
        for name, array in arrays.items():
            for row, source in enumerate(origin):
                if source >= 0:
                    array[row] = snapshot[name][source]
