"""A node's end of the bus: what mint/bus/bus.py does, on virtual time, with its own outbox and inbox.

It connects, and connects again for ever with the same backoff; what is posted meanwhile waits in the bounded outbox,
and what was sent and not acknowledged is sent again on the next connection. Messages go straight to the node; while
that stands still (a stopped process) they wait in the bounded inbox.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from mint.bus.bus import DIAL_S, KEEP_S, OVERHEAD_BYTES, STABLE_S, backoff_s
from mint.bus.connection import WINDOW
from mint.bus.inbox import Inbox
from mint.bus.options import KEEPALIVE_S, Incoming, Subscription
from mint.bus.outbox import Outbox, Outgoing
from network.simulate.broker import Broker, Delivery
from network.simulate.link import Link, Way
from network.simulate.schedule import MS, S, Schedule

# TCP, TLS 1.3, CONNECT and SUBSCRIBE: four round trips.
HANDSHAKE_NS = 8 * MS
# A connection on which nothing passes is given up: a broker waits one and a half keepalives.
SILENCE_NS = KEEPALIVE_S * S * 3 // 2
# mosquitto/mosquitto.conf: max_packet_size.
MAX_PACKET = 1_114_112

Receive = Callable[[Incoming], None]
Heard = Callable[[Outgoing], None]


class Connection:
    """One connection of one client; `open` until either end has lost it.

    `flushes`: its client has died, and its kernel still sends what the client had written.
    """

    __slots__ = ("_client", "down", "flushes", "name", "open", "since_ns", "up")

    def __init__(self, client: Client, link: Link, since_ns: int) -> None:
        self._client = client
        self.name = client.name
        self.up: Way = link.up
        self.down: Way = link.down
        self.open, self.flushes = True, False
        self.since_ns = since_ns

    def arrived(self, message: Outgoing, retained: bool, delivery: Delivery | None) -> None:
        """A message reached the client."""
        if self.open:
            self._client.take(message, retained, delivery)

    def acknowledged(self, packet_id: int, accepted: bool) -> None:
        """A PUBACK reached the client."""
        if self.open:
            self._client.acknowledged(packet_id, accepted)

    def lose(self) -> None:
        """It breaks."""
        if self.open:
            self._client.lost()


class Client:
    """The bus of one node; `receive` gets every message, `connected` is called on every connection.

    `counters` counts by what: "connections", "failed", "dropped", "refused", "shed", "unwanted".
    """

    def __init__(self, name: str, schedule: Schedule, broker: Broker, link: Link, rng: random.Random) -> None:
        self.name = name
        self.counters: Counter[str] = Counter()
        self.link = link
        self._schedule, self._broker, self._rng = schedule, broker, rng
        self._connection: Connection | None = None
        self._life = 0  # one number a start and end: what an earlier one scheduled is void
        self._packets = 0
        self._attempt = 0
        self._still = False

    @property
    def online(self) -> bool:
        """Whether a connection stands."""
        return self._connection is not None

    def start(
        self,
        subscriptions: Sequence[Subscription],
        receive: Receive,
        connected: Callable[[], None],
        heard: Heard = lambda _: None,
    ) -> None:
        """The process begins, with nothing of before; `heard` gets what the broker has acknowledged."""
        self._life += 1
        self._subscriptions, self._receive, self._connected = tuple(subscriptions), receive, connected
        self._heard = heard
        self._inbox, self._outbox = Inbox(self._subscriptions), Outbox()
        self._attempt, self._still = 0, False
        self._dial(self._life)

    def stop(self, *, flushes: bool) -> None:
        """The process is gone, and what it had not written to its connection; what it had, where that `flushes`."""
        self._life += 1
        if self._connection is not None:
            self._connection.flushes = flushes
        self._close()

    def freeze(self) -> None:
        """The process stands still: what comes waits."""
        self._still = True

    def thaw(self) -> None:
        """It goes on, with what has come meanwhile."""
        self._still = False
        life = self._life
        while life == self._life and (incoming := self._inbox.pop()) is not None:
            self._receive(incoming)

    # --- out ---

    def listened(self, topic: str) -> bool:
        """Whether anybody listens to a topic."""
        return self._broker.listened(topic)

    def post(self, topic: str, payload: bytes, qos: int, retain: bool, expiry_s: float | None) -> None:
        """Send when possible, in order."""
        now = self._schedule.now_ns / S
        expires = None if expiry_s is None else now + expiry_s
        gives_up = now + KEEP_S if expires is None else expires
        message = Outgoing(topic, payload, qos, retain, gives_up, expires)
        outbox, connection = self._outbox, self._connection
        flying = outbox.in_flight
        if connection is not None and flying < WINDOW and len(outbox) == flying:
            self._send(connection, message)
            return
        self.counters["dropped"] += len(outbox.add(message))
        self._pump()

    def _pump(self) -> None:
        connection, outbox = self._connection, self._outbox
        while connection is not None and outbox.in_flight < WINDOW and (message := outbox.next()) is not None:
            if self._schedule.now_ns >= message.gives_up_at * S:
                self.counters["dropped"] += 1
            else:
                self._send(connection, message)

    def _send(self, connection: Connection, message: Outgoing) -> None:
        if len(message.payload) + len(message.topic) + OVERHEAD_BYTES > MAX_PACKET:
            self.counters["dropped"] += 1
            return
        packet = 0
        if message.qos:
            packet = self._packets = self._packets + 1
            self._outbox.sent(packet, message)
        connection.up.carry(
            self._broker.arrived, (connection, packet, message), message.qos, (message.topic, message.qos)
        )

    def acknowledged(self, packet_id: int, accepted: bool) -> None:
        """The PUBACK of what was sent as `packet_id`."""
        message = self._outbox.acknowledged(packet_id)
        if message is None:
            return
        if accepted:
            self._heard(message)
        else:
            self.counters["refused"] += 1
        if len(self._outbox) > self._outbox.in_flight:
            self._pump()

    # --- in ---

    def take(self, message: Outgoing, retained: bool, delivery: Delivery | None) -> None:
        """A message came."""
        if delivery is not None:
            self._broker.acknowledged(delivery)
        topic = message.topic
        index = self._inbox.which(topic)
        if index is None:  # of a subscription of an earlier start
            self.counters["unwanted"] += 1
            return
        incoming = Incoming(
            topic,
            message.payload,
            retained,
            None if message.expires_at is None else self._broker.expiry_s(message),
            self._subscriptions[index].filter,
        )
        if self._still:
            self.counters["shed"] += self._inbox.put(index, incoming)
        else:
            self._receive(incoming)

    # --- keeping connected ---

    def _dial(self, life: int) -> None:
        if life != self._life:
            return
        if not self.link.whole:  # nobody answers
            self._schedule.at(self._schedule.now_ns + int(DIAL_S * S), self._failed, life)
        else:
            self._schedule.at(self._schedule.now_ns + HANDSHAKE_NS, self._open, life)

    def _open(self, life: int) -> None:
        if life != self._life:
            return
        if not (self._broker.up and self.link.whole):
            self._failed(life)
            return
        connection = self._connection = Connection(self, self.link, self._schedule.now_ns)
        self.counters["connections"] += 1
        self._broker.connect(connection)
        self._broker.subscribe(connection, self._subscriptions)
        self._connected()
        if connection.open:
            self._pump()

    def _failed(self, life: int) -> None:
        if life == self._life:
            self.counters["failed"] += 1
            self._again()

    def _again(self) -> None:
        wait_ns = int(backoff_s(self._attempt, self._rng) * S)
        self._attempt += 1
        self._schedule.at(self._schedule.now_ns + wait_ns, self._dial, self._life)

    def lost(self) -> None:
        """The connection broke; there will be another."""
        connection = self._connection
        if connection is None:
            return
        if self._schedule.now_ns - connection.since_ns >= STABLE_S * S:
            self._attempt = 0
        self._close()
        self._outbox.connection_lost()
        self._again()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.open = False
            self._broker.disconnected(connection)
            self.link.cut()

    # --- partitions ---

    def part(self) -> None:
        """Nothing passes between us and the broker any more."""
        self.link.part()
        if self._connection is not None:
            self._schedule.at(self._schedule.now_ns + SILENCE_NS, self._silent, self._connection)

    def heal(self) -> None:
        """A partition is over."""
        self.link.heal()

    def _silent(self, connection: Connection) -> None:
        silent_ns = self._schedule.now_ns - self.link.parted_ns
        if connection is self._connection and not self.link.whole and silent_ns >= SILENCE_NS:
            self.lost()
