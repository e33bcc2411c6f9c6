"""A detector as a process: follows the log, lets the core judge each frame, stores before it votes, counts votes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from detectors.core import VOTE_EXPIRY_S, DetectorCore
from detectors.evidence import Shelf
from detectors.follower import Follower
from detectors.ssa.kernel import kernel
from detectors.store import Memory, MemoryStore
from detectors.tally import Met, Tally, assemble
from mint.bus.options import Incoming, Overflow, Subscription
from mint.charter.model import Device
from mint.courier import Courier, bus_of
from mint.effects import Post, Say
from mint.envelope import Opened, ReplayGuard, open_envelope
from mint.sign_bytes import Stream
from mint.errors import Rejected
from mint.messages.frame import Frame, FrameReply, FrameRequest
from mint.messages.judgement import Verdict, Vote
from mint.messages.sample import Sample
from mint.node import Node, wall_ms
from mint.verdict import verify_verdict

REQUEST_EXPIRY_S = 10
# Quorums whose proof has to be asked for; more than this at once are met again by the next votes.
MAX_UNPROVEN = 64
# Frames that wait for the charter they name: it is retained, so it comes within seconds or not at all.
MAX_HELD = 256
# Samples that prove a quorum are asked for again when they have not come after this many frames.
ASK_AGAIN = 3
# Frames between two prunings of votes.
PRUNE_EVERY = 64


class DetectorService:
    """Everything between the core and the world."""

    def __init__(self, node: Node, store: MemoryStore) -> None:
        self._node, self._store = node, store
        kernel()  # compiled now, where it never was, and not while a frame waits
        self._shelf = Shelf()
        memory = store.load()
        then = memory and node.charters.get(bytes.fromhex(memory.state["charter"]))
        self._core = DetectorCore(node.name, then or node.charter, node.signer, self._shelf)
        self._tally = Tally(node.charter.charter.quorum)
        self._replies = ReplayGuard(node.charter.charter.clock_tolerance_ms)
        self._follower = Follower()
        self._unproven: dict[tuple[str, int], Met] = {}
        self._held: list[tuple[Frame, bytes]] = []
        self._last_vote = memory.vote if memory else b""
        if memory is not None:
            self._core.restore(memory.state)
            self._follower = Follower(memory.number, memory.head, begun=True)
            node.log.info("continuing after frame %d", memory.number)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        topics = self._node.topics
        bus = bus_of(
            self._node,
            [
                Subscription(topics.charter(), limit=4),
                Subscription(topics.frame(), limit=256, overflow=Overflow.DROP_NEWEST),
                Subscription(topics.frame_reply(self._node.name), limit=16),
                Subscription(topics.sample("+"), limit=2048, qos=0),
                Subscription(topics.vote("+"), limit=1024, overflow=Overflow.DROP_NEWEST),
                Subscription(topics.verdict("+", "+"), limit=256, overflow=Overflow.DROP_NEWEST),
            ],
        )
        async with bus:
            courier = Courier(self._node, bus)
            if self._last_vote:  # it may not have been told; told twice it does no harm
                courier.send([self._vote_post(self._last_vote)])
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(bus.messages(), courier))
                asking = tasks.create_task(self._ask(courier))
                await stop.wait()
                reading.cancel()
                asking.cancel()

    async def _read(self, messages: AsyncIterator[Incoming], courier: Courier) -> None:
        sample_topics = {self._node.topics.sample(device.name): device.name for device in self._devices()}
        async for incoming in messages:
            device = sample_topics.get(incoming.topic)
            if device is not None:
                # Kept unopened: a frame names by hash those it rests on, the others are forgotten.
                self._shelf.sample(device, incoming.payload)
                continue
            before = self._node.charter
            courier.opened(incoming, lambda opened, _: self._handle(opened, courier))
            if self._node.charter is not before:
                sample_topics = {self._node.topics.sample(d.name): d.name for d in self._devices()}
                self._tally.quorum = self._node.charter.charter.quorum
                self._advance([], courier)  # frames may have waited for this charter

    def _devices(self) -> tuple[Device, ...]:
        return self._node.charter.charter.devices

    async def _ask(self, courier: Courier) -> None:
        """Ask for what is missing: frames by number, and samples that prove a quorum."""
        while True:
            await asyncio.sleep(0.25)
            missing = self._follower.missing(time.monotonic_ns())
            if missing is not None:
                self._request(*missing, courier, samples=False)

    def _request(self, first: int, count: int, courier: Courier, *, samples: bool) -> None:
        request = FrameRequest(self._node.name, first, count, samples)
        courier.send([Say(self._node.topics.frame_request(), request, qos=1, expiry_s=REQUEST_EXPIRY_S)])

    def _handle(self, opened: Opened, courier: Courier) -> None:
        message = opened.message
        if isinstance(message, Frame):
            self._advance(self._follower.take(opened), courier)
        elif isinstance(message, FrameReply):
            self._reply(opened, message, courier)
        elif isinstance(message, Vote):
            for met in self._tally.vote(opened, self._follower.number):
                self._publish(met, courier)
        elif isinstance(message, Verdict):
            verify_verdict(message, self._node.charters)  # a false one must not keep us from publishing
            self._tally.published(message.miner, message.began, message.frame)
            self._unproven.pop((message.miner, message.began), None)

    def _advance(self, ready: list[tuple[Frame, bytes]], courier: Courier) -> None:
        """Let the core judge the frames that are next; one whose charter is not known yet waits for it."""
        charters = self._node.charters
        self._held += ready
        passed = 0
        while self._held:
            frame, frame_hash = self._held[0]
            charter = charters.get(frame.charter)
            if charter is None:
                if len(self._held) <= MAX_HELD and not any(f.charter in charters for f, _ in self._held):
                    if len(self._held) == len(ready):
                        self._node.log.warning("frame %d names a charter that has not come yet", frame.number)
                    break
                passed += 1  # its charter is older than any that we know, or never comes: go on without
                del self._held[0]
                continue
            del self._held[0]
            step = self._core.step(frame, frame_hash, charter, self._follower.newest)
            if step.vote is not None:
                self._store.save(Memory(frame.number, frame_hash, self._core.state(), step.vote))
                courier.send([self._vote_post(step.vote)])
            courier.send(step.effects)
            if frame.number % PRUNE_EVERY == 0:
                self._tally.prune(frame.number)
                self._unproven.clear()  # what still stands meets its quorum again
        if passed:
            self._node.log.warning("%d frames are passed over, for their charter is not known here", passed)

    def _vote_post(self, vote: bytes) -> Post:
        return Post(self._node.topics.vote(self._node.name), vote, expiry_s=VOTE_EXPIRY_S)

    def _reply(self, opened: Opened, reply: FrameReply, courier: Courier) -> None:
        body = opened.body
        assert isinstance(body, Stream)  # noqa: S101 (the kind's table says so; this tells the type checker)
        self._replies.check(body, wall_ms())
        self._replies.accept(body)
        for data in reply.samples:
            sample = open_envelope(data, self._node.trust, expect="sample")
            if isinstance(sample.message, Sample):
                self._shelf.sample(sample.sender, data)
        frames = [open_envelope(data, self._node.trust, expect="frame") for data in reply.frames]
        numbers = [frame.message.number for frame in frames if isinstance(frame.message, Frame)]
        if numbers and not reply.samples:
            self._follower.replied(reply.asked, numbers[0])
        for frame in frames:
            self._advance(self._follower.take(frame), courier)
        for met in list(self._unproven.values()):
            self._publish(met, courier)

    def _publish(self, met: Met, courier: Courier) -> None:
        """Publish the verdict of a quorum, or ask for the samples that prove it."""
        verdict = assemble(met, self._node.charter.charter.fog, self._shelf.envelope)
        key = (met.miner, met.began)
        if verdict is None:
            asked = self._unproven.get(key)
            again = (
                len(self._unproven) < MAX_UNPROVEN if asked is None else met.frame >= asked.frame + ASK_AGAIN
            )
            if again:
                for ref in (met.accusation.first, met.accusation.last):
                    number = self._shelf.frame_of(ref.leaf)
                    if self._shelf.envelope(ref.leaf) is None and number is not None:
                        self._request(number, 1, courier, samples=True)
                self._unproven[key] = met
            return
        self._unproven.pop(key, None)
        topic = self._node.topics.verdict(self._node.name, met.miner)
        try:  # frames that say something else than the samples they rest on: nobody would believe us
            verify_verdict(verdict, self._node.charters)
        except Rejected as rejected:
            self._node.rejections.count(rejected, topic)
            return
        self._tally.published(met.miner, met.began, met.frame)
        courier.send([Post(topic, self._node.signer.object(verdict), retain=True)])
        self._node.log.info("verdict on %s: %s", met.miner, verdict.reason)


async def run(node: Node, stop: asyncio.Event) -> None:
    """Be a detector until `stop` is set.

    Raises:
        InputError: its memory is damaged.
    """
    await DetectorService(node, MemoryStore(node.options.state)).run(stop)
