"""Virtual time and the clocks on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.simulate.clock import PPM, T0_MS, HostClock
from network.simulate.schedule import MS, S, Schedule


def test_what_is_scheduled_for_one_time_happens_in_the_order_it_was_scheduled() -> None:
    schedule = Schedule()
    seen: list[int] = []
    for number in range(50):
        schedule.at(5, seen.append, number)
    schedule.at(3, seen.append, -1)
    schedule.run(10)
    assert seen == [-1, *range(50)]
    assert schedule.now_ns == 10


@given(st.lists(st.integers(0, 1000)))
def test_time_never_runs_backwards(times: list[int]) -> None:
    schedule = Schedule()
    seen: list[int] = []
    for at in times:
        schedule.at(at, lambda: seen.append(schedule.now_ns))
    schedule.run(1000)
    assert seen == sorted(times)


def test_what_comes_of_a_call_happens_in_the_same_run_when_its_time_has_come() -> None:
    schedule = Schedule()
    seen: list[int] = []

    def again(left: int) -> None:
        seen.append(schedule.now_ns)
        if left:
            schedule.at(schedule.now_ns + 10, again, left - 1)

    schedule.at(0, again, 9)
    schedule.run(45)
    assert seen == [0, 10, 20, 30, 40]
    assert len(schedule) == 1


def test_the_past_cannot_be_scheduled() -> None:
    schedule = Schedule()
    schedule.run(10)
    with pytest.raises(ValueError, match="has passed"):
        schedule.at(9, print)


@given(
    st.lists(st.tuples(st.integers(1, 100 * S), st.integers(-500_000, 500_000)), max_size=5),
    st.integers(0, 100 * S),
)
def test_an_alarm_is_set_for_the_first_moment_at_which_the_clock_shows_its_time(
    speeds: list[tuple[int, int]], wait_ns: int
) -> None:
    clock, now = HostClock("h"), 0
    for passed, ppm in speeds:
        before = clock.monotonic_ns(now)
        now += passed
        assert clock.monotonic_ns(now) >= before
        clock.dilate(now, ppm)
    wanted = clock.monotonic_ns(now) + wait_ns
    at = clock.true_ns(wanted)
    assert clock.monotonic_ns(at) >= wanted
    assert at == now or clock.monotonic_ns(at - 1) < wanted


def test_a_fast_clock_gains_what_it_should_and_only_from_then_on() -> None:
    clock = HostClock("h")
    before = clock.monotonic_ns(10 * S)
    clock.dilate(10 * S, PPM // 100)
    assert clock.monotonic_ns(10 * S) == before
    assert clock.monotonic_ns(110 * S) - before == 101 * S


def test_the_wall_clock_is_off_by_its_skew_and_the_monotonic_clock_is_not() -> None:
    clock = HostClock("h")
    mono = clock.monotonic_ns(5 * S)
    clock.skew(-90_000)
    assert clock.wall_ms(5 * S) == T0_MS + 5 * S // MS - 90_000
    assert clock.monotonic_ns(5 * S) == mono


def test_a_boot_begins_the_monotonic_clock_anew_under_another_name() -> None:
    clock = HostClock("h")
    boot = clock.boot
    clock.reboot(500 * S)
    assert clock.boot != boot
    assert clock.monotonic_ns(500 * S) < 60 * S
    assert HostClock("h").boot == boot
    assert HostClock("other").boot != boot
