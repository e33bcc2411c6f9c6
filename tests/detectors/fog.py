"""A whole fog in memory around detectors: the real manager, detectors and agents, a bus that may lose and delay, disks.

    fog = Fog()
    fog.run(20)                                # periods
    fog.cheat("m03")
    fog.down("det2", 30)                       # killed, and started again from its disk after so many periods
    fog.lost = lambda sender, receiver, topic: ...

What everyone said is in `votes`, `verdicts` and `faults`. A second vote on a frame, and a vote that was not kept before
it was cast, fail at once.
"""

from __future__ import annotations

import heapq
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec

from agents.agent import Agent
from detectors.detector import Detector
from detectors.store import MemoryStorage
from mint.bus.options import Incoming
from mint.charter.model import Resume, replaced
from mint.charter.seal import SealedCharter, seal
from mint.effects import Keep, Now, Post, Say
from mint.envelope import Opened, Signer, object_hash, open_envelope
from mint.errors import Rejected
from mint.frames import frame_in
from mint.keys import network_id
from mint.member import Member
from mint.messages.fault import Fault, FaultKind
from mint.messages.frame import Frame
from mint.messages.judgement import Verdict, Vote
from mint.messages.sample import State
from mint.names import Role
from mint.rejections import Rejections
from mint.verdict import verify_verdict
from network.simulate.signing import HashKey, verifies
from tests.builders import MS, T0_MS, Edge, Net, S
from tests.matching import matches
from twin_broker import storage as of_manager
from twin_broker.manager import Manager

START_NS = 1000 * S
DELAY_NS = 2 * MS
LOG = logging.getLogger("mint.fog")
LOG.propagate = False
LOG.addHandler(logging.NullHandler())

# Of a message: who sent it, who is to hear it, on which topic.
Who = Callable[[str, str, str], bool]


class FastNet(Net):
    """A network whose signatures are the simulator's: a keyed hash."""

    def __init__(self, miners: int = 4, devices: int = 2, detectors: int = 4, **changes: Any) -> None:
        super().__init__(miners, devices, detectors, **changes)
        self.signs = HashKey("operator")
        self.keys = {name: HashKey(name) for name in self.roles}
        self.network = network_id(self.signs.public)
        nodes = tuple(msgspec.structs.replace(n, key=self.keys[n.name].public) for n in self.charter.nodes)
        self.sealed = self.seal(replaced(self.charter, network=self.network, nodes=nodes))

    def seal(self, charter: Any) -> SealedCharter:
        return seal(charter, self.signs, verifies)

    def next_version(self, **changes: object) -> SealedCharter:
        return self.seal(replaced(self.charter, **({"version": self.charter.version + 1} | changes)))

    def signer(self, name: str, session: int = 1) -> Signer:
        return Signer(name, self.keys[name], self.network, session)

    def with_key(self, name: str, key: HashKey, **changes: object) -> SealedCharter:
        """The next version, where a node has another key."""
        nodes = tuple(
            msgspec.structs.replace(n, key=key.public) if n.name == name else n for n in self.charter.nodes
        )
        return self.next_version(nodes=nodes, **changes)


