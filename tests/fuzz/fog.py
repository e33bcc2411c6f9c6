"""A whole fog in memory: the real manager, detectors, enforcer and agents on a bus that hands everything on at once.

    fog = Fog(seed=1)
    fog.run(10)                      # seconds; whatever is told arrives before time goes on
    fog.say(topic, data)             # anybody says something
    fog.restart("det2")              # killed, and started again from its disk

Signatures are the simulator's, a hundred times as quick as Ed25519 and as strict. `laws` sees every call of a component
and everything that is told.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from agents.agent import Agent
from detectors.detector import Detector
from enforcer.enforcer import Enforcer, Look
from enforcer.ledger import Count
from enforcer.reconcile import Seen, Step, entitled
from mint.bus.options import Incoming
from mint.bus.quiet import Quiet
from mint.charter.model import replaced
from mint.charter.seal import seal
from mint.containers.model import Quota
from mint.effects import Effect, Keep, Now, Post, Say
from mint.envelope import Signer
from mint.keys import network_id
from mint.member import Member
from mint.messages.sample import State
from mint.names import Role
from mint.rejections import Rejections
from network.simulate.signing import HashKey, verifies
from tests.builders import BRACKET, MS, T0_MS, Edge, Net, S
from tests.fuzz.disks import DetectorDisk, EnforcerDisk
from tests.matching import matches
from twin_broker.manager import Manager
from twin_broker.storage import MemoryStorage

PPM = 1_000_000
START_NS = 1000 * S
# What was said lately, to be said again otherwise.
HEARD = 600
# Messages that one message may lead to before time goes on; more is a storm.
STORM = 3_000
# Ticks of one component in a second: what is asked for again comes once a second for each thing that is missing.
RESTLESS = 100
LOG = logging.getLogger("fuzz")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False
LOG.setLevel(logging.CRITICAL)

Part = Manager | Detector | Enforcer | Agent


class FastNet(Net):
    """tests.builders.Net with the simulator's signatures."""

    def __init__(self, miners: int = 4, devices: int = 2, detectors: int = 4) -> None:
        super().__init__(miners, devices, detectors)
        operator = HashKey("operator")
        self.keys = {name: HashKey(name) for name in self.roles}
        nodes = tuple(
            msgspec.structs.replace(node, key=self.keys[node.name].public) for node in self.charter.nodes
        )
        self.network, self.operator_key = network_id(operator.public), operator
        charter = replaced(self.charter, network=self.network, nodes=nodes)
        self.sealed = seal(charter, operator, verifies)

    def signer(self, name: str, session: int = 1) -> Signer:
        return Signer(name, self.keys[name], self.network, session)


class Laws(Protocol):
    """What is held against everything that happens (tests/fuzz/laws.py)."""

    def call(self, actor: Actor, what: str, work: Callable[[], Sequence[object]]) -> Sequence[object]:
        """Call a component, on `what`; its answer."""

    def told(self, actor: Actor, effect: Post | Say, data: bytes) -> None:
        """A component told something."""


