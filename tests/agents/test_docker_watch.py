"""Miners that only Docker knows of, in real containers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from agents.docker_watch import DockerWatch
from agents.pow.build import build
from agents.pow.image import build_image
from agents.sampler import Sampler
from mint.containers.find import MINER_LABEL, SCOPE_LABEL
from mint.containers.hierarchy import CGROUP_ROOT, detect
from mint.messages.sample import MinerReading, State
from tests.agents.fog import Keys

LOG = logging.getLogger("test")
PERIOD_S = 0.1
WAIT_S = 30.0
SCOPE = Keys().scope


@pytest.fixture(scope="module")
def container(
    docker_engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    image = build_image(docker_engine, build(tmp_path_factory.mktemp("program")))
    labels = {MINER_LABEL: "m1", SCOPE_LABEL: SCOPE}
    made = docker_engine.containers.run(
        image, labels=labels, cpu_period=100_000, cpu_quota=5_000, network_mode="none", detach=True
    )
    yield made
    made.remove(force=True)


def until(enough: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not enough():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.docker
@pytest.mark.parametrize("reach", ["files", "api"])
def test_a_container_is_found_and_read(container: Container, tmp_path: Path, reach: str) -> None:
    root = CGROUP_ROOT if reach == "files" else tmp_path
    watch = DockerWatch(SCOPE, root, PERIOD_S, LOG)
    sampler = Sampler(SCOPE, log=LOG, cgroup_root=root, docker=watch)
    try:
        until(lambda: bool(watch.by_files() or watch.by_api()))
        sampler.discover({"m1"})
        assert sampler.miners == ("m1",)
        kind = f"cgroup v{detect().version}" if reach == "files" else "Docker's API"
        assert sampler.state() == State(True, kind, ("m1",))
        readings: list[MinerReading] = []

        def twice() -> bool:
            readings.extend(sampler.sample().miners)
            return len(readings) >= 2

        until(twice)
        first, second = readings[:2]
        assert first.after_ns <= second.before_ns
        assert first.epoch == second.epoch
        assert 0 < first.usage_ns <= second.usage_ns
        assert second.running
        assert second.quota_ppm == 50_000
    finally:
        sampler.close()
    until(lambda: not watch.alive)


def test_no_engine_is_said_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    watch = DockerWatch(SCOPE, tmp_path, PERIOD_S, LOG)
    sampler = Sampler(SCOPE, log=LOG, cgroup_root=tmp_path, docker=watch)
    until(lambda: bool(caplog.records))
    sampler.discover({"m1"})
    assert sampler.sample().miners == ()
    sampler.close()
    until(lambda: not watch.alive)
    assert len(caplog.records) == 1
    assert "containers cannot be listed" in caplog.text