class Part:
    """One component with its member and its disk."""

    def __init__(self, fog: Fog, name: str) -> None:
        self.fog, self.name, self.role = fog, name, fog.net.roles[name]
        self.key, self.session, self.up = fog.net.keys[name], 0, False
        self.charters = [fog.net.sealed]
        self.disk: Any = of_manager.MemoryStorage() if self.role is Role.MANAGER else MemoryStorage()
        self.crash_in: int | None = None
        self.wakes_ns = -1
        self.life = 0

    def start(self) -> None:
        self.session += 1
        self.life += 1
        self.up, self.crash_in, self.wakes_ns = True, None, -1
        fog = self.fog
        signer = Signer(self.name, self.key, fog.net.network, self.session)
        rejections = Rejections(LOG, lambda: fog.now_ns / S)
        self.member = Member(
            self.name, signer, fog.net.signs.public, self.charters, log=LOG, rejections=rejections
        )
        if self.role is Role.MANAGER:
            self.part: Any = Manager(self.member, self.disk, fog.now)
        elif self.role is Role.DETECTOR:
            self.part = Detector(self.member, self.disk, fog.now)
        else:
            self.part = Agent(self.member, self.state, fog.now)
        self.filters = [one.filter for one in self.part.subscriptions()]
        for topic, data in fog.retained.items():  # it subscribes before it says anything
            fog.deliver("broker", self, topic, data)
        self.carry_out(self.part.connected(fog.now))

    @property
    def state(self) -> State:
        return State(True, "docker", tuple(m.name for m in self.fog.net.charter.miners_on(self.name)))

    def stop(self) -> None:
        self.up, self.life = False, self.life + 1
        self.charters = list(self.member.charters.values())

    def receive(self, topic: str, data: bytes, life: int) -> None:
        if self.up and life == self.life:
            self.carry_out(self.part.receive(Incoming(topic, data, False, None, topic), self.fog.now))

    def wake(self, at_ns: int, life: int) -> None:
        if not self.up or life != self.life or at_ns != self.wakes_ns:  # it was set to an earlier time since
            return
        self.wakes_ns = -1
        if self.part.due_ns() > self.fog.now_ns:
            self.carry_out(())
        elif isinstance(self.part, Agent):
            sample = self.fog.edges[self.name].sample(self.fog.now_ns)
            self.carry_out(self.part.sampled(sample, self.state, self.fog.now, connected=True))
        else:
            self.carry_out(self.part.tick(self.fog.now))

    def carry_out(self, effects: Iterable[Any]) -> None:
        fog = self.fog
        for effect in effects:
            if self.crash_in is not None:
                if self.crash_in == 0:
                    fog.down(self.name, fog.back_after)
                    return
                self.crash_in -= 1
            if isinstance(effect, Keep):
                self.disk.keep(effect.what)
            else:
                fog.told(self, effect, self.member.signed(effect, fog.now))
        due_ns = max(self.part.due_ns(), fog.now_ns + MS)
        if self.wakes_ns < 0 or due_ns < self.wakes_ns:
            self.wakes_ns = due_ns
            fog.at(due_ns, self.wake, due_ns, self.life)


