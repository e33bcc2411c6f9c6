"""Recording real miners: what the trace holds, that quotas change when they should, that nothing is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from docker import DockerClient

from agents.pow.choose import choose
from agents.pow.runtime import Runtime
from mint.containers.find import SCOPE_LABEL
from mint.containers.hierarchy import CGROUPFS, SYSTEMD, scope_path
from mint.errors import ContainerError
from network import recording
from network.recording import QuotaChange, Recording, record
from network.reproduce.script import NAMES, Script
from network.reproduce.sources import Containers, recorded
from tests.containers.engine import cgroups


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "SETTLE_S", 0.0)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    cgroups()
    made = choose(f"test_rec_{os.getpid()}", tmp_path, "cgroup", lambda _: None)
    yield made
    made.close()


@pytest.mark.cgroup
def test_a_recording_has_a_reading_a_second_and_changes_quotas(runtime: Runtime) -> None:
    wanted = Recording({"m02": 20_000, "m01": 30_000}, 2, (QuotaChange(1, "m02", 40_000),))
    ticks: list[int | None] = []
    trace = record(runtime, wanted, lambda: ticks.append(runtime.hold("m02").quota().ppm))
    # Written after the reading of second 1.
    assert ticks == [20_000, 40_000, 40_000]
    assert runtime.hold("m01").quota().ppm == 30_000
    assert trace.miners == ("m01", "m02")
    assert trace.ticks.tolist() == [0, 1, 2]
    assert trace.present.all()
    counters = trace.counters
    assert counters is not None
    assert counters.entitled_ppm.tolist() == [[30_000, 20_000]] * 3
    assert (np.diff(counters.usage_ns, axis=0) > 0).all()
    assert (counters.before_ns <= counters.after_ns).all()
    assert (np.diff(counters.before_ns, axis=0) > 500_000_000).all()
    assert len(np.unique(counters.boot)) == 1
    assert not np.isnan(trace.use()[1:]).any()


@pytest.mark.cgroup
def test_a_miner_that_is_gone_ends_the_recording(runtime: Runtime) -> None:
    def gone() -> None:
        runtime.close()

    with pytest.raises(ContainerError, match="m01"):
        record(runtime, Recording({"m01": 20_000}, 1, ()), gone)


@pytest.mark.docker
@pytest.mark.cgroup
def test_an_interrupted_recording_leaves_nothing(docker_engine: DockerClient, tmp_path: Path) -> None:
    here, scope, script = cgroups(), f"test_rec_{os.getpid()}", Script("x", 5, ())
    assert here.cpu is not None
    ran = []

    def containers() -> int:
        filters: dict[str, str | list[str] | bool] = {"label": f"{SCOPE_LABEL}={scope}"}
        return len(docker_engine.containers.list(all=True, filters=filters, ignore_removed=True))

    def interrupt(_: int) -> None:
        ran.append(containers())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Containers(tmp_path, scope, lambda _: None)(script, 1, interrupt)
    assert ran == [len(NAMES)]
    assert containers() == 0
    assert not any((here.cpu / scope_path(driver, scope)).exists() for driver in (CGROUPFS, SYSTEMD))
    assert not recorded(tmp_path, script, 1).exists()
