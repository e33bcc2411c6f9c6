"""The agent: samples the miners of one device and tells the twin manager, until it is told to stop.

A thin shell around agent.py (what to send, and when) and sampler.py (what is used): it owns the bus and the clocks.
Beside them, on the same bus, is the device's part in the miners' ledger (mining.py). A broken broker, a full disk or a
vanished container is said, and nothing stops for it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from agents.agent import Agent
from agents.docker_watch import DockerWatch
from agents.gpu import gpu_reader
from agents.mining import Mining
from agents.pow.chain.node import subscriptions
from agents.sampler import Sampler
from mint.bus import Quiet, Will
from mint.containers.hierarchy import CGROUP_ROOT
from mint.courier import Courier, bus_of
from mint.names import scope
from mint.node import Node, now

NS_PER_S, MS_PER_S = 1_000_000_000, 1_000
# Listing folders costs as much as a sample; while a miner is missing it is looked for every period.
DISCOVER_NS = 5 * NS_PER_S
# A broker's restart takes a second or two: only who is away for longer is told dead.
WILL_DELAY_S = 5


async def run(
    node: Node,
    stop: asyncio.Event,
    *,
    cgroup_root: Path = CGROUP_ROOT,
    duty_dir: Path | None = None,
    docker: bool = False,
) -> None:
    """Sample every miner of this network on this device once a period until `stop` is set.

    Args:
        node: who we are; its name is the device's.
        stop: ends the agent, with its death told.
        cgroup_root: where the cgroup trees are mounted.
        duty_dir: the folder of miners under a duty cycle, if there is one.
        docker: also ask Docker for containers that carry this network's labels.

    Raises:
        InputError: a certificate file is missing or wrong.
        MachineError: this is no Linux with /proc.
    """
    charter = node.charter.charter
    where = scope(charter.network)
    watch = DockerWatch(where, cgroup_root, charter.period_ms / MS_PER_S, node.log) if docker else None
    sampler = Sampler(
        where, log=node.log, cgroup_root=cgroup_root, duty_dir=duty_dir, gpu=gpu_reader(), docker=watch
    )
    try:
        await _Service(node, sampler, watch).run(stop)
    finally:
        sampler.close()


class _Service:
    def __init__(self, node: Node, sampler: Sampler, watch: DockerWatch | None) -> None:
        self._node, self._sampler, self._watch = node, sampler, watch
        self._quiet = Quiet(node.log)
        self._discover()
        self._agent = Agent(node, sampler.state(), now())
        # Signed before the first birth, so that it is as old as this run: a hint for people, never evidence.
        death = self._agent.death(now())
        will = Will(death.topic, death.data, retain=death.retain, delay_s=WILL_DELAY_S)
        of_ledger = subscriptions(node.topics, node.name)
        self._of_ledger = tuple(one.filter for one in of_ledger)
        self._bus = bus_of(node, (*self._agent.subscriptions(), *of_ledger), will)
        self._courier = Courier(node, self._bus)
        self._mining = Mining(node, self._courier.send)
        self._bus.on_connect(lambda _resumed: self._connected())

    async def run(self, stop: asyncio.Event) -> None:
        async with self._bus, self._mining, asyncio.TaskGroup() as tasks:
            beside = (
                tasks.create_task(self._listen(), name="agent listens"),
                tasks.create_task(self._mining.run(), name="ledger"),
            )
            try:
                await self._sample_until(stop)
            finally:
                for task in beside:
                    task.cancel()
            if self._bus.connected.is_set():
                self._courier.send([self._agent.death(now())])  # leaving the bus waits for it

    def _connected(self) -> None:
        self._courier.send(self._agent.connected(now()))
        self._mining.connected()

    async def _sample_until(self, stop: asyncio.Event) -> None:
        discovered_ns = time.monotonic_ns()
        while not await _set_before(stop, self._agent.due_ns()):
            if not self._complete or time.monotonic_ns() - discovered_ns >= DISCOVER_NS:
                discovered_ns = time.monotonic_ns()
                self._discover()
            self._sample_once()

    def _discover(self) -> None:
        mine = {miner.name for miner in self._node.charter.charter.miners_on(self._node.name)}
        self._sampler.discover(mine)
        self._complete = mine == set(self._sampler.miners)

    def _sample_once(self) -> None:
        ring, connected = self._agent.ring, self._bus.connected.is_set()
        dropped = ring.dropped
        sample, state = self._sampler.sample(self._mining.counted()), self._sampler.state()
        self._courier.send(self._agent.sampled(sample, state, now(), connected=connected))
        self._mining.sampled(*ring.newest)
        if ring.dropped > dropped:
            why = "" if connected else " (there is no broker)"
            self._quiet.warning(
                "dropped", f"the manager has stored none of the last {len(ring)} samples{why}; older ones go"
            )

    async def _listen(self) -> None:
        async for incoming in self._bus.messages():
            if incoming.filter in self._of_ledger:
                self._mining.receive(incoming)
                continue
            before = self._agent.charter
            self._courier.send(self._agent.receive(incoming, now()))
            if self._agent.charter is not before:
                self._take_charter()

    def _take_charter(self) -> None:
        if self._watch is not None:
            self._watch.period_s = self._node.charter.charter.period_ms / MS_PER_S
        self._discover()
        self._mining.take_charter()


async def _set_before(event: asyncio.Event, until_ns: int) -> bool:
    """Wait until `until_ns` (monotonic); True as soon as `event` is set."""
    try:
        async with asyncio.timeout((until_ns - time.monotonic_ns()) / NS_PER_S):
            await event.wait()
    except TimeoutError:
        return False
    return True
