"""How many bits of surprise there are in one miner's symbols being another's, or its own earlier ones.

A run that was told before accuses only if chance cannot have made it. What chance makes depends on the
miner: noise in ns never repeats, a percentage rounded to integers does all the time, one that stands at 100
or goes on and off by a timetable does for hours. So each symbol of the run counts for as much as it was
**unpredictable** from everything else that the two miners told: for -log2 of the largest of

- how often it occurred,
- how often it followed the one, two or three symbols before it, where it ever did so,

each in the history of either miner, the alignment that is to be judged left out. What the run itself told
before counts as history too, so that another's run which stands still or goes round in a circle says little.
(Where a miner repeats itself, going round is what is judged: all multiples of the lag are left out.) And no
symbol counts for more than -log2 of the chance that two of that miner's symbols are equal: a ramp from one
value to another is unpredictable in the above sense, and yet no noise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.nature.past import Bools, Bytes, Ints

Floats = NDArray[np.float64]

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
    source = mine if theirs is None else theirs
    run = np.zeros(len(mine), bool)
    run[-length:] = True
    ran = np.concatenate((run[lag:], np.zeros(lag, bool)))  # where the source told it
    rest = [mine[~run & ~ran]] if theirs is None else [mine[~run], theirs[~ran]]
    natures = [symbols[symbols != 0] for symbols in rest if np.count_nonzero(symbols) >= LEAST_TOLD]
    if not natures:
        return 0.0
    told = np.flatnonzero(run & (mine != 0) & (_shifted(source, lag) != 0))
    distance = told[:, None] - np.arange(len(mine))
    if theirs is None:
        likely = _likely(mine, told, mine, (distance > 0) & (distance % lag != 0))
    else:
        likely = np.maximum(
            _likely(mine, told, mine, distance > 0), _likely(mine, told, theirs, distance != lag)
        )
    most = min(MOST_BITS, *(-math.log2(_collision(nature)) for nature in natures))
    return float(np.minimum(-np.log2(np.maximum(likely, 2**-MOST_BITS)), most).sum())


def _shifted(line: Bytes, lag: int) -> Bytes:
    """What was told `lag` ticks before each tick; 0 where that is not known."""
    return np.concatenate((np.zeros(lag, np.uint8), line[: len(line) - lag]))


def _collision(symbols: Bytes) -> float:
    """The chance that two of these symbols are equal, from above."""
    counts, total = np.bincount(symbols), len(symbols)
    return min(1.0, float((counts * (counts - 1)).sum()) / (total * (total - 1)) + 2 / total)


def _likely(mine: Bytes, told: Ints, source: Bytes, history: Bools) -> Floats:
    """How likely each symbol mine[told] was, by what `source` told; `history`: which of that counts, (told, ticks)."""
    history = history & (source != 0)
    equal = mine[told][:, None] == source
    likely = (history & equal).sum(axis=1) / (history.sum(axis=1) + 1.0)
    for back in range(1, CONTEXT + 1):
        before = _shifted(mine, back)[told][:, None]
        history = history & (before != 0) & (before == _shifted(source, back))
        likely = np.maximum(likely, (history & equal).sum(axis=1) / (history.sum(axis=1) + 1.0))
    return np.asarray(likely)
