"""How fair a split is: counts and rewards of n miners against what their entitlements let them expect. Pure statistics.

Two questions are asked, and they differ where entitlements do. **As entitled?** The chi-square test holds counts
against `fair`, each miner's share of all entitled hashing. **Even?** Jain's index and Gini's coefficient look at
amounts alone, and know no entitlement: they are 1 and 0 where everyone has the same.

**What is counted.** A hash is a share, or a block, by luck that no other hash has part in. So

- the finders of B blocks are B independent draws, of miner i with its part p_i of the hashes computed, whatever the
  difficulty was: the counts are multinomial(B, p). A miner whose blocks are void has p_i = 0.
- the shares of a miner are a Poisson count of mean (its hashes) / (hashes a share takes), and given their sum those of
  all miners are multinomial too.

Pearson's statistic of either is chi-square with n - 1 degrees of freedom where each expected count is large enough,
and its p-value is uniform where p = fair. **Rewards are no counts**: each is a sum of shares weighted by how many
others were in their windows, and neighbouring blocks pay the same shares. So no test is made of amounts; their spread
is taken from independent hours (`mean_interval`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, kstest, norm, t

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
HIGH = (1 + CONFIDENCE) / 2
# Below five expected in a cell Pearson's statistic is no chi-square (Cochran 1952).
LEAST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """Pearson's statistic, its degrees of freedom, and how likely one as large is where all is fair.

    `p` is nan where a miner is expected to have fewer than LEAST_EXPECTED: there is too little to tell.
    """

    statistic: float
    freedom: int
    p: float


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def chi_square(counts: ArrayLike, fair: ArrayLike) -> ChiSquare:
    """Pearson's test of counts (n,) against fair shares (n,) that sum to 1.

    X2 = sum (N_i - N fair_i)^2 / (N fair_i), on n - 1 degrees of freedom (Pearson 1900).
    """
    observed, shares = np.asarray(counts, float), np.asarray(fair, float)
    expected = observed.sum() * shares
    freedom = len(shares) - 1
    if not freedom or expected.min() < LEAST_EXPECTED:
        return ChiSquare(math.nan, freedom, math.nan)
    statistic = float(((observed - expected) ** 2 / expected).sum())
    return ChiSquare(statistic, freedom, float(chi2.sf(statistic, freedom)))


def pooled(tests: Sequence[ChiSquare]) -> ChiSquare:
    """Independent tests as one: chi-squares add, and so do their degrees of freedom."""
    statistic, freedom = sum(one.statistic for one in tests), sum(one.freedom for one in tests)
    return ChiSquare(statistic, freedom, float(chi2.sf(statistic, freedom)) if freedom else math.nan)


def uniform(p_values: ArrayLike) -> float:
    """How likely p-values as unlike uniform ones are where all is fair (Kolmogorov-Smirnov); nan: not known."""
    p = np.asarray(p_values, float)
    return math.nan if np.isnan(p).any() else float(kstest(p, "uniform").pvalue)


def jain(amounts: ArrayLike) -> float:
    """Jain's index of amounts (n,), none below 0: (sum x)^2 / (n sum x^2), from 1/n (one has all) to 1 (all the same).

    Jain, Chiu and Hawe 1984, DEC-TR-301. Nothing at all is evenly split.
    """
    x = _scaled(amounts)
    return 1.0 if not x.any() else float(x.sum() ** 2 / (len(x) * (x**2).sum()))


def gini(amounts: ArrayLike) -> float:
    """Gini's coefficient of amounts (n,), none below 0: from 0 (all the same) to 1 - 1/n (one has all).

    The mean difference of two, over twice the mean (Gini 1912): with x in ascending order,
    sum (2 i - n - 1) x_i / (n sum x), i from 1. Nothing at all is evenly split.
    """
    x = np.sort(_scaled(amounts))
    n = len(x)
    return (
        0.0 if not x.any() else max(0.0, float(((2 * np.arange(1, n + 1) - n - 1) * x).sum() / (n * x.sum())))
    )


def _scaled(amounts: ArrayLike) -> Floats:
    """Amounts as parts of the largest one, so that no square is lost or without bound."""
    x = np.asarray(amounts, float)
    most = x.max(initial=0.0)
    return x / most if most > 0 else x


def proportion(count: int, total: int) -> Interval:
    """Which share of independent draws goes to whom got `count` of `total` (Wilson 1927)."""
    if not total:
        return Interval(math.nan, 0.0, 1.0)
    z = float(norm.ppf(HIGH))
    p = count / total
    middle, width = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total**2))
    scale = 1 + z * z / total
    # At the ends it is 0 and 1 but for rounding.
    return Interval(p, min(p, max(0.0, (middle - width) / scale)), max(p, min(1.0, (middle + width) / scale)))


def mean_interval(values: ArrayLike) -> Interval:
    """The mean of independent values and its interval by Student's t; of one value nothing is known but itself."""
    x = np.asarray(values, float)
    mean = float(x.mean())
    if len(x) < 2:
        return Interval(mean, -math.inf, math.inf)
    width = float(t.ppf(HIGH, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return Interval(mean, mean - width, mean + width)


def ratio_interval(parts: ArrayLike, wholes: ArrayLike) -> Interval:
    """Which share of all wholes (n,) their parts (n,) are, and its interval: of independent pairs, small and large.

    R = sum of parts / sum of wholes, with the variance of parts - R wholes (the ratio estimator, Cochran 1977).
    """
    part, whole = np.asarray(parts, float), np.asarray(wholes, float)
    if not whole.sum():
        return Interval(math.nan, -math.inf, math.inf)
    ratio = float(part.sum() / whole.sum())
    around = mean_interval(part - ratio * whole)
    width = (around.high - around.value) / float(whole.mean())
    return Interval(ratio, ratio - width, ratio + width)
