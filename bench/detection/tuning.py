"""One tolerated rate of false accusations for all, and what a detector is worth at it.

Every detector gives a score a tick, for each of its variants; it accuses where the score is above a threshold, and an
accusation stands until a whole minute brings none. The threshold for a rate is one of the scores: the lowest at which,
and above which, there are no more accusations than that. It is chosen on the tuning half of the traces, and of the
variants the one with the best F1 there; everything that is reported is of the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Ticks without an accusation after which the next one is another.
MINUTE = 60
TICKS_AN_HOUR = 3600
# The same for every detector: one in a hundred miner-hours.
TOLERATED_AN_HOUR = 1 / 100
# A delay that never ended.
NEVER = np.inf


@dataclass(frozen=True)
class Honest:
    """Scores of some honest traces by one variant, reduced.

    `peaks`: the highest of every minute, trace after trace, with -inf between one and the next; `ticks`: how many
    they are of.
    """

    peaks: Floats
    ticks: int

    @property
    def hours(self) -> float:
        """Miner-hours."""
        return self.ticks / TICKS_AN_HOUR

    def accusations(self, threshold: float) -> int:
        """Runs of minutes with a score above the threshold."""
        above = self.peaks > threshold
        return int((above & ~np.concatenate([[False], above[:-1]])).sum())

    def threshold(self, rate_an_hour: float) -> float:
        """The lowest threshold at and above which `rate_an_hour` is kept, as far as so many hours can tell."""
        tolerated = int(self.hours * rate_an_hour)
        accused = np.zeros(len(self.peaks) + 2, bool)
        runs = 0
        order = np.argsort(-self.peaks, kind="stable")
        sinking = self.peaks[order]
        last_of_level = np.append(sinking[1:] < sinking[:-1], True)
        # Minute by minute from the highest on: a run begins, grows, or two become one.
        for at, complete in zip(order.tolist(), last_of_level.tolist(), strict=True):
            runs += 1 - int(accused[at]) - int(accused[at + 2])
            accused[at + 1] = True
            if complete and runs > tolerated:
                return float(self.peaks[at])
        return -np.inf


def honest(scores: Sequence[Floats]) -> Honest:
    """Of honest traces' scores, each (T, n)."""
    peaks = []
    for each in scores:
        minutes = np.maximum.reduceat(each, range(0, len(each), MINUTE), axis=0)
        peaks.append(np.vstack([minutes, np.full(each.shape[1], -np.inf)]).T.ravel())
    return Honest(np.concatenate(peaks) if peaks else np.zeros(0), sum(each.size for each in scores))


def together(parts: Sequence[Honest]) -> Honest:
    """All of these."""
    peaks = np.concatenate([part.peaks for part in parts]) if parts else np.zeros(0)
    return Honest(peaks, sum(part.ticks for part in parts))


@dataclass(frozen=True)
class Cheating:
    """Scores of one trace that cheats, by one variant, reduced to what a delay by any threshold needs.

    `before`: the highest score in the minute before it began. `highs`: every score after it that is higher than all
    those after it before, at `delays` ticks after the last reading before it began. `ticks`: how many there were.
    """

    before: float
    delays: Ints
    highs: Floats
    ticks: int

    def delay(self, threshold: float) -> float:
        """Ticks until the first accusation; NEVER where none came.

        Nor where it stood accused in the minute before: that accusation was not of this cheat.
        """
        at = int(np.searchsorted(self.highs, threshold, side="right"))
        found = at < len(self.highs) and self.before <= threshold
        return float(self.delays[at]) if found else NEVER


def cheating(scores: Floats, last: int, early: int = 0) -> Cheating:
    """Of one trace's scores, (T,), that begins to cheat after reading `last`.

    `early`: an accusation up to so many ticks too early counts as one at once, of detectors that look back.
    """
    begins = max(last + 1 - early, 0)
    before, after = scores[max(begins - MINUTE, 0) : begins], scores[begins:]
    highest = np.maximum.accumulate(after)
    new = np.flatnonzero(np.diff(highest, prepend=-np.inf) > 0)
    return Cheating(
        float(before.max(initial=-np.inf)), np.maximum(new + begins - last, 1), after[new], len(scores)
    )


def f1(found: int, missed: int, false: float) -> float:
    """F1 of so many found and missed cheats, and false accusations."""
    return 2 * found / (2 * found + missed + false) if found else 0.0


def interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact confidence interval of a Poisson mean of which `count` were seen."""
    tail = (1 - confidence) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2


def quantile(delays: Floats, share: float) -> float:
    """The delay by which `share` of the cheats were found: one of the delays, NEVER where fewer ever were."""
    ordered = np.sort(delays)
    return float(ordered[int(np.ceil(share * len(ordered))) - 1])
