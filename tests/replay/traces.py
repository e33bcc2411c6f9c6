"""Traces for tests: any that hypothesis thinks of, and honest miners with a cheat among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from mint.wire import MOST
from network import telemetry
from network.trace import Counters, Trace
from network.trace_columns import Values

ENTITLED = 100_000

names = st.from_regex(r"[a-z0-9][a-z0-9_]{0,31}", fullmatch=True)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Any trace, counters or percent, as it is after reading: cells of absent miners are 0."""
    miners = tuple(sorted(draw(st.sets(names, min_size=1, max_size=4))))
    ticks = np.array(sorted(draw(st.sets(st.integers(0, MOST), min_size=1, max_size=6))), np.int64)
    shape = (len(ticks), len(miners))
    present = draw(arrays.arrays(bool, shape))
    # Ticks and miners that do not occur are in no file.
    present[:, 0] = True
    present[0] = True
    if draw(st.booleans()):
        percent = draw(arrays.arrays(np.float64, shape, elements=st.floats(0, 1e9)))
        return Trace(miners, ticks, present, None, np.where(present, percent, 0.0))

    def grid(least: int = 0, most: int = MOST) -> np.ndarray:
        values = draw(arrays.arrays(np.int64, shape, elements=st.integers(least, most)))
        return np.where(present, values, 0)

    before = grid()
    after = np.where(present, np.maximum(before, grid()), 0)
    entitled = grid(1_000, 1_024_000_000)
    return Trace(
        miners, ticks, present, Counters(grid(), before, after, entitled, grid(), grid(), grid()), None
    )


def same(one: Trace, other: Trace) -> bool:
    """Whether two traces tell the same, to the last digit."""
    if (one.miners, one.counters is None) != (other.miners, other.counters is None):
        return False
    pairs: list[tuple[Values, Values]] = [(one.ticks, other.ticks), (one.present, other.present)]
    if one.counters is not None and other.counters is not None:
        pairs += [
            (getattr(one.counters, field.name), getattr(other.counters, field.name))
            for field in fields(Counters)
        ]
    elif one.percent is not None and other.percent is not None:
        pairs.append((one.percent, other.percent))
    return all(np.array_equal(a, b) for a, b in pairs)


def honest(
    miners: int, ticks: int, *, gains: Mapping[int, NDArray[np.float64]] | None = None, seed: int = 7
) -> Trace:
    """Miners at 0.1 CPU on a quiet host; `gains`: what miner number i takes above its entitlement, tick by tick."""
    told = telemetry.simulate(
        np.random.default_rng(seed), miners=miners, ticks=ticks, entitled_ppm=ENTITLED, contended=False
    )
    usage = told.usage.copy()
    for miner, gain in (gains or {}).items():
        usage[:, miner] += np.cumsum(np.asarray(gain) * ENTITLED * 1_000).astype(np.int64)
    entitled, epoch, boot = np.zeros((3, *usage.shape), np.int64)
    counters = Counters(usage, told.before, told.after, entitled + ENTITLED, told.steal, epoch, boot)
    return Trace(
        tuple(f"m{number:02}" for number in range(1, miners + 1)),
        np.arange(ticks),
        np.ones((ticks, miners), bool),
        counters,
        None,
    )


def without(trace: Trace, lost: np.ndarray) -> Trace:
    """The trace without the rows that `lost` (T, n) says."""
    present = trace.present & ~lost
    kept = present.any(axis=1)
    counters = trace.counters
    if counters is not None:
        counters = Counters(*(getattr(counters, field.name)[kept] for field in fields(Counters)))
    percent = None if trace.percent is None else trace.percent[kept]
    return Trace(trace.miners, trace.ticks[kept], present[kept], counters, percent)


def as_percent(trace: Trace) -> Trace:
    """The same without counters."""
    use = trace.use()
    known = np.isfinite(use)
    kept = known.any(axis=1)
    return Trace(trace.miners, trace.ticks[kept], known[kept], None, np.where(known, use, 0.0)[kept])
