"""SSA with a direction: whose use grows above entitlement by more than its own noise explains.

The paper's W is two-sided, sees edges and not what follows them, and is normalised by one number, mu, in which a
slow growth and a fast tremble weigh alike. An accusation needs the opposite: growth above entitlement alone,
over short and long windows, measured against what the series itself does over windows of that length. With
y_t the excess of tick t in percent of entitlement, and C_m the lag-covariance matrix of y (the matrix that SSA
decomposes) with window length m, the sum of m excesses has the variance

    V_m = 1^T C_m 1

the spectrum of C_m weighed in the one direction that matters, 1 = (1, ..., 1). For independent noise it grows with
m, for correlated noise faster; under a CFS quota, whose noise is bounded, it does not grow at all, and a small
gain shows at once. For m = 1, 2, 4, ..., 512 a one-sided cumulative sum (as equation 8 has it, with a drift) is
compared with the standard deviation s_m = sqrt(V_m):

    W_m <- max(0, W_m + y - k_m),  k_m = H s_m / (2 m);      W = max_m  W_m / (s_m / 2)

W above h is an alarm; k_m is half the gain that takes m ticks to stand out by H s_m.

- **One tick proves nothing**: it may be a lump that is collected in the next, a late reading, a heavy tail. So of an
  excess counts what the tick before had too, and `ALONE` standard deviations more; and less where tails are heavy.
- **Out of sample, robust**: V_m is learned from blocks of m ticks that are over, against the mean from before them, and
  only from those below it, each limited to `FAR_OFF` standard deviations. So neither outliers nor a cheat, which adds,
  make the noise.
- **Noise that grows** (a neighbour wants the processor) shows below the mean as well as above it: all s_m grow with
  that of the last ticks below.
- **What is not known yet counts as noise**: before anything is known, that of a tick is taken as 10 %, and never as
  less than 0.25 %; V_m begins at three times V_{m/2}; and s_m is taken larger by its own standard error,
  1 / sqrt(2 blocks).
- **Tolerance**: a meter may read 0.2 % high.
- **Missing ticks** are skipped; a miner that was away for long goes on with the noise that it had.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.native import columns, exact, places
from detectors.observation import Bools, Floats

Small = NDArray[np.float32]

SOURCE = Path(__file__).with_name("direction.c")

# Window lengths in ticks: from one tick to eight minutes at 1 Hz; smaller gains than the longest shows need counters.
SCALES = 2 ** np.arange(10)
# The design threshold, in standard deviations; the real one (h) is near it.
H = 6.0
# What a meter may read above the truth, percent of entitlement.
TOLERANCE = 0.2
# Noise of a tick before anything is known of it, and the least, percent.
PRIOR, LEAST = 10.0, 0.25
# Weight of the prior, in blocks, and what V_m is taken to be above V_{m/2}: twice it for independent noise, up to four
# times for noise that is correlated over so long.
PRIOR_BLOCKS, GROWTH = 3.0, 3.0
# Blocks that the estimates remember: long enough to be steady, short enough to follow a host's day.
LEAST_MEMORY, LONGEST_MEMORY = 32, 512
MEMORY = np.maximum(LEAST_MEMORY, LONGEST_MEMORY // SCALES)
# A block further off than this many standard deviations counts as being at it.
FAR_OFF = 3.0
# Limits of one tick's excess: standard deviations above what the tick before had; standard deviations whatever it
# had, in light tails and in heavy ones; and what it may add to W_m, in s_m.
ALONE, LIGHT, HEAVY, ONE = 2.0, 10.0, 4.0, 5.0
# Tails are heavy where more than one tick in 125 is beyond so many standard deviations: Student's t with three degrees
# of freedom has two, and a cheat is found before it makes as many.
TAIL, OFTEN = 4.0, 1 / 125
# Noise is louder than it was when the last eight ticks below the mean had twice the variance.
LATELY, LOUDER = 8, 2.0


class Direction:
    """W of n miners, by row; 232 bytes a miner.

    After a `push`, (n,) each: `S`, the tick's excess in standard deviations, and `W`; both nan where absent.
    direction.c does what `_push` does, where it can be compiled.
    """

    # Rows of all that goes on from one tick to the next.
    _ROWS: ClassVar[dict[str, int]] = {
        "level": 1,  # the last excess, limited
        "before": 1,  # the last excess, as it came
        "sums": len(SCALES),  # W_m before it is divided
        "variance": len(SCALES),
        "blocks": len(SCALES),  # how many made the variance
        "block": len(SCALES),  # the block that is not over; nan: began in the middle
        "base": len(SCALES),  # the mean when that block began
        "mean": 1,
        "tails": 1,  # share of ticks far out
        "lately": 1,  # variance of the last ticks below the mean
    }
    level: Small
    before: Small
    sums: Small
    variance: Small
    blocks: Small
    block: Small
    base: Small
    mean: Small
    tails: Small
    lately: Small

    def __init__(self, miners: int) -> None:
        n = miners
        self.S = np.full(n, np.nan)
        self.W = np.full(n, np.nan)
        self.ticks = 0
        # All of them are rows of one array, so that direction.c needs to be told one place.
        self._state = columns(sum(self._ROWS.values()), n, np.float32)
        for name, first in places(self._ROWS).items():
            rows = self._ROWS[name]
            setattr(self, name, self._state[first : first + rows] if rows > 1 else self._state[first])
        self._stride = self._state.strides[0] // self._state.itemsize
        self._compiled = _compiled()
        self.reset(*range(n))

    @property
    def miners(self) -> int:
        """How many rows there are."""
        return len(self.mean)

    def push(self, percent: Floats, present: Bools) -> None:
        """One tick: each miner's use in percent of what a tick entitles it to, and whether it is known."""
        self.ticks += 1
        if self._compiled is None:
            self._push(percent, present)
            return
        given, here = np.ascontiguousarray(percent, np.float64), np.ascontiguousarray(present, bool)
        self.S, self.W = np.empty((2, self.miners))
        arrays = (given, here, self._state, self.S, self.W)
        self._compiled(self.miners, self._stride, self.ticks, *(array.ctypes.data for array in arrays))

    def _push(self, percent: Floats, present: Bools) -> None:
        here = present & np.isfinite(percent)
        excess = np.where(here, percent - 100.0 - TOLERANCE, 0.0).astype(np.float32)
        deviation = np.sqrt(self.variance[0])
        out = np.abs(excess - self.mean) > TAIL * deviation
        self.tails += np.where(here, (out - self.tails) / MEMORY[0], 0).astype(np.float32)
        most = np.where(self.tails > OFTEN, np.float32(HEAVY), np.float32(LIGHT)) * deviation
        top = np.minimum(np.maximum(self.before, 0) + np.float32(ALONE) * deviation, most)
        limited = np.maximum(np.minimum(excess, top), self.mean - most)
        np.copyto(self.before, excess, where=here)
        below = np.minimum(excess - np.minimum(self.mean, 0), 0)
        square = np.minimum(below * below, np.float32(LIGHT**2) * self.variance[0])
        np.copyto(self.lately, self.lately + (square - self.lately) / LATELY, where=here & (below < 0))
        self._sum(here, limited)
        self.S = np.where(here, excess / deviation, np.nan).astype(np.float64)
        self._learn(here, limited)

    def _sum(self, here: Bools, limited: Small) -> None:
        scale = self._scale()
        drift = scale * (H / 2 / SCALES[:, None]).astype(np.float32)
        moved = np.maximum(self.sums + np.minimum(limited, np.float32(ONE) * scale) - drift, 0)
        np.copyto(self.sums, moved, where=here)
        self.W = np.where(here, (self.sums / scale).max(axis=0) * 2, np.nan).astype(np.float64)

    def _scale(self) -> Small:
        """s_m as it is used, (scales, n)."""
        variance = self.variance.copy()
        for scale in range(1, len(SCALES)):
            # As long as the prior weighs, what is known of half the length takes its place.
            prior = np.where(self.blocks[scale] < MEMORY[scale], PRIOR_BLOCKS / self.blocks[scale], 0)
            known = PRIOR**2 * SCALES[scale] - GROWTH * variance[scale - 1]
            variance[scale] -= (prior * known).astype(np.float32)
        # Bounded noise strays, in all, further than its sums over any one length: as four ticks of it would.
        variance = np.maximum(variance, 4 * variance[0])
        louder = np.maximum(1, self.lately / (LOUDER * self.variance[0]))
        return np.asarray(np.sqrt(variance * louder) * (1 + 1 / np.sqrt(2 * self.blocks)))

    def _learn(self, here: Bools, limited: Small) -> None:
        """Close the blocks that end with this tick, and take their squares into the variances."""
        self.mean += np.where(here, (limited - self.mean) / MEMORY[0], 0).astype(np.float32)
        np.copyto(self.level, limited, where=here)
        done = self.level  # a missing tick counts as the one before: blocks keep their length
        for scale, length in enumerate(SCALES):
            self.block[scale] += done
            if self.ticks % length:
                break
            # Against the mean from before: that of the block itself would take its noise off with it.
            off = self.block[scale] - length * np.minimum(self.base[scale], 0)
            known = off <= 0  # nan: the block began in the middle
            square = np.minimum(off * off, FAR_OFF**2 * self.variance[scale])
            count = np.minimum(self.blocks[scale] + 1, MEMORY[scale])
            learned = self.variance[scale] + (square - self.variance[scale]) / count
            self.variance[scale] = np.where(known, np.maximum(learned, LEAST**2), self.variance[scale])
            self.blocks[scale] = np.where(known, count, self.blocks[scale])
            done, self.block[scale] = self.block[scale].copy(), 0
            self.base[scale] = self.mean

    def reset(self, *rows: int) -> None:
        """Forget what these miners did, and their noise."""
        chosen = list(rows)
        self.forgive(*chosen)
        for state, value in (
            (self.level, 0),
            (self.before, 0),
            (self.mean, 0),
            (self.base, 0),
            (self.tails, 0),
            (self.lately, 0),
            (self.block, np.nan),
        ):
            state[..., chosen] = value
        self.block[0, chosen] = 0
        self.blocks[:, chosen] = PRIOR_BLOCKS
        self.variance[:, chosen] = (PRIOR**2 * SCALES)[:, None]

    def forgive(self, *rows: int) -> None:
        """What these miners took has been decided on: begin again, with the noise that is known."""
        self.sums[:, list(rows)] = 0

    def arrange(self, origin: Sequence[int]) -> None:
        """Row i becomes what row origin[i] was, or a new miner where that is -1."""
        fresh, kept = Direction(len(origin)), np.asarray(origin, np.int64)
        fresh.ticks, rows = self.ticks, np.flatnonzero(kept >= 0)
        for name in self._ROWS:
            getattr(fresh, name)[..., rows] = getattr(self, name)[..., kept[rows]]
        self.__dict__.update(fresh.__dict__)

    def state(self) -> dict[str, Any]:
        """Everything, as plain data (a block that began in the middle as null)."""
        arrays = {name: getattr(self, name).astype(object) for name in self._ROWS}
        arrays["block"][np.isnan(self.block)] = None
        return {"ticks": self.ticks} | {name: array.tolist() for name, array in arrays.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`, taken of the same rows."""
        self.ticks = state["ticks"]
        for name in self._ROWS:
            rows = getattr(self, name)
            rows[...] = np.array(state[name], np.float32).reshape(rows.shape)


def _compiled() -> Callable[..., None] | None:
    """direction.c's push, or None."""
    constants = {
        "SCALES": len(SCALES), "LEAST_MEMORY": LEAST_MEMORY, "LONGEST_MEMORY": LONGEST_MEMORY, "H": H,
        "TOLERANCE": TOLERANCE, "PRIOR": PRIOR, "LEAST": LEAST, "PRIOR_BLOCKS": PRIOR_BLOCKS, "GROWTH": GROWTH,
        "FAR_OFF": FAR_OFF, "ALONE": ALONE, "LIGHT": LIGHT, "HEAVY": HEAVY, "ONE": ONE, "TAIL": TAIL,
        "OFTEN": OFTEN, "LATELY_TICKS": LATELY, "LOUDER": LOUDER,
    }  # fmt: skip
    rows = {name.upper(): first for name, first in places(Direction._ROWS).items()}
    library = exact(SOURCE, tuple((constants | rows).items()))
    if library is None:
        return None
    push = library.direction_push
    push.restype, push.argtypes = None, [*(ctypes.c_int64,) * 3, *(ctypes.c_void_p,) * 5]
    return push
