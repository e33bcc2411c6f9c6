"""How often Proof-of-Behavior is wrong of honest miners: fogs of sixteen, simulated, by the kind of their hosts.

The arrays of detectors/behaviour.py hold many fogs at once; Krum looks at each by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bench.honest_hosts import Hosts, Kind, upper_bound
from bench.pob_fogs import MINERS, MOST_F
from detectors.behaviour import WINDOW, Vectors, Window
from detectors.krum import far_from_benchmark, krum
from network.telemetry import BLOCK

# Fogs in one ledger: numpy's overhead a call is shared by so many.
FOGS = 64
D = 10
# Cut-offs that are looked at, in bursts; MinT's is 1.
CUTS = (0.25, 0.5, 1.0, 2.0)


@dataclass
class Outcome:
    """Rounds of one kind of host; the rest counts miners in rounds, beyond each cut-off where there are several."""

    kind: str
    rounds: int = 0
    miners: int = 0
    far: dict[float, int] = field(default_factory=lambda: dict.fromkeys(CUTS, 0))
    above: int = 0
    accused: dict[float, int] = field(default_factory=lambda: dict.fromkeys(CUTS, 0))

    def bound(self, count: int) -> float:
        """The most of such miners a round that 95 % confidence leaves; windows overlap, and one in WINDOW counts."""
        return upper_bound(math.ceil(count / WINDOW), self.rounds / WINDOW)


def judge(
    kind: Kind, *, rounds: int, seed: int, befalls: bool, advance: Callable[[float], None] = lambda _: None
) -> Outcome:
    """`rounds` rounds at least on hosts of one kind; with `befalls`, with all that befalls honest telemetry."""
    hosts = Hosts(kind, FOGS * MINERS, seed)
    ledger, window = hosts.ledger, Window(D, FOGS * MINERS)
    outcome, number = Outcome(kind.name), 0
    for block in hosts.befallen() if befalls else hosts.untroubled():
        for seen in block.observations(number):
            ledger.push(seen)
            window.push(seen.number, ledger)
            if seen.number % D == 0:
                _count(outcome, window.vectors(ledger, FOGS * MINERS // 2))
        number += BLOCK
        advance(min(1.0, outcome.rounds / rounds))
        if outcome.rounds >= rounds:
            break
    return outcome


def _count(outcome: Outcome, vectors: Vectors | None) -> None:
    if vectors is None:
        return
    fogs = vectors.rows // MINERS
    for fog in range(FOGS):
        here = slice(*np.searchsorted(fogs, [fog, fog + 1]))
        G = vectors.G[here]
        if len(G) < 2 * MOST_F + 3:
            continue
        away = np.array(far_from_benchmark(G, krum(G, MOST_F).best), np.float64)
        bursts = np.sqrt(away / D) / vectors.burst[here]
        above = vectors.above[here]
        outcome.rounds += 1
        outcome.miners += len(G)
        outcome.above += int(above.sum())
        for cut in CUTS:
            far = bursts > cut
            outcome.far[cut] += int(far.sum())
            outcome.accused[cut] += int((far & above).sum())
