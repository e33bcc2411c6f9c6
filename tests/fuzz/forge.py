"""Forging envelopes: something like what was sent, with one thing changed, signed by whom the forger has the key of.

A forger that has a key may sign anything with it, under any name; of everyone else it can only send again what was
signed already, or a signature that does not fit.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import msgspec

from mint import kinds
from mint.envelope import Envelope, Member
from mint.errors import Rejected
from mint.keys import SIGNATURE_SIZE, Key
from mint.sign_bytes import Object, Stream, body_bytes, sign_bytes
from mint.wire import MOST, decode, encode
from tests.fuzz.bend import bent, changed

# How deep envelopes within envelopes are forged anew: a fault holds verdicts, which hold votes.
DEEPEST = 3


class Forger:
    """`keys`: those that it has, by the name of whom they are; `trusted`: everyone, as the charter has them."""

    def __init__(self, network: bytes, keys: Mapping[str, Key], trusted: Mapping[str, Member]) -> None:
        self._network, self._keys, self._trusted = network, dict(keys), trusted
        # The place of its last message in each stream of its own, so that it may speak where it is heard.
        self._places: dict[tuple[str, str], tuple[int, int]] = {}

    def forged(
        self, rng: random.Random, data: bytes, others: Sequence[bytes], now_ms: int, *, depth: int = 0
    ) -> bytes:
        """Something like the envelope `data`; `others` are there to be mixed in."""
        if rng.random() < 0.1:
            return bent(rng, data, others)
        try:
            envelope = decode(data, Envelope)
            body: Stream | Object = decode(envelope.body, Stream | Object)  # type: ignore[arg-type] # a union
            kind = kinds.BY_NAME[body.kind]
            message = decode(body.payload, kind.type)
        except (Rejected, KeyError):
            return bent(rng, data, others)

        def bend(value: bytes) -> bytes:
            if value[:1] == b"\x92" and depth < DEEPEST:  # an array of two: an envelope within
                inner = value if rng.random() < 0.7 else rng.choice(others)
                return self.forged(rng, inner, others, now_ms, depth=depth + 1)
            return bent(rng, value, others)

        payload = body.payload
        for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
            message = changed(rng, message, bend)
        try:
            payload = encode(message)
        except (OverflowError, msgspec.MsgspecError, UnicodeEncodeError):
            return bent(rng, data, others)
        if rng.random() < 0.05:
            payload = bent(rng, payload, others)
        body = msgspec.structs.replace(body, payload=payload)
        if rng.random() < 0.3:
            body = self._as_ours(rng, body)
        if isinstance(body, Stream):
            body = self._placed(rng, body, now_ms)
        if rng.random() < 0.1:
            body = changed(rng, body, lambda value: bent(rng, value, others))
        return self._signed(rng, body, envelope.signature, data)

    def _as_ours(self, rng: random.Random, body: Stream | Object) -> Stream | Object:
        """What another said, in the name of one of ours: of the same role if there is one."""
        if not self._keys:
            return body
        said_by = self._trusted.get(body.sender)
        alike = [
            name
            for name in self._keys
            if name in self._trusted and self._trusted[name].role == getattr(said_by, "role", None)
        ]
        name = rng.choice(alike or sorted(self._keys))
        if isinstance(body, Stream):
            topic = body.topic.replace(body.sender, name)
            return msgspec.structs.replace(body, sender=name, topic=topic)
        return msgspec.structs.replace(body, sender=name)

    def _placed(self, rng: random.Random, body: Stream, now_ms: int) -> Stream:
        """Mostly where the next message of that stream belongs."""
        if body.sender not in self._keys or rng.random() < 0.1:
            return body
        key = (body.sender, body.topic)
        session, sequence = max(self._places.get(key, (0, 0)), (body.session, body.sequence))
        place = (session, sequence + 1)
        if max(place) > MOST:
            return body
        self._places[key] = place
        return msgspec.structs.replace(body, session=place[0], sequence=place[1], time_ms=now_ms)

    def _signed(self, rng: random.Random, body: Stream | Object, signature: bytes, data: bytes) -> bytes:
        try:
            signed = body_bytes(body)
        except (OverflowError, UnicodeEncodeError):
            return bent(rng, data)
        key = self._keys.get(body.sender)
        if key is None and self._keys and rng.random() < 0.5:
            key = self._keys[rng.choice(sorted(self._keys))]
        if key is not None and rng.random() < 0.95:
            signature = key.sign(sign_bytes(self._network, signed))
        elif rng.random() < 0.3:
            signature = rng.randbytes(SIGNATURE_SIZE)
        return encode(Envelope(signed, signature))
