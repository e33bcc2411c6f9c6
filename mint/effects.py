"""Events in, effects out: what cores are given and what they ask to be done.

A core is a state machine without clock, socket, file or random source. Its service (and the simulator) hands it
what came and what time it is, and carries out what it answers, one effect after the other in their order: whatever
stands after a `Keep` happens only once that is on disk, so a crash between any two effects leaves nothing told
that is not known any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Now:
    """The time: this host's monotonic ns for waiting, Unix ms for what is signed."""

    monotonic_ns: int
    wall_ms: int


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


@dataclass(frozen=True, slots=True)
class Keep:
    """Have `what` on disk before anything that follows is done; each component keeps things of its own types."""

    what: Any


Effect = Post | Say | Keep
