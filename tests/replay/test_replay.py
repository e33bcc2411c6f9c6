"""Detection over a trace finds what is in it, whatever befell the rows; and nothing where everybody is honest."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from detectors.judge import Finding
from detectors.ssa.parameters import PAPER as EQUATIONS
from mint.charter.toml import Setting, setting
from mint.errors import InputError
from mint.wire import MOST
from network.replay import MOST_LOST, observations, replay
from network.replay_output import Table
from network.replay_plot import Drawing
from network.trace import Counters, Trace
from tests.detection.test_ssa import straightforward
from tests.replay.traces import as_percent, honest, traces, without

MINERS, TICKS, BEGINS = 5, 120, 60
CHEAT = "m02"
DOUBLE = {1: np.where(np.arange(TICKS) >= BEGINS, 1.0, 0.0)}
CALIBRATED, PAPER = setting({}, ""), setting({"preset": "paper"}, "")


def found(trace: Trace, made: Setting = CALIBRATED) -> list[tuple[int, Finding]]:
    return [(step.findings.number, one) for step in replay(trace, made) for one in step.findings.found]


def accused(trace: Trace, made: Setting = CALIBRATED) -> dict[tuple[str, str], int]:
    """The tick of the first accusation, by miner and detector."""
    first: dict[tuple[str, str], int] = {}
    for tick, one in found(trace, made):
        if one.decides:
            first.setdefault((one.miner, one.detector), tick)
    return first


def test_nobody_is_accused_where_everybody_is_honest() -> None:
    trace = honest(MINERS, 300)
    assert found(trace) == []
    assert accused(as_percent(trace)) == {}


def test_a_doubling_is_found_by_the_law() -> None:
    first = accused(honest(MINERS, TICKS, gains=DOUBLE))
    assert {miner for miner, _ in first} == {CHEAT}
    assert BEGINS <= first[CHEAT, "budget"] <= BEGINS + 2


def test_without_counters_it_is_found_by_ssa() -> None:
    first = accused(as_percent(honest(MINERS, TICKS, gains=DOUBLE)))
    assert list(first) == [(CHEAT, "ssa")]
    assert BEGINS <= first[CHEAT, "ssa"] <= BEGINS + 3


def test_lost_ticks_lose_nothing() -> None:
    trace = honest(MINERS, TICKS, gains=DOUBLE)
    lost = np.zeros_like(trace.present)
    lost[::7] = True  # nobody is read
    lost[BEGINS - 2 : BEGINS + 10, 1] = True  # the cheat is not, when it begins
    first = accused(without(trace, lost))
    assert {miner for miner, _ in first} == {CHEAT}
    assert first[CHEAT, "budget"] <= BEGINS + 11


def test_the_ticks_of_a_gap_are_gone_through() -> None:
    trace = honest(2, 6)
    lost = np.zeros_like(trace.present)
    lost[2:5] = True
    rows = [(row, seen.number, bool(seen.present.all())) for row, seen in observations(without(trace, lost))]
    assert rows == [
        (0, 0, True),
        (1, 1, True),
        (None, 2, False),
        (None, 3, False),
        (None, 4, False),
        (2, 5, True),
    ]


def test_a_gap_of_a_year_is_gone_through_for_a_minute_or_so() -> None:
    trace = honest(2, 3)
    numbers = [
        seen.number for _, seen in observations(replace(trace, ticks=np.array([5, 40_000_000, 2**63 - 1])))
    ]
    assert len(numbers) == 3 + 2 * MOST_LOST
    assert numbers[1 : 1 + MOST_LOST] == list(range(6, 6 + MOST_LOST))
    assert numbers[-1] == 2**63 - 1


def counter_restarts(trace: Trace, tick: int) -> None:
    """Every container starts again after the reading before `tick`, and its counter with it."""
    assert trace.counters is not None
    trace.counters.usage_ns[tick:] -= trace.counters.usage_ns[tick - 1]


def device_boots(trace: Trace, tick: int) -> None:
    """The device's clock and all counters begin again a second before `tick`."""
    assert trace.counters is not None
    counters = trace.counters
    for times in (counters.after_ns, counters.before_ns):
        times[tick:] -= counters.before_ns[tick].min() - 1_000_000_000
    counter_restarts(trace, tick)


