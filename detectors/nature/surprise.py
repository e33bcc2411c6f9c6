"""How many bits of surprise there are in one miner's symbols being another's, or its own earlier ones.

A run that was told before accuses only if chance cannot have made it. What chance makes depends on the
miner: noise in ns never repeats, a percentage rounded to integers does all the time, one that stands at 100
or goes on and off by a timetable does for hours. So each symbol of the run counts for as much as it was
**unpredictable** from everything else that the two miners told: for -log2 of the largest of

- how often it occurred,
- how often it followed the one, two or three symbols before it, where it ever did so,

each in the history of either miner, the alignment that is to be judged left out. What the run itself told
before counts as history too, so that a run which stands still or goes round in a small circle says nothing.
And no symbol counts for more than -log2 of the chance that two of that miner's symbols are equal: a ramp from
one value to another is unpredictable in the above sense, and yet no noise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.nature.past import Bytes

# Bits that decide: 10,000 miners compared with all that 10,000 told in seven minutes, 1 Hz, three years, are
# 4e18 or 2^62 pairs; that leaves a chance of 2^-18 for all of them together.
ENOUGH_BITS = 80.0
# A symbol of one byte can hardly show more.
MOST_BITS = 7.0
# Symbols before a symbol that may predict it.
CONTEXT = 3
# A miner that told fewer symbols apart from the run has shown no nature.
LEAST_TOLD = 60


def surprise(mine: Bytes, theirs: Bytes | None, lag: int, length: int) -> float:
    """Bits in the newest `length` symbols of `mine` being those of `theirs` `lag` ticks before.

    Both (HISTORY,), oldest first, 0 where nothing was told. `theirs` is None where the miner repeats itself
    (lag > 0). 0 where there is too little else to judge by.
    """
    size = len(mine)
    run = np.arange(size - length, size)
    told = run[(mine[run] != 0) & (_shifted(mine if theirs is None else theirs, lag)[run] != 0)]
    rest = np.ones(size, bool)
    rest[run] = False
    if theirs is None:
        rest[(run - lag)[run >= lag]] = False
        others = [(mine[rest], mine)]
    else:
        rest_of_theirs = np.ones(size, bool)
        rest_of_theirs[(run - lag)[run >= lag]] = False
        others = [(mine[rest], mine), (theirs[rest_of_theirs], theirs)]
    natures = [alone[alone != 0] for alone, _ in others if np.count_nonzero(alone) >= LEAST_TOLD]
    if not natures:
        return 0.0
    likely = np.maximum(
        _likely(mine, told, mine, causal=True, without=lag if theirs is None else 0), 2**-MOST_BITS
    )
    if theirs is not None:
        likely = np.maximum(likely, _likely(mine, told, theirs, causal=False, without=lag))
    most = min(-math.log2(_collision(nature)) for nature in natures)
    return float(np.minimum(-np.log2(likely), most).sum())


def _shifted(line: Bytes, lag: int) -> Bytes:
    """What was told `lag` ticks before each tick; 0 where that is not known."""
    return np.concatenate((np.zeros(lag, np.uint8), line[: len(line) - lag]))


def _collision(symbols: Bytes) -> float:
    """The chance that two of these symbols are equal, from above."""
    counts, total = np.bincount(symbols), len(symbols)
    return min(1.0, float((counts * (counts - 1)).sum()) / (total * (total - 1)) + 2 / total)


def _likely(
    mine: Bytes, told: NDArray[np.int64], source: Bytes, *, causal: bool, without: int
) -> NDArray[np.float64]:
    """How likely each symbol mine[told] was, by what `source` told.

    With `causal`, by what it told before; `without`: the distance in ticks that is left out.
    """
    places = np.arange(len(source))
    distance = told[:, None] - places
    allowed = np.broadcast_to(source != 0, distance.shape) & (distance != without)
    if causal:
        allowed = allowed & (distance > 0)
    equal = mine[told][:, None] == source
    likely = (allowed & equal).sum(axis=1) / (allowed.sum(axis=1) + 1.0)
    for back in range(1, CONTEXT + 1):
        before = np.where(told >= back, mine[told - back], 0)
        allowed = allowed & (before[:, None] == _shifted(source, back)) & (before != 0)[:, None]
        likely = np.maximum(likely, (allowed & equal).sum(axis=1) / (allowed.sum(axis=1) + 1.0))
    return np.asarray(likely)
