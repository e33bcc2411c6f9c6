"""A miner that only Docker's API reaches: the same law by slower hands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from agents.pow.build import build
from agents.pow.image import build_image
from mint.containers.docker_api import DockerHold
from mint.containers.find import MINER_LABEL, SCOPE_LABEL
from mint.messages.sample import MinerReading
from tests.enforcer.fog import WAIT_S, Fog, Others, verdict_on
from tests.enforcer.offences import CPU_PPM, MINERS, reading
from tests.enforcer.test_service import ABOVE_NS, enforcing

pytestmark = pytest.mark.docker


@pytest.fixture
def container(docker_engine: docker.DockerClient, fog: Fog, tmp_path: Path) -> Iterator[Container]:
    image = build_image(docker_engine, build(tmp_path))
    labels = {MINER_LABEL: MINERS[0], SCOPE_LABEL: fog.keys.scope}
    made = docker_engine.containers.run(
        image, labels=labels, cpu_period=100_000, cpu_quota=10_000, network_mode="none", detach=True
    )
    yield made
    made.remove(force=True)


async def test_its_quota_is_put_low(fog: Fog, others: Others, container: Container, tmp_path: Path) -> None:
    hold = DockerHold(MINERS[0], container)

    def read() -> MinerReading:
        counters = hold.counters()
        return reading(MINERS[0], hold.epoch, counters.before_ns, counters.after_ns, counters.usage_ns)

    async def caught(first: MinerReading) -> MinerReading:
        while True:
            last = await asyncio.to_thread(read)
            due_ns = (last.after_ns - first.before_ns) * CPU_PPM // 1_000_000
            if last.usage_ns - first.usage_ns - due_ns > ABOVE_NS:
                return last

    no_files = tmp_path / "no_cgroups"
    no_files.mkdir()
    first = read()
    async with enforcing(fog.node(), cgroup_root=no_files, docker=True):
        await others.heard("drift")
        async with asyncio.timeout(WAIT_S):
            last = await caught(first)
        await others.judge(verdict_on(fog, (first, last)))
        await others.heard("correct")
    assert hold.quota().quota_us == 2_500
