"""The enforcer as a process: enforcer.py between the bus, the miners' holds and the disk.

From a verdict's arrival to the quota's write there is its verification and nothing else: no wait for a period,
and the disk comes after the write (core.py says why that is safe). A receipt is told once it is on the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from enforcer.enforcer import Enforcer, Look
from enforcer.hands import Hands, is_quick
from enforcer.state import Memory
from enforcer.store import Store
from mint.bus.bus import Bus
from mint.bus.options import Incoming
from mint.bus.quiet import Quiet
from mint.courier import Courier, bus_of
from mint.effects import Say
from mint.errors import BusError, ContainerError
from mint.names import scope
from mint.node import Node, now

DATABASE = "enforcer.sqlite"
# After a receipt was refused, and between looks for containers.
RETRY_S = 5.0

# Runs something beside, until the service ends.
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Service:
    """Everything between the enforcer and the world."""

    def __init__(self, node: Node, store: Memory, hands: Hands, quiet: Quiet) -> None:
        self._node, self._store, self._hands, self._quiet = node, store, hands, quiet
        self._enforcer = Enforcer(node, store.load(), now(), quiet)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._told = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        bus = bus_of(self._node, self._enforcer.subscriptions())
        courier = Courier(self._node, bus)
        async with bus, asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None]) -> None:
                task = group.create_task(work)
                tasks.add(task)
                task.add_done_callback(tasks.discard)

            tasks: set[asyncio.Task[None]] = set()
            spawn(self._tick(courier, spawn))
            spawn(self._find_containers())
            spawn(self._read(bus.messages(), courier, spawn))
            spawn(self._tell(bus))
            await stop.wait()
            for task in tuple(tasks):
                task.cancel()

    async def _read(self, messages: AsyncIterator[Incoming], courier: Courier, spawn: Spawn) -> None:
        async for incoming in messages:
            for miner in self._said(self._enforcer.receive(incoming, now()), courier):
                spawn(self._reconcile_now(miner))

    def _said(self, effects: Iterable[Look | Say], courier: Courier) -> list[str]:
        """Say what is to be said; whom to look at."""
        courier.send(effect for effect in effects if isinstance(effect, Say))
        return [effect.miner for effect in effects if isinstance(effect, Look)]

    # --- miners ---

    async def _tick(self, courier: Courier, spawn: Spawn) -> None:
        """Reconcile every miner once a period."""
        while True:
            await asyncio.sleep((self._enforcer.due_ns() - time.monotonic_ns()) / 1e9)
            miners = self._said(self._enforcer.tick(now()), courier)
            self._hands.find(miners)
            for miner in miners:
                hold = self._hands.hold(miner)
                if hold is not None and is_quick(hold):
                    await self._reconcile(miner)
                    await asyncio.sleep(0)  # a verdict must not wait for the whole device
                elif hold is not None and not self._locks[miner].locked():
                    spawn(self._reconcile_now(miner))
            self._commit()

    async def _find_containers(self) -> None:
        while True:
            await self._hands.find_containers()
            await asyncio.sleep(RETRY_S)

    async def _reconcile_now(self, miner: str) -> None:
        self._hands.find([miner], now=True)
        await self._reconcile(miner)
        self._commit()

    async def _reconcile(self, miner: str) -> None:
        """Compare, correct, say so; what fails is tried again in a period."""
        async with self._locks[miner]:
            hold = self._hands.hold(miner)
            if hold is None:
                return
            try:
                seen = await self._hands.see(hold, books=self._enforcer.keeps_books(miner))
                plan = self._enforcer.look(seen, now())
                if plan is None:
                    return
                if plan.wish is not None and plan.steps:
                    seen = await self._hands.act(hold, plan.wish, plan.steps)
                elif plan.notes and seen.count is None:
                    seen = await self._hands.see(hold, books=True)
            except ContainerError as error:
                self._quiet.warning(f"miner {miner}", str(error))
                self._hands.look_again()
                return
            self._enforcer.done(plan, seen, now())

    # --- the disk, and what goes out ---

    def _commit(self) -> None:
        batch = self._enforcer.pending()
        if batch is None:
            return
        try:
            self._store.commit(batch.change, batch.receipts)
        except sqlite3.Error as error:
            self._quiet.warning("disk", f"nothing can be stored ({error}); what was done is kept in memory")
            return
        self._enforcer.stored(batch)
        self._told.set()

    async def _tell(self, bus: Bus) -> None:
        """Publish receipts in order, each until the broker has acknowledged it."""
        topic = self._node.topics.receipt(self._node.name)
        while True:
            self._told.clear()
            while (waiting := self._store.waiting()) is not None:
                await bus.connected.wait()
                number, data = waiting
                try:
                    await bus.publish(topic, data)
                    self._store.acknowledged(number)
                except (
                    BusError,
                    sqlite3.Error,
                ) as error:  # a full disk: it is told again, which does no harm
                    self._quiet.warning("receipt", f"receipt {number} could not be told: {error}")
                    await asyncio.sleep(RETRY_S)
            await self._told.wait()


async def run(
    node: Node, stop: asyncio.Event, *, cgroup_root: Path, duty_dir: Path | None, docker: bool
) -> None:
    """Be the enforcer of a node's devices until `stop` is set; quotas stay as they are then.

    Args:
        node: who we are.
        stop: ends it.
        cgroup_root: where the cgroup trees are mounted.
        duty_dir: the folder of duty-cycle limiters, if there are any.
        docker: whether to ask Docker for miners whose parent cgroup is not ours.

    Raises:
        InputError: the state cannot be used.
        MachineError: the kernel does not say which boot this is.
    """
    quiet = Quiet(node.log)
    store = Store(node.options.state / DATABASE)
    try:
        filed_under = scope(node.charter.charter.network)
        hands = Hands(filed_under, cgroup_root, duty_dir, docker=docker, quiet=quiet)
        try:
            await Service(node, store, hands, quiet).run(stop)
        finally:
            hands.close()
    finally:
        store.close()
