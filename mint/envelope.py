"""The signed envelope around every message: who says it, and that nobody changed a byte.

On the wire: a MessagePack array `[body, signature]`, both binary. The Ed25519 signature covers exactly the bytes
sent (mint/sign_bytes.py), and is checked before the payload is decoded. The body is one of two kinds:

- `Stream`: a word in a sequence (state, sample, ack, behaviour, ...). It carries the sender's session (a
  counter the sender keeps on disk), a sequence within it, the time and the topic; receivers reject other
  topics, old sessions, sequences not above the last, times too far off (`ReplayGuard`).
- `Object`: a thing of its own (charter, frame, vote, verdict, receipt): known by the SHA-256 of its body,
  valid whenever and wherever it arrives, as often as it arrives.

`open_envelope` is the one way in. It checks, cheapest first: size, shape, kind, sender, role, topic,
signature, then the payload's own types.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from mint import kinds
from mint.errors import Reason, Rejected
from mint.keys import ED25519, SIGNATURE_SIZE, Key, Scheme
from mint.names import Role
from mint.sign_bytes import Object, Stream, body_bytes, sign_bytes
from mint.topics import Topics
from mint.wire import Wire, decode, encode


class Envelope(Wire, frozen=True):
    """What is on the wire."""

    body: bytes
    signature: Annotated[bytes, Meta(min_length=SIGNATURE_SIZE, max_length=SIGNATURE_SIZE)]


@dataclass(frozen=True, slots=True)
class Member:
    """What the charter says of a sender."""

    role: Role
    key: bytes


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a receiver believes: the network's id and its members (from the charter), and how signatures are made."""

    network: bytes
    members: Mapping[str, Member]
    topics: Topics
    scheme: Scheme = ED25519


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope that passed every check; `hash` is SHA-256 of its body, `data` the envelope as it came."""

    body: Stream | Object
    message: msgspec.Struct
    hash: bytes
    data: bytes

    @property
    def sender(self) -> str:
        """Who signed it."""
        return self.body.sender


class Signer:
    """Signs as one node; with a session, also streams (sequences count up from 1 within it)."""

    def __init__(self, name: str, key: Key, network: bytes, session: int = 0) -> None:
        self.name, self.session, self.public = name, session, key.public
        self._key, self._network = key, network
        self._sequence = 0

    def object(self, message: msgspec.Struct) -> bytes:
        """The envelope of an object."""
        return self._sealed(Object(kinds.of(message).name, self.name, encode(message)))

    def stream(self, message: msgspec.Struct, topic: str, time_ms: int) -> bytes:
        """The envelope of the next message of this session's stream."""
        self._sequence += 1
        kind = kinds.of(message).name
        return self._sealed(
            Stream(kind, self.name, self.session, self._sequence, time_ms, topic, encode(message))
        )

    def _sealed(self, body: Stream | Object) -> bytes:
        data = body_bytes(body)
        return encode(Envelope(data, self._key.sign(sign_bytes(self._network, data))))


def open_envelope(
    data: bytes, trust: Trust, *, topic: str | None = None, expect: str | None = None
) -> Opened:
    """Check an envelope and everything in it but a stream's place in its sequence (`ReplayGuard` does that).

    Args:
        data: the bytes as they came.
        trust: whom to believe.
        topic: the topic it came on; None for one that came inside another message.
        expect: the only kind that will do here; None: any.

    Raises:
        Rejected: with the first reason found.
    """
    envelope = _envelope(data)
    # mypy cannot see that a union is a type to decode
    body: Stream | Object = decode(envelope.body, Stream | Object)  # type: ignore[arg-type]
    kind = kinds.BY_NAME.get(body.kind)
    if kind is None or (expect is not None and body.kind != expect):
        raise Rejected(Reason.WRONG_KIND, f"{body.kind!r} from {body.sender}")
    if len(data) > kind.max_bytes:
        raise Rejected(Reason.OVERSIZE, f"{kind.name} of {len(data)} bytes, at most {kind.max_bytes}")
    if kind.stream is not isinstance(body, Stream):
        raise Rejected(Reason.WRONG_KIND, f"{kind.name} is not this kind of envelope")
    member = trust.members.get(body.sender)
    if member is None:
        raise Rejected(Reason.UNKNOWN_SENDER, f"{body.sender} is not in the charter")
    if member.role not in kind.roles:
        raise Rejected(Reason.WRONG_ROLE, f"{body.sender} is {member.role} and may not send {kind.name}")
    _check_topic(body, kind, trust.topics, topic)
    if not trust.scheme(member.key, envelope.signature, sign_bytes(trust.network, envelope.body)):
        raise Rejected(Reason.BAD_SIGNATURE, f"{kind.name} in the name of {body.sender}")
    message = decode(body.payload, kind.type)
    return Opened(body, message, hashlib.sha256(envelope.body).digest(), data)


