"""The miners of a device are those that the charter names; they are kept running, and ended with the service."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.pow import service
from agents.pow.work import Work
from agents.pow.work_folder import exchange_folder
from mint.chain.header import target
from mint.charter.model import Chain, DeviceClass, replaced
from mint.charter.seal import seal
from mint.containers.find import find_files
from mint.containers.hierarchy import CGROUP_ROOT, Hierarchy
from mint.errors import InputError
from mint.names import Role, scope
from mint.node import Node, NodeOptions
from network.founding import Plan, found, new_operator
from network.layout import Layout
from tests.containers.engine import cgroups
from tests.pow.exchanging import exchanging, some_data, value

CPU = 0.02


def device(folder: Path, miners: int, chain: Chain | None = None) -> Node:
    layout = Layout(folder / "net")
    operator = new_operator(layout)
    sealed = found(layout, Plan("test", miners, CPU), operator)
    if chain is not None:
        measured = (DeviceClass("local", 40_000_000),)
        layout.charter.write_bytes(
            seal(replaced(sealed.charter, version=2, chain=chain, classes=measured), operator).data
        )
    options = NodeOptions(layout.charter, "edge1", layout.keys("edge1"), "", 0, folder / "state" / "miners")
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


@pytest.mark.cgroup
async def test_where_there_is_a_chain_miners_do_what_the_agent_gives_them(tmp_path: Path) -> None:
    cgroups()
    node, stop = device(tmp_path, miners=2, chain=Chain(1000, 400, 10, 10**6)), asyncio.Event()
    folder = exchange_folder(tmp_path / "state" / "agent", scope(node.charter.charter.network))
    work = Work(1, some_data(1), target(1 << 16))
    async with exchanging(folder, "m01", "m02") as heard:
        for miner in ("m01", "m02"):
            heard.exchange.give(miner, work)
        task = asyncio.create_task(service.run(node, stop, runtime="cgroup"))
        told: dict[str, int] = {}
        while len(told) < 2:
            miner, _, nonce = await heard.next()
            told[miner] = nonce
        stop.set()
        await task
    assert all(value(work.data, nonce) <= work.target for nonce in told.values())


async def test_a_device_without_miners_says_so(tmp_path: Path) -> None:
    node = device(tmp_path, miners=1)
    node.name = "edge2"
    with pytest.raises(InputError, match="has no miners on 'edge2'"):
        await service.run(node, asyncio.Event())
