"""The bytes that a signature covers, and nothing else: golden vectors pin them (tests/core/sign_bytes.json).

    sign_bytes = "MinT/1" | network id (32 bytes) | body

The prefix keeps what one network says from being passed off in another, and apart from whatever else a key may
sign. `body` is the MessagePack of one of two positional arrays, exactly as it was sent; nobody encodes it anew:

    stream  ["s", kind, sender, session, sequence, time_ms, topic, payload]
    object  ["o", kind, sender, payload]

`payload` is the MessagePack of the message itself (mint/messages/). A vote is an object of kind "vote", so what a
detector signs on a frame holds the fog, the frame's number and hash, the charter's hash, and every accusation.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from mint.wire import Name, Nat, Wire, encode

DOMAIN = b"MinT/1"


class Stream(Wire, frozen=True, tag="s"):
    """The body of a stream message; `time_ms` is the sender's Unix time."""

    kind: Name
    sender: Name
    session: Nat
    sequence: Nat
    time_ms: Nat
    topic: Annotated[str, Meta(max_length=256)]
    payload: bytes


class Object(Wire, frozen=True, tag="o"):
    """The body of an object."""

    kind: Name
    sender: Name
    payload: bytes


def body_bytes(body: Stream | Object) -> bytes:
    """The body as it is sent."""
    return encode(body)


def sign_bytes(network: bytes, body: bytes) -> bytes:
    """What is signed: `network` is the id of mint/keys.network_id, `body` as it is sent."""
    return DOMAIN + network + body
