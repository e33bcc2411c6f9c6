"""Percentages with noise alone, as clean telemetry and as a trace."""

from __future__ import annotations

import numpy as np

from detectors.observation import Floats, Observation
from network.calibrate.clean import Clean
from network.telemetry import percentages
from network.trace import Trace


def noise(seed: int, miners: int, ticks: int) -> Floats:
    return percentages(np.random.default_rng(seed), "independent", miners, ticks, 5.0)


def clean(percent: Floats, name: str = "plain") -> Clean:
    ticks, miners = percent.shape
    seen = (Observation.of_percent(number, np.isfinite(row), row) for number, row in enumerate(percent))
    return Clean(name, miners, ticks, False, np.full(miners, 1_000_000), seen)


def trace(percent: Floats) -> Trace:
    ticks, miners = percent.shape
    names = tuple(f"m{number:03}" for number in range(miners))
    return Trace(names, np.arange(ticks), np.isfinite(percent), None, np.nan_to_num(percent))
