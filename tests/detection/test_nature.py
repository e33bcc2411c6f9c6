"""Telemetry that changes its nature: each lie is found, and no honest miner is ever accused of one."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.nature.lie import Kind
from detectors.nature.still import EXACT, STUCK_COUNTERS, STUCK_PERCENT
from network.telemetry import Phase, percentages, simulate
from tests.detection.telling import accused, clock, counted, noise, told

NAMES = [f"m{row:02}" for row in range(100)]
# By then a copy of noise in full resolution was found in all of thousands of runs (bench_nature).
SOON = 90


# --- lies -------------------------------------------------------------------------------------------


def test_a_value_that_stands_still_after_noise() -> None:
    x = noise(1)
    x[400:, 2] = x[400, 2]
    (_, alarm), (tick, lie) = told(x)
    assert (alarm.kind, alarm.row, alarm.decides) == (Kind.FROZEN, 2, False)
    assert (lie.kind, lie.row, lie.decides, lie.since, tick) == (
        Kind.FROZEN,
        2,
        True,
        400,
        400 + STUCK_PERCENT,
    )
    assert "same value" in lie.reason(NAMES)


def test_a_counter_that_stands_still_is_told_in_half_the_time() -> None:
    elapsed = clock(2)
    used = (noise(2) * 1e6).astype(np.int64)
    used[400:, 2] = used[400, 2]
    (tick, lie), *more = accused(counted(used, elapsed))
    assert (lie.kind, lie.row, tick) == (Kind.FROZEN, 2, 400 + STUCK_COUNTERS)
    assert not more


def test_lost_ticks_do_not_hide_a_value_that_stands_still() -> None:
    x = noise(3)
    x[400:, 2] = x[400, 2]
    x[400::7, 2] = np.nan
    assert [(lie.kind, lie.row) for _, lie in accused(told(x))] == [(Kind.FROZEN, 2)]


def test_a_small_circle() -> None:
    x = noise(4)
    x[400:, 2] = np.tile(x[395:400, 2], 60)
    (tick, lie), *more = accused(told(x))
    assert (lie.kind, lie.row, lie.lag, more) == (Kind.FROZEN, 2, 5, [])
    assert tick < 400 + STUCK_PERCENT


@pytest.mark.parametrize("lag", [1, 5, 60, 300])
def test_what_another_told_before(lag: int) -> None:
    x = noise(5)
    x[400:, 2] = x[400 - lag : 700 - lag, 4]
    (tick, lie), *more = accused(told(x))
    assert (lie.kind, lie.row, lie.source, lie.lag, more) == (Kind.COPIED, 2, 4, lag, [])
    assert 399 <= lie.since <= 400
    assert tick < 400 + SOON
    assert f"m04 told {lag} ticks before" in lie.reason(NAMES)


def test_a_copy_that_begins_anew_is_told_anew() -> None:
    x = noise(5)
    x[400:500, 2], x[550:, 2] = x[390:490, 4], x[520:670, 4]
    assert [(lie.row, lie.lag, lie.since // 100) for _, lie in accused(told(x))] == [(2, 10, 4), (2, 30, 5)]


def test_what_is_too_short_to_be_no_chance_is_not_told() -> None:
    x = np.rint(noise(5, 600, 40))
    for tick in range(400, 580, 25):
        x[tick : tick + 18, :20] = x[tick - 10 : tick + 8, 20:]  # some 60 bits
    assert not accused(told(x))


def test_coarse_values_of_one_host_close_in_time_are_an_alarm() -> None:
    x = np.rint(noise(5))
    x[400:, 2] = x[398:698, 4]
    found = told(x)
    assert (Kind.COPIED, 2, 4) in {(lie.kind, lie.row, lie.source) for _, lie in found}
    assert not accused(found)


def test_of_two_who_tell_the_same_at_once_nobody_is_accused() -> None:
    x = noise(6)
    x[400:, 2] = x[400:, 4]
    found = told(x)
    assert not accused(found)
    assert {(lie.kind, lie.row, lie.source) for _, lie in found} == {(Kind.COPIED, 2, 4), (Kind.COPIED, 4, 2)}


def test_twins_who_tell_their_past_are_accused_of_that() -> None:
    x = noise(6, 600)
    x[200:, 2] = x[200:, 4]
    x[400:, 2] = x[400:, 4] = x[230:430, 4]
    found = told(x)
    assert {lie.row for _, lie in found if lie.lag == 0} == {2, 4}
    assert {(lie.row, lie.lag) for _, lie in accused(found)} == {(2, 170), (4, 170)}


@pytest.mark.parametrize("lag", [40, 100, 300])
def test_its_own_past(lag: int) -> None:
    x = noise(7, 650)
    for tick in range(450, 650):
        x[tick, 2] = x[tick - lag, 2]
    (tick, lie), *more = accused(told(x))
    assert (lie.kind, lie.row, lie.source, lie.lag, more) == (Kind.REPLAYED, 2, 2, lag, [])
    assert tick < 450 + SOON


def test_a_copy_with_noise_of_its_own_is_an_alarm() -> None:
    x = noise(8)
    x[400:, 2] = 0.5 * x[380:680, 4] + noise(9, 300, 1)[:, 0] * 0.1
    found = told(x)
    assert not accused(found)
    assert [(lie.kind, lie.row, lie.source, lie.lag) for _, lie in found] == [(Kind.ALIKE, 2, 4, 20)]


def test_use_that_keeps_time_to_the_ns() -> None:
    elapsed = clock(10)
    used = (noise(10) * 1e6).astype(np.int64)
    used[400:, 2] = elapsed[400:, 2] // 10
    (tick, lie), *more = accused(counted(used, elapsed))
    assert (lie.kind, lie.row, more) == (Kind.FABRICATED, 2, [])
    assert tick <= 400 + EXACT + 1


def test_noise_that_goes_away_is_an_alarm() -> None:
    x = noise(11)
    x[400:, 2] = 100 + (x[400:, 2] - 100) * 1e-4
    found = told(x)
    assert [(lie.kind, lie.row, lie.decides) for _, lie in found] == [(Kind.FABRICATED, 2, False)]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), lag=st.integers(5, 300), grid=st.sampled_from([0.0, 0.01, 0.1, 1.0]))
def test_every_copy_of_noise_is_found(seed: int, lag: int, grid: float) -> None:
    x = noise(seed, 520, 4)
    x = np.rint(x / grid) * grid if grid else x
    x[370:, 2] = x[370 - lag : 520 - lag, 1]
    assert [(lie.row, lie.source, lie.lag) for _, lie in accused(told(x))] == [(2, 1, lag)]


# --- honest telemetry -------------------------------------------------------------------------------

TICKS, ROWS = 560, 18


def container(*, contended: bool) -> Callable[[np.random.Generator], np.ndarray]:
    def percent(rng: np.random.Generator) -> np.ndarray:
        ppm = rng.choice([50_000, 300_000, 1_000_000], ROWS)
        return simulate(rng, miners=ROWS, ticks=TICKS + 1, entitled_ppm=ppm, contended=contended).percent(ppm)

    return percent


def on_and_off(ticks: int) -> np.ndarray:
    """Each miner half of the time, by a timetable, a few ticks after the one before it."""
    return np.where((np.arange(ticks)[:, None] + 7 * np.arange(ROWS)) % 60 < 30, 100.0, 0.0)


HONEST: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "independent": lambda rng: percentages(rng, "independent", ROWS, TICKS, 4),
    "correlated in time": lambda rng: percentages(rng, "autocorrelated", ROWS, TICKS, 4),
    "a random walk": lambda rng: 100 + rng.normal(0, 1, (TICKS, ROWS)).cumsum(axis=0),
    "heavy tails": lambda rng: percentages(rng, "heavy-tailed", ROWS, TICKS, 4),
    "quiet containers": container(contended=False),
    "contended containers": container(contended=True),
    "constant": lambda rng: np.full((TICKS, ROWS), 100.0) * rng.choice([0.0, 0.5, 1.0], ROWS),
    "noise that stops": lambda rng: 100 + rng.normal(0, 4, (TICKS, ROWS)) * (np.arange(TICKS) < 280)[:, None],
    "limited": lambda rng: np.minimum(rng.normal(95, 4, (TICKS, ROWS)) + np.arange(TICKS)[:, None] / 50, 100),
    "by a timetable": lambda rng: on_and_off(TICKS),
    "ramps": lambda rng: (
        rng.normal(50, 1, (TICKS, 1)).round() + np.arange(TICKS)[:, None] % 100 * np.ones(ROWS)
    ),
    "held by its collector": lambda rng: np.repeat(rng.normal(100, 4, (TICKS // 14, ROWS)), 14, axis=0),
    "disturbed together": lambda rng: (
        100 + rng.normal(0, 4, (TICKS, ROWS)) + np.repeat(rng.normal(0, 20, (TICKS, 1)), ROWS, axis=1)
    ),
}


@pytest.mark.parametrize("kind", HONEST)
def test_no_honest_miner_is_accused_however_it_is_rounded(kind: str) -> None:
    x = HONEST[kind](np.random.default_rng(12))
    assert x.shape == (TICKS, ROWS)
    for grid, row in zip(itertools.cycle([0.0, 1e-3, 0.01, 0.1, 1.0, 5.0]), x.T, strict=False):
        row[:] = np.rint(row / grid) * grid if grid else row
    x[np.random.default_rng(13).random(x.shape) < 0.01] = np.nan  # lost ticks
    assert not accused(told(x))


@pytest.mark.parametrize("phase", ["random", "drifting"])
@pytest.mark.parametrize("contended", [False, True])
def test_no_honest_counter_is_accused(phase: Phase, contended: bool) -> None:
    ppm = np.repeat([20_000, 50_000, 500_000, 970_000, 1_000_000], 4)
    rng = np.random.default_rng(14)
    read = simulate(rng, miners=20, ticks=901, entitled_ppm=ppm, contended=contended, phase=phase)
    elapsed = np.diff((read.before + read.after) // 2, axis=0)
    assert not counted(np.diff(read.usage, axis=0), elapsed, ppm / 1e6)


def test_rounded_numbers_in_single_precision_are_rounded_numbers() -> None:
    x = np.rint(noise(19) * 100) / 100
    x[300:, 2] = x[300, 2]  # noise that went below what the meter tells
    assert not accused(told(x.astype(np.float32).astype(float)))


def test_nothing_is_said_of_what_is_constant_paused_or_coarse() -> None:
    rng = np.random.default_rng(13)
    x = np.rint(rng.normal(100, 4, (900, 8)))
    x[:, 0], x[:, 1] = 100.0, 0.0
    x[300:, 2], x[300:600, 3] = 0.0, 0.0
    x[300:, 4] = 100.0
    assert not told(x)


def test_a_miner_with_a_cpu_to_itself_has_no_noise_to_lose() -> None:
    x = 100 + np.random.default_rng(21).normal(0, 1e-4, (900, 6))
    x[::150] = 30.0  # paused for a while
    assert not told(x)


def test_a_stall_that_catches_up_a_pause_and_a_restart_are_honest() -> None:
    elapsed = clock(14, 900)
    used = (noise(14, 900) * 1e6).astype(np.int64)
    used[300:304, 1], used[304, 1] = 0, 5 * used[304, 1]  # a counter read late
    used[300:500, 2] = 0
    used[500:520, 3] = np.arange(20) * 5_000_000
    assert not counted(used, elapsed)


def test_a_simulators_counters_without_noise_are_nobodys_lie() -> None:
    elapsed = np.full((400, 4), 1_000_000_000)
    assert not counted(elapsed // 10, elapsed)
    elapsed[::9] = 3_000_000_000  # lost ticks
    assert not counted(elapsed // 10, elapsed)


def test_exact_from_the_first_tick_on_is_one_alarm() -> None:
    elapsed = clock(15, 400, 2)
    found = counted(elapsed // 10, elapsed)
    assert sorted((lie.kind, lie.row, lie.decides) for _, lie in found) == [
        (Kind.FABRICATED, 0, False),
        (Kind.FABRICATED, 1, False),
    ]


def test_circles_from_the_first_tick_on_are_an_alarm() -> None:
    x = noise(16, 60)
    found = told(np.tile(x, (8, 1)))
    assert found
    assert not accused(found)
