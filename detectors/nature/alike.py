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

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from detectors.nature.lie import Kind, Lie

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

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
# A window of less size (squared, in usual steps) is not judged by running sums; and what they may be wrong by.
LEAST, SLACK = 1e-3, 1e-6
# Ticks of values that are needed.
SPAN = WINDOW + LAGS


def likenesses(values: Floats, number: int, known: Bools) -> tuple[Ints, list[Lie]]:
    """The rows that are like another one, and for each the one that it is most like.

    `values`: (SPAN, miners), nan where absent. `number` is the newest tick's. Where of all these rows it is `known`
    already, (miners,), the second may be left out.
    """
    steps = np.diff(values, axis=0)
    whole = np.isfinite(steps).all(axis=0)
    steps = np.where(whole, steps, 0.0)
    usual = np.median(np.abs(steps), axis=0)
    rows = np.flatnonzero(usual > 0)  # the rest stands still more often than not: coarse or constant
    if len(rows) < 2:
        return rows[:0], []
    steps = (steps[:, rows] / usual[rows]).clip(-LIMIT, LIMIT)
    # (WINDOW, LAGS, rows): the windows that end 0, 1, ... ticks before the newest, newest first. Sums over the first
    # axis are of long rows.
    windows = sliding_window_view(steps[::-1], LAGS, axis=0).swapaxes(1, 2)
    may, must = _likely(windows)
    alike = rows[must]
    if (may == must).all() and known[alike].all():
        return alike, []
    windows = _standard(np.ascontiguousarray(windows))
    r = windows[:, 0].T @ windows.swapaxes(0, 1)
    r.reshape(LAGS, -1)[:, :: len(rows) + 1] = 0.0  # with oneself
    r[: NEAR + 1] *= r[: NEAR + 1] >= CORRELATED_NEAR
    flat = r.transpose(1, 0, 2).reshape(len(rows), -1)
    best = flat.max(axis=1)
    at, by = np.divmod(flat.argmax(axis=1), len(rows))
    lies = []
    alike = np.flatnonzero(best >= CORRELATED)
    for k in alike.tolist():
        when = "at the same time" if at[k] == 0 else f"{at[k]} ticks before"
        detail = f"moves as {{}} did {when} (correlation {best[k]:.4f} over {WINDOW} ticks)"
        row, source, lag = int(rows[k]), int(rows[by[k]]), int(at[k])
        lies.append(Lie(row, Kind.ALIKE, False, number - WINDOW, source, lag, 0.0, detail))
    return rows[alike], lies


def _likely(windows: Floats) -> tuple[Bools, Bools]:
    """Who may correlate by enough with another, and who does, (rows,) each: a third of the work.

    No window is copied: with the newest windows' mean taken off them alone, products are those of both without; and
    sizes are differences of running sums. What that rounds off is far less than SLACK where a size is above LEAST.
    """
    steps = np.concatenate((windows[:, 0], windows[:, WINDOW]))
    total, squares, moved = (_moving(part) for part in (steps, steps**2, steps != 0))
    size = squares - total * total / WINDOW
    if ((size < LEAST) & (moved > 0)).any():
        return np.ones(size.shape[1], bool), np.zeros(size.shape[1], bool)
    size = np.sqrt(size)
    enough = np.where(np.arange(LAGS) <= NEAR, CORRELATED_NEAR, CORRELATED)[:, None]
    newest = (windows[:, 0] - windows[:, 0].mean(axis=0)) / np.where(size[0] > 0, size[0], 1.0)
    products = newest.T @ windows.swapaxes(0, 1)
    products.reshape(LAGS, -1)[:, :: size.shape[1] + 1] = 0.0  # with oneself
    may = (products > ((enough - SLACK) * size)[:, None]).any(axis=0).any(axis=1)
    must = (products > ((enough + SLACK) * size)[:, None]).any(axis=0).any(axis=1)
    return may, must


def _moving(values: NDArray[Any]) -> NDArray[Any]:
    """Sums over each window: (SPAN - 1, rows) to (LAGS, rows)."""
    sums = np.cumsum(values, axis=0)
    sums[WINDOW:] -= sums[:-WINDOW].copy()
    return sums[WINDOW - 1 :]


def _standard(windows: Floats) -> Floats:
    """Mean 0 and length 1 over the ticks; in their place."""
    windows -= windows.mean(axis=0)
    size = np.sqrt((windows**2).sum(axis=0))
    windows /= np.where(size > 0, size, 1.0)
    return windows
