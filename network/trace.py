"""A recorded trace: what miners used, tick by tick, as a grid of ticks and miners.

On disk a trace is long: one row for each miner and tick at which it was read. It tells either cumulative counters
or percent of entitlement, by its columns (docs/traces.md). Nothing here touches a file: rows come from and go
to network/trace_file.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mint.charter.model import PPM
from network.trace_columns import (
    AFTER,
    BEFORE,
    BOOT,
    CPU,
    ENTITLED,
    EPOCH,
    MINER,
    MOST_ROWS,
    STEAL,
    TICK,
    USAGE,
    Fault,
    Values,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Counters:
    """Cumulative counters of n miners at T ticks, each int64 (T, n); 0 where a miner is absent.

    `before_ns`, `after_ns`: the times around the read, of the device's monotonic clock, equal where only one is
    known. `usage_ns`: CPU time used. `entitled_ppm`: entitlement in ppm of one CPU. `steal_ns`: time taken from
    the miner's host. `epoch`, `boot`: another number than before says that the counter, or the host's clock
    with it, began again.
    """

    usage_ns: Ints
    before_ns: Ints
    after_ns: Ints
    entitled_ppm: Ints
    steal_ns: Ints
    epoch: Ints
    boot: Ints


@dataclass(frozen=True, eq=False)
class Trace:
    """What n miners used at T ticks.

    `miners` are sorted, `ticks` ascending int64 (T,): only those that occur. `present` (T, n): whether there is
    a row of that miner and tick. Either `counters`, or `percent` of entitlement, float64 (T, n).
    """

    miners: tuple[str, ...]
    ticks: Ints
    present: Bools
    counters: Counters | None
    percent: Floats | None

    def use(self, rows: Sequence[int] | slice = slice(None)) -> Floats:
        """Percent of entitlement of these miners, (T, k): as told, or between two readings that compare; else nan."""
        if self.counters is not None:
            return _use(self.counters, self.present, rows)
        return np.where(self.present[:, rows], np.asarray(self.percent)[:, rows], np.nan)


def arranged(names: Sequence[str], parts: dict[str, list[Values]]) -> Trace:
    """The trace of some rows, in whatever order they are.

    Args:
        names: of miners, each once.
        parts: every column in parts, checked; for `miner` the index of its name in `names`. Columns are taken
            out as they are used, for they are large.

    Raises:
        Fault: there are none, two of them are of one tick and miner, or the grid would be too large.
    """
    if not names:
        raise Fault(None, "", "has no rows", "record something, or name another file")
    ticks, tick_of = _ranked(np.concatenate(parts.pop(TICK.name)))
    shape = (len(ticks), len(names))
    if shape[0] * shape[1] > MOST_ROWS:
        text = f"spans {shape[0]:,} ticks x {shape[1]:,} miners, more than {MOST_ROWS:,} cells"
        raise Fault(None, "", text, "split it by time or by miner: replay holds a trace in memory")
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    cells = tick_of * shape[1] + place[np.concatenate(parts.pop(MINER.name))]
    present = np.zeros(shape[0] * shape[1], bool)
    present[cells] = True
    if np.count_nonzero(present) != len(cells):
        again = _doubled(cells)
        text = f"tick {ticks[tick_of[again]]} of {names[order[cells[again] % shape[1]]]} was there before"
        raise Fault(again, TICK.name, text, "leave one row for each tick and miner")

    def grid(name: str, kind: type = np.int64, scale: int = 1) -> Values:
        made: Values = np.zeros(len(present), kind)
        rows = np.concatenate(parts.pop(name))
        made[cells] = rows if scale == 1 else np.rint(rows * scale)
        return made.reshape(shape)

    def grid_or_zeros(name: str) -> Values:
        # Where the column is not given, one zero serves all cells.
        return grid(name) if name in parts else np.broadcast_to(np.int64(0), shape)

    counters, percent = None, None
    if CPU.name in parts:
        percent = grid(CPU.name, np.float64)
    else:
        before = grid(BEFORE.name)
        counters = Counters(
            usage_ns=grid(USAGE.name),
            before_ns=before,
            after_ns=grid(AFTER.name) if AFTER.name in parts else before,
            entitled_ppm=grid(ENTITLED.name, scale=PPM),
            steal_ns=grid_or_zeros(STEAL.name),
            epoch=grid_or_zeros(EPOCH.name),
            boot=grid_or_zeros(BOOT.name),
        )
    return Trace(tuple(names[at] for at in order), ticks, present.reshape(shape), counters, percent)


def _ranked(values: Values) -> tuple[Ints, Ints]:
    """The values that occur, ascending, and the rank of each among them."""
    least = int(values.min())
    span = int(values.max()) - least + 1
    if span > 4 * len(values):  # far between: sorting them costs less than a mark for each that might be
        found, rank = np.unique(values, return_inverse=True)
    else:
        occurs = np.zeros(span, bool)
        occurs[values - least] = True
        found = np.flatnonzero(occurs) + least
        rank = (np.cumsum(occurs) - 1)[values - least]
    return found.astype(np.int64), rank


def _doubled(cells: Ints) -> int:
    """The first row whose cell a row before it had already."""
    order = np.argsort(cells, kind="stable")
    again = order[1:][cells[order[1:]] == cells[order[:-1]]]
    return int(again.min())


def rows_of(trace: Trace, most: int) -> Iterator[tuple[Ints, dict[str, Values]]]:
    """The rows of a trace in long form, by tick and miner: each time at most some `most` of them (and one tick).

    Gives the index of each row's miner in `trace.miners`, and every other column by name.
    """
    at_once = max(1, most // len(trace.miners))
    for first in range(0, len(trace.ticks), at_once):
        part = slice(first, first + at_once)
        tick, miner = np.nonzero(trace.present[part])
        values: dict[str, Values] = {TICK.name: trace.ticks[part][tick]}
        if trace.percent is not None:
            values[CPU.name] = trace.percent[part][tick, miner]
        elif trace.counters is not None:
            counters = trace.counters
            values |= {
                USAGE.name: counters.usage_ns[part][tick, miner],
                BEFORE.name: counters.before_ns[part][tick, miner],
                AFTER.name: counters.after_ns[part][tick, miner],
                ENTITLED.name: counters.entitled_ppm[part][tick, miner] / PPM,
                STEAL.name: counters.steal_ns[part][tick, miner],
                EPOCH.name: counters.epoch[part][tick, miner],
                BOOT.name: counters.boot[part][tick, miner],
            }
        yield miner, values


def _use(counters: Counters, present: Bools, rows: Sequence[int] | slice) -> Floats:
    """Use between each reading and the miner's one before, by the middles of their brackets."""
    here = present[:, rows]
    ticks = np.arange(len(here))[:, None]
    last = np.maximum.accumulate(np.where(here, ticks, -1), axis=0)
    before = np.vstack([np.full((1, here.shape[1]), -1), last[:-1]])
    earlier = before.clip(0)

    def change(grid: Ints) -> Ints:
        of_these = grid[:, rows]
        return of_these - np.take_along_axis(of_these, earlier, axis=0)

    used = change(counters.usage_ns)
    elapsed = change(counters.before_ns) / 2 + change(counters.after_ns) / 2
    compare = (change(counters.epoch) == 0) & (change(counters.boot) == 0)
    good = here & (before >= 0) & compare & (used >= 0) & (elapsed > 0)
    percent = np.full(here.shape, np.nan)
    np.divide(used * 1e8, elapsed * counters.entitled_ppm[:, rows], out=percent, where=good)
    return percent
