"""Many hours of one setting together: who got how much, how sure that is, and what the tests of fairness say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mint.charter.model import Charter
from network.fairness.attacks import CHEAT
from network.fairness.charter import CLASSES, charter_of, fair_counts, fair_shares
from network.fairness.hashing import Floats
from network.fairness.hours import Setting
from network.fairness.measures import (
    ChiSquare,
    Interval,
    chi_square,
    gini,
    jain,
    mean_interval,
    pooled,
    ratio_interval,
    uniform,
)
from network.fairness.outcome import PHASES, Hour


@dataclass(frozen=True)
class Tests:
    """The chi-square tests of each hour, all of them as one, and how likely so uneven p-values are by chance."""

    each: tuple[ChiSquare, ...]

    @property
    def pooled(self) -> ChiSquare:
        """As one test."""
        return pooled(self.each)

    @property
    def uniform(self) -> float:
        """Kolmogorov-Smirnov's p of the hours' p-values."""
        return uniform([one.p for one in self.each])


@dataclass(frozen=True)
class Summary:
    """H hours of n miners."""

    setting: Setting
    hours: Sequence[Hour]

    @cached_property
    def charter(self) -> Charter:
        """What all these hours were held to."""
        return charter_of(CLASSES[self.setting.classes], self.setting.size).charter

    @cached_property
    def fair(self) -> dict[str, float]:
        """What each miner may expect, by name in order."""
        return fair_shares(self.charter)

    @property
    def names(self) -> list[str]:
        """The miners."""
        return list(self.fair)

    @property
    def _fair(self) -> Floats:
        return np.array(list(self.fair.values()))

    @property
    def _fair_counts(self) -> Floats:
        return np.array(list(fair_counts(self.charter).values()))

    @cached_property
    def shares(self) -> Floats:
        """Each miner's share of each hour's rewards, (H, n)."""
        rewards = np.array([one.rewards.sum(axis=0) for one in self.hours], float)
        return np.asarray(rewards / rewards.sum(axis=1, keepdims=True))

    @cached_property
    def course(self) -> Floats:
        """Each miner's share of the rewards of each minute, times fair: (minutes, n)."""
        rewards = np.sum([one.rewards for one in self.hours], axis=0).astype(float)
        return np.asarray(rewards / rewards.sum(axis=1, keepdims=True) / self._fair)

    def times_fair(self, miner: str) -> Interval:
        """A miner's mean share of an hour's rewards, in fair shares."""
        return mean_interval(self.shares[:, self.names.index(miner)] / self.fair[miner])

    def phase(self, name: str) -> Interval | None:
        """The cheat's share of the paid work found in a phase, in fair shares; None: there was no such phase."""
        work = np.array([one.work[PHASES.index(name)] for one in self.hours], float)
        if not work.any():
            return None
        found = ratio_interval(work[:, self.names.index(CHEAT)], work.sum(axis=1))
        fair = self.fair[CHEAT]
        return Interval(found.value / fair, found.low / fair, found.high / fair)

    @property
    def blocks(self) -> Tests:
        """Blocks found, against entitled hashing."""
        return Tests(tuple(chi_square(one.blocks, self._fair) for one in self.hours))

    @property
    def paid(self) -> Tests:
        """Shares paid, against those that entitled hashing finds."""
        return Tests(tuple(chi_square(one.shares, self._fair_counts) for one in self.hours))

    @property
    def jain(self) -> float:
        """Of all rewards."""
        return jain(self.shares.mean(axis=0))

    @property
    def gini(self) -> float:
        """Of all rewards."""
        return gini(self.shares.mean(axis=0))

    @property
    def accused(self) -> dict[str, int]:
        """In how many hours each miner was convicted of anything."""
        told = [name for one in self.hours for name in one.accused]
        return {name: told.count(name) for name in sorted(set(told))}
