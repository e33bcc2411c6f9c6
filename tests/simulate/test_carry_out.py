"""Faults at work on toy components: each begins, is felt, and ends."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from network.simulate.carry_out import carry_out
from network.simulate.clock import T0_MS
from network.simulate.device import Device
from network.simulate.faults import LINKS, Fault, Kind, Plan, Size
from network.simulate.ground import Ground
from network.simulate.schedule import MS, S
from network.simulate.streams import stream
from tests.builders import Net
from tests.simulate.toys import TOPICS, Bench

ROOT = Path(__file__).parents[2]
SAMPLE = TOPICS.sample("edge1")


def laid(*faults: Fault, seed: int = 1) -> tuple[Bench, Ground]:
    """An agent that counts, a manager that hears it, the device they count on; and what goes wrong."""
    bench = Bench(seed)
    bench.toy("manager", None, TOPICS.sample("+"))
    bench.toy("edge1", SAMPLE)
    ground = Ground(bench.schedule, bench.broker, bench.history, bench.hosts)
    miners = Net(miners=4, devices=2).charter.miners_on("edge1")
    device = Device("edge1", bench.schedule, miners, stream(seed, "device"), lambda *_: None)
    ground.devices["edge1"] = device
    bench.hosts["edge1"].clock = device.clock
    plan = Plan("mixed", seed, 100_000, 60_000, Size(4, 2, 4), faults)
    carry_out(plan, ground)
    return bench, ground


def fault(
    kind: Kind, for_ms: int = 10_000, who: tuple[str, ...] = ("edge1",), amount: int = 0, seed: int = 0
) -> Fault:
    return Fault(kind, 10_500, for_ms, who, amount, seed)


@pytest.mark.parametrize(
    ("one", "missing"),
    [
        (fault("loss", amount=1_000_000), True),
        (fault("delay", amount=4_000), True),
        (fault("reorder", amount=4_000), True),
        (fault("partition"), True),
        (fault("duplicate", amount=1_000_000), False),
        (fault("stall"), True),
        (fault("crash", 12_000, who=("manager",)), True),
        (fault("broker-restart", who=(), amount=1), True),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_what_disturbs_is_felt_while_it_lasts_and_not_afterwards(one: Fault, missing: bool) -> None:
    bench, _ = laid(one)
    bench.run(10.4)
    assert bench.heard("manager") == list(range(1, 11))
    bench.run(4)
    late = bench.heard("manager")[10:] != [11, 12, 13, 14]
    assert late is missing or one.kind == "duplicate"
    bench.run(60)
    heard = bench.heard("manager")
    assert sorted(set(heard)) == list(range(1, max(heard) + 1))
    assert len(heard) > 70 or one.kind == "crash"
    if one.kind == "duplicate":
        assert len(heard) - len(set(heard)) > 5
    before = len(bench.heard("manager"))
    bench.run(10)
    assert len(bench.heard("manager")) == before + 10


def test_overlapping_partitions_are_over_with_the_last() -> None:
    bench, _ = laid(
        Fault("partition", 5_000, 4_000, ("edge1",)), Fault("partition", 7_000, 8_000, ("edge1",))
    )
    bench.run(14)
    assert len(bench.heard("manager")) == 4
    bench.run(3)
    assert bench.heard("manager") == list(range(1, 17))


def test_a_broker_that_loses_loses_the_queue_and_one_that_keeps_does_not() -> None:
    for keeps in (0, 1):
        bench, _ = laid(
            Fault("crash", 3_000, 8_000, ("manager",)),
            Fault("broker-restart", 10_500, 500, (), keeps),
        )
        bench.run(60)
        missed = [number for number in range(1, 50) if number not in bench.heard("manager")]
        assert bool(missed) is not bool(keeps)


def test_a_reboot_takes_every_host_of_the_device_and_begins_its_clock_and_counters_anew() -> None:
    bench, ground = laid(fault("reboot"))
    device = ground.devices["edge1"]
    hold = device.hold("m01", "test")
    bench.run(10.4)
    boot, epoch = device.clock.boot, hold.epoch
    bench.run(5)
    assert not device.up
    assert bench.hosts["edge1"].component is None
    bench.run(6)
    assert device.up
    assert device.clock.boot != boot
    assert hold.epoch != epoch
    assert bench.hosts["edge1"].component is not None
    assert bench.hosts["edge1"].disk.session == 2


def test_a_reboot_outlasts_a_crash_that_would_be_over_before_it() -> None:
    bench, _ = laid(Fault("crash", 9_000, 2_000, ("edge1",)), fault("reboot"))
    bench.run(15)
    assert bench.hosts["edge1"].component is None
    bench.run(6)
    assert bench.hosts["edge1"].component is not None


def test_a_backup_is_put_back() -> None:
    bench, _ = laid(fault("backup"))
    bench.run(20.45)
    assert bench.alive("edge1").number == 20
    bench.run(2)
    assert bench.alive("edge1").number in (11, 12)


def test_clocks_go_wrong_and_right_again() -> None:
    bench, ground = laid(
        fault("skew", amount=-5_000),
        fault("dilate", amount=100_000),
        fault("skew", who=("manager",), amount=7_000),
    )
    clock = ground.clock("edge1")
    begun = clock.monotonic_ns(0)
    bench.run(15)
    now = bench.schedule.now_ns
    assert clock.wall_ms(now) == T0_MS + now // MS - 5_000
    assert ground.clock("manager").wall_ms(now) == T0_MS + now // MS + 7_000
    bench.run(10.1)
    now = bench.schedule.now_ns
    assert clock.wall_ms(now) == T0_MS + now // MS
    assert clock.monotonic_ns(now) - begun == now + S
    assert bench.alive("edge1").number == 26


def test_lies_are_told_while_they_last() -> None:
    one, two = fault("vote-twice", who=("det1", "det2")), Fault("vote-silent", 12_000, 2_000, ("det1",))
    bench, ground = laid(one, two)
    bench.run(11)
    assert ground.lies == {"det1": (one,), "det2": (one,)}
    bench.run(2)
    assert list(ground.lies["det1"]) == [one, two]
    bench.run(2)
    assert list(ground.lies["det1"]) == [one]
    bench.run(10)
    assert not any(ground.lies.values())


@pytest.mark.parametrize(
    ("kind", "amount", "least", "most"),
    [("cheat", 2_000_000, 1.9, 2.1), ("ramp", 3_000_000, 1.8, 2.2), ("refill", 10, 1.3, 2.2)],
)
def test_a_cheat_gets_what_it_is_after(kind: Kind, amount: int, least: float, most: float) -> None:
    bench, ground = laid(fault(kind, 40_000, ("m01",), amount))
    container = ground.devices["edge1"].containers["m01"]

    def used() -> int:
        return container.usage_ns(ground.devices["edge1"].now_ns)

    bench.run(10.5)
    before = used()
    bench.run(40)
    assert least * 4 * S < used() - before < most * 4 * S


def test_a_cheat_raises_its_quota_again_and_thaws_its_container() -> None:
    bench, ground = laid(fault("cheat", 40_000, ("m01",), 2_000_000))
    device = ground.devices["edge1"]
    enforcer = device.hold("m01", "enforcer")
    bench.run(20)
    raised = enforcer.quota()
    enforcer.set_quota(device.granted["m01"])
    enforcer.freeze()
    bench.run(8)
    assert enforcer.quota() == raised
    assert not enforcer.frozen()
    bench.run(30)
    enforcer.set_quota(device.granted["m01"])
    bench.run(8)
    assert enforcer.quota() == device.granted["m01"]


def everything(seed: int) -> int:
    """The digest of a run in which much goes wrong."""
    rng = random.Random(seed)
    kinds: list[Kind] = [*sorted(LINKS), "crash", "stall", "reboot", "backup", "broker-restart", "cheat"]  # type: ignore[list-item]
    faults = []
    for kind in kinds * 2:
        who = ("m01",) if kind == "cheat" else ("edge1",)
        faults.append(
            Fault(kind, rng.randrange(50_000), rng.randrange(5_000), who, rng.randrange(1_000), seed)
        )
    bench, _ = laid(*faults, seed=seed)
    bench.run(90)
    return bench.history.digest


def test_one_seed_is_one_history_in_any_process_and_another_is_another() -> None:
    program = "from tests.simulate.test_carry_out import everything; print([everything(n) for n in range(4)])"
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    digests = [everything(seed) for seed in range(4)]
    assert runs == {str(digests)}
    assert len(set(digests)) == 4
