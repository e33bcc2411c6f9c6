"""How soon Proof-of-Behavior accuses colluders, by their gain: what the cut-off costs.

Fogs of sixteen on quiet hosts; the last six of each gain from the end of a round on, each by the same share of its
entitlement on top of what its quota let it use.
"""

from __future__ import annotations

import numpy as np

from bench.honest_hours import ENTITLED_PPM
from bench.law import rule_for
from bench.pob_fogs import MINERS, MOST_F
from bench.pob_honest import FOGS, D
from detectors.behaviour import WINDOW, Window
from detectors.budget import Ledger
from detectors.observation import Floats, Observation
from network.telemetry import simulate

GAINS = (0.01, 0.02, 0.05, 0.10, 0.20, 1.00)
# Whole windows of honest running before.
BEFORE = 2 * WINDOW * D


def accused(gain: float, seed: int, rounds: int = WINDOW) -> Floats:
    """The share of colluders that has been accused by the end of each of the first `rounds` rounds of the gain."""
    miners = FOGS * MINERS
    ppm = np.resize(np.array(ENTITLED_PPM), miners)
    cheats = np.arange(miners) % MINERS >= MINERS - MOST_F
    ticks = BEFORE + rounds * D + 1
    counters = simulate(
        np.random.default_rng(seed),
        miners=miners,
        ticks=ticks,
        entitled_ppm=ppm,
        contended=False,
        phase="drifting",
    )
    seconds = np.maximum(np.arange(ticks) - BEFORE, 0)[:, None]
    usage = counters.usage + (seconds * gain * ppm * cheats * 1000).astype(np.int64)
    ledgers = [
        Ledger([rule_for(int(one)) for one in ppm[fog : fog + MINERS]]) for fog in range(0, miners, MINERS)
    ]
    windows = [Window(D, MINERS) for _ in ledgers]
    names = [f"m{row:02}" for row in range(MINERS)]
    here, zero = np.ones(MINERS, bool), np.zeros(MINERS, np.int64)
    found, shares = np.zeros(miners, bool), []
    for tick in range(ticks):
        for fog, (ledger, window) in enumerate(zip(ledgers, windows, strict=True)):
            of = slice(fog * MINERS, (fog + 1) * MINERS)
            before, after, used, steal = (
                values[tick, of] for values in (counters.before, counters.after, usage, counters.steal)
            )
            ledger.push(Observation(tick, here, before, after, used, steal, zero, zero))
            window.push(tick, ledger)
            if tick % D == 0 and (round_ := window.round(names, ledger, MOST_F)):
                found[[fog * MINERS + row for row in round_.accused]] = True
        if tick > BEFORE and tick % D == 0:
            shares.append(found[cheats].mean())
    if found[~cheats].any():
        raise AssertionError("an honest miner was accused")
    return np.array(shares)
