"""What a point costs: microseconds of one core, of each detector as it would run.

A peer follows one miner; MinT's own parts take all miners of a tick at once, here a thousand. What a peer's grid of
variants costs is divided by their number, for one would run.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bench.detection import ours
from bench.detection.noise import Containers, percentages
from bench.detection.peers import PEERS
from detectors.ssa.parameters import PAPER
from mint.charter.model import Detection
from network.trace import Trace

PEER_TICKS = 1200
MINERS, TICKS = 1000, 120


def microseconds(detection: Detection) -> dict[str, float]:
    """By detector's name."""
    rng = np.random.Generator(np.random.SFC64(1))
    alone = percentages(Containers(contended=False).honest(rng, 1, PEER_TICKS, 0))
    many = Containers(contended=False).honest(rng, MINERS, TICKS, 0)
    percent = percentages(many)
    runs: dict[str, Callable[[], object]] = {
        ours.WHOLE.name: lambda: ours.judged(many, detection),
        ours.PERCENT.name: lambda: ours.judged(percent, detection),
        ours.BUDGET.name: lambda: ours.books(many, detection),
        ours.BEHAVIOUR.name: lambda: ours.behaviour(many, None, detection),
        ours.DIRECTION.name: lambda: ours.directions(percent),
        ours.PAPER_W.name: lambda: ours.paper(percent, PAPER),
        ours.PAPER_H.name: lambda: ours.paper(percent, PAPER),
    }
    costs = {name: _each(run, many) for name, run in runs.items()}
    for peer in PEERS:
        spent = _each(lambda peer=peer: peer.scores(alone), alone)  # type: ignore[misc]
        costs[peer.about.name] = spent / len(peer.about.variants)
    return costs


def _each(run: Callable[[], object], trace: Trace) -> float:
    begun = time.process_time()
    run()
    return (time.process_time() - begun) / trace.present.size * 1e6
