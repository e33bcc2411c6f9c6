import shutil
from pathlib import Path

import pytest

from agents.pow import cgroups as parents
from mint.containers import hierarchy
from mint.containers.cgroup_v2 import HoldV2
from mint.containers.find import find_files
from mint.containers.model import Quota
from mint.errors import ContainerError
from tests.containers import trees


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return trees.v2_miner(tmp_path, "edge", "m1")


@pytest.fixture
def hold(folder: Path) -> HoldV2:
    return HoldV2("m1", folder)


def changed(folder: Path) -> dict[str, int]:
    return {str(f.relative_to(folder)): f.stat().st_mtime_ns for f in folder.rglob("*") if f.is_file()}


def test_counters_in_bytes_and_nanoseconds(hold: HoldV2) -> None:
    read = hold.counters()
    assert read.before_ns <= read.after_ns
    assert (read.usage_ns, read.throttled_ns) == (1_234_567_000, 3_500_000_000)
    assert (read.nr_periods, read.nr_throttled) == (40, 39)
    assert (read.memory_bytes, read.memory_limit_bytes, read.io_bytes) == (839_680, 0, 12_291)


def test_what_the_machine_does_not_count_is_zero(hold: HoldV2, folder: Path) -> None:
    for name in ("memory.current", "memory.max", "io.stat", "cpu.max.burst", "cpuset.cpus"):
        (folder / name).unlink()
    read = hold.counters()
    assert (read.memory_bytes, read.memory_limit_bytes, read.io_bytes) == (0, 0, 0)
    assert hold.quota() == Quota(6_000)


def test_nothing_is_written_when_nothing_differs(hold: HoldV2, folder: Path) -> None:
    before = changed(folder)
    assert hold.set_quota(Quota(6_000)) is False
    assert changed(folder) == before


@pytest.mark.parametrize(
    ("quota", "files"),
    [
        (Quota(3_000), {"cpu.max": "3000 100000"}),
        (Quota(None), {"cpu.max": "max 100000"}),
        (Quota(6_000, 50_000), {"cpu.max": "6000 50000"}),
        (Quota(6_000, burst_us=500), {"cpu.max.burst": "500"}),
        (Quota(6_000, cpuset="0-1"), {"cpuset.cpus": "0-1"}),
    ],
)
def test_only_what_differs_is_written(
    hold: HoldV2, folder: Path, quota: Quota, files: dict[str, str]
) -> None:
    before = changed(folder)
    assert hold.set_quota(quota) is True
    assert {name for name, mtime in changed(folder).items() if mtime != before[name]} == set(files)
    assert {name: (folder / name).read_text() for name in files} == files
    assert not quota.drift(hold.quota())


def test_a_childs_own_quota_is_lifted(hold: HoldV2, folder: Path) -> None:
    (folder / "child" / "cpu.max").write_text("2000 100000\n")
    hold.set_quota(Quota(9_000))
    assert (folder / "child" / "cpu.max").read_text() == "max 100000"


def test_processes_are_those_below_too(hold: HoldV2, folder: Path) -> None:
    assert hold.pids() == (41, 42)
    assert hold.running()
    (folder / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    assert not hold.running()


def test_freeze_and_thaw(hold: HoldV2, folder: Path) -> None:
    hold.freeze()
    assert hold.frozen()
    assert (folder / "cgroup.freeze").read_text() == "1"
    hold.thaw()
    assert not hold.frozen()


def test_a_cgroup_made_anew_is_another_epoch(hold: HoldV2, folder: Path, tmp_path: Path) -> None:
    epoch = hold.epoch
    folder.rename(tmp_path / "old")  # kept, so that the new one cannot get the same inode
    with pytest.raises(ContainerError, match=r"cpu\.stat of miner m1 cannot be read"):
        hold.counters()
    shutil.copytree(tmp_path / "old", folder)
    (folder / "cpu.stat").write_text("usage_usec 5\n")
    assert hold.counters().usage_ns == 5_000
    assert hold.epoch != epoch


def test_errors_name_file_and_miner(hold: HoldV2, folder: Path) -> None:
    (folder / "cpu.max").write_text("lots\n")
    with pytest.raises(ContainerError, match=r"cpu\.max of miner m1 holds 'lots'"):
        hold.quota()
    (folder / "cpu.max").unlink()
    with pytest.raises(ContainerError, match=r"cpu\.max of miner m1 cannot be read"):
        hold.quota()


def test_found_by_name_and_kept_while_it_stands(tmp_path: Path, folder: Path) -> None:
    trees.v2_miner(tmp_path, "edge", "m2")
    trees.v2_miner(tmp_path, "another", "m3")
    (folder.parent / "Not a name").mkdir()
    found = find_files("edge", cgroup_root=tmp_path)
    assert sorted(found) == ["m1", "m2"]
    assert find_files("edge", cgroup_root=tmp_path, known=found)["m1"] is found["m1"]


def test_systemd_slices_are_found(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "mint.slice" / "mint-edge.slice" / "mint-edge-m9.slice")
    assert find_files("edge", cgroup_root=tmp_path)["m9"].counters().usage_ns == 1_234_567_000


def test_a_parent_is_made_with_its_quota_and_its_controllers(folder: Path, tmp_path: Path) -> None:
    (folder / "cpu.max").write_text("max 100000\n")
    for above in (tmp_path / "mint", tmp_path / "mint" / "edge"):
        trees.write(above, {"cgroup.controllers": "cpu memory\n", "cgroup.subtree_control": "cpu\n"})
    hold = parents.make(hierarchy.detect(tmp_path), "edge", "m1", Quota(7_000), 32 << 20)
    assert hold.quota() == Quota(7_000)
    assert hold.counters().memory_limit_bytes == 32 << 20
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +cpuset +io +memory"
    assert (tmp_path / "mint" / "edge" / "cgroup.subtree_control").read_text() == "+memory"
    assert not (folder / "cgroup.subtree_control").exists()
