"""The bus that components speak over: one MQTT client that keeps itself connected.

    async with Bus(options, subscriptions=[...], rng=random.Random(), log=log) as bus:
        bus.post(topics.sample(device), payload, expiry_s=60)
        async for message in bus.messages(): ...

A background task dials, connects, subscribes and starts again for ever. Everything between the application and
the wire is bounded (inbox.py, outbox.py); what is shed or refused is counted, and said at most once a minute.
All calls are made on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

from paho.mqtt.client import MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from mint.bus.connection import Connection
from mint.bus.dial import dial
from mint.bus.inbox import Inbox
from mint.bus.options import BusOptions, Incoming, Subscription, Will
from mint.bus.outbox import Outbox, Outgoing
from mint.bus.quiet import Quiet
from mint.certificates import client_context
from mint.errors import BusError, InputError

# Backoff: the first try after 0.1 s on average costs nobody anything; a fleet that lost its broker tries about
# four times a minute and device.
BACKOFF_FIRST_S, BACKOFF_CAP_S = 0.1, 30.0
# A connection that lasted this long was good; one that is thrown out at once must not be tried at full speed.
STABLE_S = 5.0
DIAL_S = 10.0
# What is posted without an expiry is an object, valid whenever it arrives: an hour outlasts a broker's outage.
KEEP_S = 3600.0
PUBLISH_S = 10.0
# Leaving waits this long for what is still to be sent.
FLUSH_S = 2.0
# Fixed header, packet id, lengths and properties of a PUBLISH, generously.
OVERHEAD_BYTES = 64

_log = logging.getLogger("mint.bus")


def backoff_s(attempt: int, rng: random.Random) -> float:
    """Seconds before try `attempt` (0, 1, ...): exponential with full jitter."""
    return rng.uniform(0.0, min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2 ** min(attempt, 16)))


class Bus:
    """An MQTT client for the life of a process; `async with` runs it.

    `connected` is set while subscribed and able to send. `counters` counts by (what, which): ("received", filter),
    ("shed", filter), ("unwanted", ""), ("published", ""), ("refused", MQTT's reason), ("dropped", why), and tries to
    connect by ("connections", "") and ("failed", "").

    Raises (on entering):
        InputError: a certificate file is missing or wrong.
    """

    def __init__(
        self,
        options: BusOptions,
        *,
        will: Will | None = None,
        subscriptions: Sequence[Subscription] = (),
        rng: random.Random,
        log: logging.Logger = _log,
    ) -> None:
        self.options = options
        self.connected = asyncio.Event()
        self.counters: Counter[tuple[str, str]] = Counter()
        self._will, self._subscriptions, self._rng = will, tuple(subscriptions), rng
        self._log, self._quiet = log, Quiet(log)
        self._inbox = Inbox(self._subscriptions)
        self._outbox = Outbox()
        self._connection: Connection | None = None
        self._callbacks: list[Callable[[bool], None]] = []
        self._drained = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._leaving = False

    # --- for the application ---

    def messages(self) -> AsyncIterator[Incoming]:
        """Messages in order of arrival, over all connections, until the bus is left; for one consumer."""
        return self._inbox

    def on_connect(self, callback: Callable[[bool], None]) -> None:
        """Call `callback(resumed)` after every (re)connection; it may `post`, and must not block.

        `resumed`: the broker kept our session, and with it what was queued for us meanwhile.
        """
        self._callbacks.append(callback)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: float | None = None,
        timeout_s: float = PUBLISH_S,
    ) -> None:
        """Send, and return when the broker has acknowledged (QoS 0: when it is on the way).

        `expiry_s`: seconds after which the broker need not deliver it any more.

        Raises:
            BusError: the broker refused it (`reason` is MQTT's), or did not acknowledge within `timeout_s`.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._send(topic, payload, qos, retain=retain, expiry_s=expiry_s, keep_s=timeout_s, done=done)
        try:
            async with asyncio.timeout(timeout_s):
                await done
        except TimeoutError:
            reason = "timed out" if self.connected.is_set() else "not connected"
            raise BusError(f"{topic} was not acknowledged within {timeout_s:g} s", reason) from None

    def post(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: float | None = None
    ) -> None:
        """Send when possible, in order, and never block: bounded, tried again on every connection until acknowledged.

        After `expiry_s` (an hour where there is none) it is given up. QoS 0 is sent once, without acknowledgement.
        """
        self._send(topic, payload, qos, retain=retain, expiry_s=expiry_s, keep_s=KEEP_S, done=None)

    async def flush(self, timeout_s: float = FLUSH_S) -> bool:
        """Wait until all that was posted is acknowledged or given up; False when that took longer than `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self._outbox):
                    self._drained.clear()
                    await self._drained.wait()
        except TimeoutError:
            return False
        return True

    async def __aenter__(self) -> Self:
        self._context()  # says at once what is wrong with the files
        self._task = asyncio.create_task(self._run(), name=f"bus {self.options.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.connected.is_set():
                await self.flush()
            self._leaving = True
            if self._connection is not None:
                await self._connection.leave(with_will=self._will is not None and self._will.on_leave)
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
            for message in self._outbox.empty():
                self._give_up(message, "left")
            self._inbox.close()

    # --- keeping connected ---

    def _context(self) -> ssl.SSLContext:
        return client_context(self.options.ca, self.options.cert, self.options.key)

    async def _run(self) -> None:
        attempt = 0
        while not self._leaving:
            try:
                if await self._once():
                    attempt = 0
            except (BusError, InputError) as error:
                self.counters["failed", ""] += 1
                self._quiet.warning("connect", f"{self.options.name}: {error}; trying again")
            except Exception:  # whatever it is, a component that stops listening for ever is worse
                self._log.exception(
                    "%s: the bus failed in a way it should not; trying again", self.options.name
                )
            await asyncio.sleep(backoff_s(attempt, self._rng))
            attempt += 1

    async def _once(self) -> bool:
        """One connection, from dialling to its end; whether it was a good one."""
        connection = await self._open()
        self._quiet.forget("connect")
        since = time.monotonic()
        reason = await self._serve(connection)
        good = time.monotonic() - since >= STABLE_S
        if not self._leaving:
            advice = "connecting again"
            if not good:  # Mosquitto 2.0.11 ends a session that was taken over without a word
                advice += "; does another process use the same certificate?"
            self._quiet.warning("lost", f"{self.options.name}: connection lost ({reason}); {advice}")
        return good

    async def _open(self) -> Connection:
        options = self.options
        try:
            async with asyncio.timeout(DIAL_S):
                sock = await dial(options.host, options.port, self._context())
        except TimeoutError:
            raise BusError(
                f"the broker at {options.host}:{options.port} did not answer in {DIAL_S:g} s"
            ) from None
        connection = Connection(options, self._will, self._deliver, self._acknowledged, self._pump)
        try:
            await connection.open(sock)
            codes = await connection.subscribe_all(self._subscriptions)
        except BaseException:
            connection.drop()
            sock.close()
            raise
        for subscription, code in zip(self._subscriptions, codes, strict=False):
            if code.is_failure:
                self.counters["refused", str(code)] += 1
                self._quiet.warning(
                    f"subscribe {subscription.filter}",
                    f"{options.name} may not read {subscription.filter}: {code}",
                )
        return connection

    async def _serve(self, connection: Connection) -> str:
        """Be connected; the reason why it ended."""
        self._connection = connection
        self.counters["connections", ""] += 1
        self.connected.set()
        self._log.info("%s: connected to %s:%d", self.options.name, self.options.host, self.options.port)
        try:
            for callback in self._callbacks:
                try:
                    callback(connection.resumed)
                except Exception:
                    self._log.exception("%s: a callback on connection failed", self.options.name)
            self._pump()
            return await asyncio.shield(connection.closed)
        finally:
            self.connected.clear()
            self._connection = None
            connection.drop()
            self._outbox.connection_lost()

    # --- out ---

    def _send(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        *,
        retain: bool,
        expiry_s: float | None,
        keep_s: float,
        done: asyncio.Future[None] | None,
    ) -> None:
        if qos not in (0, 1) or not topic or "+" in topic or "#" in topic:
            raise ValueError(f"cannot publish to {topic!r} with QoS {qos}")
        now = time.monotonic()
        expires_at = None if expiry_s is None else now + expiry_s
        gives_up_at = now + keep_s if expires_at is None else min(now + keep_s, expires_at)
        message = Outgoing(topic, payload, qos, retain, gives_up_at, expires_at, done)
        for shed in self._outbox.add(message):
            self._give_up(shed, "outbox full")
        self._pump()

    def _pump(self) -> None:
        """Send as much of the outbox as the window and the socket take."""
        connection = self._connection
        while (
            connection is not None
            and not self._leaving
            and not connection.full
            and self._outbox.in_flight < connection.window
            and (message := self._outbox.next()) is not None
        ):
            if message.done is not None and message.done.done():
                continue  # nobody waits for it any more
            now = time.monotonic()
            if now >= message.gives_up_at:
                self._give_up(message, "expired")
            elif len(message.payload) + len(message.topic) + OVERHEAD_BYTES > connection.max_packet_size:
                self._give_up(message, "oversize")  # sent, it would cost us the connection
            else:
                expiry_s = None if message.expires_at is None else math.ceil(message.expires_at - now)
                packet_id = connection.send(
                    message.topic, message.payload, message.qos, retain=message.retain, expiry_s=expiry_s
                )
                if packet_id is None:
                    self._outbox.put_back(message)
                    break
                if message.qos:
                    self._outbox.sent(packet_id, message)
                else:
                    self._sent(message)
        if not len(self._outbox):
            self._drained.set()

    def _acknowledged(self, packet_id: int, code: ReasonCode) -> None:
        message = self._outbox.acknowledged(packet_id)
        if message is None:
            return
        if code.is_failure:
            self.counters["refused", str(code)] += 1
            self._fail(message, f"the broker refused {message.topic}", str(code))
        else:
            self._sent(message)
        self._pump()

    def _sent(self, message: Outgoing) -> None:
        self.counters["published", ""] += 1
        if message.done is not None and not message.done.done():
            message.done.set_result(None)

    def _give_up(self, message: Outgoing, why: str) -> None:
        self.counters["dropped", why] += 1
        self._fail(message, f"gave up sending {message.topic} ({len(message.payload)} bytes)", why)

    def _fail(self, message: Outgoing, what: str, reason: str) -> None:
        if message.done is None:
            self._quiet.warning(f"out {reason}", f"{self.options.name}: {what}: {reason}")
        elif not message.done.done():
            message.done.set_exception(BusError(what, reason))

    # --- in ---

    def _deliver(self, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self.counters["unwanted", ""] += 1
            return
        index = self._inbox.which(topic)
        if index is None:  # of a subscription that an earlier start of this program made in this session
            self.counters["unwanted", ""] += 1
            return
        name = self._subscriptions[index].filter
        self.counters["received", name] += 1
        expiry_s = getattr(message.properties, "MessageExpiryInterval", None)
        shed = self._inbox.put(
            index, Incoming(topic, bytes(message.payload), bool(message.retain), expiry_s, name)
        )
        if shed:
            self.counters["shed", name] += shed
            self._quiet.warning(f"shed {name}", f"{self.options.name}: more than it can take on {name}: shed")
