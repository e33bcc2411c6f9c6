"""An experiment's telemetry, simulated: counters of containers on a quiet host, some of which change their quota.

Containers have 0.05 CPU each, and are read by an agent that wakes once a second; the noise is that of real ones
(network/telemetry.py).
"""

from __future__ import annotations

import numpy as np

from network.reproduce.script import NAMES, Script
from network.telemetry import simulate
from network.trace import Counters, Trace

# Small enough for sixteen containers on two cores: what the real recordings have too.
ENTITLED_PPM = 50_000


def simulated(script: Script, rng: np.random.Generator) -> Trace:
    """One run of `script`: `seconds` + 1 readings of every miner.

    Every level of quota that occurs is simulated for all miners, and a miner's counters grow by what those of
    its level at the time do. So its noise is that of its quota: a miner at double its entitlement is steadier, in
    percent of what it uses.
    """
    percent = script.percent()
    shape = (script.seconds + 1, len(NAMES))
    before, usage, width = np.zeros((3, *shape), np.int64)
    for level in np.unique(percent).tolist():
        counters = simulate(
            rng,
            miners=len(NAMES),
            ticks=len(before),
            entitled_ppm=ENTITLED_PPM * level // 100,
            contended=False,
            phase="drifting",
        )
        now = np.vstack([percent[:1], percent]) == level
        before += np.where(now, np.diff(counters.before, axis=0, prepend=0), 0)
        usage += np.where(now, np.diff(counters.usage, axis=0, prepend=0), 0)
        width += np.where(now, counters.after - counters.before, 0)
    before, usage = before.cumsum(axis=0), usage.cumsum(axis=0)
    return Trace(
        miners=NAMES,
        ticks=np.arange(len(before)),
        present=np.ones(shape, bool),
        counters=Counters(
            usage_ns=usage,
            before_ns=before,
            after_ns=before + width,
            entitled_ppm=np.full(shape, ENTITLED_PPM),
            steal_ns=np.zeros(shape, np.int64),
            epoch=np.zeros(shape, np.int64),
            boot=np.zeros(shape, np.int64),
        ),
        percent=None,
    )
