"""Copies that were touched up: noise added, scaled, rounded; found where two miners' steps correlate.

What is compared are the steps from tick to tick, so that neither a level nor a drift that two share counts,
each limited to LIMIT usual ones, so that no single event does. Over WINDOW ticks two independent miners'
steps correlate by CORRELATED or more once in 1e14 (Fisher's z with the 31 degrees of freedom that the steps
of bounded noise leave of 60). Miners of one host share its disturbances, which no threshold excludes: this
raises alarms and decides nothing. It costs miners^2 x LAGS, so it is for networks of up to MOST_MINERS.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_MINERS = 64
EVERY = 10
WINDOW = 60
LAGS = 61
CORRELATED = 0.9
# A step is limited to this many usual (median) steps.
LIMIT = 4.0
SPAN = WINDOW + LAGS


class Pair(NamedTuple):
    """Steps of `row` are those of `source`, `lag` ticks ago, but for what leaves the correlation `r`."""

    row: int
    source: int
    lag: int
    r: float


def pairs(values: Floats) -> list[Pair]:
    """For each row the most correlated other one, where above CORRELATED; `values` (SPAN, miners), nan if absent."""
    steps = np.diff(values, axis=0)
    whole = np.isfinite(steps).all(axis=0)
    steps = np.where(whole, steps, 0.0)
    usual = np.median(np.abs(steps), axis=0)
    rows = np.flatnonzero(usual > 0)  # the rest stands still more often than not: coarse or constant
    if len(rows) < 2:
        return []
    steps = (steps[:, rows] / usual[rows]).clip(-LIMIT, LIMIT)
    newest = _standard(steps[-WINDOW:])
    best, by, at = np.zeros(len(rows)), np.zeros(len(rows), int), np.zeros(len(rows), int)
    for lag in range(min(LAGS, len(steps) - WINDOW + 1)):
        r = newest.T @ _standard(steps[len(steps) - WINDOW - lag : len(steps) - lag])
        np.fill_diagonal(r, 0.0)
        source = r.argmax(axis=1)
        highest = r[np.arange(len(rows)), source]
        higher = highest > best
        best, by, at = (np.where(higher, new, old) for new, old in ((highest, best), (source, by), (lag, at)))
    return [
        Pair(int(rows[i]), int(rows[by[i]]), int(at[i]), float(best[i]))
        for i in np.flatnonzero(best >= CORRELATED)
    ]


def _standard(steps: Floats) -> Floats:
    centred = steps - steps.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    return np.asarray(centred / np.where(size > 0, size, 1.0))
