"""Containers that others started, labelled as miners but outside of MinT's parent cgroups."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from agents.pow.build import build
from agents.pow.image import build_image
from mint.containers.docker_api import DockerHold
from mint.containers.find import MINER_LABEL, SCOPE_LABEL, docker_client, find, find_docker
from mint.containers.model import Counters, Quota
from mint.errors import ContainerError, MachineError

pytestmark = pytest.mark.docker
SCOPE = f"test_api_{os.getpid()}"


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


def test_found_by_label_and_held_by_its_own_cgroup(
    docker_engine: docker.DockerClient, container: Container
) -> None:
    hold = find(SCOPE, client=docker_engine)["m1"]
    assert not isinstance(hold, DockerHold)
    assert hold.quota().ppm == 50_000
    assert hold.running()
    first = hold.counters()
    while hold.counters().usage_ns == first.usage_ns:
        time.sleep(0.01)
    hold.close()
    assert find_docker("elsewhere", docker_engine) == {}


def reading(hold: DockerHold) -> Counters:
    """A busy engine now and then answers without a reading, which is an error, not a zero."""
    for _ in range(20):
        with contextlib.suppress(ContainerError):
            return hold.counters()
        time.sleep(0.1)
    return hold.counters()


def test_held_through_the_api_where_no_files_are(
    docker_engine: docker.DockerClient, container: Container, tmp_path: Path
) -> None:
    hold = find_docker(SCOPE, docker_engine, cgroup_root=tmp_path)["m1"]
    assert isinstance(hold, DockerHold)
    first, epoch = reading(hold), hold.epoch
    assert first.before_ns < first.after_ns
    assert 0 < first.usage_ns < 10**10
    assert hold.quota() == Quota(5_000)
    assert hold.set_quota(Quota(5_000)) is False
    assert hold.set_quota(Quota(8_000)) is True
    assert hold.quota() == Quota(8_000)
    hold.freeze()
    assert hold.frozen()
    hold.freeze()
    hold.thaw()
    assert not hold.frozen()
    container.restart(timeout=1)
    assert hold.epoch != epoch


def test_a_container_that_is_gone_is_a_container_error(docker_engine: docker.DockerClient) -> None:
    gone = Container(
        attrs={"Id": "0" * 64, "Name": "/gone"}, client=docker_engine, collection=docker_engine.containers
    )
    with pytest.raises(ContainerError, match="of miner m1"):
        DockerHold("m1", gone).counters()


def test_an_engine_that_does_not_answer_is_a_machine_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    with pytest.raises(MachineError, match="no Docker engine listens"):
        docker_client()
