"""What happens to honest miners: cheats, and honest disturbances. Each changes what it says and nothing before.

A cheat takes `gained(t)` seconds of entitlement beyond its own in the first t seconds. With counters that is added to
the counter at the time of each reading, without them to the percentage of each tick; both tell the same use.
A disturbance is something that happens to honest miners, in which nothing is gained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.detection.noise import SECOND_NS, Containers, Ints
from mint.budget import PPM
from network.trace import Counters, Trace

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Seconds since a cheat began -> seconds of entitlement taken beyond entitlement, elementwise, never falling.
Gained = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Cheat:
    """`horizon`: readings after its beginning in which it is to be found. `at_once`: from the first reading on."""

    name: str
    gained: Gained
    horizon: int = 300
    at_once: bool = False


@dataclass(frozen=True)
class Disturbance:
    """`apply(trace, at, rng)`: it happens after reading at[i] of each column i. `counters`: only where there are."""

    name: str
    apply: Callable[[Trace, Ints, np.random.Generator], Trace]
    counters: bool = False


# --- cheats -----------------------------------------------------------------------------------------


def step(gain: float) -> Gained:
    """Takes `gain` of entitlement more (0.1: 110 %) from the beginning on."""
    return lambda t: gain * t


def pulse(gain: float, seconds: float) -> Gained:
    """Takes `gain` more for so many seconds, then nothing."""
    return lambda t: gain * np.minimum(t, seconds)


def ramp(rate: float, most: float = 1.0) -> Gained:
    """Takes `rate` more every second than the second before, until it takes `most` more."""
    full = most / rate
    return lambda t: np.where(t < full, rate * t**2 / 2, rate * full**2 / 2 + most * (t - full))


def bursts(gain: float, on: float, off: float) -> Gained:
    """Takes `gain` more for `on` seconds, nothing for `off` seconds, and so on."""
    return lambda t: gain * (t // (on + off) * on + np.minimum(t % (on + off), on))


def sawtooth(most: float, seconds: float) -> Gained:
    """Takes ever more until, after so many seconds, it takes `most` more; then begins again."""
    return lambda t: most * seconds / 2 * (t // seconds + ((t % seconds) / seconds) ** 2)


CHEATS = (
    Cheat("double", step(1.0)),
    Cheat("+50 %", step(0.5)),
    Cheat("+20 %", step(0.2)),
    Cheat("+10 %", step(0.1)),
    Cheat("+5 %", step(0.05)),
    Cheat("+10 % for two minutes", pulse(0.1, 120)),
    Cheat("ramp of 1 %/s", ramp(0.01)),
    Cheat("ramp of 0.1 %/s", ramp(0.001)),
    Cheat("double from the first second", step(1.0), at_once=True),
    # Shorter than any window of the paper's (24 samples), and so far apart that no window holds two.
    Cheat("double, 5 s of every 25", bursts(1.0, 5, 20)),
    # What stays below a threshold that finds +5 % at once.
    Cheat("+0.5 %", step(0.005), horizon=1200),
    Cheat("sawtooth, 0 to 2 %", sawtooth(0.02, 60), horizon=1200),
)


def cheated(trace: Trace, cheat: Cheat, last: Ints, offset: Floats) -> Trace:
    """Each column i begins to cheat after reading last[i], which is present.

    Args:
        trace: honest.
        cheat: what each of them does.
        last: (n,) the last reading before the cheat begins.
        offset: (n,) how much of the time until the next reading passes before it begins, 0 to 1.
    """
    gained = cheat.gained(np.maximum(_times(trace) - _beginning(trace, last, offset), 0.0))
    if trace.counters is not None:
        counters = trace.counters
        taken = (gained * counters.entitled_ppm * (SECOND_NS // PPM)).astype(np.int64)
        return _recounted(trace, counters.usage_ns + np.where(trace.present, taken, 0))
    step_of = np.diff(gained, axis=0, prepend=gained[:1])
    return replace(trace, percent=np.asarray(trace.percent) + 100 * step_of)


def _times(trace: Trace) -> Floats:
    """When each reading was made, s: (T, n), in the middle of its bracket; of percentages, the end of the tick."""
    if trace.counters is None:
        return np.broadcast_to(trace.ticks[:, None], trace.present.shape).astype(np.float64)
    return (trace.counters.before_ns + trace.counters.after_ns) / (2 * SECOND_NS)


def _beginning(trace: Trace, last: Ints, offset: Floats) -> Floats:
    columns = np.arange(len(last))
    if trace.counters is None:
        return last + offset
    later = trace.present & (np.arange(len(trace.ticks))[:, None] > last)
    following = later.argmax(axis=0)
    begin = trace.counters.after_ns[last, columns]
    pause = np.maximum(trace.counters.before_ns[following, columns] - begin, 0)
    return np.asarray((begin + offset * pause) / SECOND_NS)


# --- honest disturbances ----------------------------------------------------------------------------

SLOW_TICKS = 120
PAUSE_TICKS = 60
RESTART_TICKS = 3  # what a container takes to start again
LOUDER = 3.0  # noise of percentages while a neighbour is there, times that of before
LOST_TICKS, LOST_SHARE = 10, 0.05  # a gap, and single readings lost besides
STALLS, LATE_READS = 5, 20  # a trace
LATE_NS = 2_000_000  # as recorded where a reader wanted the processor (bench/disturbances.py)
JUMP_NS = 5 * SECOND_NS


def slowed(trace: Trace, at: Ints, share: float, ticks: int) -> Trace:
    """For `ticks` readings after `at`, only `share` of what was used is used."""
    rows = np.arange(len(trace.ticks))[:, None]
    factor = np.where((rows > at) & (rows <= at + ticks), share, 1.0)
    if trace.counters is None:
        return replace(trace, percent=np.asarray(trace.percent) * factor)
    usage = trace.counters.usage_ns
    held = _filled(usage, trace.present)
    used = (np.diff(held, axis=0) * factor[1:]).astype(np.int64)
    whole = np.vstack([held[:1], held[:1] + np.cumsum(used, axis=0)])
    return _recounted(trace, np.where(trace.present, whole, 0))


def drop(trace: Trace, at: Ints, _: np.random.Generator) -> Trace:
    """Half of entitlement for two minutes."""
    return slowed(trace, at, 0.5, SLOW_TICKS)


def pause(trace: Trace, at: Ints, _: np.random.Generator) -> Trace:
    """Nothing for a minute."""
    return slowed(trace, at, 0.0, PAUSE_TICKS)


def restart(trace: Trace, at: Ints, _: np.random.Generator) -> Trace:
    """Stands still for a few seconds, then goes on in a cgroup made anew, whose counter begins at zero."""
    stood = slowed(trace, at, 0.0, RESTART_TICKS)
    if stood.counters is None:
        return stood
    begins = np.minimum(at + RESTART_TICKS, len(trace.ticks) - 1)
    after = np.arange(len(trace.ticks))[:, None] > begins
    held = _filled(stood.counters.usage_ns, trace.present)
    gone = held[begins, np.arange(len(at))]
    usage = np.where(after & trace.present, stood.counters.usage_ns - gone, stood.counters.usage_ns)
    epoch = stood.counters.epoch + after
    return replace(stood, counters=replace(stood.counters, usage_ns=usage, epoch=epoch))


def neighbours(trace: Trace, at: Ints, rng: np.random.Generator) -> Trace:
    """From then on others want the host's processors too. Of counters: of simulated ones, from its first reading."""
    rows = np.arange(len(trace.ticks))[:, None]
    loud = rows > at
    if trace.counters is None:
        percent = np.asarray(trace.percent)
        return replace(trace, percent=np.where(loud, np.maximum(100 + LOUDER * (percent - 100), 0), percent))
    quiet = trace.counters
    # What a contended host does from its beginning on, put where the quiet one's quota has been granted until then.
    ppm = quiet.entitled_ppm[0]
    sizes = tuple(ppm.tolist())
    busy = Containers(contended=True, sizes_ppm=sizes).honest(rng, len(at), len(rows), 0).counters
    assert busy is not None

    def then(name: str, shift: Ints) -> Ints:
        later = np.take_along_axis(getattr(busy, name), np.maximum(rows - at, 0), axis=0)
        return np.asarray(np.where(loud, later + shift, getattr(quiet, name)))

    columns = np.arange(len(at))
    after = then("after_ns", at * SECOND_NS)
    before = then("before_ns", at * SECOND_NS)
    before[1:] = np.maximum(before[1:], after[:-1])
    usage = np.maximum.accumulate(then("usage_ns", at * ppm * (SECOND_NS // PPM)), axis=0)
    steal = then("steal_ns", quiet.steal_ns[at, columns])
    changed = replace(quiet, usage_ns=usage, before_ns=before, after_ns=after, steal_ns=steal)
    return replace(trace, counters=changed)


def clock(trace: Trace, at: Ints, _: np.random.Generator) -> Trace:
    """By turns: the clock jumps forward; jumps back; the device boots, and all begins at zero."""
    assert trace.counters is not None
    after = np.arange(len(trace.ticks))[:, None] > at
    which, columns = np.arange(len(at)) % 3, np.arange(len(at))
    counters = trace.counters
    begun, gone = counters.before_ns[at, columns], counters.usage_ns[at, columns]
    shift = np.select([which == 0, which == 1], [np.full(len(at), JUMP_NS), -JUMP_NS], -begun)
    boots = after & (which == 2)
    moved = after & trace.present
    return replace(
        trace,
        counters=replace(
            counters,
            before_ns=np.where(moved, counters.before_ns + shift, counters.before_ns),
            after_ns=np.where(moved, counters.after_ns + shift, counters.after_ns),
            usage_ns=np.where(boots & trace.present, counters.usage_ns - gone, counters.usage_ns),
            epoch=counters.epoch + boots,
            boot=counters.boot + boots,
        ),
    )


def lost(trace: Trace, at: Ints, rng: np.random.Generator) -> Trace:
    """A gap, and single readings lost after it."""
    rows = np.arange(len(trace.ticks))[:, None]
    gap = (rows > at) & (rows <= at + LOST_TICKS)
    single = (rows > at) & (rng.random(trace.present.shape) < LOST_SHARE)
    return _without(trace, gap | single)


def stall(trace: Trace, at: Ints, rng: np.random.Generator) -> Trace:
    """Now and then one or two readings tell the counter of before, and the next one all of it."""
    T = len(trace.ticks)
    percent = None if trace.percent is None else trace.percent.copy()
    usage = None if trace.counters is None else _filled(trace.counters.usage_ns, trace.present)
    for column, first in enumerate(at):
        starts = np.sort(rng.choice(np.arange(first, T - 3), STALLS, replace=False))
        for number, k in enumerate(starts):
            ticks = 1 + number % 2
            if usage is not None:
                usage[k + 1 : k + 1 + ticks, column] = usage[k, column]
            if percent is not None:
                percent[k + 1 + ticks, column] = percent[k + 1 : k + 2 + ticks, column].sum()
                percent[k + 1 : k + 1 + ticks, column] = 0.0
    if usage is not None:
        return _recounted(trace, np.where(trace.present, usage, 0))
    return replace(trace, percent=percent)


def late(trace: Trace, at: Ints, rng: np.random.Generator) -> Trace:
    """Now and then a reading comes so late that the next one follows within milliseconds, and the counter with it."""
    assert trace.counters is not None
    T = len(trace.ticks)
    grids = {name: getattr(trace.counters, name).copy() for name in ("usage_ns", "before_ns", "after_ns")}
    for column, first in enumerate(at):
        for k in rng.choice(np.arange(first + 1, T - 1), LATE_READS, replace=False):
            moment = grids["before_ns"][k + 1, column] - LATE_NS
            if (
                trace.present[k, column]
                and trace.present[k + 1, column]
                and moment >= grids["after_ns"][k, column]
            ):
                grids["usage_ns"][k, column] = grids["usage_ns"][k + 1, column]
                grids["before_ns"][k, column] = grids["after_ns"][k, column] = moment
    return replace(trace, counters=replace(trace.counters, **grids))


DISTURBANCES = (
    Disturbance("half for two minutes", drop),
    Disturbance("pause of a minute", pause),
    Disturbance("restart", restart),
    Disturbance("noisy neighbours", neighbours),
    Disturbance("clock steps", clock, counters=True),
    Disturbance("lost ticks", lost),
    Disturbance("stalls and catches up", stall),
    Disturbance("late reads", late, counters=True),
)


def _filled(grid: Ints, present: Bools) -> Ints:
    """Each absent cell as the one before (the first ones as the first that is there)."""
    rows = np.where(present, np.arange(len(grid))[:, None], -1)
    latest = np.maximum.accumulate(rows, axis=0)
    latest = np.where(latest < 0, present.argmax(axis=0), latest)
    return np.take_along_axis(grid, latest, axis=0)


def _recounted(trace: Trace, usage: Ints) -> Trace:
    assert trace.counters is not None
    return replace(trace, counters=replace(trace.counters, usage_ns=usage))


def _without(trace: Trace, gone: Bools) -> Trace:
    """The trace with some cells absent: zero, as everything absent is."""
    present = trace.present & ~gone

    def kept(grid: Ints) -> Ints:
        return np.where(present, grid, 0)

    counters = trace.counters
    if counters is not None:
        counters = Counters(
            usage_ns=kept(counters.usage_ns),
            before_ns=kept(counters.before_ns),
            after_ns=kept(counters.after_ns),
            entitled_ppm=kept(counters.entitled_ppm),
            steal_ns=kept(counters.steal_ns),
            epoch=kept(counters.epoch),
            boot=kept(counters.boot),
        )
    percent = None if trace.percent is None else np.where(present, trace.percent, 0.0)
    return replace(trace, present=present, counters=counters, percent=percent)
