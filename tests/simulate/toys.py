"""A small network of toy components on simulated hosts: enough to see what the machinery does to any component."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mint.bus.options import Incoming, Subscription
from mint.component import Component
from mint.effects import Effect, Keep, Now, Post
from mint.names import Role
from mint.topics import Topics
from network.simulate.broker import Broker
from network.simulate.charter import found
from network.simulate.client import Client
from network.simulate.clock import HostClock
from network.simulate.disks import Disk, Storage
from network.simulate.faults import Size
from network.simulate.history import History
from network.simulate.host import Do, Host, Start
from network.simulate.link import Link
from network.simulate.schedule import S, Schedule
from network.simulate.streams import stream

TOPICS = Topics("fog1")
MEMBERS = {
    "edge1": Role.AGENT,
    "edge2": Role.AGENT,
    "manager": Role.MANAGER,
    "det1": Role.DETECTOR,
    "det2": Role.DETECTOR,
    "enforcer": Role.ENFORCER,
    "console": Role.CONSOLE,
}
CHARTER = found(Size(4, 2, 4))


@dataclass
class Kept:
    """A disk that keeps the last thing."""

    things: list[Any] = field(default_factory=list)

    def keep(self, what: Any) -> None:
        self.things.append(what)

    def copy(self) -> Kept:
        return Kept(list(self.things))

    def power_lost(self) -> None: ...

    def booted(self) -> None: ...


class Toy:
    """Sends a number on its topic once a second, after it has stored it, and remembers what it heard."""

    def __init__(self, start: Start, topic: str | None, filters: Sequence[str], qos: int = 1) -> None:
        assert isinstance(start.storage, Kept)
        self.number = start.storage.things[-1] if start.storage.things else 0
        self.topic, self.filters, self.qos = topic, filters, qos
        self.due = start.now.monotonic_ns + S
        self.heard: list[Incoming] = []
        self.connections = 0

    def subscriptions(self) -> Sequence[Subscription]:
        return [Subscription(one, limit=8, qos=self.qos) for one in self.filters]

    def connected(self, now: Now) -> Sequence[Effect]:
        self.connections += 1
        return ()

    def receive(self, incoming: Incoming, now: Now) -> Sequence[Effect]:
        self.heard.append(incoming)
        return ()

    def due_ns(self) -> int:
        return self.due

    def tick(self, now: Now) -> Sequence[Effect]:
        self.due += S
        self.number += 1
        if self.topic is None:
            return ()
        return (Keep(self.number), Post(self.topic, str(self.number).encode(), qos=self.qos))


class Bench:
    """A schedule, a broker, and hosts that are added to them."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.schedule, self.history = Schedule(), History()
        self.broker = Broker(self.schedule, MEMBERS, TOPICS)
        self.hosts: dict[str, Host] = {}
        self.made: dict[str, list[Component]] = {}
        self.done: list[tuple[str, Effect | Do]] = []

    def client(self, name: str) -> Client:
        link = Link(self.schedule, stream(self.seed, name, "up"), stream(self.seed, name, "down"))
        return Client(name, self.schedule, self.broker, link, stream(self.seed, name, "backoff"))

    def add(
        self,
        name: str,
        make: Callable[[Start], Component],
        storage: Storage | None = None,
    ) -> Host:
        made = self.made.setdefault(name, [])

        def make_and_tell(start: Start) -> Component:
            made.append(make(start))
            return made[-1]

        host = self.hosts[name] = Host(
            name,
            schedule=self.schedule,
            client=self.client(name),
            clock=HostClock(name),
            disk=Disk({CHARTER.hash: CHARTER}, Kept() if storage is None else storage),
            make=make_and_tell,
            history=self.history,
            observe=lambda host, effect, _: self.done.append((host.name, effect)),
            lateness=stream(self.seed, name, "lateness"),
        )
        host.start()
        return host

    def toy(self, name: str, topic: str | None, *filters: str, qos: int = 1) -> Host:
        return self.add(name, lambda start: Toy(start, topic, filters, qos))

    def alive(self, name: str) -> Toy:
        component = self.hosts[name].component
        assert isinstance(component, Toy)
        return component

    def heard(self, name: str) -> list[int]:
        """The numbers that reached `name`, over all its lives."""
        return [int(one.payload) for toy in self.made[name] if isinstance(toy, Toy) for one in toy.heard]

    def run(self, seconds: float) -> None:
        self.schedule.run(self.schedule.now_ns + int(seconds * S))
