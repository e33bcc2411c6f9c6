"""The manager with a bus, a clock and a disk in memory, and detectors that do nothing but keep frames and answer.

fog = Fog()
fog.run(5)          # periods; whatever is told or asked arrives at once
"""

from __future__ import annotations

import copy
import itertools
import logging
import random
from collections import deque
from collections.abc import Iterable

import msgspec
import pytest

from mint.answers import Answers
from mint.bus.options import Incoming
from mint.charter.model import Node, Resume
from mint.charter.seal import SealedCharter
from mint.effects import Effect, Keep, Now, Post, Say
from mint.envelope import ReplayGuard, Signer, object_hash, open_envelope
from mint.frame_log import Kept
from mint.frame_rules import check_frame, check_step
from mint.frames import LogFrame, open_frame
from mint.keys import Key
from mint.member import Member
from mint.merkle import leaf_hash
from mint.messages.frame import FrameReply, FrameRequest
from mint.messages.sample import Ack
from mint.names import Role
from mint.rejections import Rejections
from tests.builders import MS, T0_MS, Edge, Net, S, key_of
from twin_broker.manager import Manager
from twin_broker.storage import Append, Cut, MemoryStorage, Stored

START = 1000 * S


def now_at(monotonic_ns: int) -> Now:
    """The time, as the devices of tests/builders.py have it too."""
    return Now(monotonic_ns, T0_MS + monotonic_ns // MS)


def member(net: Net, *charters: SealedCharter, name: str = "manager", key: Key | None = None) -> Member:
    """A member that keeps its charters in memory."""
    log = logging.getLogger(f"mint.{name}")
    signer = Signer(name, key or key_of(name), net.network, 1)
    return Member(
        name,
        signer,
        net.operator.public,
        charters or (net.sealed,),
        log=log,
        rejections=Rejections(log, lambda: 0.0),
    )


def with_manager(net: Net, name: str, key: Key) -> tuple[Node, ...]:
    """The nodes of a network, of which another is the manager."""
    return tuple(
        msgspec.structs.replace(node, name=name, key=key.public) if node.role is Role.MANAGER else node
        for node in net.charter.nodes
    )


def said(caplog: pytest.LogCaptureFixture, level: int = logging.ERROR) -> list[str]:
    """What was said in the log, of this level and above."""
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


class Holder:
    """A detector as far as the manager sees one: what it heard, and its answers (`silent`: none)."""

    def __init__(self, net: Net, name: str) -> None:
        self.name, self.silent = name, False
        self.log = MemoryStorage()
        self.signer = net.signer(name)
        self.asked: list[FrameRequest] = []
        self.answers = Answers(name, self.log, self._proofs)
        self.guard = ReplayGuard(120_000)

    def hear(self, kept: Kept, proofs: Iterable[bytes] = ()) -> None:
        """A frame, with what it rests on."""
        self.log.keep(Append((Stored(kept, tuple(proofs), ()),), {}))

    def _proofs(self, kept: Kept) -> tuple[bytes, ...]:
        return self.log.samples(kept.number)


class Fog:
    """A manager, its disk, and holders; `told` is every frame that was told, in order, `proofs` what each rests on."""

    def __init__(self, net: Net | None = None) -> None:
        self.net = net or Net(miners=4, devices=2)
        self.now = now_at(START)
        self.charters = {self.net.sealed.hash: self.net.sealed}
        self.holders = {name: Holder(self.net, name) for name in self.net.detectors}
        self.edges = [Edge(self.net, d.name, random.Random(1)) for d in self.net.charter.devices]
        self.storage = MemoryStorage()
        self.member = member(self.net)
        self.told: list[LogFrame] = []
        self.proofs: dict[bytes, tuple[bytes, ...]] = {}
        self.acks: list[Ack] = []
        self.posts: list[Post] = []
        self._queue: deque[Incoming] = deque()
        self._sessions = 1
        self.start()

    # --- the manager ---

    def start(self, who: Member | None = None) -> None:
        """Start a manager on the disk there is: the first, another, or one that was killed."""
        if who is not None:
            self.member = who
        self._sessions += 1
        self.member.signer = Signer(
            self.member.name, self.member.signer._key, self.net.network, self._sessions
        )
        self.manager = Manager(self.member, self.storage, self.now)
        self.carry(self.manager.connected(self.now))

    def disk(self) -> MemoryStorage:
        """The disk as it is now."""
        return copy.deepcopy(self.storage)

    def charter(self, sealed: SealedCharter) -> None:
        """The operator publishes a charter."""
        self.charters[sealed.hash] = sealed
        self.receive(self.member.topics.charter(), sealed.data)

    def receive(self, topic: str, data: bytes) -> None:
        self.carry(self.manager.receive(self.incoming(topic, data), self.now))

    def incoming(self, topic: str, data: bytes) -> Incoming:
        return Incoming(topic, data, False, None, topic)

    def carry(self, effects: Iterable[Effect]) -> None:
        """Carry out effects, and whatever follows from them at once."""
        for effect in effects:
            if isinstance(effect, Keep):
                self.storage.keep(effect.what)
                continue
            data = self.member.signed(effect, self.now)
            if isinstance(effect, Post):
                self.posts.append(effect)
                self._frame(effect, data)
            else:
                self._said(effect, data)
        while self._queue:
            self.carry(self.manager.receive(self._queue.popleft(), self.now))

    def _frame(self, post: Post, data: bytes) -> None:
        if post.topic != self.member.topics.frame():
            return
        frame = open_frame(data, self.charters, topic=post.topic)
        newest = self.storage.newest()
        assert newest is not None
        assert newest.hash == frame.hash, "kept before it is told"
        if frame.hash in {one.hash for one in self.told}:
            return
        check_frame(frame.frame, frame.charter.charter)
        before = [one for one in self.told if one.hash == frame.frame.previous]
        if before:
            check_step(before[-1].frame, frame.frame, frame.charter.charter)
        self.told.append(frame)
        self.proofs[frame.hash] = self.storage.samples(frame.number) + self.storage.verdicts(frame.number)
        for holder in self.holders.values():
            if not holder.silent:
                self.hears(holder, frame)

    def _said(self, say: Say, data: bytes) -> None:
        if isinstance(say.message, Ack):
            self.acks.append(say.message)
        if not isinstance(say.message, FrameRequest):
            return
        opened = open_envelope(data, self.member.trust, topic=say.topic)
        for holder in self.holders.values():
            if say.message.holder == holder.name:
                holder.asked.append(say.message)
            if not holder.silent:
                for reply in holder.answers.answer(opened, holder.guard, self.member.topics, self.now):
                    self.reply(holder, reply.message)

    def hears(self, holder: Holder, *frames: LogFrame) -> None:
        """A holder has come to know frames, with what they rest on."""
        holder.silent = False
        for frame in frames:
            holder.hear(Kept(frame.number, frame.hash, frame.data), self.proofs[frame.hash])

    def reply(self, holder: Holder, message: msgspec.Struct) -> None:
        """An answer of a holder arrives."""
        topic = self.member.topics.frame_reply(self.member.name)
        self._queue.append(self.incoming(topic, holder.signer.stream(message, topic, self.now.wall_ms)))

    def silence(self, *names: str) -> None:
        """These holders neither hear nor answer any more."""
        for name in names:
            self.holders[name].silent = True

    def cut(self, number: int) -> None:
        """Every holder has heard of a charter, and forgets what is void by it."""
        for holder in self.holders.values():
            holder.log.keep(Cut(number))

    def answer(self, holder: Holder, request: FrameRequest) -> FrameReply:
        """What the manager answers when this holder asks."""
        self.run(0.1, sampled=False)
        topic = self.member.topics.frame_request()
        data = holder.signer.stream(request, topic, self.now.wall_ms)
        effects = self.manager.receive(self.incoming(topic, data), self.now)
        (reply,) = [effect.message for effect in effects if isinstance(effect, Say)]
        assert isinstance(reply, FrameReply)
        return reply

    # --- time ---

    def run(self, periods: float, *, sampled: bool = True) -> None:
        """Let time pass; every device sends a sample a period."""
        end_ns = self.now.monotonic_ns + round(periods * S)
        while self.now.monotonic_ns < end_ns:
            until_ns = min(end_ns, self.now.monotonic_ns + S)
            if sampled:
                for edge in self.edges:
                    self.sample(edge)
            self._pass(until_ns)

    def sample(self, edge: Edge) -> bytes:
        data = edge.sealed(self.now.monotonic_ns)
        self.receive(self.member.topics.sample(edge.name), data)
        return data

    def _pass(self, until_ns: int) -> None:
        while (due_ns := self.manager.due_ns()) <= until_ns:
            self._at(max(due_ns, self.now.monotonic_ns))
            self.carry(self.manager.tick(self.now))
        self._at(until_ns)

    def _at(self, monotonic_ns: int) -> None:
        self.now = now_at(monotonic_ns)

    # --- what came of it ---

    @property
    def numbers(self) -> list[int]:
        return [frame.number for frame in self.told]

    def resume_at(self, number: int) -> Resume:
        """What a charter says that has the log go on after this frame."""
        return Resume(number, self.kept(number).hash)

    def kept(self, number: int) -> Kept:
        (kept,) = self.storage.frames(number, 1)
        assert kept.number == number
        return kept

    def check_chain(self) -> None:
        """What is kept is one chain, each frame with the samples that it rests on."""
        frames = [open_frame(kept.data, self.charters) for kept in self.storage.frames(1, 1 << 20)]
        for before, frame in itertools.pairwise(frames):
            assert (frame.number, frame.frame.previous) == (before.number + 1, before.hash)
        for frame in frames:
            leaves = {leaf_hash(sample) for sample in self.storage.samples(frame.number)}
            assert {entry.leaf for entry in frame.frame.devices if entry.leaf} <= leaves
            assert object_hash(frame.data) == frame.hash
