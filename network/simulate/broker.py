"""An MQTT 5 broker in memory, as far as the components can tell it from Mosquitto.

Kept from it: topic filters, QoS 0 and 1, retained messages, sessions that outlive connections, their bounded queues
(full: the newest goes, and its publisher sees success), message expiry, the access list (a denied PUBLISH is refused in
its PUBACK, a denied SUBSCRIBE is granted and filtered at delivery), one delivery a client however many of its filters
match, limits as in mosquitto/mosquitto.conf, and what a restart loses: with its default persistence everything
acknowledged since the last save, sessions, queues and retained messages included; with autosave on changes nothing
that was acknowledged.

Not kept: wills (hints for people), session expiry (a day) and the receive window, which shapes nothing here
but the order of QoS 0 and QoS 1 (`reorder` in link.py does that). That a connection ended both ends learn at the same
time; a broker that learns later queues later, and delivers the same.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paho.mqtt.client import topic_matches_sub

from mint.bus.options import Subscription
from mint.bus.outbox import Outgoing
from mint.component import NEVER_NS
from mint.names import Role
from mint.topics import Topics, may_read, may_write
from network.simulate.link import LATENCY_NS
from network.simulate.schedule import S, Schedule

if TYPE_CHECKING:
    from network.simulate.client import Connection

# mosquitto/mosquitto.conf: max_queued_messages with max_inflight_messages, and max_queued_bytes.
MAX_QUEUED = 2000 + 64
MAX_QUEUED_BYTES = 8 * 2**20
# Topics whose receivers are remembered; a liar that invents more only makes us match again.
MAX_ROUTES = 4096

# Called with every message that the broker accepts: sender, message.
Watch = Callable[[str, Outgoing], None]


@dataclass(slots=True, eq=False)
class Delivery:
    """A QoS 1 message on its way to a client; `acked_ns`: when the broker has its PUBACK."""

    message: Outgoing
    sender: str
    acked_ns: int = NEVER_NS


@dataclass(slots=True)
class _Session:
    """What the broker keeps of a client: its filters, what is under way to it, what waits for it."""

    name: str
    role: Role
    filters: dict[str, int] = field(default_factory=dict)
    in_flight: deque[Delivery] = field(default_factory=deque)
    queued_bytes: int = 0
    connection: Connection | None = None

    def settle(self, now_ns: int) -> None:
        """Forget what is acknowledged."""
        flying = self.in_flight
        while flying and flying[0].acked_ns <= now_ns:
            self.queued_bytes -= len(flying.popleft().message.payload)

    def copy(self) -> _Session:
        """As it is on disk: without a connection, nothing acknowledged that was not."""
        waiting = deque(Delivery(one.message, one.sender) for one in self.in_flight)
        return _Session(self.name, self.role, dict(self.filters), waiting, self.queued_bytes)


class Broker:
    """The broker of one fog; `members` are the nodes of its access list.

    `counters` counts by what: "published", "delivered", "denied", "dropped" (a full queue), "expired".
    """

    def __init__(self, schedule: Schedule, members: Mapping[str, Role], topics: Topics) -> None:
        self.up = True
        self.counters: Counter[str] = Counter()
        self.watches: list[Watch] = []
        self._schedule, self._members, self._topics = schedule, dict(members), topics
        self._sessions: dict[str, _Session] = {}
        self._retained: dict[str, tuple[str, Outgoing]] = {}
        self._routes: dict[str, tuple[tuple[_Session, int], ...]] = {}
        self._may_write: dict[tuple[str, str], bool] = {}
        self._saved: tuple[dict[str, _Session], dict[str, tuple[str, Outgoing]]] = ({}, {})

    # --- connections ---

    def connect(self, connection: Connection) -> bool:
        """A client is there (TLS has said who); whether we had kept its session. What waited for it goes out."""
        name = connection.name
        session = self._sessions.get(name)
        resumed = session is not None
        if session is None:
            session = self._sessions[name] = _Session(name, self._members[name])
        if session.connection is not None:
            session.connection.lose()  # MQTT 5, 3.1.4: whoever connects takes the session over
        session.connection = connection
        waiting, session.in_flight = session.in_flight, deque()
        session.queued_bytes = 0
        for delivery in waiting:
            if delivery.acked_ns > self._schedule.now_ns:
                self._deliver(session, delivery.sender, delivery.message, 1)
        return resumed

    def subscribe(self, connection: Connection, subscriptions: Iterable[Subscription]) -> None:
        """A SUBSCRIBE: granted whatever it asks for; what is retained goes out."""
        session = self._sessions[connection.name]
        for subscription in subscriptions:
            session.filters[subscription.filter] = subscription.qos
            for topic, (sender, message) in list(self._retained.items()):
                if topic_matches_sub(subscription.filter, topic) and self._may_read(session, topic):
                    self._deliver(session, sender, message, subscription.qos, retained=True)
        self._routes.clear()

    def disconnected(self, connection: Connection) -> None:
        """A connection is no more; its session stays."""
        session = self._sessions.get(connection.name)
        if session is not None and session.connection is connection:
            session.connection = None

    # --- messages ---

    def arrived(self, connection: Connection, packet_id: int, message: Outgoing) -> None:
        """A PUBLISH; QoS 1 is acknowledged, whether it was refused or not."""
        if not (connection.open or connection.flushes) or not self.up:
            return
        accepted = self.publish(connection.name, message)
        if message.qos and connection.open:
            connection.down.carry(connection.acknowledged, (packet_id, accepted), 1, "puback")

    def publish(self, sender: str, message: Outgoing) -> bool:
        """Hand a message to whoever listens; False where the access list denies it."""
        topic = message.topic
        key = (sender, topic)
        allowed = self._may_write.get(key)
        if allowed is None:
            allowed = self._allowed(sender, topic)
        if not allowed:
            self.counters["denied"] += 1
            return False
        self.counters["published"] += 1
        if message.retain:
            if message.payload:
                self._retained[topic] = (sender, message)
            else:
                self._retained.pop(topic, None)
        for watch in self.watches:
            watch(sender, message)
        route = self._routes.get(topic)
        if route is None:
            route = self._route(topic)
        for session, qos in route:
            self._deliver(session, sender, message, qos)
        return True

    def listened(self, topic: str) -> bool:
        """Whether anybody who may listens to a topic."""
        route = self._routes.get(topic)
        return bool(self._route(topic) if route is None else route)

    def _deliver(
        self, session: _Session, sender: str, message: Outgoing, qos: int, *, retained: bool = False
    ) -> None:
        connection = session.connection
        if message.expires_at is not None and message.expires_at * S <= self._schedule.now_ns:
            self.counters["expired"] += 1
            return
        if not (qos and message.qos):
            if connection is not None:
                stream = (sender, message.topic, 0)
                connection.down.carry(connection.arrived, (message, retained, None), 0, stream)
            return
        flying = session.in_flight
        if flying and flying[0].acked_ns <= self._schedule.now_ns:
            session.settle(self._schedule.now_ns)
        if len(flying) >= MAX_QUEUED or session.queued_bytes + len(message.payload) > MAX_QUEUED_BYTES:
            self.counters["dropped"] += 1
            return
        delivery = Delivery(message, sender)
        flying.append(delivery)
        session.queued_bytes += len(message.payload)
        if connection is not None:
            stream = (sender, message.topic, 1)
            connection.down.carry(connection.arrived, (message, retained, delivery), 1, stream)

    def acknowledged(self, delivery: Delivery) -> None:
        """The client has it, and its PUBACK is on its way."""
        self.counters["delivered"] += 1
        delivery.acked_ns = min(delivery.acked_ns, self._schedule.now_ns + LATENCY_NS)

    def expiry_s(self, message: Outgoing) -> int | None:
        """Seconds of its lifetime left, as a client is told."""
        if message.expires_at is None:
            return None
        return max(0, math.ceil(message.expires_at - self._schedule.now_ns / S))

    # --- who may, who listens ---

    def _allowed(self, sender: str, topic: str) -> bool:
        if len(self._may_write) >= MAX_ROUTES:
            self._may_write.clear()
        filters = may_write(self._members[sender], sender, self._topics)
        # Whoever runs the network publishes the charter with rights of their own (mint charter).
        allowed = any(topic_matches_sub(filter_, topic) for filter_ in filters)
        self._may_write[sender, topic] = allowed
        return allowed

    def _may_read(self, session: _Session, topic: str) -> bool:
        filters = may_read(session.role, session.name, self._topics)
        return any(topic_matches_sub(filter_, topic) for filter_ in filters)

    def _route(self, topic: str) -> tuple[tuple[_Session, int], ...]:
        if len(self._routes) >= MAX_ROUTES:
            self._routes.clear()
        found = []
        for session in self._sessions.values():
            levels = [qos for filter_, qos in session.filters.items() if topic_matches_sub(filter_, topic)]
            if levels and self._may_read(session, topic):
                found.append((session, max(levels)))
        route = self._routes[topic] = tuple(found)
        return route

    # --- the disk ---

    def save(self) -> None:
        """What Mosquitto's default does every half hour, and at its end: everything is on disk."""
        self._saved = {name: s.copy() for name, s in self._sessions.items()}, dict(self._retained)

    def stop(self, *, keeps: bool) -> None:
        """The broker is killed; it `keeps` what was acknowledged (autosave on changes), or what was saved last."""
        self.up = False
        if keeps:
            self.save()
        for session in self._sessions.values():
            if session.connection is not None:
                session.connection.lose()
        sessions, retained = self._saved
        self._sessions = {name: session.copy() for name, session in sessions.items()}
        self._retained = dict(retained)
        self._routes.clear()

    def start(self) -> None:
        """It is up again; clients come by themselves."""
        self.up = True
