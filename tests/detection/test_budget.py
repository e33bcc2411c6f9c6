"""The budget law: what may never be convicted, and what always is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.budget import BEGINNING, DIP, KEPT, RESTART_WITHIN, UNQUIET, Ledger
from detectors.observation import Observation
from mint.budget import CLOCK_TICK_NS, LEAST_BURST_NS, PPM, SLACK_NS, BudgetRule, Reading, net_excess
from network.telemetry import simulate
from tests.detection.books import BRACKET, ENTITLED, OVERRUN, RULE, SHARE, S, convicted, ledger_of, push, seen

RULES = st.builds(BudgetRule, st.integers(1, 3 * PPM), st.integers(0, 10**9), st.integers(0, 10**10))


@st.composite
def traces(draw: st.DrawFn) -> list[Reading]:
    """Any readings a device can send, each after the one before."""
    now = usage = steal = 0
    readings = []
    amount = st.integers(0, 10**10)
    for _ in range(draw(st.integers(1, 25))):
        now += draw(amount)
        usage += draw(amount)
        steal += draw(st.sampled_from([0, 10**7, 10**9]))
        width = draw(amount)
        readings.append(Reading(now, now + width, usage, steal))
        now += width
    return readings


# --- the level ----------------------------------------------------------------------------------------


@given(traces(), RULES)
def test_the_level_is_the_worst_of_all_windows_but_for_those_that_begin_in_a_dip(
    trace: list[Reading], rule: BudgetRule
) -> None:
    ledger, ppm = Ledger([rule]), rule.entitled_ppm
    z = [r.usage_ns * PPM - ppm * r.before_ns for r in trace]
    for end, last in enumerate(trace):
        push(ledger, end, last)
        windows = []
        for begin, first in enumerate(trace[: end + 1]):
            highest = max(z[max(0, begin - DIP) : begin] or [z[begin]])
            depth = highest - z[begin]
            dip = depth if depth > (rule.allowed_ns // 2 + 2 * len(trace)) * PPM else 0
            windows.append(net_excess(first, last, ppm, rule.overrun_ns) - dip)
        # A ns for each reading, for entitlement is rounded up.
        assert max(windows) / PPM - 2 * len(trace) - 2 <= ledger.level[0] <= max(windows) / PPM + 2


@given(traces(), RULES)
def test_whoever_is_convicted_two_readings_prove_it(trace: list[Reading], rule: BudgetRule) -> None:
    ledger = Ledger([rule])
    for number, reading in enumerate(trace):
        push(ledger, number, reading)
        if ledger.convicted[0]:
            assert rule.proves(trace[int(ledger.since[0])], reading)
            assert ledger.began(0) == ledger.since[0]


@st.composite
def lawful(draw: st.DrawFn) -> tuple[list[Reading], BudgetRule]:
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
    return readings, BudgetRule(ppm, burst, 0)


@given(lawful())
def test_whoever_obeys_is_never_above_the_burst(case: tuple[list[Reading], BudgetRule]) -> None:
    trace, rule = case
    ledger = Ledger([rule])
    for tick, reading in enumerate(trace):
        push(ledger, tick, reading)
        assert ledger.level[0] <= rule.burst_ns + 1  # the counter shows whole ns
        assert not ledger.convicted[0]
        assert not any(rule.proves(first, reading) for first in trace[:tick])


@given(traces(), st.integers(1, PPM), st.integers(0, 24))
def test_a_restored_ledger_goes_on_as_if_nothing_happened(trace: list[Reading], ppm: int, cut: int) -> None:
    rule = BudgetRule(ppm, 10**6, OVERRUN)
    straight, other = Ledger([rule]), Ledger([rule])
    for tick, reading in enumerate(trace):
        if tick == cut:
            state, other = other.state(), Ledger([rule])
            other.restore(state)
        for one in (straight, other):
            push(one, tick, reading)
        assert straight.state() == other.state()


@given(st.lists(traces(), min_size=1, max_size=4))
def test_a_miners_books_do_not_depend_on_who_else_is_there(all_traces: list[list[Reading]]) -> None:
    longest = max(map(len, all_traces))
    together = Ledger([RULE] * len(all_traces))
    alone = [Ledger([RULE]) for _ in all_traces]
    for tick in range(longest):
        readings = [trace[tick] if tick < len(trace) else None for trace in all_traces]
        together.push(seen(tick, readings))
        for row, (ledger, reading) in enumerate(zip(alone, readings, strict=True)):
            push(ledger, tick, reading)
            assert (ledger.level[0], ledger.since[0], ledger.convicted[0], ledger.silent[0]) == (
                together.level[row],
                together.since[row],
                together.convicted[row],
                together.silent[row],
            )


# --- who is convicted ---------------------------------------------------------------------------------


def test_a_doubling_is_convicted_at_the_second_tick() -> None:
    # It begins 0.4 s before tick 80, its first.
    assert convicted(lambda t: max(0, (t - 80) * SHARE + SHARE * 4 // 10))[0] == 81


@pytest.mark.parametrize(("percent", "ticks"), [(100, 2), (20, 2), (10, 3), (5, 6), (1, 27)])
def test_a_noiseless_gain_is_convicted_when_it_has_taken_more_than_a_burst(percent: int, ticks: int) -> None:
    rule = BudgetRule(ENTITLED, SHARE // 10, OVERRUN)  # the default: 100 ms of entitlement
    assert convicted(lambda t: max(0, t - 80) * SHARE * percent // 100, rule=rule)[0] - 80 == ticks


def test_from_the_first_second_on_there_is_nothing_to_learn_first() -> None:
    assert convicted(lambda t: t * SHARE)[0] == 3


def test_the_offence_began_where_the_worst_window_does() -> None:
    ledger = ledger_of([Reading(t * S, t * S, SHARE * (t + max(0, t - 10))) for t in range(20)])
    assert ledger.since[0] == 10


def test_an_overrun_that_the_kernel_collects_is_no_offence() -> None:
    overrun = {80: 82_500_000, 81: 34_500_000}  # 265 % in one second, then 4 and 19 %
    assert convicted(lambda t: overrun.get(t, 0)) == []


def test_the_same_overrun_kept_is_an_offence() -> None:
    assert convicted(lambda t: 82_500_000 if t >= 80 else 0)[0] == 81


def test_where_lumps_are_about_a_small_excess_must_be_kept_longer() -> None:
    kept = RULE.allowed_ns + 2_000_000
    assert convicted(lambda t: kept if t >= 80 else 0)[0] == 81
    # Steal tells of lumps, and so does a fall like those that collect one, for an hour; and who has just begun.
    stolen = convicted(lambda t: kept + OVERRUN if t >= 80 else 0, lambda t: t * 10**7)
    assert stolen[0] == 80 + KEPT
    assert convicted(lambda t: kept + SHARE if t >= 80 else SHARE - SHARE // 2 * (t == 74))[0] == 80 + KEPT
    late = 74 + UNQUIET + 1
    fallen = convicted(lambda t: kept if t >= late else -SHARE * (t >= 74), ticks=late + 9)
    assert fallen[0] == late + 1
    assert convicted(lambda t: kept if t >= BEGINNING - 9 else 0)[0] == BEGINNING - 9 + KEPT
    # What was above the burst by more than a period's entitlement left no time for another lump.
    assert convicted(lambda t: 130_000_000 if t >= 80 else 0, lambda t: t * 10**6)[0] == 81
    lumps = {80: 30_000_000, 81: 90_000_000, 82: 41_000_000}
    assert convicted(lambda t: lumps.get(t, 0), lambda t: t * 10**6) == []


def test_on_a_quiet_host_nearly_above_before_is_above_enough() -> None:
    us = 2_000  # the bracket is 1.5 of entitlement
    nearly = {80: RULE.allowed_ns - CLOCK_TICK_NS + us}
    assert convicted(lambda t: nearly.get(t, RULE.allowed_ns + us if t > 80 else 0))[0] == 81
    assert convicted(lambda t: RULE.allowed_ns - 1 if t > 80 else 0) == []


def test_two_lumps_in_two_ticks_are_no_offence_on_a_host_that_has_shown_lumps() -> None:
    lumps = {75: 30_000_000, 80: 30_000_000, 81: 30_000_000}
    assert convicted(lambda t: lumps.get(t, 0)) == []


def test_readings_that_bunch_count_once_for_no_lump_is_collected_in_a_few_ms() -> None:
    ledger = Ledger([RULE])
    times = [*range(80), *(80 + k / 1000 for k in range(5)), *range(81, 90)]
    overrun = {80: 82_500_000, 81: 34_500_000}
    for number, second in enumerate(times):
        at = round(second * S)
        usage = 10 * S + round(SHARE * second) + overrun.get(int(second), 0)
        push(ledger, number, Reading(at, at + BRACKET, usage))
        assert not ledger.convicted[0]


def test_who_is_read_often_is_judged_all_the_same() -> None:
    ledger, convicted_at = Ledger([RULE]), []
    for number in range(300):
        second = number * 0.4
        usage = 10 * S + round(SHARE * (second + max(0.0, second - 80)))
        push(ledger, number, Reading(round(second * S), round(second * S), usage))
        if ledger.convicted[0]:
            convicted_at.append(second)
    assert convicted_at[0] <= 82


def test_a_wide_bracket_does_not_make_collecting_look_like_keeping() -> None:
    ledger = Ledger([BudgetRule(ENTITLED, SHARE // 5, 0)])
    for tick, (use, width) in enumerate([(0, 0), (0, 0), (82_500_000, S * 9 // 10), (34_500_000, 0)]):
        push(ledger, tick, Reading(tick * S, tick * S + width, SHARE * tick + use))
        assert not ledger.convicted[0]
    # The levels alone look kept.
    assert ledger.levels[1, 0] < ledger.levels[0, 0] + SHARE // 4


def test_a_saw_tooth_keeps_no_more_than_the_hard_limit() -> None:
    for rise in range(2, 40, 3):  # up for one tick, given back for two, a little more kept each time

        def cheat(t: int, rise: int = rise) -> int:
            return SHARE * (t // 3) * rise // 40 + (SHARE * 3 // 2, SHARE * 9 // 10, 0)[t % 3]

        first = min(convicted(cheat, ticks=900), default=900)
        assert max(cheat(t) for t in range(first)) - cheat(0) <= RULE.hard_ns


def test_steal_excuses_up_to_the_overrun_and_no_further() -> None:
    excused = RULE.allowed_ns + OVERRUN
    assert convicted(lambda t: excused - 10**6 if t >= 80 else 0, lambda t: S if t >= 80 else 0) == []
    assert convicted(lambda t: excused + 10**6 if t >= 80 else 0, lambda t: S if t >= 80 else 0)
    # Steal before the window excuses nothing.
    assert convicted(lambda t: excused - 10**6 if t >= 80 else 0, lambda t: S if t >= 75 else 0)


def test_slowing_down_pausing_and_resuming_are_no_offence() -> None:
    assert convicted(lambda t: -SHARE * min(t, 20) // 2) == []
    assert convicted(lambda t: -SHARE * min(max(0, t - 10), 15)) == []


@pytest.mark.parametrize("ticks", [1, 2, 5, DIP - 1])
def test_a_counter_that_stalls_and_catches_up_is_no_offence(ticks: int) -> None:
    assert convicted(lambda t: -SHARE * (t - 10) if 10 <= t < 10 + ticks else 0) == []


def test_who_rests_for_longer_may_not_make_up_for_it() -> None:
    def rest_then_double(t: int) -> int:
        return -SHARE * max(0, min(t, 30) - 10) + SHARE * max(0, t - 30)

    assert convicted(rest_then_double)[0] <= 30 + DIP


# --- the edges of what is known -----------------------------------------------------------------------


def test_two_readings_prove_what_convicts() -> None:
    trace = [Reading(t * S, t * S + 30_000, 2 * SHARE * t, t * 10**6) for t in range(5)]
    ledger = ledger_of(trace)
    assert ledger.convicted[0]
    assert RULE.proves(trace[int(ledger.since[0])], trace[-1])
    assert not RULE.proves(trace[-1], trace[0])
    assert not RULE.proves(trace[0], trace[0])
    fair = [Reading(t * S, t * S, SHARE * t) for t in range(5)]
    assert not RULE.proves(fair[0], fair[4])


def test_the_burst_is_a_quotas_period_and_slack_but_never_finer_than_the_scheduler() -> None:
    assert BudgetRule(500_000, 50_000_000, 0).allowed_ns == 50_000_000 + SLACK_NS
    assert BudgetRule(20_000, 2_000_000, 0).allowed_ns == LEAST_BURST_NS


def test_a_time_that_runs_backwards_begins_anew_rather_than_to_be_believed() -> None:
    ledger = ledger_of([Reading(5, 10, 10, 10), Reading(9, 30, 10, 10)])
    assert ledger.begun[0]
    assert (ledger.since[0], ledger.silent[0]) == (1, 0)
    assert ledger.level[0] <= 0
    assert np.isnan(ledger.share[0])


def test_steal_that_wavers_wipes_nothing() -> None:
    trace = [Reading(t * S, t * S, 2 * SHARE * t, (10 + t) * 10**7) for t in range(4)]
    straight = ledger_of(trace)
    wavering = ledger_of([*trace[:2], trace[2]._replace(steal_ns=0), trace[3]])
    assert wavering.level[0] == straight.level[0]


def test_a_reading_that_ends_before_it_begins_is_none() -> None:
    ledger = ledger_of([Reading(5, 10, 10, 10), Reading(30, 20, 10, 10)])
    assert (ledger.silent[0], ledger.read_at[0]) == (1, 0)


def test_another_boot_begins_anew() -> None:
    ledger = ledger_of([Reading(t * S, t * S, 2 * SHARE * t) for t in range(3)])
    push(ledger, 3, Reading(S // 2, S // 2, 0), boot=2)
    assert (ledger.level[0], bool(ledger.convicted[0])) == (0, False)


def test_a_share_is_percent_of_entitlement_between_two_readings() -> None:
    ledger = ledger_of([Reading(0, 0, 0)])
    assert np.isnan(ledger.share[0])
    push(ledger, 1, Reading(S, S, SHARE // 2))
    assert ledger.share[0] == pytest.approx(50)
    push(ledger, 2, None)
    assert (np.isnan(ledger.share[0]), ledger.silent[0]) == (True, 1)
    push(ledger, 3, Reading(3 * S, 3 * S, 5 * SHARE))
    assert (ledger.share[0], ledger.silent[0]) == (pytest.approx(225), 0)


@pytest.mark.parametrize("epoch", [1, 2], ids=["same epoch", "new epoch"])
def test_a_counter_made_anew_wipes_nothing_and_accuses_of_what_can_be_proven(epoch: int) -> None:
    def before() -> Ledger:
        return ledger_of([Reading(t * S, t * S, (t + 2 * max(0, t - 2)) * SHARE) for t in range(4)])

    ledger = before()
    level = ledger.level[0]
    push(ledger, 4, Reading(4 * S, 4 * S, 2 * SHARE), epoch=epoch)
    assert ledger.level[0] == level + SHARE
    assert ledger.convicted[0]
    assert ledger.began(0) == 3  # the last reading of the old counter: since then, the new one proves it
    hidden = before()
    push(hidden, 4, Reading(4 * S, 4 * S, SHARE), epoch=epoch)
    assert hidden.convicted[0]
    assert hidden.began(0) is None  # two samples do not show it
    assert 3 in hidden.origins(0)


def test_a_counter_that_steps_back_a_little_did_not_use_all_it_shows_since() -> None:
    trace = [Reading(t * S, t * S, 100 * S + SHARE * t) for t in range(4)]
    ledger = ledger_of([*trace, Reading(4 * S, 4 * S, trace[3].usage_ns - 5)])
    assert ledger.begun[0]
    assert not ledger.convicted[0]


def test_who_begins_again_too_often_is_restless_for_an_hour() -> None:
    ledger = Ledger([RULE])
    told = []
    for number in range(RESTART_WITHIN + 60):
        boot = 1 + sum(number >= begun for begun in (20, 40))
        push(ledger, number, Reading(number * S, number * S, SHARE * number), boot=boot)
        told.append(bool(ledger.restless(number)[0]))
    assert told.index(True) == 40
    assert told[40 : 20 + RESTART_WITHIN] == [True] * (RESTART_WITHIN - 20)
    assert not any(told[20 + RESTART_WITHIN :])


def test_a_rebaselined_miner_is_judged_by_what_comes() -> None:
    ledger = ledger_of([Reading(t * S, t * S, 2 * SHARE * t) for t in range(3)])
    ledger.rebaseline(0)
    assert (ledger.level[0], ledger.origins(0)) == (0, (2, 2, 2))
    push(ledger, 3, Reading(3 * S, 3 * S, 6 * SHARE))
    assert ledger.level[0] == pytest.approx(SHARE, rel=0.001)
    Ledger([RULE]).rebaseline(0)  # nothing read yet


def test_rows_that_stay_keep_their_books_wherever_they_move() -> None:
    ledger = ledger_of([Reading(t * S, t * S, 2 * SHARE * t) for t in range(3)])
    level = int(ledger.level[0])
    ledger.arrange([-1, 0], [RULE, RULE])
    assert ledger.level.tolist() == [0, level]
    assert ledger.origins(0) == ()


def test_forged_counters_overflow_nothing() -> None:
    ledger = Ledger([BudgetRule(1024 * PPM, 10**9, 0)])
    most = 2**63 - 1
    for number, reading in enumerate(
        [Reading(0, 0, 0), Reading(1, 2, most, most), Reading(most, most, most, most)]
    ):
        push(ledger, number, reading)
    for number in range(3, 9):
        push(ledger, number, Reading(number * S, number * S, 2**59 * (number - 2)), boot=2)
    assert ledger.convicted[0]
    assert ledger.level[0] > 2**58


@pytest.mark.parametrize("told", [True, False], ids=["steal told", "steal not told"])
@pytest.mark.parametrize("contended", [False, True], ids=["quiet", "contended"])
@pytest.mark.parametrize("ppm", [20_000, 100_000, 1_000_000])
def test_no_simulated_honest_miner_is_convicted(*, contended: bool, ppm: int, told: bool) -> None:
    rng = np.random.default_rng(ppm)
    counters = simulate(rng, miners=20, ticks=900, entitled_ppm=ppm, contended=contended)
    ledger = Ledger([BudgetRule(ppm, 100 * ppm, 20_000_000)] * 20)
    everyone, ones = np.ones(20, bool), np.ones(20, np.int64)
    for tick in range(900):
        steal = counters.steal[tick] * told
        columns = (counters.before[tick], counters.after[tick], counters.usage[tick], steal)
        ledger.push(Observation(tick, everyone, *columns, ones, ones))
        assert not ledger.convicted.any()


def test_the_law_is_what_the_proof_says() -> None:
    first, last = Reading(0, 0, 0), Reading(S, S, SHARE + RULE.allowed_ns + 1)
    assert net_excess(first, last, ENTITLED, OVERRUN) == (RULE.allowed_ns + 1) * PPM
    assert RULE.proves(first, last)
    assert not RULE.proves(first, last._replace(usage_ns=last.usage_ns - 1))
