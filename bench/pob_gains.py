"""How soon Proof-of-Behavior accuses colluders, by their gain: what the cut-off costs.

Fogs of sixteen; the last six of each gain from the end of a round on, each by the same share of its entitlement on top
of what its quota let it use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bench.honest_hosts import ENTITLED_PPM
from bench.law import rule_for
from bench.pob_fogs import MINERS, MOST_F
from bench.pob_honest import FOGS, D
from detectors.behaviour import WINDOW, Round, Window
from detectors.budget import Ledger
from detectors.observation import Floats, Ints, Observation
from network.telemetry import Counters, simulate

GAINS = (0.01, 0.02, 0.05, 0.10, 0.20, 1.00)
NAMES = [f"m{row:02}" for row in range(MINERS)]
# Whole windows of honest running before.
BEFORE = 2 * WINDOW * D


@dataclass(frozen=True)
class Course:
    """What became of colluders in the rounds after their gain began.

    `accused`: the share of them that has been by the end of each. `top`: the share of fogs in whose last round exactly
    the colluders have the highest scores. `wronged`: honest miners that were accused.
    """

    accused: Floats
    top: float
    wronged: int


def course(gain: float, seed: int, *, contended: bool, rounds: int = WINDOW) -> Course:
    """See Course."""
    miners = FOGS * MINERS
    ppm = np.resize(np.array(ENTITLED_PPM), miners)
    cheats = np.arange(miners) % MINERS >= MINERS - MOST_F
    ticks = BEFORE + rounds * D + 1
    counters = simulate(
        np.random.default_rng(seed),
        miners=miners,
        ticks=ticks,
        entitled_ppm=ppm,
        contended=contended,
        phase="drifting",
    )
    seconds = np.maximum(np.arange(ticks) - BEFORE, 0)[:, None]
    counters = replace(
        counters, usage=counters.usage + (seconds * gain * ppm * cheats * 1000).astype(np.int64)
    )
    found, top = np.zeros((FOGS, rounds, MINERS), bool), 0
    for fog in range(FOGS):
        of = slice(fog * MINERS, (fog + 1) * MINERS)
        judged = list(_rounds(counters, ppm, of))[-rounds:]
        for number, round_ in enumerate(judged):
            found[fog, number:, list(round_.accused)] = True
        scores = [judged[-1].scores[name] for name in NAMES]
        top += min(scores[MINERS - MOST_F :]) > max(scores[: MINERS - MOST_F])
    honest = MINERS - MOST_F
    return Course(found[:, :, honest:].mean(axis=(0, 2)), top / FOGS, int(found[:, -1, :honest].sum()))


def _rounds(counters: Counters, ppm: Ints, of: slice) -> Iterator[Round]:
    """The rounds of one fog."""
    ledger, window = Ledger([rule_for(int(one)) for one in ppm[of]]), Window(D, MINERS)
    here, zero = np.ones(MINERS, bool), np.zeros(MINERS, np.int64)
    for tick in range(len(counters.usage)):
        before, after, usage, steal = (
            values[tick, of] for values in (counters.before, counters.after, counters.usage, counters.steal)
        )
        ledger.push(Observation(tick, here, before, after, usage, steal, zero, zero))
        window.push(tick, ledger)
        if tick % D == 0 and (round_ := window.round(NAMES, ledger, MOST_F)):
            yield round_
