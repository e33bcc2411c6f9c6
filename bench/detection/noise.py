"""Honest miners as traces (network/trace.py), by the kind of their noise: simulated, or recorded.

Kinds with counters have everything that a real trace has; the others are percentages alone, as of a GPU share.
A batch holds n traces side by side, one a column, as if they were n miners; each column stands for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mint.budget import PPM
from network import telemetry
from network.telemetry import Kind
from network.trace import Counters, Trace
from network.trace_file import read_trace

Ints = NDArray[np.int64]

# Entitlements of the simulated miners, ppm of one CPU: those that MinT's figures are stated for.
SIZES_PPM = (50_000, 100_000, 200_000, 500_000, 1_000_000)
# Standard deviation of percentages, percent of entitlement: that of a second's use of real containers at 0.05 CPU.
DEVIATION = 4.0
# Percent of entitlement that a recorded miner uses on average if nothing keeps it from doing so.
USING = 95.0
SECOND_NS = 1_000_000_000
RECORDINGS = Path(__file__).parent.parent.parent / "tests" / "traces"


class Noise(Protocol):
    """A kind of honest behaviour."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def counters(self) -> bool:
        """Whether its traces have counters."""
        ...

    def honest(self, rng: np.random.Generator, miners: int, ticks: int, half: int) -> Trace:
        """`miners` honest traces of `ticks` readings, or of fewer where no more were recorded.

        `half`: 0 or 1; what comes of one half never comes of the other.
        """
        ...


@dataclass(frozen=True)
class Percentages:
    """Use in percent of entitlement without counters, with noise of one distribution."""

    name: Kind
    counters: bool = False

    def honest(self, rng: np.random.Generator, miners: int, ticks: int, half: int) -> Trace:
        """See Noise; generators never repeat, so that halves differ by themselves.

        The first row is absent: with counters too the first reading tells no percentage.
        """
        percent = telemetry.percentages(rng, self.name, miners, ticks, DEVIATION)
        present = np.ones((ticks, miners), bool)
        percent[0], present[0] = 0.0, False
        return Trace(names(miners), np.arange(ticks), present, None, percent)


@dataclass(frozen=True)
class Containers:
    """Simulated counters under a CFS quota, of every size; every other reader's phase drifts, the others' jump."""

    contended: bool
    sizes_ppm: tuple[int, ...] = SIZES_PPM
    counters: bool = True

    @property
    def name(self) -> str:
        """See Noise."""
        host = "contended" if self.contended else "quiet"
        return host if len(self.sizes_ppm) > 1 else f"{host}, {self.sizes_ppm[0] / PPM:g} CPU"

    def honest(self, rng: np.random.Generator, miners: int, ticks: int, half: int) -> Trace:
        """See Noise."""
        ppm = np.resize(self.sizes_ppm, miners)
        random = np.arange(miners) // len(self.sizes_ppm) % 2 == 0
        before, after, usage, steal = np.zeros((4, ticks, miners), np.int64)
        for chosen, phase in ((random, "random"), (~random, "drifting")):
            if not chosen.any():
                continue
            part = telemetry.simulate(
                rng,
                miners=int(chosen.sum()),
                ticks=ticks,
                entitled_ppm=ppm[chosen],
                contended=self.contended,
                phase="random" if phase == "random" else "drifting",
            )
            before[:, chosen], after[:, chosen] = part.before, part.after
            usage[:, chosen], steal[:, chosen] = part.usage, part.steal
        return of_counters(before, after, usage, steal, ppm)


