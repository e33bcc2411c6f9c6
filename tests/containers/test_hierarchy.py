from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mint.containers import hierarchy
from mint.containers.hierarchy import CGROUPFS, CONTROLLERS, SYSTEMD
from mint.names import NAME

V1 = """\
25 30 0:22 / /cg/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
26 30 0:23 / /cg/memory rw - cgroup cgroup rw,memory
27 30 0:24 / /cg/systemd rw - cgroup cgroup rw,xattr,name=systemd
28 30 0:25 / /cg/unified rw - cgroup2 cgroup2 rw
29 30 0:25 / /elsewhere rw - cgroup cgroup rw,freezer
31 30 8:1 / / rw - ext4 /dev/sda1 rw
"""


def test_joint_and_separate_v1_mounts_are_found(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(V1)
    here = hierarchy.detect(Path("/cg"), tmp_path / "mountinfo")
    assert here.version == 1
    assert here.mounts["cpu"] == here.mounts["cpuacct"] == here.cpu == Path("/cg/cpu,cpuacct")
    assert here.every == tuple(Path("/cg", f) for f in ("cpu,cpuacct", "memory", "systemd", "unified"))
    assert hierarchy.lacks(here) == ("cpuset", "blkio", "freezer")


def test_a_pure_v2_tree_that_lacks_memory(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io pids\n")
    here = hierarchy.detect(tmp_path)
    assert (here.version, here.cpu) == (2, tmp_path)
    assert hierarchy.lacks(here) == ("memory",)


def test_no_cgroups_at_all(tmp_path: Path) -> None:
    here = hierarchy.detect(tmp_path / "none")
    assert (here.version, here.cpu, hierarchy.lacks(here)) == (0, None, CONTROLLERS)
    assert not hierarchy.writable(here)


def test_names_for_both_drivers() -> None:
    assert hierarchy.miner_path(SYSTEMD, "edge", "m_1") == "mint.slice/mint-edge.slice/mint-edge-m_1.slice"
    assert hierarchy.docker_parent(SYSTEMD, "edge", "m_1") == "mint-edge-m_1.slice"
    assert hierarchy.docker_parent(CGROUPFS, "edge", "m_1") == "/mint/edge/m_1"
    assert hierarchy.miner_of(SYSTEMD, "edge", "mint-other-m_1.slice") is None


@given(
    st.sampled_from([SYSTEMD, CGROUPFS]),
    st.from_regex(NAME, fullmatch=True),
    st.from_regex(NAME, fullmatch=True),
)
def test_a_miner_is_read_back_from_its_path(driver: str, scope: str, miner: str) -> None:
    folder = Path(hierarchy.miner_path(driver, scope, miner)).name
    assert hierarchy.miner_of(driver, scope, folder) == miner
