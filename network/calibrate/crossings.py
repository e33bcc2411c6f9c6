"""How often W crosses each of many thresholds upward, in one pass: as often as each would have given an alarm.

An alarm begins where W rises above h, and another can begin once W was at or below it. A tick that takes W
from v to w crosses every h in [v, w): it is noted at both ends, and one running sum gives the crossings of all
thresholds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.observation import Bools, Floats
from mint.errors import InputError
from network.calibrate.clean import HOUR, Clean
from network.calibrate.rates import RESAMPLED, THRESHOLDS, Curve, dispersion
from network.calibrate.scores import NEVER, score

# Alarms come in clumps, and a miner whose noise is taken for too small keeps that for hours (scores.LEARNS): so long
# a stretch of one miner's life is one draw of its own.
STRETCH = 6 * HOUR
# Progress is told once in so many ticks: a fraction of a second.
TOLD = 256


def measure(
    clean: Clean, preset: str, rng: np.random.Generator, tell: Callable[[float], None] = lambda _: None
) -> Curve:
    """The curve of false alarms against threshold on this telemetry.

    Args:
        clean: the telemetry, which is consumed.
        preset: whose W, `paper` or `calibrated`.
        rng: draws the stretches of the bootstrap.
        tell: is told now and then which share is done.

    Raises:
        InputError: no miner's use is known at any tick.
    """
    W, crossings, totals, ticks = score(clean, preset), Crossings(clean.miners), _Totals(rng), 0
    for seen in clean.observations:
        crossings.push(*W(seen))
        ticks += 1
        if ticks % STRETCH == 0:
            totals.add(crossings)
        if ticks % TOLD == 0:
            tell(ticks / clean.ticks)
    if ticks % STRETCH:
        totals.add(crossings)
    if not totals.hours:
        raise InputError(clean.name, "holds no two readings of a miner to compare", "record a longer trace")
    return totals.curve(clean.name, ticks / HOUR)


class Crossings:
    """Counts of upward crossings by n miners since `take`."""

    def __init__(self, miners: int) -> None:
        self._was = np.zeros(miners)
        self._clear()

    def _clear(self) -> None:
        n = len(self._was)
        # +1 at the first threshold that a rise crosses, -1 at the first beyond it.
        self._ends = np.zeros((n, len(THRESHOLDS) + 1), np.int32)
        self._known = np.zeros(n, np.int64)

    def push(self, W: Floats, known: Bools) -> None:
        """Take in a tick. A miner that is not known keeps its W; one that is and has none yet stands at 0."""
        now = np.where(known, np.nan_to_num(W, posinf=NEVER), self._was)
        rising = np.flatnonzero((now > self._was) & (now > THRESHOLDS[0]))
        np.add.at(self._ends, (rising, np.searchsorted(THRESHOLDS, self._was[rising])), 1)
        np.add.at(self._ends, (rising, np.searchsorted(THRESHOLDS, now[rising])), -1)
        self._was = now
        self._known += known

    def take(self) -> tuple[Floats, float]:
        """Each miner's crossings of each threshold, (n, thresholds), and miner-hours known, both since the last."""
        counts = np.cumsum(self._ends[:, :-1], axis=1, dtype=np.float64)
        hours = float(self._known.sum()) / HOUR
        self._clear()
        return counts, hours


class _Totals:
    """Sums over stretches, each of one miner: of alarms, their squares, and what a bootstrap makes of them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self.hours, self._stretches = rng, 0.0, 0
        self._alarms, self._squares = np.zeros((2, len(THRESHOLDS)))
        self._resampled = np.zeros((RESAMPLED, len(THRESHOLDS)))

    def add(self, crossings: Crossings) -> None:
        counts, hours = crossings.take()
        n = len(counts)
        self.hours += hours
        self._stretches += n
        self._alarms += counts.sum(axis=0)
        self._squares += (counts**2).sum(axis=0)
        self._resampled += self._rng.multinomial(n, np.full(n, 1 / n), RESAMPLED) @ counts

    def curve(self, name: str, life: float) -> Curve:
        phi = dispersion(self._alarms, self._squares, self._stretches)
        return Curve(name, self.hours, life, self._alarms, phi, self._resampled)