def object_hash(data: bytes) -> bytes:
    """The hash that an object is known by: SHA-256 of its envelope's body.

    Raises:
        Rejected: not an envelope.
    """
    return hashlib.sha256(decode(data, Envelope).body).digest()


def _envelope(data: bytes) -> Envelope:
    if len(data) > kinds.MAX_BYTES:
        raise Rejected(Reason.OVERSIZE, f"{len(data)} bytes, at most {kinds.MAX_BYTES}")
    envelope = decode(data, Envelope)
    # The signature covers the body only, and a sample is known by the hash of its envelope: whoever passes one
    # on must not be able to give it another hash.
    if encode(envelope) != data:
        raise Rejected(Reason.MALFORMED, "not the shortest encoding of an envelope")
    return envelope


def kind_in(data: bytes) -> str:
    """What kind of message an envelope says it is; nothing else of it is checked.

    Raises:
        Rejected: MALFORMED, it is no envelope.
    """
    body: Stream | Object = decode(decode(data, Envelope).body, Stream | Object)  # type: ignore[arg-type] # a union is a type
    return body.kind


def _check_topic(body: Stream | Object, kind: kinds.Kind, topics: Topics, topic: str | None) -> None:
    if topic is not None and not kind.fits(topics, body.sender, topic):
        raise Rejected(Reason.WRONG_TOPIC, f"{kind.name} of {body.sender} on {topic}")
    if isinstance(body, Stream) and topic is not None and body.topic != topic:
        raise Rejected(Reason.WRONG_TOPIC, f"{kind.name} of {body.sender} for {body.topic} on {topic}")


class ReplayGuard:
    """Where each sender's stream on each topic stands: nothing is taken twice, nothing old, nothing untimely.

    One entry a sender and topic, and senders come from the charter: bounded by it.
    """

    def __init__(self, tolerance_ms: int, max_age_ms: int | None = None) -> None:
        """`tolerance_ms`: how far in the future; `max_age_ms`: how far in the past (default: the same)."""
        self.take(tolerance_ms, max_age_ms)
        self._last: dict[tuple[str, str], tuple[int, int]] = {}

    def take(self, tolerance_ms: int, max_age_ms: int | None = None) -> None:
        """Go by other tolerances: a charter has come."""
        self._ahead = tolerance_ms
        self._behind = tolerance_ms if max_age_ms is None else max_age_ms

    def check(self, body: Stream, now_ms: int) -> None:
        """Whether `body` is next; it is not recorded yet.

        Raises:
            Rejected: OLD_SESSION, REPLAYED or WRONG_TIME.
        """
        session, sequence = self._last.get((body.sender, body.topic), (0, 0))
        if body.session < session:
            raise Rejected(Reason.OLD_SESSION, f"{body.sender} session {body.session}, already at {session}")
        if body.session == session and body.sequence <= sequence:
            raise Rejected(Reason.REPLAYED, f"{body.sender} sequence {body.sequence}, already at {sequence}")
        if not -self._behind <= body.time_ms - now_ms <= self._ahead:
            raise Rejected(Reason.WRONG_TIME, f"{body.sender} is off by {body.time_ms - now_ms} ms")

    def accept(self, body: Stream) -> None:
        """Record `body` as the last taken."""
        self._last[body.sender, body.topic] = (body.session, body.sequence)

    def place(self, sender: str, topic: str) -> tuple[int, int]:
        """Session and sequence last taken; (0, 0) when none."""
        return self._last.get((sender, topic), (0, 0))

    def resume(self, sender: str, topic: str, session: int, sequence: int) -> None:
        """Continue after a restart from where the disk says we were."""
        self._last[sender, topic] = (session, sequence)