class Fog:
    """Everyone; nodes by name in `parts`."""

    def __init__(self, net: FastNet | None = None, seed: int = 1, off: Iterable[str] = ()) -> None:
        self.net = net or FastNet()
        self.now_ns = START_NS
        self.rng = random.Random(seed)
        self.lost: Who = lambda sender, receiver, topic: False
        self.delay_ns: Callable[[str, str, str], int] = lambda sender, receiver, topic: DELAY_NS
        self.enforce, self.back_after = True, 3.0
        self.charters = {self.net.sealed.hash: self.net.sealed}
        self.topics = self.net.sealed.topics()
        self.edges = {
            d.name: Edge(self.net, d.name, random.Random(f"{seed} {d.name}"))
            for d in self.net.charter.devices
        }
        self.frames: dict[int, Frame] = {}
        self.votes: dict[str, dict[int, Vote]] = defaultdict(dict)
        self.told_votes: dict[tuple[str, bytes, int], bytes] = {}
        self.verdicts: list[Verdict] = []
        self.faults: list[tuple[str, Fault]] = []
        self.said: list[tuple[str, str, bytes]] = []
        self.retained: dict[str, bytes] = {}
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        names = (Role.MANAGER, Role.DETECTOR, Role.AGENT)
        self.parts = {name: Part(self, name) for name, role in self.net.roles.items() if role in names}
        for name, part in self.parts.items():
            if name not in off:
                part.start()

    # --- time ---

    @property
    def now(self) -> Now:
        return Now(self.now_ns, T0_MS + self.now_ns // MS)

    def at(self, at_ns: int, work: Callable[..., None], *what: Any) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_ns, self._count, work, what))

    def run(self, periods: float) -> None:
        end_ns = self.now_ns + round(periods * S)
        while self._queue and self._queue[0][0] <= end_ns:
            at_ns, _, work, what = heapq.heappop(self._queue)
            self.now_ns = max(self.now_ns, at_ns)
            work(*what)
        self.now_ns = end_ns

    def run_until(self, done: Callable[[], bool], most: int = 200) -> None:
        for _ in range(most):
            if done():
                return
            self.run(1)
        raise AssertionError(f"not within {most} periods")

    # --- the bus ---

    def told(self, part: Part, effect: Post | Say, data: bytes) -> None:
        self.said.append((part.name, effect.topic, data))
        self._look(part, effect, data)
        self.publish(part.name, effect.topic, data, retain=isinstance(effect, Post) and effect.retain)

    def publish(self, sender: str, topic: str, data: bytes, *, retain: bool = False) -> None:
        if retain:
            self.retained[topic] = data
        for part in self.parts.values():
            self.deliver(sender, part, topic, data)

    def deliver(self, sender: str, part: Part, topic: str, data: bytes) -> None:
        if not part.up or not any(matches(one, topic) for one in part.filters):
            return
        if not self.lost(sender, part.name, topic):
            delay_ns = self.delay_ns(sender, part.name, topic)
            self.at(self.now_ns + delay_ns, part.receive, topic, data, part.life)

    def say(self, name: str, topic: str, data: bytes) -> None:
        """One node hears something, at once."""
        part = self.parts[name]
        part.receive(topic, data, part.life)

    def _look(self, part: Part, effect: Post | Say, data: bytes) -> None:
        if effect.topic == self.topics.frame():
            frame = frame_in(data)
            self.frames[frame.number] = frame
        elif effect.topic == self.topics.vote(part.name):
            self._voted(part, data)
        elif "/verdict/" in effect.topic:
            verdict = self.opened(data).message
            assert isinstance(verdict, Verdict)
            verify_verdict(verdict, self.charters)
            self.verdicts.append(verdict)
            if self.enforce:
                self.cheat(verdict.miner, 0.5)
        elif effect.topic == self.topics.fault(part.name):
            fault = self.opened(data).message
            assert isinstance(fault, Fault)
            self.faults.append((part.name, fault))

    def _voted(self, part: Part, data: bytes) -> None:
        vote = self.opened(data).message
        assert isinstance(vote, Vote)
        memory = part.disk.memory()
        assert memory is not None, "a vote is kept before it is cast"
        assert memory.vote == data, "a vote is kept before it is cast"
        other = self.told_votes.setdefault((part.name, part.key.public, vote.frame), data)
        assert other == data, f"{part.name} voted twice on frame {vote.frame}"
        self.votes[part.name][vote.frame] = vote

    def opened(self, data: bytes) -> Opened:
        """An envelope under whichever charter it opens."""
        for sealed in self.charters.values():
            with suppress(Rejected):
                return open_envelope(data, sealed.trust())
        raise AssertionError("no charter opens it")

    # --- what befalls ---

    def down(self, name: str, periods: float) -> None:
        """Killed where it is; it starts again from its disk after so many periods."""
        part = self.parts[name]
        part.stop()
        self.at(self.now_ns + round(periods * S), self.up, name)

    def up(self, name: str) -> None:
        if not self.parts[name].up:
            self.parts[name].start()

    def reconnect(self, name: str) -> None:
        part = self.parts[name]
        part.carry_out(part.part.connected(self.now))

    def charter(self, sealed: SealedCharter) -> None:
        """The operator publishes a charter."""
        self.charters[sealed.hash] = sealed
        self.publish("operator", self.topics.charter(), sealed.data, retain=True)

    def resume(self, number: int, frame_hash: bytes, version: int = 2, **changes: object) -> SealedCharter:
        sealed = self.net.next_version(version=version, resume=Resume(number, frame_hash), **changes)
        self.charter(sealed)
        return sealed

    def cheat(self, miner: str, factor: float = 2.0) -> None:
        for edge in self.edges.values():
            if miner in edge.miners:
                edge.miners[miner].factor = factor

    # --- what came of it ---

    def detector(self, name: str) -> Detector:
        part = self.parts[name].part
        assert isinstance(part, Detector)
        return part

    def number(self, name: str) -> int:
        """The frame that a detector judged last."""
        return self.detector(name)._course.follower.number

    def numbers(self) -> list[int]:
        return [self.number(name) for name in self.net.detectors]

    @property
    def newest(self) -> int:
        return max(self.frames, default=0)

    def hash_of(self, number: int, name: str = "det1") -> bytes:
        (kept,) = self.parts[name].disk.log.frames(number, 1)
        assert kept.number == number
        return bytes(kept.hash)

    def data_of(self, number: int, name: str = "det1") -> bytes:
        (kept,) = self.parts[name].disk.log.frames(number, 1)
        assert kept.number == number
        return bytes(kept.data)

    def kinds(self, *names: str) -> list[FaultKind]:
        """The kinds of faults that were told (by these)."""
        return [fault.kind for name, fault in self.faults if not names or name in names]

    def forged(self, of: int, /, by: HashKey | None = None, **changes: Any) -> bytes:
        """Frame number `of` of the log with changes, signed by the manager."""
        frame = msgspec.structs.replace(frame_in(self.data_of(of)), **changes)
        return Signer("manager", by or self.net.keys["manager"], self.net.network).object(frame)

    def check_logs(self) -> None:
        """Every detector's copy of the log is the same, as far as they have it."""
        hashes: dict[int, bytes] = {}
        for name in self.net.detectors:
            for kept in self.parts[name].disk.log.frames(0, 1 << 20):
                assert object_hash(kept.data) == kept.hash
                assert hashes.setdefault(kept.number, kept.hash) == kept.hash, (name, kept.number)
