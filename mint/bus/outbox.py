"""Outgoing messages that wait for a connection, for room in the window, or for their PUBACK.

Pure: time comes in as seconds of a monotonic clock, and what is given up comes back to the caller, which
counts it and tells whoever waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

# A device's minute of samples and a fog's hour of votes, verdicts and receipts fit several times over.
MAX_MESSAGES = 4096
# Bytes of payload: a Raspberry Pi that is cut off for long must not fill its memory with what nobody reads.
MAX_BYTES = 8 * 2**20


@dataclass(slots=True, eq=False)
class Outgoing:
    """A message on its way.

    `gives_up_at`: when trying to send it ends; `expires_at`: when the broker need not deliver it any more (None:
    never); `done`: whoever waits for the acknowledgement.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    gives_up_at: float
    expires_at: float | None = None
    done: asyncio.Future[None] | None = None


class Outbox:
    """Messages in order: `waiting` to be sent, and `in_flight` by packet id until the broker acknowledges."""

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._waiting: deque[Outgoing] = deque()
        self._in_flight: dict[int, Outgoing] = {}
        self._bytes = 0  # of what waits; the window bounds what is in flight
        self._expendable = 0  # how many of those waiting have QoS 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    @property
    def in_flight(self) -> int:
        """How many messages have been sent and not acknowledged."""
        return len(self._in_flight)

    def add(self, message: Outgoing) -> list[Outgoing]:
        """Let `message` wait; returns what was shed for it, the oldest of QoS 0 first, then the oldest."""
        if len(message.payload) > self._max_bytes:
            return [message]
        self._push(message)
        shed = []
        while len(self._waiting) > self._max_messages or self._bytes > self._max_bytes:
            index = 0
            if self._expendable:
                index = next(i for i, m in enumerate(self._waiting) if m.qos == 0)
            shed.append(self._take(index))
        return shed

    def next(self) -> Outgoing | None:
        """The next message to send; it is the caller's until `sent` or `put_back`."""
        return self._take(0) if self._waiting else None

    def put_back(self, message: Outgoing) -> None:
        """It could not be sent: it is next again."""
        self._push(message, front=True)

    def sent(self, packet_id: int, message: Outgoing) -> None:
        """`message` (QoS 1) is on the wire under `packet_id`."""
        self._in_flight[packet_id] = message

    def acknowledged(self, packet_id: int) -> Outgoing | None:
        """The message whose PUBACK came; None for one that is not known (any more)."""
        return self._in_flight.pop(packet_id, None)

    def connection_lost(self) -> None:
        """What was in flight may have arrived or not: it is sent again, first and in order."""
        for message in reversed(self._in_flight.values()):
            self._push(message, front=True)
        self._in_flight.clear()

    def empty(self) -> list[Outgoing]:
        """Everything that was not acknowledged, which is given up."""
        self.connection_lost()
        left = list(self._waiting)
        self._waiting.clear()
        self._bytes = self._expendable = 0
        return left

    def _push(self, message: Outgoing, *, front: bool = False) -> None:
        if front:
            self._waiting.appendleft(message)
        else:
            self._waiting.append(message)
        self._bytes += len(message.payload)
        self._expendable += message.qos == 0

    def _take(self, index: int) -> Outgoing:
        message = self._waiting[index]
        del self._waiting[index]
        self._bytes -= len(message.payload)
        self._expendable -= message.qos == 0
        return message
