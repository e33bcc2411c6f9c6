"""The twin manager as a process: feeds the core from the bus, stores what it closes, then tells of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from mint.boot import boot_id
from mint.bus.bus import Bus
from mint.bus.options import Incoming, Overflow, Subscription
from mint.courier import Courier, bus_of
from mint.effects import Say
from mint.envelope import Opened, ReplayGuard
from mint.sign_bytes import Stream
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash
from mint.messages.frame import MAX_REPLY_FRAMES, FrameReply, FrameRequest
from mint.messages.judgement import Verdict
from mint.messages.receipt import Receipt
from mint.messages.sample import Sample
from mint.node import Node, wall_ms
from mint.verdict import verify_verdict
from twin_broker.core import TwinManager
from twin_broker.store import FrameStore, StoredFrame, frame_in

DATABASE = "frames.sqlite"
# A reply stays below the broker's packet limit with room for its envelope.
MAX_REPLY_BYTES = 512 * 1024
REPLY_EXPIRY_S = 30
# Samples may have waited in the agent's ring of 60 while the broker was away.
RING_PERIODS = 60


class ManagerService:
    """Everything between the core and the world."""

    def __init__(self, node: Node, store: FrameStore) -> None:
        self._node, self._store = node, store
        self._charter = node.charter
        charter = node.charter.charter
        tolerance_ms = charter.clock_tolerance_ms
        self._samples = ReplayGuard(tolerance_ms, tolerance_ms + RING_PERIODS * charter.period_ms)
        self._requests = ReplayGuard(tolerance_ms)
        self.core = TwinManager(node.charter, node.signer, time.monotonic_ns())
        self._changed = asyncio.Event()
        newest = store.newest()
        if newest is not None:
            self.core.resume(frame_in(newest.data), newest.hash, store.clocks(), store.decisions())
            node.log.info("continuing after frame %d", newest.number)
        self._republish = newest

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        topics = self._node.topics
        bus = bus_of(
            self._node,
            [
                Subscription(topics.charter(), limit=4),
                Subscription(topics.sample("+"), limit=4096),
                Subscription(topics.verdict("+", "+"), limit=1024, overflow=Overflow.DROP_NEWEST),
                Subscription(topics.receipt("+"), limit=1024, overflow=Overflow.DROP_NEWEST),
                Subscription(topics.frame_request(), limit=64, overflow=Overflow.DROP_NEWEST),
            ],
        )
        async with bus:
            courier = Courier(self._node, bus)
            # The charter reaches those who come later from the broker; the newest frame may not have been told.
            bus.post(topics.charter(), self._node.charter.data, retain=True)
            if self._republish is not None:
                courier.send([self.core.frame_post(self._republish.data)])
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(bus.messages(), courier))
                ticking = tasks.create_task(self._tick(bus, courier))
                await stop.wait()
                reading.cancel()
                ticking.cancel()

    async def _read(self, messages: AsyncIterator[Incoming], courier: Courier) -> None:
        async for incoming in messages:
            courier.opened(incoming, lambda opened, incoming: self._handle(opened, courier))
            self._changed.set()

    async def _tick(self, bus: Bus, courier: Courier) -> None:
        """Close a frame whenever one is due; wakes early when something came."""
        while True:
            wait_s = (self.core.due_ns() - time.monotonic_ns()) / 1e9
            if wait_s > 0:
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                continue
            if self._charter is not self._node.charter:
                self._charter = self._node.charter
                # We may have put an older one in its place when we started.
                bus.post(self._node.topics.charter(), self._charter.data, retain=True)
                self.core.take_charter(self._charter)
            closed = self.core.close(time.monotonic_ns(), wall_ms())
            self._store.append(closed)
            courier.send(closed.effects)

    def _handle(self, opened: Opened, courier: Courier) -> None:
        message = opened.message
        if isinstance(message, Sample):
            self._sample(opened, courier)
        elif isinstance(message, Verdict):
            self.core.verdict(opened.hash, verify_verdict(message, self._node.charters))
        elif isinstance(message, Receipt):
            self.core.receipt(opened.hash, message.miner, restored=message.action == "restore")
        elif isinstance(message, FrameRequest):
            self._answer(opened, message, courier)

    def _sample(self, opened: Opened, courier: Courier) -> None:
        body = opened.body
        assert isinstance(body, Stream)  # noqa: S101 (the kind's table says so; this tells the type checker)
        try:
            self._samples.check(body, wall_ms())
        except Rejected as rejected:
            # Sent again because our word that it is stored got lost: the core gives it once more.
            if rejected.reason is not Reason.REPLAYED:
                raise
        said = self.core.sample(opened, time.monotonic_ns())
        if said is not None:
            courier.send([said])
            return
        self._samples.accept(body)

    def _answer(self, opened: Opened, request: FrameRequest, courier: Courier) -> None:
        """Frames asked for by number, as they were published."""
        body = opened.body
        assert isinstance(body, Stream)  # noqa: S101 (the kind's table says so; this tells the type checker)
        self._requests.check(body, wall_ms())
        self._requests.accept(body)
        if request.client != opened.sender:
            raise Rejected(Reason.IMPOSSIBLE, f"{opened.sender} asks in the name of {request.client}")
        frames: list[bytes] = []
        samples: list[bytes] = []
        size = 0
        for stored in self._store.range(request.first, min(request.count, MAX_REPLY_FRAMES)):
            brought = rested_on(stored) if request.samples else ()
            size += len(stored.data) + sum(map(len, brought))
            if frames and size > MAX_REPLY_BYTES:
                break
            frames.append(stored.data)
            samples.extend(brought)
        reply = FrameReply(request.first, self.core.number, tuple(frames), tuple(samples))
        topic = self._node.topics.frame_reply(request.client)
        courier.send([Say(topic, reply, qos=1, expiry_s=REPLY_EXPIRY_S)])


async def run(node: Node, stop: asyncio.Event) -> None:
    """Be the manager of a fog until `stop` is set.

    Raises:
        InputError: the frame log cannot be opened.
    """
    store = FrameStore(node.options.state / DATABASE, boot_id())
    try:
        await ManagerService(node, store).run(stop)
    finally:
        store.close()


def rested_on(stored: StoredFrame) -> tuple[bytes, ...]:
    """The samples that a frame names: after a broker's outage it has a ring of others, too large for a reply."""
    leaves = {entry.leaf for entry in frame_in(stored.data).devices}
    return tuple(sample for sample in stored.samples if leaf_hash(sample) in leaves)
