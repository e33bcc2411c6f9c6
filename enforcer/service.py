"""The enforcer as a process: the core (core.py) between the bus, the miners' holds and the disk.

From a verdict's arrival to the quota's write there is its verification and nothing else: no wait for a period,
and the disk comes after the write (core.py says why that is safe). A receipt is told once it is on the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from enforcer.core import Core
from enforcer.hands import Hands, is_quick
from enforcer.store import Store
from mint.bus.bus import Bus
from mint.bus.options import Incoming, Overflow, Subscription
from mint.bus.quiet import Quiet
from mint.courier import Courier, bus_of
from mint.envelope import Opened
from mint.errors import BusError, ContainerError, Reason, Rejected
from mint.messages.frame import Frame
from mint.messages.judgement import Verdict
from mint.names import scope
from mint.node import Node, wall_ms
from mint.verdict import verify_verdict

DATABASE = "enforcer.sqlite"
# Open books are stored this often: what was used up to then is known even if cgroup and enforcer die together.
CHECKPOINT_PERIODS = 10
# Verdicts kept for a charter that has not reached us yet: a few for each miner of a large device.
MAX_EARLY = 64
# After a receipt was refused, and between looks for containers.
RETRY_S = 5.0

# Runs something beside, until the service ends.
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Enforcer:
    """Everything between the core and the world."""

    def __init__(self, node: Node, store: Store, hands: Hands, quiet: Quiet) -> None:
        self._node, self._store, self._hands, self._quiet = node, store, hands, quiet
        self._charter = node.charter
        saved = store.load()
        self.core = Core(
            name=node.name,
            charter=node.charter.charter,
            frame_ns=time.monotonic_ns(),
            states=saved.states,
            number=saved.number,
            frame=saved.frame,
        )
        if self.core.open:
            node.log.info("continuing with penalties in progress")
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._early: dict[bytes, Opened] = {}
        self._told = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        topics = self._node.topics
        bus = bus_of(
            self._node,
            [
                Subscription(topics.charter(), limit=4),
                Subscription(topics.frame(), limit=8),
                Subscription(topics.verdict("+", "+"), limit=1024, overflow=Overflow.DROP_NEWEST),
            ],
        )
        async with bus, asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None]) -> None:
                task = group.create_task(work)
                tasks.add(task)
                task.add_done_callback(tasks.discard)

            tasks: set[asyncio.Task[None]] = set()
            spawn(self._tick(spawn))
            spawn(self._find_containers())
            spawn(self._read(bus.messages(), Courier(self._node, bus), spawn))
            spawn(self._tell(bus))
            await stop.wait()
            for task in tuple(tasks):
                task.cancel()

    # --- what comes in ---

    async def _read(self, messages: AsyncIterator[Incoming], courier: Courier, spawn: Spawn) -> None:
        async for incoming in messages:
            courier.opened(incoming, lambda opened, _: self._handle(opened, spawn))
            if self._charter is not self._node.charter:
                self._take_charter(spawn)

    def _handle(self, opened: Opened, spawn: Spawn) -> None:
        message = opened.message
        if isinstance(message, Frame):
            self.core.see_frame(message.number, time.monotonic_ns())
        elif isinstance(message, Verdict):
            self._judge(opened, message, spawn)

    def _judge(self, opened: Opened, verdict: Verdict, spawn: Spawn) -> None:
        if self.core.knows(verdict.miner, verdict.began):
            return  # before the dearer check: a verdict has as many certificates as publishers, and is retained
        if self._expired():
            self._keep(opened)
            return
        try:
            proven = verify_verdict(verdict, self._node.charters)
        except Rejected as rejected:
            if rejected.reason is Reason.UNKNOWN_CHARTER:
                self._keep(opened)
            raise
        if self.core.accept(opened.hash, proven, time.monotonic_ns()):
            self._node.log.info(
                "verdict on %s, offence %d, rung %d", verdict.miner, proven.began, proven.rung
            )
            spawn(self._reconcile_now(verdict.miner))

    def _keep(self, opened: Opened) -> None:
        """Judge it again when a charter comes."""
        self._early[opened.hash] = opened
        while len(self._early) > MAX_EARLY:
            del self._early[next(iter(self._early))]

    def _take_charter(self, spawn: Spawn) -> None:
        self._charter = self._node.charter
        self.core.take_charter(self._charter.charter)
        if not self.core.miners:
            self._node.log.warning("charter version %d gives us no miners", self._charter.charter.version)
        early, self._early = self._early, {}
        for opened in early.values():
            try:
                self._handle(opened, spawn)
            except Rejected as rejected:
                self._node.rejections.count(rejected, "a verdict that came before its charter")

    # --- miners ---

    async def _tick(self, spawn: Spawn) -> None:
        """Reconcile every miner once a period."""
        due, periods = time.monotonic(), 0
        while True:
            if not self._expired():
                self._hands.find(self.core.miners)
                for miner in list(self.core.miners):
                    hold = self._hands.hold(miner)
                    if hold is not None and is_quick(hold):
                        await self._reconcile(miner)
                        await asyncio.sleep(0)  # a verdict must not wait for the whole device
                    elif hold is not None and not self._locks[miner].locked():
                        spawn(self._reconcile_now(miner))
                periods += 1
                if periods % CHECKPOINT_PERIODS == 0:
                    self.core.checkpoint()
                self._commit()
            period_s = self._charter.charter.period_ms / 1000
            due = max(due + period_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

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
            if hold is None or miner not in self.core.miners:
                return
            try:
                seen = await self._hands.see(hold, books=self.core.keeps_books(miner))
                plan = self.core.look(seen, time.monotonic_ns())
                if plan.wish is not None and plan.steps:
                    seen = await self._hands.act(hold, plan.wish, plan.steps)
                elif plan.notes and seen.count is None:
                    seen = await self._hands.see(hold, books=True)
            except ContainerError as error:
                self._quiet.warning(f"miner {miner}", str(error))
                self._hands.look_again()
                return
            self.core.done(plan, seen, time.monotonic_ns(), wall_ms())

    def _expired(self) -> bool:
        if wall_ms() < self._charter.charter.expires_ms:
            return False
        self._quiet.warning("expired", "the charter has expired: nothing is enforced until a new one comes")
        return True

    # --- the disk, and what goes out ---

    def _commit(self) -> None:
        change = self.core.pending()
        if change is None:
            return
        try:
            self._store.commit(change, [self._node.signer.object(receipt) for receipt in change.receipts])
        except sqlite3.Error as error:
            self._quiet.warning("disk", f"nothing can be stored ({error}); what was done is kept in memory")
            return
        self.core.stored()
        for receipt in change.receipts:
            self._node.log.info("%s %s: %s", receipt.action, receipt.miner, receipt.reason)
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
            await Enforcer(node, store, hands, quiet).run(stop)
        finally:
            hands.close()
    finally:
        store.close()
