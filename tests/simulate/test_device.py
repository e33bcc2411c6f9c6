"""Simulated containers under a quota, against the law that real ones keep."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint.budget import SLACK_NS
from mint.containers.model import Quota
from network.simulate.device import Device
from network.simulate.miner import CfsMiner
from network.simulate.schedule import MS, S, Schedule
from tests.builders import Net

TENTH = Quota.of_ppm(100_000)
PERIOD = 100 * MS
QUOTA = 10 * MS


def by_steps(miner: CfsMiner, begin_ns: int, end_ns: int) -> int:
    """What is used between two times, read often."""
    for now in range(begin_ns, end_ns, 7 * MS):
        miner.usage_ns(now)
    return miner.usage_ns(end_ns) - miner.usage_ns(begin_ns)


@given(st.integers(0, PERIOD), st.integers(0, 2**40), st.lists(st.integers(0, 3 * S), min_size=2))
def test_use_never_falls_and_never_grows_faster_than_one_cpu(phase: int, seed: int, times: list[int]) -> None:
    miner = CfsMiner(TENTH, phase, seed)
    last_time, last_use = phase, 0
    for now in sorted(times):
        use = miner.usage_ns(now)
        assert last_use <= use <= last_use + max(0, now - last_time)
        last_time, last_use = max(now, last_time), use


@given(st.integers(0, 2**40), st.integers(0, 100 * S), st.integers(0, 100 * S))
def test_an_honest_container_is_above_entitlement_by_one_quota_and_a_clock_tick_at_most(
    seed: int, first: int, length: int
) -> None:
    miner = CfsMiner(TENTH, 0, seed)
    begin = miner.usage_ns(first)
    used = miner.usage_ns(first + length) - begin
    assert used - length // 10 <= QUOTA + SLACK_NS
    assert used - length // 10 >= -(QUOTA + SLACK_NS)


@given(st.integers(0, 2**40), st.integers(0, 20 * S))
def test_how_often_it_is_read_changes_nothing(seed: int, until: int) -> None:
    often, once = CfsMiner(TENTH, 0, seed), CfsMiner(TENTH, 0, seed)
    by_steps(often, 0, until)
    assert often.usage_ns(until) == once.usage_ns(until)


@given(
    st.integers(0, 2**40),
    st.lists(st.tuples(st.integers(0, S), st.integers(1, 100)), max_size=30),
)
def test_whatever_is_written_use_never_falls_and_never_exceeds_one_cpu(
    seed: int, writes: list[tuple[int, int]]
) -> None:
    miner = CfsMiner(TENTH, 0, seed)
    now = used = 0
    for passed, percent in writes:
        now += passed
        miner.write(Quota.of_ppm(percent * 10_000), now)
        assert used <= miner.usage_ns(now) <= used + passed
        used = miner.usage_ns(now)


def test_a_changed_quota_holds_at_once_and_takes_nothing_back() -> None:
    miner = CfsMiner(TENTH, 0, 5)
    before = miner.usage_ns(10 * S)
    miner.write(Quota.of_ppm(50_000), 10 * S)
    assert miner.usage_ns(10 * S) == before
    assert miner.usage_ns(110 * S) - before == pytest.approx(5 * S, rel=0.01)
    miner.write(Quota.of_ppm(300_000), 110 * S)
    before = miner.usage_ns(110 * S)
    assert miner.usage_ns(210 * S) - before == pytest.approx(30 * S, rel=0.01)


def test_rewriting_the_same_quota_refills_the_bucket() -> None:
    miner, now = CfsMiner(TENTH, 0, 5), 0
    for _ in range(100):
        now += S // 10 - MS  # somewhere else in its period each time
        miner.write(TENTH, now)
    assert miner.usage_ns(now) > 15 * now // 100


def test_a_paused_container_uses_nothing_until_it_goes_on() -> None:
    miner = CfsMiner(TENTH, 0, 5)
    before = miner.usage_ns(S)
    miner.freeze(S, frozen=True)
    assert miner.usage_ns(50 * S) == before
    miner.freeze(50 * S, frozen=False)
    assert miner.usage_ns(60 * S) - before == pytest.approx(S, rel=0.05)


def test_a_container_made_anew_counts_from_zero_under_another_epoch() -> None:
    miner = CfsMiner(TENTH, 0, 5)
    miner.usage_ns(50 * S)
    epoch = miner.epoch
    miner.recreate(TENTH, 50 * S)
    assert miner.usage_ns(50 * S) == 0
    assert miner.epoch != epoch


def test_a_longer_period_is_one_of_its_own() -> None:
    miner = CfsMiner(TENTH, 0, 5)
    before = miner.usage_ns(10 * S)
    miner.write(Quota(5_000, 1_000_000), 10 * S)
    assert miner.usage_ns(110 * S) - before == pytest.approx(S // 2, rel=0.05)
    assert miner.periods == 200


def a_device() -> tuple[Device, Schedule, list[tuple[str, str]]]:
    schedule, wrote = Schedule(), []
    charter = Net(miners=4, devices=2).charter
    device = Device(
        "edge1",
        schedule,
        charter.miners_on("edge1"),
        random.Random(1),
        lambda miner, by, _: wrote.append((miner, by)),
    )
    return device, schedule, wrote


def test_a_hold_reads_brackets_in_order_and_counters_that_grow() -> None:
    device, schedule, _ = a_device()
    hold = device.hold("m01", "agent")
    last = hold.counters()
    for second in range(1, 200):
        schedule.run(second * S)
        counters = hold.counters()
        assert last.after_ns < counters.before_ns < counters.after_ns <= device.now_ns
        assert last.usage_ns <= counters.usage_ns
        last = counters
    assert last.usage_ns == pytest.approx(199 * S // 10, rel=0.01)


def test_a_hold_writes_only_what_differs_and_whoever_wrote_is_named() -> None:
    device, _, wrote = a_device()
    hold, cheat = device.hold("m01", "enforcer"), device.hold("m01", "cheat")
    assert not hold.set_quota(TENTH)
    assert hold.set_quota(Quota.of_ppm(50_000))
    cheat.write(Quota.of_ppm(50_000))
    hold.freeze()
    hold.freeze()
    assert hold.frozen()
    hold.thaw()
    assert wrote == [("m01", "enforcer"), ("m01", "cheat"), ("m01", "enforcer"), ("m01", "enforcer")]


def test_a_boot_begins_everything_anew_under_entitlement() -> None:
    device, schedule, _ = a_device()
    hold = device.hold("m01", "cheat")
    hold.set_quota(Quota.of_ppm(300_000))
    schedule.run(100 * S)
    before, epoch, boot = hold.counters(), hold.epoch, device.clock.boot
    device.reboot()
    after = hold.counters()
    assert hold.quota() == TENTH
    assert after.usage_ns <= QUOTA + SLACK_NS < before.usage_ns
    assert hold.epoch != epoch
    assert device.clock.boot != boot
    assert after.after_ns < before.after_ns


def test_no_two_containers_and_no_two_lives_of_one_have_the_same_noise() -> None:
    def told(miner: CfsMiner, begin_ns: int) -> list[int]:
        reads = [miner.usage_ns(begin_ns + second * S) for second in range(60)]
        return [last - first for first, last in itertools.pairwise(reads)]

    one, other = CfsMiner(TENTH, 0, 5), CfsMiner(TENTH, 0, 6)
    first = told(one, 0)
    assert len(set(first)) == len(first)
    assert not set(first) & set(told(other, 0))
    one.recreate(TENTH, 60 * S)
    assert not set(first) & set(told(one, 60 * S))
