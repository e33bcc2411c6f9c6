"""Proof-of-Behavior (section 4.4): which miners behave unlike the benchmark B*, and use more than their share.

Every d frames the behaviour vectors of all miners make the matrix G; Krum (equations 10 and 11) picks B*. The
paper's vectors hold d values of W (detectors/behaviour_paper.py); on those colluders hardly stand out, so B_i
here holds what miner i had used beyond its entitlement since the window began, in the d frames of the round:

    b_k = excess from the window's first frame to frame k, in ppm of one period's entitlement, k = 1..d

The window is the round and the WINDOW - 1 rounds before it. A constant +10 % grows linearly in it, a quota's noise
does not grow at all, and independent noise with the root of time. Integers throughout: every detector finds the
same B*.

**The cut-off.** Who is accused

- is far from B*: as far as a vector above it by the law's burst in every frame, |B_i - B*|^2 > d burst^2;
- is above its entitlement: in each of the last HELD frames both the budget law's level and the vector were above the
  burst;
- and did not begin to give it back.

So a miner that merely slows down is never accused, nor one whose excess is the kernel's own overrun, which falls
again. docs/proof-of-behavior.md has the rate at which honest miners meet each of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from detectors.budget import PLAIN, Ledger
from detectors.krum import far_from_benchmark, krum
from detectors.observation import Bools, Ints

# Rounds that a window lasts. Six colluders of sixteen at +10 % have the top scores after one round of ten frames where
# noise is a quota's; where it is independent, of 5.5 % a frame, in 78 % of rounds after one and in 99.9 % after four
# (docs/proof-of-behavior.md).
WINDOW = 4
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


@dataclass(frozen=True, slots=True)
class Vectors:
    """The matrix G (n, d) of the miners `rows`, in ppm of a period's entitlement, from frame `began` on; n of each.

    `burst`: what the law allows, in ppm. `above`: above entitlement, and kept, so that far from B* accuses.
    """

    began: int
    rows: Ints
    G: Ints
    burst: Ints
    above: Bools


class Window:
    """The books of every miner over the last WINDOW rounds of d frames, by row; 8 (d + WINDOW + 3) bytes a miner."""

    def __init__(self, d: int, miners: int) -> None:
        self._d = d
        # z at the end of the reading (detectors/budget.py) in the last d frames, frame t in place t mod d,
        self._ends = np.zeros((d, miners), np.int64)
        # and at its beginning in the last frames that end a round, that of round r in place r mod (WINDOW + 1).
        self._starts = np.zeros((WINDOW + 1, miners), np.int64)
        # Frames since the first of the miner's present past (-1: none yet), and how many in a row it was read.
        self._age = np.full(miners, -1)
        self._read = np.zeros(miners, np.int64)
        self._number = -1

    def push(self, number: int, ledger: Ledger) -> None:
        """Take in frame `number` after the ledger has; frames that were left out end everyone's past."""
        if number != self._number + 1:
            self._age[:] = -1
        self._number = number
        self._ends[number % self._d] = ledger.z[PLAIN] - ledger.width
        if number % self._d == 0:
            self._starts[number // self._d % (WINDOW + 1)] = ledger.z[PLAIN]
        here = ledger.silent == 0
        self._age = np.where(self._age < 0, -1, self._age + 1)
        self._age = np.where(here & (ledger.begun | (self._age < 0)), 0, self._age)
        self._read = np.where(here, self._read + 1, 0)

    def forget(self, *rows: int) -> None:
        """Begin again with the next frame: what these miners used before has been decided on."""
        self._age[list(rows)] = -1

    def round(self, names: Sequence[str], ledger: Ledger, f_miners: int) -> Round | None:
        """Krum after a frame whose number d divides; None when there are too few miners with a past.

        Over those whose past is as long as the window and who were read in the last d frames: a sample that is lost
        loses nothing, for counters are cumulative. Where 2f + 3 miners have a past of fewer rounds only, as
        after a start, the window is so much shorter.
        """
        vectors = self.vectors(ledger, 2 * f_miners + 3)
        if vectors is None:
            return None
        whole = [names[row] for row in vectors.rows.tolist()]
        result = krum(vectors.G, f_miners, whole)
        accused = vectors.rows[vectors.above & far_from(vectors.G, result.best, vectors.burst)]
        scores = dict(zip(whole, result.scores, strict=True))
        return Round(vectors.began, scores, whole[result.best], tuple(accused.tolist()))

    def vectors(self, ledger: Ledger, enough: int) -> Vectors | None:
        """The matrix of the longest window that at least `enough` miners have a past for; None if none is."""
        rounds, rows = self._window(ledger.silent < self._d, enough)
        if not rounds:
            return None
        began = self._number - rounds * self._d
        order = (self._number + 1 + np.arange(self._d)) % self._d
        start = self._starts[began // self._d % (WINDOW + 1), rows]
        share = ledger.share_ns[rows]
        G, burst = (
            behaviour(self._ends[order[:, None], rows] - start, share),
            _ppm(ledger.allowed_ns[rows], share),
        )
        # By the law's level too, which a window that began in a dip of the counter does not mislead.
        lawful = (ledger.levels[:HELD, rows] <= ledger.allowed_ns[rows]).any(axis=0)
        above = ~lawful & (self._read[rows] >= HELD) & _kept(G, burst)
        return Vectors(began, rows, G, burst, above)

    def _window(self, read: Bools, enough: int) -> tuple[int, Ints]:
        """The most rounds that enough miners have a past of, and the rows of these; 0 where not even one."""
        for rounds in range(WINDOW, 0, -1):
            rows = np.flatnonzero(read & (self._age >= rounds * self._d))
            if len(rows) >= enough:
                return rounds, rows
        return 0, np.zeros(0, np.int64)

    def arrange(self, origin: Sequence[int]) -> None:
        """Row i becomes what row origin[i] was, or a new miner where that is -1."""
        kept_ = np.asarray(origin, np.int64)
        rows, fresh = np.flatnonzero(kept_ >= 0), Window(self._d, len(kept_))
        for new, old in (
            (fresh._ends, self._ends),
            (fresh._starts, self._starts),
            (fresh._age, self._age),
            (fresh._read, self._read),
        ):
            new[..., rows] = old[..., kept_[rows]]
        self._ends, self._starts, self._age, self._read = fresh._ends, fresh._starts, fresh._age, fresh._read

    def state(self) -> dict[str, Any]:
        """Everything but d, as plain data."""
        return {
            "ends": self._ends.tolist(),
            "starts": self._starts.tolist(),
            "age": self._age.tolist(),
            "read": self._read.tolist(),
            "number": self._number,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`, taken of the same rows."""
        self._ends = np.array(state["ends"], np.int64).reshape(self._ends.shape)
        self._starts = np.array(state["starts"], np.int64).reshape(self._starts.shape)
        self._age = np.array(state["age"], np.int64)
        self._read = np.array(state["read"], np.int64)
        self._number = state["number"]


def behaviour(excess_ns: Ints, share_ns: Ints) -> Ints:
    """The vectors B_i (n, d), in ppm of a period's entitlement, from excess in ns (d, n).

    They end where Krum would have to leave 64 bits for them, at hundreds of periods for d = 10: a forged counter
    costs no more than that.
    """
    most = (isqrt((2**63 - 1) // len(excess_ns)) - 1) // 2
    return np.ascontiguousarray(np.clip(_ppm(excess_ns, share_ns), -most, most).T)


def far_from(G: Ints, best: int, burst: Ints) -> Bools:
    """Whether each vector is as far from row `best` as one above it by the burst (n,) in every frame."""
    limits = [G.shape[1] * one * one for one in burst.tolist()]
    pairs = zip(far_from_benchmark(G, best), limits, strict=True)
    return np.array([distance > limit for distance, limit in pairs], bool)


def _kept(G: Ints, burst: Ints) -> Bools:
    """Whether each vector was above the burst in the last HELD frames, and did not fall over them."""
    last = G[:, -HELD:]
    return np.asarray((last.min(axis=1) > burst) & (last[:, -1] >= last[:, 0]))


def _ppm(amount_ns: Ints, share_ns: Ints) -> Ints:
    return np.asarray(np.clip(amount_ns, -MOST_NS, MOST_NS) * PPM // share_ns)
