"""How often W alarms at each of many thresholds, in one pass.

An alarm begins where W rises above h, and another can begin once W was down to REARM h (detectors/judge.py; to h in
the preset `paper`). So the thresholds at which an alarm stands are all below one number, `standing`: a tick with
W = w ends those at w / REARM and above, and begins those from `standing` to w. They are noted at both ends, and one
running sum gives the alarms of all thresholds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.observation import Bools, Floats
from mint.errors import InputError
from network.calibrate.clean import HOUR, Clean
from network.calibrate.rates import RESAMPLED, THRESHOLDS, Curve, dispersion
from network.calibrate.scores import NEVER, rearm, score

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
    W, alarms, totals, ticks = score(clean, preset), Alarms(clean.miners, rearm(preset)), _Totals(rng), 0
    for seen in clean.observations:
        alarms.push(*W(seen))
        ticks += 1
        if ticks % STRETCH == 0:
            totals.add(alarms)
        if ticks % TOLD == 0:
            tell(ticks / clean.ticks)
    if ticks % STRETCH:
        totals.add(alarms)
    if not totals.hours:
        raise InputError(clean.name, "holds no two readings of a miner to compare", "record a longer trace")
    return totals.curve(clean.name, ticks / HOUR)


class Alarms:
    """Counts of alarms of n miners since `take`; `rearm`: the share of h that W has to fall to between two."""

    def __init__(self, miners: int, rearm: float) -> None:
        self._rearm, self._standing = rearm, np.zeros(miners)
        self._clear()

    def _clear(self) -> None:
        n = len(self._standing)
        # +1 at the first threshold of those at which an alarm begins, -1 at the first beyond them.
        self._ends = np.zeros((n, len(THRESHOLDS) + 1), np.int32)
        self._known = np.zeros(n, np.int64)

    def push(self, W: Floats, known: Bools) -> None:
        """Take in a tick. Where a miner is not known, or has no W, what stands goes on standing."""
        told = known & ~np.isnan(W)
        now = np.where(told, np.minimum(W, NEVER), 0.0)
        standing = np.where(told, np.minimum(self._standing, now / self._rearm), self._standing)
        begun = np.flatnonzero((now > standing) & (now > THRESHOLDS[0]))
        np.add.at(self._ends, (begun, np.searchsorted(THRESHOLDS, standing[begun])), 1)
        np.add.at(self._ends, (begun, np.searchsorted(THRESHOLDS, now[begun])), -1)
        self._standing = np.maximum(standing, now)
        self._known += known

    def take(self) -> tuple[Floats, float]:
        """Each miner's alarms at each threshold, (n, thresholds), and miner-hours known, both since the last."""
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

    def add(self, alarms: Alarms) -> None:
        counts, hours = alarms.take()
        n = len(counts)
        self.hours += hours
        self._stretches += n
        self._alarms += counts.sum(axis=0)
        self._squares += (counts**2).sum(axis=0)
        self._resampled += self._rng.multinomial(n, np.full(n, 1 / n), RESAMPLED) @ counts

    def curve(self, name: str, life: float) -> Curve:
        phi = dispersion(self._alarms, self._squares, self._stretches)
        return Curve(name, self.hours, life, self._alarms, phi, self._resampled)
