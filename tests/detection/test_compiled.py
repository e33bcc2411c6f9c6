"""Detection compiled and detection by numpy are one: the same findings and books to the last bit, whatever comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import budget
from detectors.budget import Ledger
from detectors.judge import Judge, Terms
from detectors.nature import past, steady
from detectors.nature.alike import LAGS, SPAN, likenesses
from detectors.observation import Law, Observation
from detectors.ssa import direction
from mint.charter.toml import setting
from network.telemetry import percentages, simulate
from tests.setup.machine import missing

SECOND = 1_000_000_000
TICKS = 90
LAWS: tuple[Law, ...] = ("kernel", "soft", "none")
COLUMNS = ("before_ns", "after_ns", "usage_ns", "steal_ns", "boot", "epoch")
PARTS = (budget, direction, past, steady)


@pytest.fixture(autouse=True)
def compiled() -> None:
    if budget._compiled() is None:
        missing("a C compiler")


def judge(miners: int) -> Judge:
    terms = [Terms(f"m{row}", 100_000, LAWS[row % len(LAWS)]) for row in range(miners)]
    return Judge(terms, setting({}, "test").detection, period_ns=SECOND, f_miners=0)


def by_numpy(make: Callable[[], Judge]) -> Judge:
    """What `make` makes on a machine without a compiler, but for SSA's kernel."""
    with pytest.MonkeyPatch.context() as patch:
        for part in PARTS:
            patch.setattr(part, "_compiled", lambda: None)
        return make()


def counters(rng: np.random.Generator, miners: int) -> Iterator[Observation]:
    """Honest counters, and now and then one that makes no sense; what is absent is anything."""
    told = simulate(rng, miners=miners, ticks=TICKS, entitled_ppm=100_000, contended=True, phase="drifting")
    taken = np.where(np.arange(miners) % 3 == 1, 30_000_000, 0)  # above entitlement, each tick
    for tick in range(TICKS):
        usage = told.usage[tick] + taken * tick
        columns = np.stack(
            [told.before[tick], told.after[tick], usage, told.steal[tick], usage * 0, usage * 0]
        )
        present = rng.random(miners) < 0.9
        columns[:, ~present] = rng.integers(-(2**63), 2**63 - 1, (6, int((~present).sum())))
        if rng.random() < 0.2:
            value = rng.choice([0, -1, 1, 2**55, 2**62, int(told.usage[tick, 0]) // 2])
            columns[rng.integers(6), rng.integers(miners)] = value
        yield Observation(tick, present, **dict(zip(COLUMNS, columns, strict=True)))


def coarse(rng: np.random.Generator, miners: int, grid: float) -> Iterator[Observation]:
    """Percentages of a coarse meter or a fine one; the first stands still in the end, the next copies the last."""
    values = np.rint(percentages(rng, "heavy-tailed", miners, TICKS, 4.0) / grid) * grid
    values[TICKS // 3 :, 0] = values[TICKS // 3, 0]
    values[8:, 1 % miners] = values[:-8, -1]
    values[rng.random(values.shape) < 0.01] = rng.choice([1e15, -1e15, 0.0, np.nan])
    for tick, row in enumerate(values):
        yield Observation.of_percent(tick, rng.random(miners) < 0.95, row)


def plain(state: object) -> str:
    return json.dumps(state)  # floats exactly, zeros with their signs


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    miners=st.sampled_from([1, 2, 7, 16, 33]),
    grid=st.sampled_from([None, 1e-9, 0.25, 5.0]),
)
def test_findings_and_all_that_is_kept_are_the_same(seed: int, miners: int, grid: float | None) -> None:
    ways = judge(miners), by_numpy(lambda: judge(miners))
    rng = np.random.Generator(np.random.SFC64(seed))
    for seen in counters(rng, miners) if grid is None else coarse(rng, miners, grid):
        one, other = (way.step(seen) for way in ways)
        assert (one.found, one.convictions) == (other.found, other.convictions)
        for column in ("D", "S", "W"):
            np.testing.assert_array_equal(getattr(one.statistics, column), getattr(other.statistics, column))
        if seen.number % 9 == 0:
            assert plain(ways[0].state()) == plain(ways[1].state())
    assert plain(ways[0].state()) == plain(ways[1].state())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), values=st.sampled_from([2, 4, 10, 2**60]), miners=st.integers(1, 40))
def test_the_same_runs_are_found_in_the_past(seed: int, values: int, miners: int) -> None:
    rng = np.random.default_rng(seed)
    ways = [past.Past(miners)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(past, "_compiled", lambda: None)
        ways.append(past.Past(miners))
    told = rng.integers(-values, values, (TICKS, miners))
    told[20:, 0] = told[:-20, miners - 1]
    for numbers in told:
        present = rng.random(miners) < 0.95
        one, other = (way.push(way.symbols(numbers, present)) for way in ways)
        for column, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(column, same)
    for name in ("ring", "_grams", "_table"):
        np.testing.assert_array_equal(getattr(ways[0], name), getattr(ways[1], name))


def test_what_one_way_has_kept_the_other_goes_on_with() -> None:
    first = judge(16)
    rng = np.random.Generator(np.random.SFC64(1))
    seen = list(counters(rng, 16))
    for one in seen[: TICKS // 2]:
        first.step(one)
    ways = judge(16), by_numpy(lambda: judge(16))
    for way in ways:
        way.restore(json.loads(plain(first.state())))
    # Nature is made anew when it is restored, by C; budget and direction go on by numpy.
    for one in seen[TICKS // 2 :]:
        assert len({str(way.step(one).found) for way in (first, *ways)}) == 1
    assert plain(first.state()) == plain(ways[0].state()) == plain(ways[1].state())


def test_the_books_say_what_they_said_when_they_are_read_again() -> None:
    """A finding holds what was then, though the books are written over."""
    rng = np.random.Generator(np.random.SFC64(2))
    way, kept = judge(4), []
    for seen in counters(rng, 4):
        findings = way.step(seen)
        kept.append((findings, findings.levels_ns.tolist(), findings.statistics.W.tolist()))
    for findings, levels, W in kept:
        assert findings.levels_ns.tolist() == levels
        np.testing.assert_array_equal(findings.statistics.W, W)


def test_rows_given_instead_of_those_present_are_taken() -> None:
    terms = judge(3)
    ledgers = [Ledger(terms.ledger.rules) for _ in range(2)]
    for seen in counters(np.random.Generator(np.random.SFC64(3)), 3):
        counted = seen.present & np.array([True, False, True])
        ledgers[0].push(seen, counted)
        ledgers[1].push(replace(seen, present=counted))
    assert plain(ledgers[0].state()) == plain(ledgers[1].state())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    lag=st.integers(0, LAGS - 1),
    noise=st.sampled_from([0.0, 1e-6, 0.3, 0.45, 0.5, 2.0]),
    grid=st.sampled_from([1e-9, 1.0]),
)
def test_whom_it_is_known_of_is_alike_whether_or_not_it_is_said_again(
    seed: int, lag: int, noise: float, grid: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 4, (SPAN, 6))
    values[lag:, 0] = values[: SPAN - lag, 1] + rng.normal(0, 4 * noise, SPAN - lag)
    values[rng.integers(SPAN) :, 2] = 100.0
    values = np.rint(values / grid) * grid
    nobody, everybody = np.zeros(6, bool), np.ones(6, bool)
    told, lies = likenesses(values, 200, nobody)
    assert told.tolist() == [lie.row for lie in lies]
    assert likenesses(values, 200, everybody)[0].tolist() == told.tolist()
    if noise < 0.3:
        assert 0 in told.tolist()
