"""Proof-of-Behavior (section 4.4): which miners behave unlike the benchmark B*, and use more than their share.

Every d frames the behaviour vectors of all miners make the matrix G; Krum (equations 10 and 11) picks B*. The
paper's vectors hold d values of W; on those colluders hardly stand out (docs/detection.md), so B_i here holds
what miner i had used beyond its entitlement since the window began, frame by frame:

    b_k = excess of the window from its first frame to frame k, in ppm of one period's entitlement, k = 1..d

A constant +10 % grows linearly in it, noise does not grow at all. Integers throughout: every detector finds
the same B*.

Who is accused is far from B*, above its own entitlement by more than the law's burst, and has not begun to
give it back: a miner that merely slows down is never accused, nor one whose excess is the kernel's own
overrun, which falls again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.budget import PLAIN, Ledger
from detectors.krum import far_from_benchmark, krum
from detectors.observation import Ints

# Frames at the end of a window over which an excess must not have fallen: the kernel collects a debt within
# two periods (detectors/budget.py).
HELD = 3
PPM = 1_000_000
# More than this above or below entitlement (2.5 hours of CPU time) is as far as a vector tells: no product overflows.
MOST_NS = 9_000_000_000_000


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the frame the window began at, every miner's score (equation 10), B*, and the rows accused."""

    began: int
    scores: Mapping[str, int]
    benchmark: str
    accused: tuple[int, ...]


class Window:
    """The books of every miner over the last d + 1 frames, by row; 8 (2 d + 3) bytes a miner."""

    def __init__(self, d: int, miners: int) -> None:
        self._d = d
        # z at its beginning and at its end (detectors/budget.py), and which of them are of one past.
        self._z = np.zeros((d + 1, 2, miners), np.int64)
        self._since = np.full(miners, d + 1)  # place of the first frame that belongs to the present past
        self._first = -1  # number of the window's first frame

    def push(self, number: int, ledger: Ledger) -> None:
        """Take in frame `number` after the ledger has."""
        self._z = np.roll(self._z, -1, axis=0)
        end = ledger.z[PLAIN] - ledger.width
        self._z[-1] = ledger.z[PLAIN], end
        here = ledger.silent == 0
        self._since = np.where(here, np.maximum(self._since - 1, 0), self._d + 1)
        self._since = np.where(here & ledger.begun, self._d, self._since)
        self._first = number - self._d

    def forget(self, *rows: int) -> None:
        """Begin again with the next frame: what these miners used before has been decided on."""
        self._since[list(rows)] = self._d + 1

    def round(self, names: Sequence[str], ledger: Ledger, f_miners: int) -> Round | None:
        """Krum over the miners with a whole window; None when there are too few of them."""
        rows = np.flatnonzero(self._since == 0)
        if len(rows) < 2 * f_miners + 3:
            return None
        share = ledger.share_ns[rows]
        G = _behaviour(self._z[:, :, rows], share)
        whole = [names[row] for row in rows.tolist()]
        result = krum(G, f_miners, whole)
        distances = far_from_benchmark(G, result.best)
        burst = _ppm(ledger.allowed_ns[rows], share)
        accused = tuple(
            int(row)
            for row, vector, distance, limit in zip(rows, G, distances, burst.tolist(), strict=True)
            if _deviates(vector.tolist(), distance, limit)
        )
        return Round(self._first, dict(zip(whole, result.scores, strict=True)), whole[result.best], accused)

    def arrange(self, origin: Sequence[int]) -> None:
        """Row i becomes what row origin[i] was, or a new miner where that is -1."""
        kept = np.asarray(origin, np.int64)
        rows, fresh = np.flatnonzero(kept >= 0), Window(self._d, len(kept))
        fresh._z[:, :, rows] = self._z[:, :, kept[rows]]
        fresh._since[rows] = self._since[kept[rows]]
        self._z, self._since = fresh._z, fresh._since

    def state(self) -> dict[str, Any]:
        """Everything but d, as plain data."""
        return {"z": self._z.tolist(), "since": self._since.tolist(), "first": self._first}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`, taken of the same rows."""
        self._z = np.array(state["z"], np.int64).reshape(self._z.shape)
        self._since = np.array(state["since"], np.int64)
        self._first = state["first"]


def _behaviour(z: Ints, share_ns: Ints) -> Ints:
    """The vectors B_i (n, d), in ppm of a period's entitlement, from z (d + 1, 2, n) in ns."""
    return np.ascontiguousarray(_ppm(z[1:, 1] - z[0, 0], share_ns).T)


def _ppm(amount_ns: Ints, share_ns: Ints) -> Ints:
    return np.asarray(np.clip(amount_ns, -MOST_NS, MOST_NS) * PPM // share_ns)


def _deviates(vector: Sequence[int], distance: int, burst: int) -> bool:
    """Whether a miner at this squared distance from B* is to be accused; see the module's text."""
    # As far from B* as a vector that is above it by the burst in every frame.
    if distance <= len(vector) * burst * burst:
        return False
    held = vector[-HELD:]
    return min(held) > burst and held[-1] >= held[0]
