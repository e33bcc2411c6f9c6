"""The sampler on real cgroups, a real limiter's folder and real containers."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.reading import natural
from agents.sampler import Sampler
from mint.boot import boot_id
from mint.containers.duty import Usage, format_quota, write_usage
from mint.containers.model import Quota
from mint.errors import MachineError
from mint.messages.sample import MAX_MINERS_PER_DEVICE, MinerReading, Sample, State
from mint.wire import decode, encode
from tests.agents.fog import MINERS, Cgroups, Keys, cgroups_of

LOG = logging.getLogger("test")
A, B = MINERS


@pytest.fixture
def scope() -> str:
    return Keys().scope


@pytest.fixture
def cgroups(scope: str) -> Iterator[Cgroups]:
    with cgroups_of(scope) as made:
        yield made


@pytest.fixture
def sampler(scope: str) -> Iterator[Sampler]:
    made = Sampler(scope, log=LOG)
    yield made
    made.close()


def read(sampler: Sampler) -> dict[str, MinerReading]:
    """One sample as it would arrive: encoded and checked."""
    sample = decode(encode(sampler.sample()), Sample)
    assert sample.boot == boot_id()
    assert sample.cpus >= 1
    return {reading.miner: reading for reading in sample.miners}


@pytest.mark.cgroup
def test_a_busy_miner_and_an_idle_one(sampler: Sampler, cgroups: Cgroups) -> None:
    cgroups.make(A, quota_us=5_000)
    cgroups.make(B, quota_us=-1)
    cgroups.run(A, "sh", "-c", "while :; do :; done")
    sampler.discover(MINERS)
    assert sampler.state() == State(True, "cgroup v1", MINERS)
    first = read(sampler)
    deadline = time.monotonic() + 10
    while (later := read(sampler))[A].usage_ns - first[A].usage_ns < 5_000_000:
        assert time.monotonic() < deadline, "the busy loop used no CPU"
        time.sleep(0.05)
    assert first[A].before_ns <= first[A].after_ns < later[A].before_ns <= later[A].after_ns
    assert later[A].epoch == first[A].epoch
    assert (later[A].running, later[A].quota_ppm, later[A].gpu_ppm) == (True, 50_000, -1)
    assert (later[B].running, later[B].quota_ppm, later[B].usage_ns) == (False, -1, 0)


@pytest.mark.cgroup
def test_a_miner_that_vanishes_is_left_out_and_found_again(sampler: Sampler, cgroups: Cgroups) -> None:
    for miner in MINERS:
        cgroups.make(miner)
    sampler.discover(MINERS)
    epoch = read(sampler)[A].epoch
    cgroups.remove(A)
    assert read(sampler).keys() == {B}
    assert sampler.failures == {A: 1}
    sampler.discover(MINERS)
    assert sampler.miners == (B,)
    cgroups.make(A)
    sampler.discover(MINERS)
    again = read(sampler)
    assert again.keys() == {A, B}
    assert again[A].epoch != epoch
    sampler.discover({B})
    assert sampler.failures == {}


@pytest.mark.cgroup
def test_strangers_are_not_sampled(
    sampler: Sampler, cgroups: Cgroups, caplog: pytest.LogCaptureFixture
) -> None:
    for miner in (A, "stranger"):
        cgroups.make(miner)
    for _ in range(3):
        sampler.discover(MINERS)
    assert read(sampler).keys() == {A}
    assert [r.message for r in caplog.records if "stranger" in r.message] == [
        "not this device's in the charter: stranger"
    ]


@pytest.mark.cgroup
def test_a_counter_that_was_set_back_is_left_out(sampler: Sampler, cgroups: Cgroups) -> None:
    """Writing 0 to cpuacct.usage resets it; the manager would reject the whole sample for it."""
    for miner in MINERS:
        cgroups.make(miner)
    cgroups.run(A, "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").wait()
    sampler.discover(MINERS)
    assert read(sampler)[A].usage_ns > 0
    usage = cgroups.here.mounts["cpuacct"] / "mint" / cgroups.scope / A / "cpuacct.usage"
    usage.write_text("0")
    assert read(sampler).keys() == {B}
    assert sampler.failures == {A: 1}


def duty(folder: Path, miner: str, at_ns: int, used_ns: int, **changes: Any) -> None:
    own = folder / miner
    own.mkdir(parents=True, exist_ok=True)
    (own / "quota").write_text(format_quota(Quota(10_000)))
    usage = Usage(7, 0, at_ns, at_ns + 10, used_ns, 1, 0, 0, 0, 0)
    write_usage(own, dataclasses.replace(usage, **changes))


def test_a_limiter_that_was_held_up_is_read_once(scope: str, tmp_path: Path) -> None:
    sampler = Sampler(scope, log=LOG, cgroup_root=tmp_path / "none", duty_dir=tmp_path)
    now = time.monotonic_ns()
    duty(tmp_path, A, now, 5)
    sampler.discover(MINERS)
    assert sampler.state().runtime == "duty cycle"
    assert read(sampler)[A].usage_ns == 5
    assert read(sampler) == {}
    duty(tmp_path, A, now + 100, 6)
    assert read(sampler)[A].usage_ns == 6
    assert sampler.failures == {}
    (tmp_path / A / "usage").write_text("nonsense")
    assert read(sampler) == {}
    assert sampler.failures == {A: 1}


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": "x"},
        {"usage_ns": None},
        {"usage_ns": 1e400},
        {"before_ns": 2**62, "after_ns": 2**62},
        {"before_ns": 9, "after_ns": 8},
        {"after_ns": "soon"},
    ],
)
def test_what_a_miner_writes_itself_costs_only_itself(
    scope: str, tmp_path: Path, change: dict[str, Any]
) -> None:
    duty(tmp_path, A, time.monotonic_ns(), 1, **change)
    duty(tmp_path, B, time.monotonic_ns(), 1)
    sampler = Sampler(scope, log=LOG, cgroup_root=tmp_path / "none", duty_dir=tmp_path)
    sampler.discover(MINERS)
    assert read(sampler).keys() == {B}
    assert sampler.failures == {A: 1}


def test_fractions_are_cut(scope: str, tmp_path: Path) -> None:
    duty(tmp_path, A, time.monotonic_ns(), 1, usage_ns=7.5)
    sampler = Sampler(scope, log=LOG, cgroup_root=tmp_path / "none", duty_dir=tmp_path)
    sampler.discover(MINERS)
    assert read(sampler)[A].usage_ns == 7


def test_no_more_miners_than_a_message_holds(scope: str, tmp_path: Path) -> None:
    names = [f"m{number:03}" for number in range(MAX_MINERS_PER_DEVICE + 1)]
    for name in names:
        duty(tmp_path, name, time.monotonic_ns(), 1)
    sampler = Sampler(scope, log=LOG, cgroup_root=tmp_path / "none", duty_dir=tmp_path)
    sampler.discover(names)
    assert len(read(sampler)) == MAX_MINERS_PER_DEVICE


def test_gpu_shares_go_with_the_processes(scope: str, tmp_path: Path) -> None:
    def gpu(processes: Mapping[str, object]) -> dict[str, int]:
        return dict.fromkeys(processes, 250_000)

    duty(tmp_path, A, time.monotonic_ns(), 1)
    sampler = Sampler(scope, log=LOG, cgroup_root=tmp_path / "none", duty_dir=tmp_path, gpu=gpu)
    sampler.discover(MINERS)
    assert read(sampler)[A].gpu_ppm == 0  # there is a GPU, and no process that could use it


def test_nothing_here(scope: str, tmp_path: Path) -> None:
    sampler = Sampler(scope, log=LOG, cgroup_root=tmp_path / "none")
    sampler.discover(MINERS)
    assert sampler.state() == State(True, "", ())
    assert read(sampler) == {}


def test_a_kernel_that_does_not_tell_the_boot(tmp_path: Path) -> None:
    (tmp_path / "boot_id").write_text("not an id")
    for file in (tmp_path / "boot_id", tmp_path / "missing"):
        with pytest.raises(MachineError, match="cannot be read"):
            boot_id(file)
    assert boot_id() == boot_id()


@pytest.mark.parametrize(("value", "cut"), [(-1, 0), (0, 0), (5, 5), (2**63, 2**63 - 1)])
def test_numbers_are_cut_to_the_wire(value: int, cut: int) -> None:
    assert natural(value) == cut
