"""Rates of false alarms against threshold, how sure they are, and the threshold for a rate that is named.

**Interval.** k alarms in T hours: by Poisson's law the rate lies, at 95 %, between chi2(0.025; 2k) / 2T and
chi2(0.975; 2k + 2) / 2T (Garwood 1936). Alarms come in clumps, so their count is more uncertain than Poisson's, by
the index of dispersion phi: variance over mean of the counts of stretches, each some hours of one miner (1 where it
comes out less). k alarms are then worth k / phi clumps:

    low = phi chi2(0.025; 2k/phi) / 2T,   high = phi chi2(0.975; 2k/phi + 2) / 2T

**Threshold.** The smallest from which on `high` is at or below the rate. As counts fall with the threshold this
takes no correction for having looked at many: in 97.5 % of cases the true rate there is no higher than named.
Without any alarm `high` is 3.7 phi / T: shorter telemetry than 3.7 phi / rate cannot vouch for a rate.

**Tail.** Beyond what was seen a cumulative sum with a drift against it has an exponential tail,
rate(h) = rate(u) exp(-(h - u) / s), and s is best estimated by the mean excess above u: the sum over thresholds
above u of alarms times spacing, over the alarms at u. This is an extrapolation, and is called one; its
interval is a bootstrap over stretches, and the threshold taken is the interval's upper end, if no W was higher.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

Floats = NDArray[np.float64]

# 1 % apart, from where every W has been to where none has a meaning; in hundredths.
THRESHOLDS: Floats = np.unique(np.round(1.01 ** np.arange(700), 2))
CONFIDENCE = 0.95
LOW, HIGH = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
# Fewer alarms say nothing of how they clump; fewer yet nothing of a tail.
CLUMPS, FEW = 30, 10
# The tail begins where at most so many alarms lie beyond: its scale is then known to 10 %, and little of the
# curve's body, which is no exponential, goes into it.
TAIL = 100
# Times that the stretches are drawn anew: the ends of the interval are then the 25th of 1,000.
RESAMPLED = 1000


@dataclass(frozen=True, eq=False)
class Curve:
    """False alarms against THRESHOLDS on some telemetry; arrays are (thresholds,) but for `resampled`.

    `hours`: miner-hours; `life`: hours from the first tick to the last. `alarms`: how many began.
    `dispersion`: phi. `resampled`: alarms in each of RESAMPLED draws of the stretches, (RESAMPLED, thresholds).
    """

    name: str
    hours: float
    life: float
    alarms: Floats
    dispersion: Floats
    resampled: Floats

    @property
    def rate(self) -> Floats:
        """Alarms a miner-hour."""
        return self.alarms / self.hours

    @property
    def low(self) -> Floats:
        """The lower end of the rate's interval."""
        clumps = self.alarms / self.dispersion
        quantile = chi2.ppf(LOW, 2 * np.maximum(clumps, 1e-9))
        return np.where(self.alarms > 0, self.dispersion * quantile / 2 / self.hours, 0.0)

    @property
    def high(self) -> Floats:
        """The upper end of the rate's interval."""
        quantile = chi2.ppf(HIGH, 2 * self.alarms / self.dispersion + 2)
        return np.asarray(self.dispersion * quantile / 2 / self.hours)

    def at(self, threshold: float) -> int:
        """The index of the largest of THRESHOLDS that is not above this one."""
        return max(0, int(np.searchsorted(THRESHOLDS, threshold, side="right")) - 1)

    def hours_needed(self, rate: float) -> float:
        """Miner-hours without an alarm that vouch for this rate."""
        return float(self.dispersion[-1] * chi2.ppf(HIGH, 2) / 2 / rate)


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold for a rate. By the tail where `extrapolated`: its estimate, and the 95 % interval of that."""

    threshold: float
    extrapolated: bool
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan


def choose(curve: Curve, rate: float) -> Choice | None:
    """The threshold for `rate` false alarms a miner-hour; None where there are too few alarms to extrapolate from."""
    # From the last threshold down: how many in a row vouch for the rate.
    sure = int(np.cumprod((curve.high <= rate)[::-1]).sum())
    if sure:
        return Choice(float(THRESHOLDS[-sure]), extrapolated=False)
    return _extrapolated(curve, rate)


def _extrapolated(curve: Curve, rate: float) -> Choice | None:
    beyond = np.maximum.accumulate(curve.alarms[::-1])[::-1]
    start = int(np.argmax(beyond <= TAIL))
    if not FEW <= curve.alarms[start] <= TAIL or curve.alarms[-1]:
        return None
    estimate = float(_tail(curve.alarms[None], curve.hours, start, rate)[0])
    drawn = _tail(curve.resampled, curve.hours, start, rate)
    low, high = (float(end) for end in np.quantile(drawn, (LOW, HIGH)))
    highest = float(THRESHOLDS[np.flatnonzero(curve.alarms)[-1] + 1])
    threshold = math.ceil(max(high, estimate, highest) * 100) / 100
    return Choice(threshold, True, estimate, low, high)


def _tail(alarms: Floats, hours: float, start: int, rate: float) -> Floats:
    """The threshold for `rate` by the tail above THRESHOLDS[start], of each row of alarms, (rows, thresholds)."""
    spacing = np.diff(THRESHOLDS[start:])
    above = alarms[:, start:]
    excess = ((above[:, :-1] + above[:, 1:]) / 2) @ spacing
    some = np.maximum(above[:, 0], 1.0)
    threshold: Floats = THRESHOLDS[start] + excess / some * np.log(np.maximum(1.0, some / hours / rate))
    return threshold


def dispersion(alarms: Floats, squares: Floats, stretches: int) -> Floats:
    """phi, from sums over stretches: of alarms, and of their squares."""
    mean = alarms / stretches
    variance = (squares - alarms * mean) / max(1, stretches - 1)
    ratio = np.divide(variance, mean, out=np.ones_like(mean), where=mean > 0)
    return _carried(np.maximum(1.0, ratio), alarms)


def pooled(curves: Sequence[Curve]) -> Curve:
    """All telemetry together, each kind by the hours that there are of it.

    How alarms clump is what it is within the kinds: that they differ is no uncertainty.
    """
    alarms = np.sum([curve.alarms for curve in curves], axis=0)
    clumped = np.sum([curve.alarms * curve.dispersion for curve in curves], axis=0)
    ratio = np.divide(clumped, alarms, out=np.ones_like(alarms), where=alarms > 0)
    return Curve(
        "all together",
        sum(curve.hours for curve in curves),
        min(curve.life for curve in curves),
        alarms,
        _carried(ratio, alarms),
        np.sum([curve.resampled for curve in curves], axis=0),
    )


def _carried(dispersion: Floats, alarms: Floats) -> Floats:
    """Where alarms are too few to tell, the dispersion of the last threshold before at which they were not."""
    told = np.flatnonzero(alarms >= CLUMPS)
    if not len(told):
        return np.ones_like(dispersion)
    last = int(told[-1])
    return np.where(np.arange(len(alarms)) > last, dispersion[last], dispersion)
