"""The three runtimes behind one interface: what one does, all do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from agents.pow.build import Program
from agents.pow.choose import choose, start_all
from agents.pow.runtime import Runtime
from mint.containers import hierarchy
from mint.containers.find import SCOPE_LABEL, find_files
from mint.containers.model import Counters, Hold, Quota
from mint.errors import InputError, MachineError
from tests.containers.engine import cgroups

KINDS = [
    pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.cgroup]),
    pytest.param("cgroup", marks=pytest.mark.cgroup),
    "duty",
]
SHARE = Quota.of_ppm(100_000)


def scope() -> str:
    return f"test_rt_{os.getpid()}"


@pytest.fixture(autouse=True)
def compiled_once(miner_program: Program, program_cache: Path, tmp_path: Path) -> None:
    """Every test has a state folder of its own, but the compiled program of all."""
    (tmp_path / "program").symlink_to(program_cache)


@pytest.fixture
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    kind = request.param
    if kind == "docker":
        request.getfixturevalue("docker_engine")
    if kind != "duty":
        cgroups()
    made = choose(scope(), tmp_path, kind, lambda _: None)
    yield made
    made.close()


def eventually(holds: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def share(first: Counters, last: Counters) -> float:
    """The least share of a CPU that the two readings prove."""
    return (last.usage_ns - first.usage_ns) / (last.after_ns - first.before_ns)


def share_of_next(hold: Hold, seconds: float) -> float:
    first = hold.counters()
    time.sleep(seconds)
    return share(first, hold.counters())


@pytest.mark.parametrize("runtime", KINDS, indirect=True)
def test_a_miners_life(runtime: Runtime, tmp_path: Path) -> None:
    runtime.sweep()
    runtime.start("m1", SHARE)
    hold = runtime.hold("m1")
    assert runtime.hold("m1") is hold
    assert runtime.running("m1")
    assert runtime.digest.startswith("sha256:")
    assert hold.quota().ppm == 100_000
    assert hold.law == ("soft" if runtime.name == "duty" else "kernel")
    assert list(find_files(scope(), duty_dir=tmp_path / "duty" / scope())) == ["m1"]

    # It is held to its share (how much of it it gets is the machine's affair; a bucket may be full at the start).
    eventually(lambda: hold.counters().nr_throttled > 1)
    assert share_of_next(hold, 1.0) < 0.13

    # A second start changes nothing; a raised quota is more, and is written once.
    pids = hold.pids()
    runtime.start("m1", Quota.of_ppm(500_000))
    assert (hold.pids(), hold.quota().ppm) == (pids, 100_000)
    raised = Quota.of_ppm(300_000)
    assert hold.set_quota(raised) is True
    assert hold.set_quota(raised) is False
    eventually(lambda: share_of_next(hold, 0.4) > 0.14, within_s=30)

    # Paused, it uses nothing.
    hold.freeze()
    assert hold.frozen()
    time.sleep(0.25)  # a duty cycle heeds it from its next period on
    eventually(lambda: share_of_next(hold, 0.25) == 0)
    still = hold.counters()
    hold.thaw()
    eventually(lambda: hold.counters().usage_ns > still.usage_ns)

    # Stopped and started, it goes on where it was: counters, epoch, quota.
    epoch = hold.epoch
    runtime.stop("m1")
    assert not runtime.running("m1")
    before = hold.counters() if runtime.name != "duty" else still
    runtime.start("m1", SHARE)
    eventually(lambda: hold.counters().usage_ns > before.usage_ns)
    assert (hold.epoch, hold.quota().ppm) == (epoch, 300_000)

    runtime.close()
    runtime.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not [tree for tree in hierarchy.detect().every if (tree / "mint" / scope()).exists()]
    assert find_files(scope(), duty_dir=tmp_path / "duty" / scope()) == {}


@pytest.mark.parametrize("runtime", KINDS, indirect=True)
def test_several_start_side_by_side_and_none_is_left(
    runtime: Runtime, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    miners = [f"m{i}" for i in range(4)]
    start_all(runtime, dict.fromkeys(miners, Quota.of_ppm(20_000)))
    assert all(runtime.running(miner) for miner in miners)
    assert sorted(find_files(scope(), duty_dir=tmp_path / "duty" / scope())) == miners
    runtime.close()
    if runtime.name == "docker":
        engine: docker.DockerClient = request.getfixturevalue("docker_engine")
        assert engine.containers.list(all=True, filters={"label": f"{SCOPE_LABEL}={scope()}"}) == []


@pytest.mark.parametrize("runtime", KINDS, indirect=True)
def test_a_paused_miner_can_be_stopped_and_removed(runtime: Runtime) -> None:
    for miner in ("m1", "m2"):
        runtime.start(miner, SHARE)
        runtime.hold(miner).freeze()
    runtime.stop("m1")
    assert not runtime.running("m1")
    runtime.close()
    assert not [tree for tree in hierarchy.detect().every if (tree / "mint" / scope()).exists()]


KILLED = """\
import sys, time, pathlib
from agents.pow.choose import choose
from mint.containers.model import Quota
runtime = choose(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], lambda _: None)
runtime.start("m1", Quota.of_ppm(20_000))
print(*runtime.hold("m1").pids(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("runtime", KINDS, indirect=True)
def test_what_a_killed_run_left_is_swept(runtime: Runtime, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", KILLED, scope(), str(tmp_path), runtime.name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        (pid,) = map(int, run.stdout.readline().split())
        run.kill()
    if runtime.name != "docker":  # processes end with whoever started them
        eventually(lambda: not Path(f"/proc/{pid}").exists())
    runtime.sweep()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert find_files(scope(), duty_dir=tmp_path / "duty" / scope()) == {}
    runtime.start("m1", Quota.of_ppm(20_000))
    assert runtime.running("m1")


@pytest.mark.docker
@pytest.mark.parametrize("runtime", KINDS[:1], indirect=True)
def test_a_container_restart_resets_nothing(runtime: Runtime, docker_engine: docker.DockerClient) -> None:
    runtime.start("m1", SHARE)
    hold = runtime.hold("m1")
    eventually(lambda: hold.counters().usage_ns > 50_000_000)
    before, epoch = hold.counters(), hold.epoch
    container = docker_engine.containers.get(f"mint-{scope()}-m1")
    host = container.attrs["HostConfig"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]) == ("none", True, ["ALL"])
    assert host["CpuQuota"] == 0  # the parent has it
    container.restart(timeout=1)
    assert hold.counters().usage_ns > before.usage_ns
    assert (hold.epoch, hold.quota().ppm) == (epoch, 100_000)


def test_a_process_that_ends_is_started_again_and_keeps_its_counters(tmp_path: Path) -> None:
    runtime = choose(scope(), tmp_path, "duty", lambda _: None)
    try:
        runtime.start("m1", SHARE)
        hold = runtime.hold("m1")
        eventually(lambda: hold.counters().usage_ns > 20_000_000)
        before, (pid,) = hold.counters(), hold.pids()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: hold.running() and hold.pids() != (pid,))
        assert hold.counters().usage_ns >= before.usage_ns
    finally:
        runtime.close()


def test_without_a_compiler_the_reference_mines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")  # another compiler is another program in the cache
    said: list[str] = []
    runtime = choose(scope(), tmp_path, "duty", said.append)
    try:
        runtime.start("m1", SHARE)
        hold = runtime.hold("m1")
        eventually(lambda: hold.counters().usage_ns > 20_000_000)
        assert hold.counters().memory_bytes >= 0
    finally:
        runtime.close()
    assert "slow Python reference" in said[0]
    assert said[1].startswith("runtime: duty")


def test_the_next_best_is_chosen_and_the_reason_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    monkeypatch.setattr(hierarchy, "writable", lambda _: False)
    said: list[str] = []
    runtime = choose(scope(), tmp_path, None, said.append)
    runtime.close()
    assert runtime.name == "duty"
    assert [line.split(",")[0] for line in said] == [
        "runtime: not docker",
        "runtime: not cgroup",
        "runtime: duty",
    ]


def test_a_wanted_runtime_that_cannot_work_is_a_machine_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(MachineError):
        choose(scope(), tmp_path, "docker", lambda _: None)


def test_an_unknown_runtime_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use one of docker, cgroup, duty"):
        choose(scope(), tmp_path, "podman", lambda _: None)