@pytest.mark.parametrize("what", [counter_restarts, device_boots])
def test_what_begins_again_accuses_nobody_and_hides_nobody(what: Callable[[Trace, int], None]) -> None:
    trace, cheat = honest(MINERS, TICKS), honest(MINERS, TICKS, gains=DOUBLE)
    what(trace, BEGINS)
    what(cheat, BEGINS // 2)
    assert found(trace) == []
    assert accused(cheat)[CHEAT, "budget"] <= BEGINS + 2


def test_epoch_and_boot_are_gone_by() -> None:
    trace = honest(MINERS, TICKS, gains=DOUBLE)
    assert trace.counters is not None
    convicted = accused(trace)[CHEAT, "budget"]
    # The counter's life is another from this reading on: all of its 6 s were used since the last one.
    trace.counters.epoch[BEGINS - 10 :, 0] += 1
    assert set(accused(trace)) >= {("m01", "budget"), (CHEAT, "budget")}
    # The device's is another too: nothing is told by the difference.
    trace.counters.boot[BEGINS - 10 :, 0] += 1
    assert {miner for miner, _ in accused(trace)} == {CHEAT}
    assert accused(trace)[CHEAT, "budget"] == convicted


def test_a_rightful_change_of_entitlement_is_gone_by_from_its_tick() -> None:
    trace = honest(MINERS, TICKS, gains=DOUBLE)
    assert trace.counters is not None
    trace.counters.entitled_ppm[BEGINS:, 1] *= 2
    assert accused(trace) == {}
    # One tick late is too late for what was used in between.
    trace.counters.entitled_ppm[BEGINS : BEGINS + 10, 1] //= 2
    assert {miner for miner, _ in accused(trace)} == {CHEAT}


def test_silence_is_told_of_those_who_had_joined() -> None:
    trace = honest(3, 100)
    lost = np.zeros_like(trace.present)
    lost[:50, 0] = True  # joins late
    lost[50:, 1] = True  # leaves
    alarms = [(one.miner, one.detector) for _, one in found(without(trace, lost)) if not one.decides]
    assert alarms == [("m02", "dark")]


def test_the_paper_has_alarms_and_accuses_nobody() -> None:
    findings = found(honest(MINERS, TICKS, gains=DOUBLE), PAPER)
    assert findings
    assert {(one.detector, one.decides) for _, one in findings} == {("ssa", False)}


def test_the_papers_statistics_are_those_of_its_equations_and_of_the_newest_tick() -> None:
    trace = as_percent(honest(2, 80))
    assert trace.percent is not None
    ticks, told = [], []
    for step in replay(trace, PAPER):
        if np.isfinite(step.findings.statistics.D[1]):
            ticks.append(step.findings.number)
            told.append((step.findings.statistics.D[1], step.findings.statistics.W[1]))
    expected = straightforward(trace.percent[:, 1], EQUATIONS)
    assert ticks[0] == trace.ticks[EQUATIONS.span - 1]
    assert told == [pytest.approx((D, W), rel=1e-6) for D, _, W, _ in expected]


def test_parameters_are_gone_by() -> None:
    trace = honest(MINERS, TICKS, gains={1: 0.05 * DOUBLE[1]})
    strict, lenient = (accused(trace, setting({"burst_ms": burst}, "")) for burst in ("200", "60000"))
    assert (CHEAT, "budget") in strict
    assert (CHEAT, "budget") not in lenient


def test_too_few_miners_for_krum() -> None:
    with pytest.raises(InputError, match="Krum over 5 miners cannot bear"):
        next(replay(honest(MINERS, 2), setting({"f_miners": "2"}, "")))
    next(replay(honest(7, 2), setting({"f_miners": "2"}, "")))


def gone_through(trace: Trace, made: Setting) -> Drawing:
    """The picture, after detection and the table have gone through."""
    rows, table = [], io.BytesIO()
    statistics, drawing = Table(table, trace.miners), Drawing(trace, made.detection.preset)
    for step in replay(trace, made):
        rows.append(step.row)
        statistics.add(step)
        drawing.add(step)
    assert [row for row in rows if row is not None] == list(range(len(trace.ticks)))
    assert len(rows) <= len(trace.ticks) * (1 + MOST_LOST)
    return drawing


BOTH = pytest.mark.parametrize("made", [CALIBRATED, PAPER], ids=["calibrated", "paper"])


@BOTH
@settings(max_examples=20)
@given(trace=traces())
def test_no_trace_is_too_much(made: Setting, trace: Trace) -> None:
    gone_through(trace, made)


@BOTH
@pytest.mark.parametrize("counted", [True, False])
def test_wild_numbers_for_longer_than_any_window(made: Setting, counted: bool, tmp_path: Path) -> None:
    rng, shape = np.random.default_rng(3), (60, 3)
    wild = np.array([0, 1, 10**9, 2**40, 2**62, MOST])
    counters, percent = None, None
    if counted:
        before, usage, steal = (np.sort(rng.choice(wild, shape), axis=0) for _ in range(3))
        entitled = rng.choice([1_000, 1_024_000_000], shape)
        epoch, boot = rng.integers(0, 2, (2, *shape))
        counters = Counters(usage, before, np.maximum(before, before[::-1]), entitled, steal, epoch, boot)
    else:
        percent = rng.choice([0.0, 5e-324, 100.0, 1e9], shape)
    trace = Trace(("a", "b", "c"), np.arange(60), rng.random(shape) < 0.9, counters, percent)
    gone_through(trace, made).save(tmp_path / "p.png")
