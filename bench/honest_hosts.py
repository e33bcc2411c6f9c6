"""Honest miners on hosts of every kind, simulated: what the budget law and Proof-of-Behavior are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from bench.disturbances import Disturbances, Seen
from bench.law import DEFAULT, rule_for
from detectors.budget import Ledger
from mint.charter.model import Detection
from network.telemetry import Phase, stream

ENTITLED_PPM = (20_000, 50_000, 100_000, 250_000, 500_000, 1_000_000)


@dataclass(frozen=True)
class Kind:
    """A kind of host, and the share of all hours that miners spend on such."""

    name: str
    share: float
    contended: bool
    phase: Phase
    steal_told: bool = True


KINDS = (
    Kind("quiet, random phase", 0.2, contended=False, phase="random"),
    Kind("quiet, drifting phase", 0.3, contended=False, phase="drifting"),
    Kind("contended, random phase", 0.15, contended=True, phase="random"),
    Kind("contended, drifting phase", 0.15, contended=True, phase="drifting"),
    Kind("contended, random phase, steal not told", 0.1, contended=True, phase="random", steal_told=False),
    Kind(
        "contended, drifting phase, steal not told", 0.1, contended=True, phase="drifting", steal_told=False
    ),
)


class Hosts:
    """Miners on hosts of one kind, entitled to each of `ENTITLED_PPM` in turn (`ppm`), and the ledger to judge them by.

    What the counters tell is the same with and without all that befalls honest telemetry (bench/disturbances.py).
    """

    def __init__(self, kind: Kind, miners: int, seed: int, law: Detection = DEFAULT) -> None:
        telemetry, self._trouble = (
            np.random.Generator(np.random.SFC64(child)) for child in np.random.SeedSequence(seed).spawn(2)
        )
        self.ppm = np.resize(np.array(ENTITLED_PPM), miners)
        self.ledger = Ledger([rule_for(int(one), law) for one in self.ppm])
        self._blocks = stream(
            telemetry,
            miners=miners,
            entitled_ppm=self.ppm,
            contended=kind.contended,
            phase=kind.phase,
            steal_told=kind.steal_told,
        )

    def befallen(self) -> Iterator[Seen]:
        """Block after block, with all that befalls honest telemetry."""
        befall = Disturbances(self._trouble, len(self.ppm))
        return map(befall.apply, self._blocks)

    def untroubled(self) -> Iterator[Seen]:
        """The same where nothing befalls."""
        for block in self._blocks:
            none = np.zeros_like(block.usage)
            here = np.ones(none.shape, bool)
            yield Seen(here, block.before, block.after, block.usage, block.steal, none, none)


def upper_bound(count: int, hours: float) -> float:
    """The rate at which `count` or fewer events in these hours would be seen in 5 % of cases (rule of three)."""
    return float(chi2.ppf(0.95, 2 * count + 2)) / 2 / hours
