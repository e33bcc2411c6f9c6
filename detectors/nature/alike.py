"""Copies that were touched up: noise added, scaled, rounded; found where two miners' steps correlate.

What is compared are the steps from tick to tick, so that neither a level nor a drift that two share counts,
each limited to LIMIT usual ones, so that no single event does. Over WINDOW ticks two independent miners'
steps correlate by CORRELATED or more once in 1e14 (Fisher's z with the 31 degrees of freedom that the steps
of bounded noise leave of 60).

Miners of one host are not independent. On a contended one, honest neighbours that were read in one go
correlated by 0.98 at the same time, by 0.85 one tick and 0.76 two ticks apart; farther apart by 0.7 at most, as on
a quiet one (10 to 20 minutes of twelve containers each). So what is NEAR in time has to be the same but for a
factor, and all of this raises alarms and decides nothing.

It costs miners^2 x LAGS every EVERY ticks, so it is for networks of up to MOST_MINERS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.nature.lie import Kind, Lie

Floats = NDArray[np.float64]

MOST_MINERS = 64
EVERY = 10
WINDOW = 60
LAGS = 61
CORRELATED = 0.9
# Lags up to this, ticks, at which a shared disturbance may show, and what excludes one.
NEAR = 4
CORRELATED_NEAR = 0.9999
# A step is limited to this many usual (median) steps.
LIMIT = 4.0
# Ticks of values that are needed.
SPAN = WINDOW + LAGS


def likenesses(values: Floats, number: int) -> list[Lie]:
    """For each row the other one that it is most like, if it is; `values` (SPAN, miners), nan where absent.

    `number` is the newest tick's.
    """
    steps = np.diff(values, axis=0)
    whole = np.isfinite(steps).all(axis=0)
    steps = np.where(whole, steps, 0.0)
    usual = np.median(np.abs(steps), axis=0)
    rows = np.flatnonzero(usual > 0)  # the rest stands still more often than not: coarse or constant
    if len(rows) < 2:
        return []
    steps = (steps[:, rows] / usual[rows]).clip(-LIMIT, LIMIT)
    # (LAGS, WINDOW, rows): the windows that end 0, 1, ... ticks before the newest.
    windows = _standard(steps[SPAN - 2 - np.arange(LAGS)[:, None] - np.arange(WINDOW)])
    r = windows[0].T @ windows
    r[:, np.arange(len(rows)), np.arange(len(rows))] = 0.0
    r[np.arange(LAGS) <= NEAR] *= r[np.arange(LAGS) <= NEAR] >= CORRELATED_NEAR
    flat = r.transpose(1, 0, 2).reshape(len(rows), -1)
    best = flat.max(axis=1)
    at, by = np.divmod(flat.argmax(axis=1), len(rows))
    lies = []
    for k in np.flatnonzero(best >= CORRELATED).tolist():
        when = "at the same time" if at[k] == 0 else f"{at[k]} ticks before"
        detail = f"moves as {{}} did {when} (correlation {best[k]:.4f} over {WINDOW} ticks)"
        row, source, lag = int(rows[k]), int(rows[by[k]]), int(at[k])
        lies.append(Lie(row, Kind.ALIKE, False, number - WINDOW, source, lag, 0.0, detail))
    return lies


def _standard(windows: Floats) -> Floats:
    """Mean 0 and length 1 over the ticks."""
    centred = windows - windows.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return np.asarray(centred / np.where(size > 0, size, 1.0))
