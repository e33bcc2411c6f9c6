"""W of clean telemetry, tick by tick, as detection makes it of what it is given (detectors/judge.py).

W of the preset `calibrated` does not depend on h. W of equation 8 does, for mu is that of the last window that was
accepted; here it is computed as if every window were, which is what any h does until its first alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from detectors.budget import Ledger
from detectors.judge import REARM, ssa_parameters
from detectors.observation import Bools, Floats, Observation
from detectors.ssa.direction import MEMORY, SCALES, Direction
from detectors.ssa.stream import SsaStream
from mint.charter.model import Detection, budget_rule
from mint.charter.toml import setting
from network.calibrate.clean import HOUR, TICK_NS, Clean

# For how many hours W of the preset `calibrated` learns a miner's noise: 32 of the longest blocks. A younger miner
# alarms up to 50 times less on a quiet host, and at any age beyond alike.
LEARNS = float(SCALES[-1] * MEMORY[-1]) / HOUR
# A threshold that no W crosses.
NEVER = 1e300

# Takes one tick of all miners; W of each, and which of them are known at this tick, (n,).
Score = Callable[[Observation], tuple[Floats, Bools]]


def detection(preset: str) -> Detection:
    """What a charter has that names this preset and nothing else."""
    return setting({"preset": preset}, "--preset").detection


def rearm(preset: str) -> float:
    """The share of h that W has to fall to before it alarms again."""
    return 1.0 if preset == "paper" else REARM


def score(clean: Clean, preset: str) -> Score:
    """A function that takes in the telemetry's observations one by one."""
    at = detection(preset)
    rules = [budget_rule(at, ppm, "kernel", TICK_NS) for ppm in clean.entitled_ppm.tolist()]
    ledger = Ledger(rules)
    direction = Direction(clean.miners)
    stream = SsaStream(clean.miners, replace(ssa_parameters(at), threshold=NEVER))

    def step(seen: Observation) -> tuple[Floats, Bools]:
        if clean.counted:
            ledger.push(seen)
        percent = ledger.share if clean.counted else np.asarray(seen.percent)
        known = seen.present & np.isfinite(percent)
        if preset == "paper":
            return stream.push(np.where(known, percent, 0.0), known).W, known
        direction.push(100.0 + ledger.gain if clean.counted else percent, known)
        return direction.W, known

    return step
