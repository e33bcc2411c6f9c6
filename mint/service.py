"""A component as a process: what the bus brings and the clock says goes in, what it answers is carried out.

The one loop that the twin manager and the detectors run in, and the simulator has its like: nothing between a
component and the world but this.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any

from mint.bus.options import Incoming
from mint.component import Component
from mint.courier import Courier, bus_of
from mint.effects import Effect, Keep
from mint.node import Node, now


class Service:
    """Runs `component` as `node`; `keep` has a thing on disk when it returns."""

    def __init__(self, node: Node, component: Component, keep: Callable[[Any], None]) -> None:
        self._component, self._keep = component, keep
        self._bus = bus_of(node, component.subscriptions())
        self._courier = Courier(node, self._bus)
        self._changed = asyncio.Event()
        self._bus.on_connect(lambda _resumed: self._carry_out(component.connected(now())))

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        async with self._bus, asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(self._bus.messages()))
            ticking = tasks.create_task(self._tick())
            await stop.wait()
            reading.cancel()
            ticking.cancel()

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Keep):
                self._keep(effect.what)
            else:
                self._courier.send([effect])

    async def _read(self, messages: AsyncIterator[Incoming]) -> None:
        async for incoming in messages:
            self._carry_out(self._component.receive(incoming, now()))
            self._changed.set()  # time may be due earlier now

    async def _tick(self) -> None:
        while True:
            wait_s = (self._component.due_ns() - time.monotonic_ns()) / 1e9
            if wait_s <= 0:
                self._carry_out(self._component.tick(now()))
                await asyncio.sleep(0)  # whoever is always due holds up nobody
                continue
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
