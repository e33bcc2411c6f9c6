"""What a bus is told, and what it hands over: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

# Two pings in the time in which a device that fell silent should be noticed (one minute).
KEEPALIVE_S = 30
# A component that was away for a day has more to catch up on than a broker should queue for it.
SESSION_EXPIRY_S = 86_400
# Of one subscription: a backlog of a thousand messages of ordinary size, on a device with little memory.
LIMIT_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class BusOptions:
    """Where the broker is and who we are.

    `name` is the node's name: client id, certificate name and broker user at once. `session_expiry_s` is how
    long the broker keeps subscriptions and queued messages for a client that is away (0: it forgets at once).
    """

    host: str
    port: int
    name: str
    ca: Path
    cert: Path
    key: Path
    keepalive_s: int = KEEPALIVE_S
    session_expiry_s: int = SESSION_EXPIRY_S


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when this client dies (MQTT 5, 3.1.2.5).

    A client that is back within `delay_s` seconds did not die. `on_leave`: leaving on purpose publishes it too.
    A delay longer than the session's expiry is cut to that by the protocol.
    """

    topic: str
    payload: bytes
    retain: bool = True
    delay_s: int = 5
    on_leave: bool = False


class Overflow(StrEnum):
    """Which message goes when a subscription's part of the queue is full."""

    DROP_OLDEST = "drop_oldest"  # streams: the newest sample is worth most
    DROP_NEWEST = "drop_newest"  # objects: who came first is served, a flood is not


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter, how many of its messages (and bytes) may wait, and what goes when more come.

    One message is always held, however long: the broker bounds that. Each topic should match one subscription
    of a bus; where several match, the first counts.
    """

    filter: str
    limit: int = 1024
    limit_bytes: int = LIMIT_BYTES
    overflow: Overflow = Overflow.DROP_OLDEST
    qos: int = 1

    def __post_init__(self) -> None:
        if self.limit < 1 or self.limit_bytes < 1 or self.qos not in (0, 1):
            raise ValueError(f"subscription {self.filter}: limits must be at least 1 and qos 0 or 1")


class Incoming(NamedTuple):
    """A message as it came.

    `retained`: it lay at the broker before we subscribed. `expiry_s`: seconds of its lifetime left when the
    broker sent it, None when it never expires. `filter`: the subscription that it came by. An empty payload is
    handed over as it is (a retained topic was cleared).
    """

    topic: str
    payload: bytes
    retained: bool
    expiry_s: int | None
    filter: str
