"""The fog of a ground as it runs: manager and detectors on the real broker, and devices that send in real time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine
from typing import Any, Self

from detectors import service as detector
from mint.node import Node, wall_ms
from tests.builders import Edge
from tests.ground import Ground
from twin_broker import service as manager


class Running:
    """Services as tasks of this loop, that can be killed one by one; and devices that send in real time."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.nodes: dict[str, Node] = {}
        devices = ground.net.charter.devices
        self.edges = [Edge(ground.net, device.name, random.Random(device.name)) for device in devices]
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, *names: str) -> None:
        for name in names:
            node = self.nodes[name] = self.ground.node(name)
            run = manager.run if name == "manager" else detector.run
            self._task(name, run(node, asyncio.Event()))

    def _task(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.create_task(work)

    async def kill(self, name: str) -> None:
        task = self._tasks.pop(name)
        assert not task.done(), task
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def __aenter__(self) -> Self:
        for edge in self.edges:
            for model in edge.miners.values():
                model.begins_ns += time.monotonic_ns()
            self._task(edge.name, self._send(edge))
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._tasks):
            await self.kill(name)

    async def _send(self, edge: Edge) -> None:
        period_s = self.ground.net.charter.period_ms / 1000
        topic = self.ground.net.sealed.topics().sample(edge.name)
        async with self.ground.bus(edge.name) as bus:
            while True:
                sample = edge.sample(time.monotonic_ns())
                bus.post(topic, edge.signer.stream(sample, topic, wall_ms()), expiry_s=10)
                await asyncio.sleep(period_s)

    def cheat(self, name: str, factor: float) -> None:
        for edge in self.edges:
            if name in edge.miners:
                edge.miners[name].factor = factor
