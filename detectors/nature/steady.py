"""Telemetry that is steadier than any machine: it stands still, goes round in a circle, or keeps time to the ns.

Counted are ticks in a row in which a working miner's telling

- equals its last one (a **frozen** value), or the one 2 to CIRCLE ticks before (a short **loop**),
- is in the proportion to the time passed that the last one was in, to within rounding, though that time
  varies (**exact**),
- moves by less than a CALMER-th of what is usual for it (**calm**).

What a count means depends on what the miner was before. Values that a coarse meter rounds repeat by nature,
a limit is met exactly again and again, and a simulator may have no noise at all; so nobody is accused who
showed no noise before, nor for a round number, nor where what is told is coarser than a read is.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.native import exact
from detectors.nature.past import HISTORY, Bytes, Ints, Past

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

SOURCE = Path(__file__).with_name("steady.c")
# Longest short loop, ticks: a longer one has grams enough to be found as a copy of itself.
CIRCLE = 32
_CIRCLES = np.arange(1, CIRCLE + 1)
# A miner below so many percent of its entitlement does not work: zero repeats.
WORKING = 1.0
# How far use may be from proportional to time, ns: what is made up is rounded to us (cgroup v2), and takes one
# end of the bracket for its middle. A miner under a quota is throttled when it is read: its use does not
# depend on whether the reader wakes up a millisecond late.
PROPORTION = 2_000
# The proportion is judged where it asks use to change by more than so many times that.
MOVED = 4
# Elapsed times that differ by more, ns, come from a real clock: a simulated one is exact.
CLOCK = 1_000
# Decimals of a percentage beyond which it is no coarse meter's: a millionth of entitlement is what the read
# itself is uncertain by (two to ten us).
GRID = 1e-4
# Parts of the grid that are more than what floating point leaves of a rounded number: double, and single precision.
OFF_GRID, OFF_GRID_SINGLE = 1e-5, 0.1
# A counter's number that is a multiple of this, ns, is taken for a limit or a simulator's.
ROUND = 100_000
# Counters in us (cgroup v2), ns.
COARSE = 1_000
# How far below or above whole CPUs a miner has one to itself; the kernel then charges it at the clock tick.
WHOLE = 0.02
# A step is calm that is below the usual step divided by this: once in a hundred ticks by chance.
CALMER = 64
# The usual step is a running median: with each step it goes up or down by this part of itself.
NEARER = 1 / 64
# Smaller usual steps, percent, are no noise that could go away: a miner with a CPU to itself has less at times.
LEAST_USUAL = 0.1
COUNT_MOST = 255
# Ticks of a real clock, more than of another, before it is believed to be one.
LEAST_CLOCKED = 30
# Ticks with a percentage beyond the grid: as many as stand still before that accuses, and as many before.
LEAST_FINE = 120

FIELDS = ("exact", "calm", "uneven", "clocked", "fine", "age", "number", "elapsed", "value", "usual")


class Steady:
    """The counts of `miners` rows; all stop at COUNT_MOST.

    `loops`: (CIRCLE, miners), the first is the frozen value's. `exact`, `calm`: as above. `uneven`: ticks
    with counters that were not exact. `clocked`: ticks in which the clock was a real one, less those in which
    it was not. `fine`: ticks with a percentage beyond the GRID, less four times those without. `age`: ticks
    with a value. The next `push` writes into the same arrays. steady.c does what `_push` does, where it can be
    compiled.
    """

    def __init__(self, miners: int) -> None:
        self.loops: Bytes = np.zeros((CIRCLE, miners), np.uint8)
        self.exact, self.calm, self.uneven, self.clocked, self.fine = (
            np.zeros(miners, np.uint8) for _ in range(5)
        )
        self.age = np.zeros(miners, np.int32)
        # The last present tick's.
        self.number: Ints = np.zeros(miners, np.int64)
        self.elapsed: Ints = np.zeros(miners, np.int64)
        self.value: Floats = np.zeros(miners)
        self.usual: Floats = np.zeros(miners)
        arrays = (
            self.loops, self.exact, self.calm, self.uneven, self.clocked, self.fine, self.age,
            self.number, self.elapsed, self.value, self.usual,
        )  # fmt: skip
        self._places = tuple(array.ctypes.data for array in arrays)
        self._compiled = _compiled()

    def push(self, past: Past, present: Bools, value: Floats, number: Ints, elapsed: Ints) -> None:
        """One tick; `past` has taken it in. `number` is what symbols are made of, `elapsed` 0 without counters."""
        if self._compiled is None:
            self._push(past, present, value, number, elapsed)
            return
        arrays = (past.ring, present, value, number, elapsed)
        told = (array.ctypes.data for array in arrays)
        self._compiled(len(self.age), past.at, *told, *self._places)

    def _push(self, past: Past, present: Bools, value: Floats, number: Ints, elapsed: Ints) -> None:
        known = present & (self.age > 0)
        working = present & (value >= WORKING)
        self._count_loops(past, present, working, known & (number == self.number))
        self._count_time(present, working, number, elapsed)
        self._count_steps(known & working & (self.value >= WORKING), present, value)
        fine = self.fine + np.where(_beyond_grid(value), 1, -4)
        self.fine[:] = np.where(present, fine.clip(0, COUNT_MOST), self.fine)
        self.age += present
        np.copyto(self.number, number, where=present)
        np.copyto(self.elapsed, elapsed, where=present)
        np.copyto(self.value, value, where=present)

    def _count_loops(self, past: Past, present: Bools, working: Bools, repeated: Bools) -> None:
        same = past.back(0) == past.back(_CIRCLES)
        same[0] = repeated  # of whole numbers, and whatever was lost in between
        self.loops[:] = _counted(self.loops, present, working & same)

    def _count_time(self, present: Bools, working: Bools, number: Ints, elapsed: Ints) -> None:
        both = present & (elapsed > 0) & (self.elapsed > 0)
        times = elapsed / np.maximum(np.where(both, self.elapsed, elapsed), 1)
        allowed = PROPORTION * np.maximum(times, 1.0)
        keeps = np.abs(number - self.number * times) <= allowed
        # Where time itself hardly varied, the proportion says nothing.
        told = both & working & (~keeps | (np.abs(self.number * (times - 1.0)) > MOVED * allowed))
        self.exact[:] = _counted(self.exact, told, keeps)
        self.uneven[:] = np.minimum(self.uneven.astype(np.int64) + (told & ~keeps), COUNT_MOST)
        real = np.where(np.abs(elapsed - self.elapsed) > CLOCK, 1, -1)
        clocked = (self.clocked.astype(np.int64) + real).clip(0, COUNT_MOST)
        self.clocked[:] = np.where(both, clocked, self.clocked)

    def _count_steps(self, both: Bools, present: Bools, value: Floats) -> None:
        step = np.where(both, np.abs(value - self.value), 0.0)
        calm = both & (step * CALMER < self.usual) & (self.usual > LEAST_USUAL)
        self.calm[:] = _counted(self.calm, present, calm)
        usual = np.maximum(self.usual, LEAST_USUAL / 2)
        usual *= np.where(step > usual, 1 + NEARER, 1 - NEARER)
        np.copyto(self.usual, usual, where=both)

    def whole(self, rows: Ints) -> Bools:
        """Whether these rows used whole CPUs, as a miner does that has one to itself."""
        cpus = self.number[rows] / np.maximum(self.elapsed[rows], 1)
        return np.asarray((cpus > 1 - WHOLE) & (np.abs(cpus - np.rint(cpus)) < WHOLE))

    def real(self, rows: Ints) -> Bools:
        """Whether it is beyond any machine that the newest number of these rows came again and again."""
        number = self.number[rows]
        odd = (number % ROUND != 0) | (self.clocked[rows] >= LEAST_CLOCKED)
        counted = odd & ~(self.whole(rows) & (number % COARSE == 0))
        percent = _beyond_grid(self.value[rows]) & (self.fine[rows] >= LEAST_FINE)
        return np.where(self.elapsed[rows] > 0, counted, percent)

    def forget(self, rows: Ints) -> None:
        """These rows never told anything."""
        self.loops[:, rows] = 0
        for name in FIELDS:
            getattr(self, name)[rows] = 0

    def take(self, other: Steady, rows: Ints, into: Ints) -> None:
        """Rows `into` become what `rows` of the other are."""
        self.loops[:, into] = other.loops[:, rows]
        for name in FIELDS:
            getattr(self, name)[into] = getattr(other, name)[rows]

    def state(self) -> dict[str, Any]:
        """Everything, in lists of numbers."""
        return {"loops": self.loops.tolist()} | {name: getattr(self, name).tolist() for name in FIELDS}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.loops[:] = np.array(state["loops"], np.uint8).reshape(self.loops.shape)
        for name in FIELDS:
            getattr(self, name)[:] = state[name]


def _beyond_grid(value: Floats) -> Bools:
    scaled = value / GRID
    tolerance = np.where(value == value.astype(np.float32), OFF_GRID_SINGLE, OFF_GRID)
    return np.asarray(np.abs(scaled - np.rint(scaled)) > tolerance)


def _counted(counts: Bytes, present: Bools, holds: Bools) -> Bytes:
    """One more where it holds, none where it does not, as before where there was no tick."""
    more = np.minimum(counts, COUNT_MOST - 1) + np.uint8(1)
    return np.where(present, np.where(holds, more, np.uint8(0)), counts).astype(np.uint8)


def _compiled() -> Callable[..., None] | None:
    """steady.c's push, or None."""
    constants = {
        "HISTORY": HISTORY, "CIRCLE": CIRCLE, "WORKING": WORKING, "PROPORTION": PROPORTION, "MOVED": MOVED,
        "CLOCK": CLOCK, "GRID": GRID, "OFF_GRID": OFF_GRID, "OFF_GRID_SINGLE": OFF_GRID_SINGLE, "CALMER": CALMER,
        "NEARER": NEARER, "LEAST_USUAL": LEAST_USUAL, "COUNT_MOST": COUNT_MOST,
    }  # fmt: skip
    library = exact(SOURCE, tuple(constants.items()))
    if library is None:
        return None
    push = library.steady_push
    push.restype, push.argtypes = None, [*(ctypes.c_int64,) * 2, *(ctypes.c_void_p,) * 16]
    return push
