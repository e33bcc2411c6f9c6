"""The budget law: what may never be convicted, and what always is."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint.budget import PPM, SLACK_NS, Bucket, BudgetRule, Reading, net_excess
from mint.errors import Rejected
from network.telemetry import simulate

S = 1_000_000_000
ENTITLED = 50_000  # 0.05 CPU
SHARE = ENTITLED * 1000  # what it is entitled to in a second, ns
OVERRUN = 40_000_000
RULE = BudgetRule(ENTITLED, SHARE // 5, OVERRUN)


@st.composite
def traces(draw: st.DrawFn) -> list[Reading]:
    """Any readings a device can send."""
    now = usage = steal = 0
    readings = []
    amount = st.integers(0, 10**10)
    for _ in range(draw(st.integers(1, 12))):
        now += draw(amount)
        usage += draw(amount)
        steal += draw(st.sampled_from([0, 10**7, 10**9]))
        width = draw(amount)
        readings.append(Reading(now, now + width, usage, steal))
        now += width
    return readings


@given(traces(), st.integers(0, 3 * PPM), st.integers(0, 10**10))
def test_level_is_the_worst_of_all_windows(trace: list[Reading], ppm: int, overrun: int) -> None:
    bucket = Bucket(ppm, overrun)
    for end, last in enumerate(trace):
        level = bucket.push(last, end)
        windows = [net_excess(first, last, ppm, overrun) for first in trace[: end + 1]]
        assert level == bucket.level == max(windows)
        assert windows[bucket.since] == level
        assert list(bucket.readings) == trace[max(0, end - 2) : end + 1][::-1]


@given(traces(), st.integers(0, PPM), st.integers(0, 11))
def test_a_restored_bucket_goes_on_as_if_nothing_happened(trace: list[Reading], ppm: int, cut: int) -> None:
    straight, other = Bucket(ppm, OVERRUN), Bucket(ppm, OVERRUN)
    for tick, reading in enumerate(trace):
        if tick == cut:
            other = Bucket.restore(other.state())
        straight.push(reading, tick)
        other.push(reading, tick)
        assert straight.state() == other.state()


@st.composite
def lawful(draw: st.DrawFn) -> tuple[list[Reading], int, int]:
    """Readings of a process that obeys the law with some burst, read at a hidden moment of any bracket."""
    ppm, burst = draw(st.integers(1, 2 * PPM)), draw(st.integers(0, 10**8))
    micro, time, tokens = 0, 0, burst * PPM  # a token bucket allows exactly what the law allows
    readings, free_from = [], 0
    for _ in range(draw(st.integers(1, 15))):
        step = draw(st.integers(1, 2 * 10**9))
        time += step
        tokens = min(burst * PPM, tokens + ppm * step)
        use = tokens if draw(st.booleans()) else draw(st.integers(0, tokens))
        tokens -= use
        micro += use
        before = draw(st.integers(free_from, time))
        free_from = time + draw(st.sampled_from([0, 30_000, 10**9]))
        readings.append(Reading(before, free_from, micro // PPM))
        time = free_from
        tokens = min(burst * PPM, tokens + ppm * (free_from - time))
    return readings, ppm, burst


@given(lawful())
def test_whoever_obeys_is_never_above_the_burst(case: tuple[list[Reading], int, int]) -> None:
    trace, ppm, burst = case
    bucket, rule = Bucket(ppm, 0), BudgetRule(ppm, burst, 0)
    for tick, reading in enumerate(trace):
        # One ns: the counter shows whole ones.
        assert bucket.push(reading, tick) <= (burst + 1) * PPM
        assert not any(rule.proves(first, reading) for first in trace[:tick]) or burst + 1 > SLACK_NS
        assert not rule.convicts(bucket) or burst + 1 > SLACK_NS


@given(traces(), st.integers(0, 3 * PPM), st.integers(0, 10**9))
def test_a_window_beyond_burst_and_brackets_always_shows(trace: list[Reading], ppm: int, burst: int) -> None:
    bucket = Bucket(ppm, 0)
    for tick, last in enumerate(trace):
        level = bucket.push(last, tick)
        for first in trace[:tick]:
            brackets = (first.after_ns - first.before_ns) + (last.after_ns - last.before_ns)
            shortest = last.before_ns - first.after_ns
            taken = (last.usage_ns - first.usage_ns) * PPM - ppm * shortest
            if taken > burst * PPM + ppm * brackets:
                assert level - min(0, last.steal_ns - first.steal_ns) > burst * PPM - 0


def run(use: Callable[[int], int], steal: Callable[[int], int] = lambda tick: 0) -> list[int]:
    """The ticks at which the rule convicts a miner with cumulative `use` (ns above entitlement) at a tick."""
    bucket, convicted = Bucket(ENTITLED, OVERRUN), []
    for tick in range(60):
        usage = 10 * S + SHARE * tick + use(tick)
        bucket.push(Reading(tick * S, tick * S + 30_000, usage, steal(tick)), tick)
        if RULE.convicts(bucket):
            convicted.append(tick)
    return convicted


def test_a_doubling_is_convicted_at_the_second_tick() -> None:
    # It begins 0.4 s before tick 10, its first.
    assert run(lambda t: max(0, (t - 10) * SHARE + SHARE * 4 // 10))[0] == 11


def test_the_offence_began_where_the_worst_window_does() -> None:
    bucket = Bucket(ENTITLED, OVERRUN)
    for tick in range(20):
        bucket.push(Reading(tick * S, tick * S, SHARE * (tick + max(0, tick - 10))), tick)
    assert bucket.since == 10


def test_an_overrun_that_the_kernel_collects_is_no_offence() -> None:
    overrun = {10: 82_500_000, 11: 34_500_000}  # 265 % in one second, then 4 and 19 %
    assert run(lambda t: overrun.get(t, 0)) == []


def test_where_time_is_stolen_a_small_excess_must_be_kept_twice() -> None:
    assert run(lambda t: 60_000_000 if t >= 10 else 0)[0] == 11
    assert run(lambda t: 60_000_000 if t >= 10 else 0, lambda t: t * 10**7)[0] == 12
    # What is above the burst by more than a period's entitlement leaves no time for another lump.
    assert run(lambda t: 90_000_000 if t >= 10 else 0, lambda t: t * 10**6)[0] == 11


def test_the_same_overrun_kept_is_an_offence() -> None:
    assert run(lambda t: 82_500_000 if t >= 10 else 0)[0] == 11


def test_a_wide_bracket_does_not_make_collecting_look_like_keeping() -> None:
    bucket = Bucket(ENTITLED, 0)
    for tick, (use, width) in enumerate([(0, 0), (0, 0), (82_500_000, S * 9 // 10), (34_500_000, 0)]):
        bucket.push(Reading(tick * S, tick * S + width, SHARE * tick + use), tick)
        assert not BudgetRule(ENTITLED, SHARE // 5, 0).convicts(bucket)
    # The levels alone look kept.
    assert bucket.levels[1] < bucket.levels[0] + SHARE * PPM // 4


def test_a_saw_tooth_keeps_no_more_than_the_hard_limit() -> None:
    for rise in range(2, 40, 3):  # up for one tick, given back for two, a little more kept each time

        def cheat(t: int, rise: int = rise) -> int:
            return SHARE * (t // 3) * rise // 40 + (SHARE * 3 // 2, SHARE * 9 // 10, 0)[t % 3]

        first = run(cheat)[0]
        assert cheat(first - 1) * PPM <= RULE.hard


def test_steal_excuses_up_to_the_overrun_and_no_further() -> None:
    assert run(lambda t: 45_000_000 if t >= 10 else 0, lambda t: S if t >= 10 else 0) == []
    assert run(lambda t: 51_000_000 if t >= 10 else 0, lambda t: S if t >= 10 else 0)[0] in (11, 12)
    # Steal before the window excuses nothing.
    assert run(lambda t: 45_000_000 if t >= 10 else 0, lambda t: S if t >= 5 else 0)[0] == 11


def test_slowing_down_stalling_and_catching_up_are_no_offence() -> None:
    assert run(lambda t: -SHARE * min(t, 20) // 2) == []
    assert run(lambda t: -SHARE * (t - 10) if 10 <= t < 15 else (-5 * SHARE if t >= 15 else 0)) == []


def test_two_readings_prove_what_convicts() -> None:
    trace = [Reading(t * S, t * S + 30_000, 2 * SHARE * t, t * 10**6) for t in range(5)]
    bucket = Bucket(ENTITLED, OVERRUN)
    for tick, reading in enumerate(trace):
        bucket.push(reading, tick)
    assert RULE.convicts(bucket)
    assert RULE.proves(trace[bucket.since], trace[-1])
    assert not RULE.proves(trace[-1], trace[0])
    assert not RULE.proves(trace[0], trace[0])
    fair = [Reading(t * S, t * S, SHARE * t) for t in range(5)]
    assert not RULE.proves(fair[0], fair[4])


@pytest.mark.parametrize(
    "reading",
    [
        Reading(9, 30, 10, 10),
        Reading(30, 20, 10, 10),
        Reading(30, 30, 9, 10),
        Reading(30, 30, 10, 9),
    ],
)
def test_impossible_readings_are_rejected_and_change_nothing(reading: Reading) -> None:
    bucket = Bucket(ENTITLED, OVERRUN)
    bucket.push(Reading(5, 10, 10, 10), 0)
    before = bucket.state()
    with pytest.raises(Rejected, match="impossible"):
        bucket.push(reading, 1)
    assert bucket.state() == before


def test_reset_forgets() -> None:
    bucket = Bucket(ENTITLED, OVERRUN)
    bucket.push(Reading(0, 0, 0), 0)
    bucket.push(Reading(S, S, S), 1)
    bucket.reset(2 * ENTITLED)
    assert bucket.level == 0
    assert bucket.push(Reading(2 * S, 2 * S, 3 * S), 2) == 0
    assert bucket.push(Reading(3 * S, 3 * S, 3 * S + 2 * SHARE), 3) == 0


def test_a_counter_made_anew_wipes_nothing() -> None:
    straight, renewed = Bucket(ENTITLED, OVERRUN), Bucket(ENTITLED, OVERRUN)
    gone = 0
    for tick in range(12):
        usage, steal = tick * SHARE + tick**2 * 10**6, 3 * tick
        straight.push(Reading(tick * S, tick * S, usage, steal), tick)
        renewed.push(Reading(tick * S, tick * S, usage - gone, steal), tick)
        assert renewed.level == straight.level
        assert RULE.convicts(renewed) == RULE.convicts(straight)
        assert len(renewed.readings) == len(straight.readings)
        if tick in (0, 1, 8):
            gone = usage
            renewed.recreate()


@pytest.mark.parametrize("contended", [False, True])
@pytest.mark.parametrize("ppm", [20_000, 100_000])
def test_no_simulated_honest_miner_is_convicted(*, contended: bool, ppm: int) -> None:
    counters = simulate(
        np.random.default_rng(ppm), miners=20, ticks=600, entitled_ppm=ppm, contended=contended
    )
    rule = BudgetRule(ppm, 200 * ppm, OVERRUN)
    for miner in range(20):
        bucket = Bucket(ppm, OVERRUN)
        for tick in range(600):
            columns = (counters.before, counters.after, counters.usage, counters.steal)
            bucket.push(Reading(*(int(column[tick, miner]) for column in columns)), tick)
            assert not rule.convicts(bucket)
