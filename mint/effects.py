"""What a core asks its service to do: the other half of "events in, effects out"."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Post:
    """Send bytes that are signed already (an object).

    `expiry_s`: how long a broker may keep it for those who are away; None: for as long as it likes.
    """

    topic: str
    data: bytes
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """Sign a stream message as the next of this session, and send it."""

    topic: str
    message: msgspec.Struct
    qos: int = 0
    expiry_s: int | None = None
