"""What is calibrated is what detection alarms by: the same W, tick by tick."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.judge import Judge, Terms
from detectors.observation import Law
from mint.charter.toml import setting
from network.calibrate.clean import KINDS, PERCENTAGES, simulated
from network.calibrate.scores import score

# A threshold that W of the paper does not reach: beyond it the two may differ, as the docstring says.
NEVER = "1000000"


@pytest.mark.parametrize("preset", ["calibrated", "paper"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_w_of_a_live_detector(kind: str, preset: str) -> None:
    clean = simulated(kind, hours=0.1, cpu=0.1, seed=1)
    seen = list(clean.observations)
    assert len(seen) * clean.miners == 360
    present = np.ones(2, bool)
    for number in (50, 51, 52, 100):  # lost samples
        seen[number] = replace(seen[number], present=present & [True, number == 100])
    step = score(clean, preset)
    made = setting({"preset": preset, "ssa_threshold": NEVER}, "--set")
    law: Law = "none" if kind in PERCENTAGES else "kernel"
    terms = [Terms(name, 100_000, law) for name in ("m01", "m02")]
    judge = Judge(terms, made.detection, period_ns=1_000_000_000, f_miners=0)
    some = 0
    for one in seen:
        W, known = step(one)
        theirs = judge.step(one).statistics.W
        assert W[known].tolist() == pytest.approx(theirs[known].tolist(), nan_ok=True)
        some += int((W[known] > 0).sum())
    assert some > 50