@dataclass(frozen=True)
class Recorded:
    """What real containers did; each half is one half of the recording's time."""

    name: str
    trace: Trace
    counters: bool = True

    def honest(self, rng: np.random.Generator, miners: int, ticks: int, half: int) -> Trace:
        """See Noise: stretches drawn at random, which may overlap, of miners that use what they are entitled to.

        One that gets less than that on a crowded host may well take more of it.
        """
        begins, ends = self._half(half)
        ticks = min(ticks, ends - begins)
        at = rng.integers(begins, ends - ticks + 1, miners)
        return cut(self.trace, at, rng.permutation(np.resize(self.using, miners)), ticks)

    @cached_property
    def using(self) -> Ints:
        """Miners that use what they are entitled to, as numbers."""
        return np.flatnonzero(np.nanmean(self.trace.use(), axis=0) >= USING)

    def whole(self, half: int) -> Trace:
        """Every miner's whole half, once."""
        begins, ends = self._half(half)
        miners = np.arange(len(self.trace.miners))
        return cut(self.trace, np.full(len(miners), begins), miners, ends - begins)

    def _half(self, half: int) -> tuple[int, int]:
        middle = len(self.trace.ticks) // 2
        return (0, middle) if half == 0 else (middle, len(self.trace.ticks))


def recordings() -> list[Recorded]:
    """What was recorded of real containers, by file name."""
    return [
        Recorded(f"recorded {path.stem}", read_trace(path)) for path in sorted(RECORDINGS.glob("*.parquet"))
    ]


def percentages(trace: Trace) -> Trace:
    """What those see who see no counters: use in percent of entitlement from reading to reading.

    A reading that follows within half a period is left out: over milliseconds percentages say nothing.
    """
    if trace.counters is None:
        return trace
    middle = (trace.counters.before_ns + trace.counters.after_ns) / 2
    near = np.diff(middle, axis=0, prepend=-np.inf) < SECOND_NS / 2
    earlier = np.vstack([trace.present[:1] & False, trace.present[:-1]])
    same = np.diff(trace.counters.boot, axis=0, prepend=-1) == 0
    use = replace(trace, present=trace.present & ~(near & earlier & same)).use()
    known = np.isfinite(use)
    return replace(trace, counters=None, present=known, percent=np.where(known, use, 0.0))


def latest_read(trace: Trace, rows: Ints) -> Ints:
    """The last reading of each column that is there, up to this row."""
    numbers = np.arange(len(trace.ticks))[:, None]
    latest: Ints = np.where(trace.present & (numbers <= rows), numbers, 0).max(axis=0)
    return latest


def names(miners: int) -> tuple[str, ...]:
    """Names of columns, in order."""
    return tuple(f"m{number:05}" for number in range(miners))


def of_counters(before: Ints, after: Ints, usage: Ints, steal: Ints, ppm: Ints) -> Trace:
    """A trace of counters, each (T, n), of miners with these entitlements, (n,); nothing absent."""
    zeros = np.zeros_like(usage)
    counters = Counters(
        usage_ns=usage,
        before_ns=before,
        after_ns=after,
        entitled_ppm=np.broadcast_to(ppm, usage.shape).copy(),
        steal_ns=steal,
        epoch=zeros,
        boot=zeros,
    )
    T, miners = usage.shape
    return Trace(names(miners), np.arange(T), np.ones(usage.shape, bool), counters, None)


def cut(trace: Trace, at: Ints, miner: Ints, ticks: int) -> Trace:
    """Columns of `ticks` rows: of miner number miner[i] from row at[i] on."""
    rows, columns = at + np.arange(ticks)[:, None], np.broadcast_to(miner, (ticks, len(miner)))
    counters, percent = None, None
    if trace.counters is not None:
        grids = {field.name: getattr(trace.counters, field.name)[rows, columns] for field in fields(Counters)}
        counters = Counters(**grids)
    if trace.percent is not None:
        percent = trace.percent[rows, columns]
    return Trace(names(len(miner)), np.arange(ticks), trace.present[rows, columns], counters, percent)


def beside(traces: Sequence[Trace]) -> Trace:
    """Traces of one form and length side by side."""
    miners = sum(len(trace.miners) for trace in traces)
    present = np.hstack([trace.present for trace in traces])
    whole = replace(traces[0], miners=names(miners), present=present)
    given = [trace.counters for trace in traces if trace.counters is not None]
    if given:
        grids = {f.name: np.hstack([getattr(each, f.name) for each in given]) for f in fields(Counters)}
        return replace(whole, counters=Counters(**grids))
    return replace(whole, percent=np.hstack([np.asarray(trace.percent) for trace in traces]))
