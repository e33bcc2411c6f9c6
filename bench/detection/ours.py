"""MinT's own detection behind the same interface: whole, and each part alone.

| name | sees | accuses by itself |
|---|---|---|
| MinT | counters where there are, else percentages | yes, as shipped |
| MinT, percentages alone | percentages | yes, as shipped |
| budget law | counters | yes, as shipped |
| Proof-of-Behavior | counters, in fogs of sixteen with two cheats | yes, as shipped |
| SSA with direction | percentages | no: its W is a score |
| SSA of the paper | percentages | no: its W is a score (equation 8) |
| SSA of the paper, h = 0.605 | percentages | yes, by the paper's threshold (equation 9) |
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.detection.noise import beside, cut
from bench.detection.peers import About, above
from detectors.behaviour import Window
from detectors.budget import Ledger
from detectors.judge import Judge, Terms
from detectors.observation import Law
from detectors.ssa.direction import Direction
from detectors.ssa.parameters import PAPER, SsaParameters
from detectors.ssa.stream import SsaStream
from mint.budget import PPM, BudgetRule
from mint.charter.model import Detection, budget_rule
from mint.charter.toml import setting
from network.replay import observations
from network.trace import Trace

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PERIOD_NS = 1_000_000_000
# Byzantine miners in a fog of sixteen, as in the paper's figure 5.
CHEATS_A_FOG, FOG = 2, 16
# The paper's W is two-sided: it counts where use is above entitlement by so much, percent.
MARGIN = 0.0
# A threshold that nothing crosses.
NEVER = 1e300

WHOLE = About("MinT", tuned=False, one_miner=False)
PERCENT = About("MinT, percentages alone", tuned=False, one_miner=False)
BUDGET = About("budget law", tuned=False, one_miner=False)
BEHAVIOUR = About("Proof-of-Behavior", tuned=False, one_miner=False)
DIRECTION = About("SSA with direction", one_miner=False)
PAPER_W = About("SSA of the paper", one_miner=False)
PAPER_H = About("SSA of the paper, h = 0.605", tuned=False, one_miner=False)
OURS = (WHOLE, PERCENT, BUDGET, BEHAVIOUR, DIRECTION, PAPER_W, PAPER_H)


def shipped() -> Detection:
    """The parameters that MinT ships with."""
    return setting({}, "defaults").detection


def scores(trace: Trace, bare: Trace, detection: Detection) -> dict[str, Floats]:
    """Scores of the columns of a trace by name, each (1, T, n); Proof-of-Behavior needs a fog: `behaviour`.

    `bare`: the same without counters (noise.py).
    """
    alone = judged(bare, detection)
    result = {PERCENT.name: alone, DIRECTION.name: directions(bare), WHOLE.name: alone}
    if trace.counters is not None:
        result |= {WHOLE.name: judged(trace, detection), BUDGET.name: books(trace, detection)}
    series = np.asarray(bare.percent).T
    rising = np.stack([_rising(*each) for each in zip(series, bare.present.T, strict=True)], axis=1)
    result[PAPER_W.name] = np.where(rising, paper(bare, replace(PAPER, threshold=NEVER)), 0.0)
    result[PAPER_H.name] = (rising & (PAPER.h < paper(bare, PAPER))).astype(np.float64)
    return {name: values[None] for name, values in result.items()}


def judged(trace: Trace, detection: Detection) -> Floats:
    """All of it: 1 where a miner stands accused, (T, n).

    Columns are strangers: so many of them may be Byzantine that there is no Proof-of-Behavior.
    """
    law: Law = "none" if trace.counters is None else "kernel"
    miners = zip(trace.miners, entitled(trace), strict=True)
    terms = [Terms(name, ppm, law) for name, ppm in miners]
    judge = Judge(terms, detection, period_ns=PERIOD_NS, f_miners=len(terms))
    accused = np.zeros(trace.present.shape)
    for row, (_, seen) in enumerate(observations(trace)):
        accused[row, [one.row for one in judge.step(seen).convictions]] = 1.0
    return accused


def books(trace: Trace, detection: Detection) -> Floats:
    """The budget law alone: 1 where it convicts, (T, n)."""
    ledger = Ledger(_rules(trace, detection))
    convicted = np.zeros(trace.present.shape)
    for row, (_, seen) in enumerate(observations(trace)):
        ledger.push(seen)
        convicted[row] = ledger.convicted
    return convicted


def directions(trace: Trace) -> Floats:
    """W of SSA with a direction, of percentages, (T, n)."""
    direction = Direction(len(trace.miners))
    W = np.zeros(trace.present.shape)
    for row, (_, seen) in enumerate(observations(trace)):
        assert seen.percent is not None
        direction.push(seen.percent, seen.present)
        W[row] = direction.W
    return np.nan_to_num(W)


def paper(trace: Trace, parameters: SsaParameters) -> Floats:
    """W of equation 8, of percentages, (T, n); 0 before there is one."""
    stream = SsaStream(len(trace.miners), parameters)
    W = np.zeros(trace.present.shape)
    for row, (_, seen) in enumerate(observations(trace)):
        assert seen.percent is not None
        W[row] = stream.push(seen.percent, seen.present).W
    return np.nan_to_num(W)


def behaviour(trace: Trace, others: Trace | None, detection: Detection) -> Floats:
    """Proof-of-Behavior alone: 1 where a miner is accused, (1, T, n).

    Each two columns are in one fog with all `others`, which are honest; without any, all columns are one fog.
    """
    n = len(trace.miners)
    if others is None:
        return _rounds(trace, n, detection)[None]
    parts = []
    for first in range(0, n, CHEATS_A_FOG):
        miners = np.arange(first, min(first + CHEATS_A_FOG, n))
        chosen = cut(trace, np.zeros_like(miners), miners, len(trace.ticks))
        parts.append(_rounds(beside([chosen, others]), len(chosen.miners), detection))
    return np.hstack(parts)[None]


def entitled(trace: Trace) -> list[int]:
    """Each miner's entitlement, ppm; that of percentages means nothing."""
    if trace.counters is None:
        return [PPM] * len(trace.miners)
    return [int(ppm) for ppm in trace.counters.entitled_ppm.max(axis=0)]


def _rounds(fog: Trace, count: int, detection: Detection) -> Floats:
    """Where one of the first `count` miners of a fog is accused, (T, count)."""
    ledger = Ledger(_rules(fog, detection))
    window = Window(detection.d, len(fog.miners))
    accused = np.zeros((len(fog.ticks), count))
    for row, (_, seen) in enumerate(observations(fog)):
        ledger.push(seen)
        window.push(seen.number, ledger)
        if seen.number % detection.d == 0:
            round_ = window.round(fog.miners, ledger, CHEATS_A_FOG)
            for miner in round_.accused if round_ else ():
                if miner < count and ledger.above[miner]:
                    accused[row, miner] = 1.0
    return accused


def _rules(trace: Trace, detection: Detection) -> list[BudgetRule]:
    return [budget_rule(detection, ppm, "kernel", PERIOD_NS) for ppm in entitled(trace)]


def _rising(percent: Floats, known: Bools) -> Bools:
    """`above` of one miner's percentages, for W is two-sided."""
    rising = np.zeros(len(percent), bool)
    rising[known] = above(percent[known], MARGIN)
    return rising
