"""Measures what a calibration was asked for, one kind of telemetry after the other, with progress."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from network.calibrate.alarms import measure
from network.calibrate.clean import COUNTERS, Clean, recorded, simulated
from network.calibrate.rates import Curve
from network.progress import progress
from network.trace_file import read_trace


@dataclass(frozen=True)
class Plan:
    """What to calibrate on: traces, and `hours` miner-hours of each of `kinds`, at each of `cpus` if counted."""

    traces: tuple[Path, ...]
    hours: float
    kinds: tuple[str, ...]
    cpus: tuple[float, ...]
    preset: str
    seed: int


def curves(plan: Plan) -> list[Curve]:
    """The curve of each trace and each kind.

    Raises:
        InputError: a trace is wrong.
    """
    return [_curve(clean, plan) for clean in _all(plan)]


def _all(plan: Plan) -> Iterator[Clean]:
    for path in plan.traces:
        with progress(f"reading {path.name}") as tell:
            trace = read_trace(path, tell)
        yield recorded(str(path), trace)
    if plan.hours:
        for kind in plan.kinds:
            for cpu in plan.cpus if kind in COUNTERS else plan.cpus[:1]:
                yield simulated(kind, plan.hours, cpu, plan.seed)


def _curve(clean: Clean, plan: Plan) -> Curve:
    rng = np.random.default_rng([plan.seed, zlib.crc32(clean.name.encode())])
    with progress(clean.name) as tell:
        return measure(clean, plan.preset, rng, tell)
