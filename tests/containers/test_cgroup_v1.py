"""On this machine's own cgroups; the burner is a busy shell."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agents.pow import cgroups as parents
from mint.containers.cgroup_v1 import HoldV1
from mint.containers.hierarchy import Hierarchy
from mint.containers.model import Hold, Quota
from mint.errors import ContainerError
from tests.containers.engine import cgroups
from tests.setup.machine import absent

pytestmark = pytest.mark.cgroup
SCOPE = f"test_v1_{os.getpid()}"
LIMIT_BYTES = 32 << 20


@pytest.fixture
def here() -> Iterator[Hierarchy]:
    found = cgroups()
    if found.version != 1:
        absent("cgroup version 1")
    yield found
    parents.remove_scope(found, SCOPE)


@pytest.fixture
def hold(here: Hierarchy) -> Iterator[HoldV1]:
    made = parents.make(here, SCOPE, "m1", Quota.of_ppm(100_000), LIMIT_BYTES)
    assert isinstance(made, HoldV1)
    yield made
    made.close()


class Counted:
    """Counts the writes to kernel files, whose times do not change when they are written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[str] = []
        plain = Path.write_text

        def write(path: Path, text: str) -> int:
            self.files.append(path.name)
            return plain(path, text)

        monkeypatch.setattr(Path, "write_text", write)


@pytest.fixture
def written(hold: HoldV1, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return Counted(monkeypatch).files


def burn(here: Hierarchy) -> subprocess.Popen[bytes]:
    """A busy shell that is in miner m1's cgroups when this returns."""
    script = 'for f; do echo $$ > "$f"; done; echo; exec >&-; while :; do :; done'
    burner = subprocess.Popen(
        ["sh", "-c", script, "sh", *parents.procs_files(here, SCOPE, "m1")], stdout=subprocess.PIPE
    )
    assert burner.stdout is not None
    burner.stdout.read()
    burner.stdout.close()
    return burner


def test_use_is_counted_and_held_to_the_quota(here: Hierarchy, hold: HoldV1) -> None:
    burner = burn(here)
    try:
        first = hold.counters()
        while (last := hold.counters()).nr_throttled < first.nr_throttled + 5:
            time.sleep(0.05)
        assert last.usage_ns > first.usage_ns
        # At most what the periods gave, and a full bucket at the start; 20 % for what the kernel collects later.
        allowed = (last.nr_periods - first.nr_periods + 1) * 10_000_000
        assert last.usage_ns - first.usage_ns < 1.2 * allowed
        assert last.memory_limit_bytes == LIMIT_BYTES
        assert last.memory_bytes > 0
        assert hold.running()
        assert burner.pid in hold.pids()
    finally:
        burner.kill()
        burner.wait()


def test_freezing_stops_use_and_thawing_lets_it_go_on(here: Hierarchy, hold: HoldV1) -> None:
    burner = burn(here)
    try:
        hold.freeze()
        state = here.mounts["freezer"] / f"mint/{SCOPE}/m1/freezer.state"
        while state.read_text() != "FROZEN\n":
            time.sleep(0.005)
        assert hold.frozen()
        before = hold.counters().usage_ns
        time.sleep(0.15)
        assert hold.counters().usage_ns == before
        hold.thaw()
        assert not hold.frozen()
        while hold.counters().usage_ns == before:
            time.sleep(0.01)
    finally:
        hold.thaw()
        burner.kill()
        burner.wait()


def test_the_same_quota_is_not_written_again(hold: HoldV1, written: list[str]) -> None:
    assert hold.set_quota(Quota.of_ppm(100_000)) is False
    assert written == []


@pytest.mark.parametrize(
    ("old", "new", "files"),
    [
        (Quota(10_000), Quota(20_000), ["cpu.cfs_quota_us"]),
        (Quota(10_000), Quota(None), ["cpu.cfs_quota_us"]),
        (Quota(10_000, 100_000), Quota(10_000, 50_000), ["cpu.cfs_period_us"]),
        (Quota(10_000, 100_000), Quota(20_000, 200_000), ["cpu.cfs_period_us", "cpu.cfs_quota_us"]),
        (Quota(20_000, 200_000), Quota(10_000, 100_000), ["cpu.cfs_quota_us", "cpu.cfs_period_us"]),
        (Quota(10_000), Quota(20_000, burst_us=15_000), ["cpu.cfs_quota_us", "cpu.cfs_burst_us"]),
        (Quota(20_000, burst_us=15_000), Quota(10_000), ["cpu.cfs_burst_us", "cpu.cfs_quota_us"]),
        (Quota(10_000), Quota(10_000, cpuset="0"), ["cpuset.cpus"]),
    ],
)
def test_what_differs_is_written_in_a_safe_order(
    hold: HoldV1, written: list[str], old: Quota, new: Quota, files: list[str]
) -> None:
    hold.set_quota(old)
    written.clear()
    assert hold.set_quota(new) is True
    assert written == files
    assert not new.drift(hold.quota())


@pytest.mark.parametrize("ppm", [20_000, 500_000])
def test_a_childs_own_quota_does_not_stand_in_the_way(here: Hierarchy, hold: HoldV1, ppm: int) -> None:
    child = here.mounts["cpu"] / f"mint/{SCOPE}/m1/child"
    child.mkdir()
    (child / "cpu.cfs_quota_us").write_text("9000")
    hold.set_quota(Quota.of_ppm(ppm))
    assert hold.quota().ppm == ppm
    assert (child / "cpu.cfs_quota_us").read_text() == "-1\n"


def test_a_cgroup_made_anew_is_another_epoch(here: Hierarchy, hold: HoldV1) -> None:
    epoch = hold.epoch
    parents.remove_scope(here, SCOPE)
    with pytest.raises(ContainerError, match=r"cpuacct\.usage of miner m1 cannot be read"):
        hold.counters()
    parents.make(here, SCOPE, "m1", Quota.of_ppm(100_000), LIMIT_BYTES)
    assert hold.counters().usage_ns < 1_000_000
    assert hold.epoch != epoch


def test_a_restart_keeps_a_quota_that_was_lowered(here: Hierarchy, hold: HoldV1) -> None:
    hold.set_quota(Quota.of_ppm(50_000))
    parents.make(here, SCOPE, "m1", Quota.of_ppm(100_000), LIMIT_BYTES)
    assert hold.quota().ppm == 50_000


def test_a_refused_value_names_file_and_miner(hold: HoldV1) -> None:
    with pytest.raises(ContainerError, match=r"cpu\.cfs_quota_us of miner m1 does not take '10'"):
        hold.set_quota(Quota(10))


def test_sixteen_reads_take_little(here: Hierarchy) -> None:
    holds = [parents.make(here, SCOPE, f"m{i}", Quota.of_ppm(50_000), LIMIT_BYTES) for i in range(16)]
    for hold in holds:
        hold.counters()
    best = min(_seconds_to_read(holds) for _ in range(10))
    for hold in holds:
        hold.close()
    assert best < 0.005


def test_removing_a_scope_kills_frozen_processes_and_leaves_nothing(here: Hierarchy, hold: HoldV1) -> None:
    burner = burn(here)
    reaper = threading.Thread(target=burner.wait)
    reaper.start()
    hold.freeze()
    parents.remove_scope(here, SCOPE)
    reaper.join(5)
    assert burner.returncode == -9
    assert not [root for root in here.every if (root / "mint" / SCOPE).exists()]


def _seconds_to_read(holds: Sequence[Hold]) -> float:
    begin = time.perf_counter()
    for hold in holds:
        hold.counters()
    return time.perf_counter() - begin