class Actor:
    """One component with its member and its disk."""

    def __init__(self, fog: Fog, name: str) -> None:
        self.fog, self.name, self.role = fog, name, fog.net.roles[name]
        self.session = 0
        # How many more effects are carried out before it is killed; None: it is not.
        self.killed_in: int | None = None
        self.disk: MemoryStorage | DetectorDisk | EnforcerDisk | None = {
            Role.MANAGER: MemoryStorage,
            Role.DETECTOR: DetectorDisk,
            Role.ENFORCER: EnforcerDisk,
        }.get(self.role, lambda: None)()
        self.start()

    def start(self) -> None:
        """A new session, and a component made of what is on disk."""
        net, now = self.fog.net, self.fog.now
        self.session += 1
        rejections = Rejections(LOG, lambda: self.fog.now.monotonic_ns / S)
        self.member = Member(
            self.name,
            net.signer(self.name, self.session),
            net.operator_key.public,
            (net.sealed,),
            log=LOG,
            rejections=rejections,
        )
        match self.disk:
            case MemoryStorage() as disk:
                self.part: Part = Manager(self.member, disk, now)
            case DetectorDisk() as disk:
                self.part = Detector(self.member, disk, now)
            case EnforcerDisk() as disk:
                self.part = Enforcer(self.member, disk.load(), now, Quiet(LOG))
            case _:
                state = State(True, "docker", tuple(m.name for m in net.charter.miners_on(self.name)))
                self.part = Agent(self.member, state, now)
                self._state = state
        self.filters = [subscription.filter for subscription in self.part.subscriptions()]

    def hears(self, topic: str) -> bool:
        return any(matches(filter_, topic) for filter_ in self.filters)

    def connected(self) -> None:
        self._call("connected", lambda: self.part.connected(self.fog.now))

    def receive(self, incoming: Incoming) -> None:
        self._call(incoming.topic, lambda: self.part.receive(incoming, self.fog.now))

    def tick(self) -> None:
        """What is due."""
        part, now = self.part, self.fog.now
        if isinstance(part, Agent):
            sample = self.fog.edges[self.name].sample(now.monotonic_ns)
            self._call("tick", lambda: part.sampled(sample, self._state, now, connected=True))
        else:
            self._call("tick", lambda: part.tick(now))

    def _call(self, what: str, work: Callable[[], Sequence[Effect | Look]]) -> None:
        for effect in self.fog.laws.call(self, what, work):
            if self.killed_in is not None:
                self.killed_in -= 1
                if self.killed_in < 0:
                    self.killed_in = None
                    self.start()
                    self.connected()
                    return
            match effect:
                case Keep():
                    assert isinstance(self.disk, MemoryStorage | DetectorDisk)
                    self.disk.keep(effect.what)
                case Look():
                    self._look(effect.miner)
                case Post() | Say():
                    data = self.member.signed(effect, self.fog.now)
                    self.fog.laws.told(self, effect, data)
                    self.fog.publish(effect.topic, data)
                case _:
                    raise AssertionError(f"{effect!r} is no effect")
        if isinstance(self.part, Enforcer):
            self._store(self.part)

    def _look(self, miner: str) -> None:
        part, now = self.part, self.fog.now
        assert isinstance(part, Enforcer)
        plan = part.look(self._seen(part, miner), now)
        if plan is None:
            return
        for step in plan.steps:
            assert plan.wish is not None
            if step is Step.QUOTA:
                self.fog.set_quota(miner, plan.wish.quota)
            else:
                self.fog.frozen[miner] = step is Step.FREEZE
        part.done(plan, self._seen(part, miner), now)

    def _seen(self, part: Enforcer, miner: str) -> Seen:
        fog, now_ns = self.fog, self.fog.now.monotonic_ns
        edge = next(edge for edge in fog.edges.values() if miner in edge.miners)
        model = edge.miners[miner]
        count = None
        if part.keeps_books(miner):
            count = Count(edge.boot, model.epoch, now_ns, model.usage_ns(now_ns + BRACKET // 2))
        return Seen(miner, fog.quotas[miner], fog.frozen[miner], count)

    def _store(self, part: Enforcer) -> None:
        batch = part.pending()
        if batch is None:
            return
        assert isinstance(self.disk, EnforcerDisk)
        self.disk.commit(batch.change, batch.receipts)
        part.stored(batch)
        for data in batch.receipts:
            post = Post(self.member.topics.receipt(self.name), data)
            self.fog.laws.told(self, post, data)
            self.fog.publish(post.topic, data)


class Fog:
    """Everyone of a small network; `heard` is what was said lately, by anybody."""

    def __init__(self, laws: Laws, seed: int, *, miners: int = 4, devices: int = 2) -> None:
        self.laws, self.net = laws, FastNet(miners, devices)
        self.now = Now(START_NS, T0_MS + START_NS // MS)
        rng = random.Random(seed)
        self.edges = {
            device.name: Edge(self.net, device.name, random.Random(rng.random()))
            for device in self.net.charter.devices
        }
        self.quotas = {m.name: entitled(m.entitlement.cpu_ppm) for m in self.net.charter.miners}
        self.frozen = dict.fromkeys(self.quotas, False)
        self.heard: deque[tuple[str, bytes]] = deque(maxlen=HEARD)
        self._queue: deque[tuple[Actor, Incoming]] = deque()
        names = [name for name, role in self.net.roles.items() if role is not Role.CONSOLE]
        self.actors = {name: Actor(self, name) for name in names}
        for actor in self.actors.values():
            actor.connected()
        self.deliver()

    # --- the bus ---

    def say(self, topic: str, data: bytes, only: str | None = None) -> None:
        """Somebody outside says something (`only`: and it reaches one of those who listen)."""
        self.publish(topic, data, only)
        self.deliver()

    def publish(self, topic: str, data: bytes, only: str | None = None) -> None:
        """Something is on the bus; it arrives when whoever is at work has done all that it had to do."""
        self.heard.append((topic, data))
        for name, actor in self.actors.items():
            if only in (None, name) and actor.hears(topic):
                self._queue.append((actor, Incoming(topic, data, False, None, topic)))

    def deliver(self) -> None:
        """Everything that was said arrives, and whatever follows from it."""
        count = 0
        while self._queue:
            actor, incoming = self._queue.popleft()
            actor.receive(incoming)
            count += 1
            assert count < STORM, f"one message has led to {count} others, the last on {incoming.topic}"

    # --- time ---

    def run(self, seconds: float) -> None:
        """Let time pass, and everyone do what is due."""
        end_ns = self.now.monotonic_ns + round(seconds * S)
        ticks: Counter[tuple[str, int]] = Counter()
        while True:
            due_ns, name = min((actor.part.due_ns(), name) for name, actor in self.actors.items())
            if due_ns > end_ns:
                break
            # A component that is due again at once gets its turn a little later, as an event loop would have it.
            self._at(max(due_ns, self.now.monotonic_ns + MS))
            self.actors[name].tick()
            self.deliver()
            ticks[name, self.now.monotonic_ns // S] += 1
            assert ticks[name, self.now.monotonic_ns // S] < RESTLESS, f"{name} is due again and again"
        self._at(max(end_ns, self.now.monotonic_ns))

    def _at(self, monotonic_ns: int) -> None:
        self.now = Now(monotonic_ns, T0_MS + monotonic_ns // MS)

    # --- what people and devices do ---

    def restart(self, name: str) -> None:
        """Killed, and started again at once."""
        actor = self.actors[name]
        actor.start()
        actor.connected()
        self.deliver()

    def kill(self, name: str, effects: int) -> None:
        """Killed once it has carried out so many more effects, and started again at once."""
        self.actors[name].killed_in = effects

    def set_quota(self, miner: str, quota: Quota) -> None:
        """Somebody writes a miner's quota."""
        self.quotas[miner] = quota
        for edge in self.edges.values():
            if miner in edge.miners:
                assert quota.ppm is not None
                edge.miners[miner].factor = quota.ppm / edge.miners[miner].entitled_ppm

    def cheat(self, miner: str, factor: float = 2.0) -> None:
        """A miner raises its own quota."""
        ppm = next(one.entitlement.cpu_ppm for one in self.net.charter.miners if one.name == miner)
        self.set_quota(miner, Quota.of_ppm(round(ppm * factor)))

    def detectors(self) -> Iterator[tuple[str, DetectorDisk]]:
        """Every detector's name and disk."""
        for name, actor in self.actors.items():
            if isinstance(actor.disk, DetectorDisk):
                yield name, actor.disk

    @property
    def frame(self) -> int:
        """The number of the newest frame of the manager's log."""
        disk = self.actors["manager"].disk
        assert isinstance(disk, MemoryStorage)
        newest = disk.newest()
        return newest.number if newest else 0
