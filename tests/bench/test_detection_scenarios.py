"""The comparison's traces: a scenario changes what it says, in both forms alike, and nothing before it begins."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.detection import scenarios
from bench.detection.noise import (
    SECOND_NS,
    Containers,
    Noise,
    Percentages,
    Recorded,
    beside,
    cut,
    latest_read,
    percentages,
)
from bench.detection.scenarios import CHEATS, DISTURBANCES, Cheat, Disturbance, cheated
from network.trace import Counters, Trace

T, N = 400, 3
AT = np.array([120, 133, 150])
NOISES: tuple[Noise, ...] = (
    Percentages("independent"),
    Percentages("heavy-tailed"),
    Containers(contended=False),
    Containers(contended=True),
)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def honest(noise: Noise, ticks: int = T) -> Trace:
    return noise.honest(rng(), N, ticks, 0)


def grids(trace: Trace) -> dict[str, np.ndarray]:
    """Everything a trace tells, (T, n) each."""
    told: dict[str, np.ndarray] = {"present": trace.present}
    if trace.counters is not None:
        told |= {field.name: getattr(trace.counters, field.name) for field in fields(Counters)}
    if trace.percent is not None:
        told["percent"] = trace.percent
    return told


def same_until(before: Trace, after: Trace, last: np.ndarray) -> bool:
    rows = np.arange(len(before.ticks))[:, None] <= last
    was, now = grids(before), grids(after)
    return all((np.where(rows, was[name] == now[name], True)).all() for name in was)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name)
def test_a_cheat_takes_what_it_says_and_nothing_before(noise: Noise, cheat: Cheat) -> None:
    trace = honest(noise)
    offset = np.array([0.0, 0.3, 0.99])
    after = cheated(trace, cheat, AT, offset)
    assert same_until(trace, after, AT)
    # What use rises by, each second, is what was gained in it.
    rise = np.nan_to_num(after.use() - trace.use())
    assert (rise[AT.max() + 2 :] >= -1e-6).all()
    begins = (AT + offset)[None, :]
    expected = 100 * np.asarray(cheat.gained(np.maximum(np.arange(T)[:, None] - begins, 0)))[-1]
    if trace.counters is None:
        assert rise.sum(axis=0) == pytest.approx(expected)
    else:
        # Readings are not a second apart to the ms: what was gained by the last one differs by a period's use.
        assert rise.sum(axis=0) == pytest.approx(expected, rel=0.05, abs=20)


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name)
def test_what_a_cheat_gained_never_falls_and_begins_at_nothing(cheat: Cheat) -> None:
    t = np.linspace(0, 1500, 20_001)
    gained = np.asarray(cheat.gained(t))
    assert gained[0] == 0
    assert (np.diff(gained) >= -1e-12).all()


@given(gain=st.floats(0.001, 5), offset=st.floats(0, 1), last=st.integers(5, 90))
@settings(max_examples=30)
def test_counters_and_percentages_tell_the_same_step(gain: float, offset: float, last: int) -> None:
    trace = steady()
    cheat = Cheat("step", scenarios.step(gain))
    counted = cheated(trace, cheat, np.array([last]), np.array([offset]))
    bare = percent_of(trace)
    told = cheated(bare, cheat, np.array([last]), np.array([offset]))
    # Without noise, readings a second apart: the same to a ns of CPU time in a second.
    assert np.nanmax(np.abs(counted.use() - told.use())) < 2e-6 * 100


def steady(ticks: int = 100, ppm: int = 500_000) -> Trace:
    """One miner that uses exactly its entitlement and is read in no time, once a second."""
    at = np.arange(ticks, dtype=np.int64)[:, None] * SECOND_NS
    none = np.zeros_like(at)
    counters = Counters(at * ppm // 1_000_000, at, at, np.full_like(at, ppm), none, none, none)
    return Trace(("m",), np.arange(ticks), np.ones_like(at, bool), counters, None)


def percent_of(trace: Trace) -> Trace:
    use = trace.use()
    known = np.isfinite(use)
    return Trace(trace.miners, trace.ticks, known, None, np.where(known, use, 0.0))


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda disturbance: disturbance.name)
def test_a_disturbance_gains_nothing_and_changes_nothing_before(
    noise: Noise, disturbance: Disturbance
) -> None:
    if disturbance.counters and not noise.counters:
        return
    trace = honest(noise)
    after = disturbance.apply(trace, AT, rng(2))
    assert same_until(trace, after, AT)
    assert any((grids(trace)[name] != grids(after)[name]).any() for name in grids(trace))
    for name, grid in grids(after).items():
        assert (grid[~after.present] == 0).all(), name
    # Nobody used more for it: the mean of what is told is no higher, but for noise that is louder.
    quieter = np.nanmean(after.use()) <= np.nanmean(trace.use()) + 0.5
    assert quieter


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda disturbance: disturbance.name)
def test_counters_run_on_within_a_boot_and_an_epoch(disturbance: Disturbance) -> None:
    trace = disturbance.apply(honest(Containers(contended=True)), AT, rng(2))
    assert trace.counters is not None
    c = trace.counters
    for column in range(N):
        here = np.flatnonzero(trace.present[:, column])
        for earlier, later in itertools.pairwise(here.tolist()):
            assert c.before_ns[later, column] <= c.after_ns[later, column]
            if (c.epoch[earlier, column], c.boot[earlier, column]) == (
                c.epoch[later, column],
                c.boot[later, column],
            ):
                assert c.usage_ns[later, column] >= c.usage_ns[earlier, column]


def test_what_each_disturbance_is() -> None:
    trace = steady(200)
    at, one = np.array([50]), rng(3)
    use = {
        each.name: each.apply(trace, at, one).use()[:, 0]
        for each in DISTURBANCES
        if each.name != "lost ticks"
    }
    assert use["half for two minutes"][51:171] == pytest.approx(50)
    assert use["half for two minutes"][171:] == pytest.approx(100)
    assert use["pause of a minute"][51:111] == pytest.approx(0)
    assert use["restart"][51:54] == pytest.approx(0)
    assert np.isnan(use["restart"][54])  # another epoch: nothing to compare with
    assert use["restart"][55:] == pytest.approx(100)
    assert use["clock steps"][51] == pytest.approx(100 / 6)  # five seconds more went by
    stalls = use["stalls and catches up"]
    assert {0.0, 200.0, 300.0} <= {round(value, 3) for value in stalls[1:]}
    assert stalls[1:].mean() == pytest.approx(100)
    reads = use["late reads"][1:]
    assert scenarios.LATE_READS // 2 < (reads == 0).sum() <= scenarios.LATE_READS
    assert reads[reads > 0] == pytest.approx(100, abs=0.5)


def test_half_a_recording_is_the_other_half_of_none() -> None:
    trace = honest(Containers(contended=False), 100)
    recorded = Recorded("recorded", trace)
    first, second = (recorded.whole(half) for half in (0, 1))
    assert first.counters is not None
    assert second.counters is not None
    assert trace.counters is not None
    assert (np.vstack([first.counters.usage_ns, second.counters.usage_ns]) == trace.counters.usage_ns).all()
    for half, (lowest, highest) in enumerate(((0, 50), (50, 100))):
        part = recorded.honest(rng(), N, 20, half)
        assert part.counters is not None
        rows = trace.counters.before_ns[lowest:highest]
        assert rows.min() <= part.counters.before_ns.min()
        assert part.counters.before_ns.max() <= rows.max()


def test_traces_lie_side_by_side() -> None:
    one, other = honest(NOISES[2]), honest(NOISES[3])
    both = beside([one, other])
    assert len(both.miners) == 2 * N
    again = cut(both, np.zeros(N, np.int64), np.arange(N, 2 * N), T)
    assert all((grids(again)[name] == grids(other)[name]).all() for name in grids(other))


def test_the_latest_reading_that_is_there() -> None:
    trace = scenarios.lost(honest(NOISES[2]), AT, rng())
    rows = AT + scenarios.LOST_TICKS
    assert (latest_read(trace, rows) == AT).all()


def test_percentages_are_not_taken_over_milliseconds() -> None:
    trace = steady(60)
    late = scenarios.late(trace, np.array([20]), rng(4))
    assert np.nanmin(late.use()) == 0
    bare = percentages(late)
    assert bare.counters is None
    assert bare.percent is not None
    assert bare.percent[bare.present] == pytest.approx(100, abs=0.5)
    # A boot begins another time: what seems to follow at once does not.
    booted = percentages(scenarios.clock(beside([trace] * 3), np.full(3, 20), rng(4)))
    assert booted.present[22:, 2].all()
