"""Proof-of-Behavior as the paper has it: behaviour vectors of d values of W (equation 8), for the preset `paper`.

Every d frames B_i = (w_1, ..., w_d) of the round's frames; Krum picks B* and scores everyone. The paper names no
distance from B* at which a miner is an offender, so nobody is accused: scores are for people.

Krum counts in integers, so W is taken in whole units of 2^-16, rounded to the nearest. From the same W every
machine gets the same scores and B*; W itself is floating point, whose last digits may differ between machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from detectors.behaviour import Round
from detectors.krum import krum
from detectors.observation import Floats

# Units of W, each a 150th of what equation 8 takes off W in a tick.
UNITS = 1 << 16
# As far as a vector tells. h is 0.6 and a doubling makes W some hundreds; only what follows a series without noise is
# more, up to infinity. With it Krum stays in 64 bits up to d = 127.
MOST_W = 1 << 12


class PaperWindow:
    """W of every miner over the last d frames, by row."""

    def __init__(self, d: int, miners: int) -> None:
        self._d = d
        self._values = np.zeros((d, miners), np.int64)  # frame t in place t mod d
        self._known = np.zeros(miners, np.int64)  # frames in a row of which W is known
        self._number = -1

    def push(self, number: int, W: Floats) -> None:
        """Take in W of all miners at frame `number`; nan while a miner warms up or is away: its vector begins anew."""
        if number != self._number + 1:
            self._known[:] = 0
        self._number = number
        known = ~np.isnan(W)
        self._values[number % self._d] = np.rint(np.clip(np.where(known, W, 0), -MOST_W, MOST_W) * UNITS)
        self._known = np.where(known, self._known + 1, 0)

    def forget(self, *rows: int) -> None:
        """Begin again with the next frame."""
        self._known[list(rows)] = 0

    def round(self, names: Sequence[str], f_miners: int) -> Round | None:
        """Krum over the miners with d values of W; None when there are too few of them."""
        rows = np.flatnonzero(self._known >= self._d)
        if len(rows) < 2 * f_miners + 3:
            return None
        order = (self._number + 1 + np.arange(self._d)) % self._d
        whole = [names[row] for row in rows.tolist()]
        result = krum(np.ascontiguousarray(self._values[order][:, rows].T), f_miners, whole)
        scores = dict(zip(whole, result.scores, strict=True))
        return Round(self._number - self._d + 1, scores, whole[result.best], ())

    def arrange(self, origin: Sequence[int]) -> None:
        """Row i becomes what row origin[i] was, or a new miner where that is -1."""
        kept = np.asarray(origin, np.int64)
        rows, fresh = np.flatnonzero(kept >= 0), PaperWindow(self._d, len(kept))
        fresh._values[:, rows] = self._values[:, kept[rows]]
        fresh._known[rows] = self._known[kept[rows]]
        self._values, self._known = fresh._values, fresh._known

    def state(self) -> dict[str, Any]:
        """Everything but d, as plain data."""
        return {"values": self._values.tolist(), "known": self._known.tolist(), "number": self._number}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`, taken of the same rows."""
        self._values = np.array(state["values"], np.int64).reshape(self._values.shape)
        self._known = np.array(state["known"], np.int64)
        self._number = state["number"]
