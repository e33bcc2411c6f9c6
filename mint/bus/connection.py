"""One MQTT connection, from CONNECT to its end: aiomqtt's client, where it says less than the protocol does.

aiomqtt wires paho-mqtt to the event loop. What this subclass does otherwise, and why:

- the socket is made by mint/bus/dial.py: aiomqtt connects in a thread, which can be neither cancelled nor
  relied on to close the socket of a failed handshake;
- reason codes of PUBACK and SUBACK are kept (aiomqtt's `publish` succeeds on "Not authorized");
- a connection that ends before CONNACK ends at once, with its reason (aiomqtt waits for its timeout);
- messages go straight to their receiver: aiomqtt's iterator makes a task for every message;
- what is written in one turn of the loop is flushed once, without registering the socket for writing.

It leans on private names of aiomqtt 2.5 and paho-mqtt 2; the tests run all of them.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import aiomqtt
from aiomqtt.types import PahoSocket
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from mint.bus.options import BusOptions, Subscription, Will
from mint.errors import BusError

# What may be in flight at most; a broker that can take less says so in CONNACK.
WINDOW = 64
# How long the broker may take over CONNACK, SUBACK or our DISCONNECT: loopback takes 1 ms, a bad radio link seconds.
ANSWER_S = 10.0
LEAVE_S = 2.0


class Connection(aiomqtt.Client):
    """A connection over an open TLS socket; used once.

    `deliver` gets every message, `acknowledged` every PUBACK (packet id, reason), `writable` is called when a
    socket that was full takes data again. None of them may raise. `closed` is done, with the reason as text, when
    the connection is no more.
    """

    def __init__(
        self,
        options: BusOptions,
        will: Will | None,
        deliver: Callable[[MQTTMessage], None],
        acknowledged: Callable[[int, ReasonCode], None],
        writable: Callable[[], None],
    ) -> None:
        self._last_error = _LastError()
        super().__init__(
            options.host,
            options.port,
            identifier=options.name,
            protocol=aiomqtt.ProtocolVersion.V5,
            keepalive=options.keepalive_s,
            clean_start=False,  # a session opened clean is never persisted by Mosquitto
            max_inflight_messages=0,  # the window is ours
            will=_paho_will(will),
            properties=_connect_properties(options.session_expiry_s),
            logger=self._last_error.logger,
        )
        self._options, self._deliver, self._acknowledged = options, deliver, acknowledged
        self._writable = writable
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self._disconnected.add_done_callback(self._broken)
        self._refusal = ""
        self.resumed = False
        self.window = WINDOW
        self.max_packet_size = 2**28 - 1  # MQTT 5, 2.1.4
        self.full = False

    async def open(self, sock: ssl.SSLSocket) -> None:
        """CONNECT over `sock`, which is this connection's from here on.

        Raises:
            BusError: the broker refused us, or did not answer.
        """
        self._client._create_socket = lambda: sock  # type: ignore[method-assign] # the way in for a ready socket
        self._client.connect(
            self._options.host,
            self._options.port,
            self._options.keepalive_s,
            clean_start=False,
            properties=self._properties,
        )
        await self._answer(self._connected, "CONNECT")

    async def subscribe_all(self, subscriptions: Sequence[Subscription]) -> list[ReasonCode]:
        """SUBSCRIBE to all in one packet; the SUBACK's codes in their order.

        Raises:
            BusError: the connection was lost, or the broker did not answer.
        """
        if not subscriptions:
            return []
        _, packet_id = self._client.subscribe(
            [(s.filter, SubscribeOptions(qos=s.qos)) for s in subscriptions]
        )
        if packet_id is None:
            raise BusError("cannot subscribe", "connection lost")
        answer: asyncio.Future[tuple[int, ...] | list[ReasonCode]] = self._loop.create_future()
        self._pending_subscribes[packet_id] = answer
        await self._answer(answer, "SUBSCRIBE")
        return [code for code in answer.result() if isinstance(code, ReasonCode)]

    def send(self, topic: str, payload: bytes, qos: int, *, retain: bool, expiry_s: int | None) -> int | None:
        """PUBLISH; the packet id, or None when the connection is lost."""
        info = self._client.publish(topic, payload, qos, retain, _publish_properties(expiry_s))
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    async def leave(self, *, with_will: bool) -> None:
        """DISCONNECT, on purpose; `with_will`: the broker is to publish the will all the same."""
        if not self.closed.done():
            name = "Disconnect with will message" if with_will else "Normal disconnection"
            self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, name))
            await asyncio.wait([self.closed], timeout=LEAVE_S)
        self.drop()

    def drop(self) -> None:
        """Close the socket, whatever state the connection is in."""
        self._client._sock_close()
        self._end("dropped")
        for future in (self._connected, self._disconnected):
            future.cancel()
        if self._misc_task is not None:
            self._misc_task.cancel()

    async def _answer(self, answer: asyncio.Future[Any], to: str) -> None:
        await asyncio.wait([answer, self.closed], timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return
        broker = f"the broker at {self._hostname}:{self._port}"
        if not self.closed.done():
            raise BusError(f"{broker} did not answer {to} in {ANSWER_S:g} s")
        # In TLS 1.3 the server judges a client's certificate after the handshake, and may just hang up.
        why = self._refusal or f"is its certificate of this network? {self.closed.result()}"
        raise BusError(f"{broker} refused {self._options.name}", why)

    def _end(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)

    def _broken(self, disconnected: asyncio.Future[None]) -> None:
        """The socket callbacks of aiomqtt put what they caught into `disconnected`."""
        if not disconnected.cancelled() and (error := disconnected.exception()) is not None:
            self._end(str(error))

    # --- what paho-mqtt calls, all on the loop's thread ---

    def _on_connect(
        self,
        client: Paho,
        userdata: object,
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if reason_code.is_failure:
            self._refusal = str(reason_code)
            self._end(self._refusal)
        elif not self._connected.done():
            self.resumed = flags.session_present
            self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
            self.max_packet_size = getattr(properties, "MaximumPacketSize", self.max_packet_size)
            self._connected.set_result(None)

    def _on_disconnect(
        self,
        client: Paho,
        userdata: object,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._end(str(reason_code))
        elif reason_code.getName() == "Unspecified error":  # paho's word for a socket that ended
            self._end(self._last_error.text or "closed by the broker")
        else:
            self._end(str(reason_code))

    def _on_message(self, client: Paho, userdata: object, message: MQTTMessage) -> None:
        self._deliver(message)

    def _on_publish(
        self, client: Paho, userdata: object, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        self._acknowledged(mid, reason_code)

    def _on_socket_register_write(self, client: Paho, userdata: object, sock: PahoSocket) -> None:
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        was_full = self.full
        try:
            self._client.loop_write()
        except Exception as error:  # a broken socket shows in many ways; all mean the same
            self._end(str(error))
            return
        sock = self._client.socket()
        self.full = sock is not None and self._client.want_write()
        if self.full and not was_full and sock is not None:
            self._loop.add_writer(sock.fileno(), self._flush)
        if was_full and not self.full:
            self._writable()


class _LastError(logging.Handler):
    """Keeps paho's last complaint: the only place where it says why a socket broke."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        self.logger = logging.Logger("mint.bus.paho", logging.WARNING)  # of its own, known to no one else
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call] # paho leaves this one without types


def _paho_will(will: Will | None) -> aiomqtt.Will | None:
    if will is None:
        return None
    properties = _properties(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = will.delay_s
    return aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.retain, properties=properties)


def _connect_properties(session_expiry_s: int) -> Properties:
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = session_expiry_s
    return properties


@lru_cache(maxsize=128)  # building one takes longer than sending a message; few lifetimes are in use
def _publish_properties(expiry_s: int | None) -> Properties | None:
    if expiry_s is None:
        return None
    properties = _properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = expiry_s
    return properties
