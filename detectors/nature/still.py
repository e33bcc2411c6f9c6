"""Judging what stands still, goes round in a small circle, keeps time to the ns or has lost its noise.

`steady.py` counts; here it is weighed against what the miner was before. Chance is excluded by five bits a
repetition (OFTEN) and sixteen repetitions; a machine by `Steady.real`. A miner that was so from its first tick on
is a simulator's, or has a coarse meter: it is not accused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.nature.lie import Kind, Lie
from detectors.nature.past import HISTORY, Ints, Past
from detectors.nature.steady import CIRCLE, PROPORTION, Bools, Floats, Steady
from detectors.nature.surprise import LEAST_TOLD

# Repetitions that are looked at.
REPEATED = 16
# The chance that two of a miner's symbols are equal above which its repetitions say nothing.
OFTEN = 1 / 32
# Repetitions that decide. A counter's number never comes twice by a stall (a late read adds); a percentage may
# be held for a while by whoever collects it.
STUCK_COUNTERS, STUCK_PERCENT = 30, 60
# Exact ticks that decide: each is one in six by chance on the quietest host, one in a hundred on others. A miner
# with a whole CPU is not judged: it does use as much as time passes.
EXACT = 30
# Calm ticks that are told: a minute.
CALM = 60


def repetitions(steady: Steady, past: Past, number: int) -> list[Lie]:
    """Rows that have just repeated themselves for REPEATED ticks, or for as many as may decide, in tick `number`."""
    loops = steady.loops
    if not _looked_at(loops).any():
        return []
    circling = loops >= REPEATED
    smallest = circling.argmax(axis=0)  # a value that stands still goes round in every circle
    count = loops[smallest, np.arange(loops.shape[1])].astype(np.int64)
    rows = np.flatnonzero(_looked_at(count) & circling.any(axis=0) & (steady.age > count + LEAST_TOLD))
    if not len(rows):
        return []
    circles, counts = smallest[rows] + 1, count[rows]
    often = _often(past, rows, counts, circles)
    needed = np.where(steady.elapsed[rows] > 0, STUCK_COUNTERS, STUCK_PERCENT)
    decides = (counts >= needed) & steady.real(rows)
    lies = []
    for k in np.flatnonzero(often <= OFTEN).tolist():
        row, circle, ticks = int(rows[k]), int(circles[k]), int(counts[k])
        what = "the same value" if circle == 1 else f"the same {circle} values in turn"
        detail = f"tells {what} for {ticks} ticks; before, its values repeated in {often[k]:.1%} of ticks"
        bits = float(-ticks * np.log2(often[k]))
        lies.append(Lie(row, Kind.FROZEN, bool(decides[k]), number - ticks, row, circle, bits, detail))
    return lies


def _looked_at(count: NDArray[Any]) -> Bools:
    """Whether so many repetitions are."""
    return np.asarray((count == REPEATED) | (count == STUCK_COUNTERS) | (count == STUCK_PERCENT))


def _often(past: Past, rows: Ints, counts: Ints, circles: Ints) -> Floats:
    """How often symbols of these rows were equal before they began to repeat; 1 where that is not known."""
    if not len(rows):
        return np.ones(0)
    begin = HISTORY - counts - circles
    before = np.where(np.arange(HISTORY)[:, None] < begin, past.ordered(rows), 0)
    equal, pairs = np.zeros((2, CIRCLE, len(rows)))
    for ticks in range(1, CIRCLE + 1):
        both = (before[ticks:] != 0) & (before[:-ticks] != 0)
        pairs[ticks - 1] = both.sum(axis=0)
        equal[ticks - 1] = (both & (before[ticks:] == before[:-ticks])).sum(axis=0)
    rates = (equal + 0.5) / (pairs + 0.5)
    overall = (equal.sum(axis=0) + 0.5) / (pairs.sum(axis=0) + 0.5)
    often = np.maximum.reduce([rates[0], rates[circles - 1, np.arange(len(rows))], overall])
    return np.where((before != 0).sum(axis=0) >= LEAST_TOLD, often, 1.0)


def exactness(steady: Steady, past: Past, number: int) -> list[Lie]:
    """Rows whose use has just kept time for as many ticks as count, or whose noise is gone, in tick `number`."""
    exact, calm = steady.exact == EXACT, steady.calm == CALM
    due = exact | calm
    if not due.any():
        return []
    rows = np.flatnonzero(due & (steady.loops < REPEATED).all(axis=0))  # else it is frozen
    lies = []
    for row in rows[exact[rows] & ~steady.whole(rows)].tolist():
        decides = bool(steady.uneven[row] >= LEAST_TOLD)
        detail = f"uses CPU in proportion to time to within {PROPORTION} ns for {EXACT} ticks, as no counter is read"
        lies.append(Lie(row, Kind.FABRICATED, decides, number - EXACT, row, 0, 0.0, detail))
    quiet = rows[calm[rows] & (steady.age[rows] >= CALM + LEAST_TOLD)]
    often = _often(past, quiet, np.full(len(quiet), CALM), np.ones(len(quiet), np.int64))
    for row in quiet[often <= OFTEN].tolist():
        detail = f"has told no noise for {CALM} ticks; before, steps of {steady.usual[row]:.3g} % were usual"
        lies.append(Lie(row, Kind.FABRICATED, False, number - CALM, row, 0, 0.0, detail))
    return lies
