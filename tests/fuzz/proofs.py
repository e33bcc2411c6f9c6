"""Faults of every kind as a liar would make them: of what was really signed, or of something like it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from mint import kinds
from mint.envelope import Envelope, Signer, object_hash
from mint.errors import Rejected
from mint.frames import frame_in
from mint.merkle import leaf_hash
from mint.messages.fault import Fault, FaultKind
from mint.messages.frame import Frame
from mint.messages.judgement import Vote
from mint.sign_bytes import Object, Stream
from mint.wire import decode

KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
# What a proof of each kind holds (mint/fault.py); an omission holds claims, which are made here too.
HOLDS: Mapping[FaultKind, tuple[str, ...]] = {
    "two_frames": ("frame", "frame"),
    "bad_frame": ("frame", "frame"),
    "false_frame": ("frame", "sample"),
    "false_note": ("frame", "verdict"),
    "two_votes": ("vote", "vote"),
    "two_samples": ("sample", "sample"),
    "two_totals": ("shares", "sample"),
    "unheard": ("sample", "frame"),
    "unseen": ("frame",),
}
ABOUT = ("", "edge1", "edge2", "m01", "m02", "manager", "x" * 32)
CLAIMS: tuple[FaultKind, ...] = ("unheard", "unseen")


class Prover:
    """`envelopes`: what was signed, by kind; `forge`: something like one; `claimants`: who signs claims."""

    def __init__(
        self,
        envelopes: Mapping[str, Sequence[bytes]],
        forge: Callable[[random.Random, bytes], bytes],
        claimants: Sequence[Signer],
    ) -> None:
        self._envelopes, self._forge, self._claimants = envelopes, forge, claimants

    def fault(self, rng: random.Random, kind: FaultKind | None = None) -> Fault | None:
        """A fault of this kind (None: of any); None where nothing was signed that it could hold."""
        chosen: FaultKind = rng.choice(KINDS) if kind is None else kind
        about = rng.choice(ABOUT)
        if chosen == "omission":
            return self._omission(rng, about)
        held = HOLDS[chosen]
        if any(not self._envelopes.get(name) for name in held):
            return None
        proof = self._proof(rng, held)
        if chosen == "bad_frame" and rng.random() < 0.5:
            proof = proof[1:]
        accused, frame = _of(proof[-1] if chosen in ("unheard", "bad_frame") else proof[0])
        if rng.random() < 0.1:
            accused, frame = rng.choice(("manager", "det1", "edge1")), rng.randrange(50)
        return Fault("fog1", chosen, accused, frame, about, proof)

    def _proof(self, rng: random.Random, held: tuple[str, ...]) -> tuple[bytes, ...]:
        """Mostly of what belongs together: two of one thing, or a frame with what it names."""
        first = self._envelope(rng, held[0])
        if len(held) == 1 or rng.random() < 0.3:
            return (first, *(self._envelope(rng, name) for name in held[1:]))
        if held[0] == held[1]:
            return (first, self._forge(rng, first))
        named = _named(first)
        there = [data for data in self._envelopes[held[1]] if {leaf_hash(data), object_hash(data)} & named]
        return (first, rng.choice(there) if there else self._envelope(rng, held[1]))

    def _envelope(self, rng: random.Random, kind: str) -> bytes:
        data = rng.choice(self._envelopes[kind])
        return data if rng.random() < 0.4 else self._forge(rng, data)

    def _omission(self, rng: random.Random, about: str) -> Fault | None:
        claim = self.fault(rng, rng.choice(CLAIMS))
        if claim is None or not self._claimants:
            return None
        claims = tuple(rng.choice(self._claimants).object(claim) for _ in range(rng.randrange(1, 5)))
        return Fault("fog1", "omission", claim.accused, claim.frame, rng.choice((claim.about, about)), claims)


def _named(data: bytes) -> set[bytes]:
    """The leaf hashes and the hashes of verdicts in a frame, if it is one."""
    try:
        frame = frame_in(data)
    except Rejected:
        return set()
    return {entry.leaf for entry in frame.devices} | {decision.verdict for decision in frame.decisions}


def kind_of(data: bytes) -> str:
    """The kind that an envelope says it is; "" where it is none."""
    try:
        body: Stream | Object = decode(decode(data, Envelope).body, Stream | Object)  # type: ignore[arg-type] # a union
    except Rejected:
        return ""
    return body.kind


def _of(data: bytes) -> tuple[str, int]:
    """Who signed it, as far as it says so, and the number of the frame that it is or is on."""
    try:
        body: Stream | Object = decode(decode(data, Envelope).body, Stream | Object)  # type: ignore[arg-type] # a union
        message = decode(body.payload, kinds.BY_NAME[body.kind].type)
    except (Rejected, KeyError):
        return "manager", 1
    match message:
        case Frame(number=number) | Vote(frame=number):
            return body.sender, number
        case _:
            return body.sender, 0
