"""Every kind of message in one table: its type, who may send it, where, how large it may be.

A topic that names its sender fits only that sender; `None` as topic means: only inside other messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from mint.charter.model import Charter
from mint.errors import MintError
from mint.messages.chain import Block, BlockReply, BlockRequest, ShareBatch
from mint.messages.fault import Fault
from mint.messages.frame import Frame, FrameReply, FrameRequest
from mint.messages.judgement import Absence, Alarm, Behaviour, Verdict, Vote
from mint.messages.receipt import Receipt
from mint.messages.sample import Ack, Sample, State, Twin
from mint.names import Role
from mint.topics import Topics

KIB = 1 << 10
# The broker's packet limit (mosquitto/mosquitto.conf): nothing larger can arrive.
MAX_BYTES = 2048 * KIB
# A frame of the largest fog is some 600 KiB; a proof holds two of them.
MAX_FRAME_BYTES = 768 * KIB
# A block may hold the charter of a large fog, or a verdict of the largest size.
MAX_BLOCK_BYTES = 1024 * KIB

# Whether a message of this sender belongs on this topic.
Fits = Callable[[Topics, str, str], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of message; `max_bytes` is of the whole envelope."""

    name: str
    type: type[msgspec.Struct]
    stream: bool
    roles: frozenset[Role]
    fits: Fits
    max_bytes: int


def _below(prefix: str, topic: str) -> bool:
    """Whether `topic` is exactly one level below `prefix`."""
    head, _, last = topic.rpartition("/")
    return head == prefix and last != ""


def _parent(topic: str) -> str:
    return topic.rpartition("/")[0]


_TABLE = (
    Kind("charter", Charter, False, frozenset({Role.OPERATOR}), lambda t, _, x: x == t.charter(), MAX_BYTES),
    Kind("state", State, True, frozenset({Role.AGENT}), lambda t, s, x: x == t.state(s), 16 * KIB),
    Kind("sample", Sample, True, frozenset({Role.AGENT}), lambda t, s, x: x == t.sample(s), 64 * KIB),
    Kind(
        "ack", Ack, True, frozenset({Role.MANAGER}), lambda t, _, x: _below(_parent(t.ack("x")), x), 4 * KIB
    ),
    Kind("frame", Frame, False, frozenset({Role.MANAGER}), lambda t, _, x: x == t.frame(), MAX_FRAME_BYTES),
    Kind(
        "request",
        FrameRequest,
        True,
        frozenset({Role.MANAGER, Role.DETECTOR, Role.ENFORCER, Role.CONSOLE}),
        lambda t, _, x: x == t.frame_request(),
        4 * KIB,
    ),
    Kind(
        "reply",
        FrameReply,
        True,
        frozenset({Role.MANAGER, Role.DETECTOR}),
        lambda t, _, x: _below(_parent(t.frame_reply("x")), x),
        MAX_BYTES,
    ),
    Kind(
        "twin",
        Twin,
        True,
        frozenset({Role.MANAGER}),
        lambda t, _, x: _below(_parent(t.twin("x")), x),
        4 * KIB,
    ),
    Kind(
        "behaviour",
        Behaviour,
        True,
        frozenset({Role.DETECTOR}),
        lambda t, s, x: x == t.behaviour(s),
        512 * KIB,
    ),
    Kind("alarm", Alarm, False, frozenset({Role.DETECTOR}), lambda t, s, x: x == t.alarm(s), 4 * KIB),
    # Only in a block: an agent's word for no more than what it brought together.
    Kind("absence", Absence, False, frozenset({Role.AGENT}), lambda _t, _s, _x: False, 64 * KIB),
    Kind("vote", Vote, False, frozenset({Role.DETECTOR}), lambda t, s, x: x == t.vote(s), 64 * KIB),
    Kind(
        "verdict",
        Verdict,
        False,
        frozenset({Role.DETECTOR, Role.MANAGER}),
        lambda t, s, x: _below(_parent(t.verdict(s, "x")), x),
        512 * KIB,
    ),
    Kind(
        "fault",
        Fault,
        False,
        frozenset({Role.MANAGER, Role.DETECTOR, Role.ENFORCER}),
        lambda t, s, x: x == t.fault(s),
        MAX_BYTES,
    ),
    Kind("receipt", Receipt, False, frozenset({Role.ENFORCER}), lambda t, s, x: x == t.receipt(s), 4 * KIB),
    Kind("block", Block, False, frozenset({Role.AGENT}), lambda t, _, x: x == t.block(), MAX_BLOCK_BYTES),
    Kind("shares", ShareBatch, False, frozenset({Role.AGENT}), lambda t, s, x: x == t.share(s), 64 * KIB),
    Kind(
        "block_request",
        BlockRequest,
        True,
        frozenset({Role.AGENT}),
        lambda t, _, x: x == t.block_request(),
        4 * KIB,
    ),
    Kind(
        "block_reply",
        BlockReply,
        True,
        frozenset({Role.AGENT}),
        lambda t, _, x: _below(_parent(t.block_reply("x")), x),
        MAX_BYTES,
    ),
)

BY_NAME = {kind.name: kind for kind in _TABLE}
_BY_TYPE = {kind.type: kind for kind in _TABLE}


def of(message: msgspec.Struct) -> Kind:
    """The kind of a message.

    Raises:
        MintError: not a message of the bus (a mistake in the program).
    """
    try:
        return _BY_TYPE[type(message)]
    except KeyError:
        raise MintError(f"{type(message).__name__} is not a message of the bus") from None
