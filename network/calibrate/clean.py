"""Clean telemetry to calibrate on, tick by tick: simulated honest miners, or a trace whose operator vouches for it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np

from detectors.observation import Ints, Observation
from mint.errors import InputError
from network import telemetry
from network.replay import observations
from network.telemetry import BLOCK, PPM, Phase
from network.trace import Trace

# A tick is a second.
HOUR, TICK_NS = 3600, 1_000_000_000
# A simulated miner lives for a day before another takes its place: the first hours, in which its noise is being
# learned, count as much as they do where a charter changes once a day.
LIFE_HOURS = 24
# Miners side by side: more make numpy no quicker, and W and what goes with it stay in the cache.
MOST_MINERS = 1024
# Standard deviation of percentages without counters, % of entitlement: that of real containers at 1 Hz. Of a noise's
# size W does not depend.
DEVIATION = 5.0
# Percentages that are drawn at once, ticks. Autocorrelated noise is interrupted that often, for one tick.
DRAWN = HOUR

COUNTERS = ("quiet", "contended")
PERCENTAGES: dict[str, telemetry.Kind] = {
    "independent": "independent",
    "correlated": "autocorrelated",
    "heavy": "heavy-tailed",
}
KINDS = (*COUNTERS, *PERCENTAGES)


@dataclass(frozen=True)
class Clean:
    """Clean telemetry of one kind, of `miners` miners over `ticks` seconds.

    `entitled_ppm`: of each miner, (miners,), where `counted`: where there are counters and not bare percentages.
    """

    name: str
    miners: int
    ticks: int
    counted: bool
    entitled_ppm: Ints
    observations: Iterator[Observation]


def recorded(name: str, trace: Trace) -> Clean:
    """A recorded trace; lost ticks are ticks without a reading.

    Raises:
        InputError: a miner's entitlement changes, which begins its statistics anew.
    """
    n, counters = len(trace.miners), trace.counters
    entitled = np.full(n, PPM)
    if counters is not None:
        entitled = counters.entitled_ppm[trace.present.argmax(axis=0), np.arange(n)]
        changed = trace.present & (counters.entitled_ppm != entitled)
        if changed.any():
            row, miner = np.argwhere(changed)[0].tolist()
            raise InputError(
                f"{name}: tick {trace.ticks[row]}, miner {trace.miners[miner]}",
                "its entitlement changes",
                "cut the trace there, and name both parts",
            )
    seen = (observation for _, observation in observations(trace))
    return Clean(name, n, len(trace.ticks), counters is not None, entitled, seen)


def simulated(kind: str, hours: float, cpu: float, seed: int) -> Clean:
    """At least `hours` miner-hours of honest miners on hosts of one of KINDS; `cpu`: their entitlement in CPUs.

    Of miners with counters one half is read at any moment of its CFS periods, the other by an agent that
    keeps its phase (network/telemetry.py): both occur, and neither is the quieter at every size.
    """
    counted = kind in COUNTERS
    name = f"{kind}, {cpu:g} CPU" if counted else kind
    miners = min(MOST_MINERS, max(2, 2 * round(hours / LIFE_HOURS / 2)))
    ticks = math.ceil(hours * HOUR / miners)
    sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
    rngs = [np.random.Generator(np.random.SFC64(child)) for child in sequence.spawn(2)]
    ppm = round(cpu * PPM)
    if counted:
        seen = _counters(rngs, miners, ticks, ppm, contended=kind == "contended")
    else:
        seen = _percentages(rngs[0], PERCENTAGES[kind], miners, ticks)
    return Clean(name, miners, ticks, counted, np.full(miners, ppm), seen)


def _counters(
    rngs: list[np.random.Generator], miners: int, ticks: int, ppm: int, *, contended: bool
) -> Iterator[Observation]:
    phases: tuple[Phase, ...] = get_args(Phase)
    streams = [
        telemetry.stream(rng, miners=miners // 2, entitled_ppm=ppm, contended=contended, phase=phase)
        for rng, phase in zip(rngs, phases, strict=True)
    ]
    present, none = np.ones(miners, bool), np.zeros(miners, np.int64)
    for first in range(0, ticks, BLOCK):
        blocks = [next(stream) for stream in streams]
        before, after, usage, steal = (
            np.hstack([getattr(block, name) for block in blocks])
            for name in ("before", "after", "usage", "steal")
        )
        for at in range(min(BLOCK, ticks - first)):
            yield Observation(
                first + at, present, before[at], after[at], usage[at], steal[at], boot=none, epoch=none
            )


def _percentages(
    rng: np.random.Generator, kind: telemetry.Kind, miners: int, ticks: int
) -> Iterator[Observation]:
    present = np.ones(miners, bool)
    for first in range(0, ticks, DRAWN):
        drawn = telemetry.percentages(rng, kind, miners, min(DRAWN, ticks - first), DEVIATION)
        for at, percent in enumerate(drawn):
            yield Observation.of_percent(first + at, present, percent)
