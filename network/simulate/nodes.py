"""The components on simulated hosts: the very same cores, between the simulated bus, disk, clock and hands.

The twin manager and the detectors are components as they are. An agent's core and an enforcer's have a service around
them in production (agents/service.py, enforcer/service.py); the nodes here do what those do, without the waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from agents.agent import Agent
from detectors.detector import Detector
from enforcer.enforcer import Enforcer, Look
from enforcer.handling import see, take
from mint.bus.options import Incoming, Subscription
from mint.bus.quiet import Quiet
from mint.effects import Effect, Keep, Now, Post, Say
from mint.messages.sample import Sample, State
from network.simulate.device import Device, SimHold
from network.simulate.disks import DetectorDisk, EnforcerDisk, ManagerDisk
from network.simulate.host import Do, Node, Start
from network.simulate.schedule import S
from twin_broker.manager import Manager

Read = Callable[[], Sample]


def manager(start: Start) -> Node:
    """The twin manager."""
    assert isinstance(start.storage, ManagerDisk)  # noqa: S101 (fog.py gives it one)
    return Manager(start.member, start.storage, start.now)


def detector(start: Start) -> Node:
    """A detector."""
    assert isinstance(start.storage, DetectorDisk)  # noqa: S101 (fog.py gives it one)
    return Detector(start.member, start.storage, start.now)


class AgentNode:
    """An agent between its device and its core: agents/service.py."""

    def __init__(self, start: Start, device: Device, read: Read) -> None:
        self._host, self._read = start.host, read
        self._state = State(True, "simulated", tuple(device.containers))
        self.agent = Agent(start.member, self._state, start.now)

    def subscriptions(self) -> Sequence[Subscription]:
        """The charter, and what the manager has stored."""
        return self.agent.subscriptions()

    def connected(self, now: Now) -> Sequence[Effect]:
        """The birth, and every sample that is not acknowledged."""
        return self.agent.connected(now)

    def receive(self, incoming: Incoming, now: Now) -> Sequence[Effect]:
        """An acknowledgement, or a charter."""
        return self.agent.receive(incoming, now)

    def due_ns(self) -> int:
        """The next sample."""
        return self.agent.due_ns()

    def tick(self, now: Now) -> Sequence[Effect]:
        """Read every miner, and say it."""
        return self.agent.sampled(self._read(), self._state, now, connected=self._host.client.online)


class Hands:
    """An enforcer between its core and the containers of its device: enforcer/service.py."""

    def __init__(self, start: Start, device: Device) -> None:
        assert isinstance(start.storage, EnforcerDisk)  # noqa: S101 (fog.py gives it one)
        self._disk, self._host, self._device = start.storage, start.host, device
        self._boot = device.clock.boot
        self._topic = start.member.topics.receipt(start.member.name)
        self._holds: Mapping[str, SimHold] = {
            miner: device.hold(miner, start.member.name) for miner in device.containers
        }
        quiet = Quiet(start.member.log, lambda: start.host.now().monotonic_ns / S)
        self.enforcer = Enforcer(start.member, start.storage.load(), start.now, quiet)
        self._telling: int | None = None

    def subscriptions(self) -> Sequence[Subscription]:
        """What the enforcer listens to."""
        return self.enforcer.subscriptions()

    def connected(self, now: Now) -> Iterable[Effect | Do]:
        """Receipts that nobody has heard are told."""
        yield from self._after(self.enforcer.connected(now))

    def receive(self, incoming: Incoming, now: Now) -> Iterable[Effect | Do]:
        """A message came."""
        asked = self.enforcer.receive(incoming, now)
        return self._after(asked) if asked else ()

    def due_ns(self) -> int:
        """The next look at every miner."""
        return self.enforcer.due_ns()

    def tick(self, now: Now) -> Iterable[Effect | Do]:
        """Look at every miner."""
        return self._after(self.enforcer.tick(now))

    def acknowledged(self, topic: str, data: bytes) -> Iterable[Effect | Do]:
        """The broker has a receipt: the next one is told."""
        number = self._telling
        if topic == self._topic and number is not None and self._disk.outbox.get(number) == data:
            self._disk.acknowledged(number)
            self._telling = None
            yield from self._tell()

    def _after(self, asked: Iterable[Look | Say]) -> Iterator[Effect | Do]:
        """Look, do what is to be done, store it, tell of it."""
        for one in asked:
            if isinstance(one, Say):
                yield one
            else:
                yield from self._reconcile(one.miner)
        batch = self.enforcer.pending()
        if batch is not None:
            yield Keep(batch)
            self.enforcer.stored(batch)
        yield from self._tell()

    def _reconcile(self, miner: str) -> Iterator[Do]:
        hold = self._holds.get(miner)
        if hold is None:
            return
        seen = see(hold, self._boot, books=self.enforcer.keeps_books(miner))
        plan = self.enforcer.look(seen, self._host.now())
        if plan is None:
            return
        if plan.wish is not None and plan.steps:
            for step in plan.steps:
                yield Do(partial(take, hold, step, plan.wish))
            seen = see(hold, self._boot, books=True)
        elif plan.notes and seen.count is None:
            seen = see(hold, self._boot, books=True)
        self.enforcer.done(plan, seen, self._host.now())

    def _tell(self) -> Iterator[Post]:
        """Tell the oldest receipt that waits, if none is being told."""
        waiting = self._disk.waiting()
        if waiting is not None and self._telling is None:
            self._telling, data = waiting
            yield Post(self._topic, data)
