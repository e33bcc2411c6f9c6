"""The miners of a device are those that the charter names; they are kept running, and ended with the service."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.pow import service
from mint.containers.find import find_files
from mint.containers.hierarchy import CGROUP_ROOT, Hierarchy
from mint.errors import InputError
from mint.names import Role, scope
from mint.node import Node, NodeOptions
from network.founding import Plan, found, new_operator
from network.layout import Layout
from tests.containers.engine import cgroups

CPU = 0.02


def device(folder: Path, miners: int) -> Node:
    layout = Layout(folder / "net")
    found(layout, Plan("test", miners, CPU), new_operator(layout))
    options = NodeOptions(layout.charter, "edge1", layout.keys("edge1"), "", 0, folder / "state")
    return Node(options, Role.AGENT)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 (processes of the kernel's, which tells nobody)
            await asyncio.sleep(0.02)


@pytest.mark.cgroup
async def test_miners_of_the_charter_run_are_started_again_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: Hierarchy = cgroups()
    monkeypatch.setattr(service, "LOOK_S", 0.1)
    node, stop = device(tmp_path, miners=2), asyncio.Event()
    name = scope(node.charter.charter.network)

    def running() -> dict[str, tuple[int, ...]]:
        holds = find_files(name, cgroup_root=CGROUP_ROOT, duty_dir=None)
        return {miner: pids for miner, hold in holds.items() if (pids := hold.pids())}

    task = asyncio.create_task(service.run(node, stop, runtime="cgroup"))
    await until(lambda: set(running()) == {"m01", "m02"})
    holds = find_files(name, cgroup_root=CGROUP_ROOT, duty_dir=None)
    assert {hold.quota().ppm for hold in holds.values()} == {20_000}
    (died,) = running()["m01"]
    os.kill(died, signal.SIGKILL)
    await until(lambda: running().get("m01", (died,)) != (died,))
    stop.set()
    await task
    assert running() == {}
    assert here.cpu is not None
    assert not (here.cpu / "mint" / name).exists()


async def test_a_device_without_miners_says_so(tmp_path: Path) -> None:
    node = device(tmp_path, miners=1)
    node.name = "edge2"
    with pytest.raises(InputError, match="has no miners on 'edge2'"):
        await service.run(node, asyncio.Event())
