"""`mint doctor`: every machine that a check knows of, put before it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mint.containers.hierarchy import detect
from network import doctor
from network.doctor import Finding, Level, findings, run
from network.machine import DockerSeen, Machine, look

INFO = {"ServerVersion": "26.1", "CgroupDriver": "systemd", "CgroupVersion": "2", "CpuCfsQuota": True}
STAT = "cpu  100 0 100 800 0 0 0 {steal} 0 0\n"
Change = Callable[[Machine], Machine]


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def healthy(tmp_path: Path) -> Machine:
    """A Raspberry Pi 5 with everything that MinT wants, as files under a root of its own."""
    tree = tmp_path / "sys" / "fs" / "cgroup"
    (tree / "system.slice").mkdir(parents=True)
    (tree / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tree / "system.slice" / "cpu.max").write_text("max 100000\n")
    write(
        tmp_path,
        proc__cpuinfo="Features\t: fp asimd aes pmull sha1 sha2 crc32\n",
        proc__stat=STAT.format(steal=0),
    )
    return Machine(
        root=tmp_path,
        python=(3, 11, 2),
        cgroups=detect(tree, tmp_path / "no-mountinfo"),
        may_write_cgroups=True,
        docker=DockerSeen(installed=True, info=INFO),
        mosquitto="2.0.11",
        mosquitto_failure="",
        mosquitto_tls=True,
        compiler=True,
        synchronised=True,
        cores=4,
        free_bytes=20 << 30,
        gpus=(),
    )


def without_memory(machine: Machine, *files: str) -> Machine:
    (machine.root / "sys/fs/cgroup/cgroup.controllers").write_text("cpuset cpu io pids\n")
    for file in files:
        (machine.root / file).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / file).write_text("console=tty1 root=PARTUUID=1 rootwait\n")
    return machine


def without_bandwidth(machine: Machine) -> Machine:
    (machine.root / "sys/fs/cgroup/system.slice/cpu.max").unlink()
    return machine


def without_slices(machine: Machine) -> Machine:
    without_bandwidth(machine)
    (machine.root / "sys/fs/cgroup/system.slice").rmdir()
    return machine


def on_v1(machine: Machine) -> Machine:
    tree = machine.root / "v1"
    for controller in ("cpu,cpuacct", "cpuset", "memory", "blkio", "freezer"):
        (tree / controller).mkdir(parents=True)
    (tree / "cpu,cpuacct" / "cpu.cfs_quota_us").write_text("-1\n")
    return replace(machine, cgroups=detect(tree, machine.root / "no-mountinfo"))


def stolen(machine: Machine, line: str) -> Machine:
    (machine.root / "proc/stat").write_text(line)
    return machine


def plain_processor(machine: Machine) -> Machine:
    (machine.root / "proc/cpuinfo").write_text("flags\t: fpu sse2 avx2\n")
    return machine


def test_a_healthy_machine_lacks_nothing(healthy: Machine) -> None:
    found = findings(healthy)
    assert {finding.level for finding in found} == {Level.OK}
    assert all(not finding.consequence and not finding.mend for finding in found)
    assert "cgroup v2" in found[1].what


def test_cgroup_v1_is_as_good(healthy: Machine) -> None:
    assert {finding.level for finding in findings(on_v1(healthy))} == {Level.OK}


OTHERS: list[tuple[str, Change, Level, str, str]] = [
    ("old Python", lambda m: replace(m, python=(3, 9, 2)), Level.LACK, "Python 3.9.2", "Debian 12"),
    ("memory off on a Pi", lambda m: without_memory(m, "boot/firmware/cmdline.txt"), Level.LACK,
     "memory cgroup", "append 'cgroup_enable=memory cgroup_memory=1' to the one line of /boot/firmware/cmdline.txt"),
    ("memory off on an older Pi", lambda m: without_memory(m, "boot/cmdline.txt"), Level.LACK,
     "memory cgroup", "of /boot/cmdline.txt, reboot"),
    ("memory off elsewhere", without_memory, Level.LACK, "memory cgroup", "boot the kernel with"),
    ("may not write", lambda m: replace(m, may_write_cgroups=False), Level.LACK, "may not write", "as root"),
    ("no bandwidth control", without_bandwidth, Level.LACK, "no CFS bandwidth", "CONFIG_CFS_BANDWIDTH"),
    ("nothing to see it in", without_slices, Level.NOTE, "cannot be seen", ""),
    ("no Docker", lambda m: replace(m, docker=DockerSeen(False)), Level.LACK, "not installed", "docker.io"),
    ("Docker silent", lambda m: replace(m, docker=DockerSeen(True, failure="refused")), Level.LACK,
     "does not answer (refused)", "systemctl start docker"),
    ("Docker without quotas", lambda m: replace(m, docker=DockerSeen(True, INFO | {"CpuCfsQuota": False})),
     Level.LACK, "Docker 26.1", "docker info"),
    ("no Mosquitto", lambda m: replace(m, mosquitto="", mosquitto_failure="there is none"), Level.LACK,
     "there is none", "apt-get install mosquitto"),
    ("old Mosquitto", lambda m: replace(m, mosquitto="1.5.7"), Level.LACK, "Mosquitto 1.5.7", "Debian 12"),
    ("Mosquitto without TLS", lambda m: replace(m, mosquitto_tls=False), Level.LACK, "without TLS", "mosquitto"),
    ("no compiler", lambda m: replace(m, compiler=False), Level.LACK, "no C compiler", "gcc libc6-dev"),
    ("no SHA instructions", plain_processor, Level.NOTE, "no SHA-256", ""),
    ("clock adrift", lambda m: replace(m, synchronised=False), Level.NOTE, "not synchronised", "timedatectl"),
    ("contended host", lambda m: stolen(m, STAT.format(steal=250)), Level.NOTE, "steal time 20.0 %", ""),
    ("a kernel that shows no steal", lambda m: stolen(m, "cpu  1 2 3\n"), Level.NOTE, "cannot be seen", ""),
    ("nearly no processor", lambda m: replace(m, cores=0), Level.NOTE, "0 cores", "fewer miners"),
    ("full disk", lambda m: replace(m, free_bytes=1 << 20), Level.LACK, "0.0 GiB", "free 1 GiB"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "level", "what", "mend"), [o[1:] for o in OTHERS], ids=[o[0] for o in OTHERS]
)
def test_one_thing_wrong_is_one_finding(
    healthy: Machine, change: Change, level: Level, what: str, mend: str
) -> None:
    wrong = [finding for finding in findings(change(healthy)) if finding.level is not Level.OK]
    assert len(wrong) == 1
    assert wrong[0].level is level
    assert what in wrong[0].what
    assert mend in wrong[0].mend
    assert wrong[0].consequence


def test_no_cgroups_at_all_is_one_finding_not_four(healthy: Machine, tmp_path: Path) -> None:
    machine = replace(healthy, cgroups=detect(tmp_path / "empty", tmp_path / "no-mountinfo"))
    wrong = [finding for finding in findings(machine) if finding.level is not Level.OK]
    assert [finding.what for finding in wrong] == ["no cgroup tree with the cpu controller is mounted"]


def test_a_controller_that_only_counts_is_a_note(healthy: Machine) -> None:
    (healthy.root / "sys/fs/cgroup/cgroup.controllers").write_text("cpuset cpu memory\n")
    assert doctor.cgroups(healthy) == Finding(
        Level.NOTE, "cgroup v2 without blkio", "blkio of miners is not counted or limited"
    )


def test_gpus_are_named(healthy: Machine) -> None:
    assert doctor.gpu(replace(healthy, gpus=("NVIDIA A2", "NVIDIA A2"))).what == "GPU: NVIDIA A2, NVIDIA A2"


@pytest.mark.parametrize(
    ("change", "code", "last"),
    [
        pytest.param(lambda m: m, 0, "nothing lacks", id="well"),
        pytest.param(lambda m: replace(m, synchronised=False), 0, "nothing lacks", id="a note"),
        pytest.param(lambda m: replace(m, compiler=False), 1, "1 thing lacking", id="a lack"),
    ],
)
def test_exit_code_and_output(healthy: Machine, change: Change, code: int, last: str) -> None:
    page = io.StringIO()
    assert run(Console(file=page, width=100), machine=change(healthy)) == code
    assert page.getvalue().splitlines()[-1] == last


def test_json_is_for_programs(healthy: Machine) -> None:
    page = io.StringIO()
    # Narrower than the text: programs read lines as they are, never wrapped.
    assert run(Console(file=page, width=20), as_json=True, machine=replace(healthy, compiler=False)) == 1
    rows = json.loads(page.getvalue())
    assert {frozenset(row) for row in rows} == {frozenset({"level", "what", "consequence", "mend"})}
    assert [row["what"] for row in rows if row["level"] == "lack"] == ["no C compiler with its headers"]


def test_text_in_brackets_is_shown_as_it_is(healthy: Machine) -> None:
    page = io.StringIO()
    machine = replace(healthy, docker=DockerSeen(installed=True, failure="[Errno 2] no such file"))
    run(Console(file=page, width=200), machine=machine)
    assert "[Errno 2] no such file" in page.getvalue()


def test_this_machine_can_be_looked_at() -> None:
    machine = look()
    assert machine.cores > 0
    assert machine.mosquitto or machine.mosquitto_failure
    assert machine.docker.info or machine.docker.failure
    assert findings(machine)
