"""Verdicts on the frames of a fog (tests/twin_broker/fog.py), as three of its detectors would sign them."""

from __future__ import annotations

from mint.merkle import leaf_hash
from mint.messages.judgement import Accusation, SampleRef, Verdict, Vote
from mint.sign_bytes import Stream
from tests.twin_broker.fog import Fog


def verdict(fog: Fog, miner: str, offence: int, frame: int, frame_hash: bytes | None = None) -> bytes:
    """A verdict on a frame that was told, by evidence that rests on the quorum alone."""
    edge = next(edge for edge in fog.edges if miner in edge.miners)
    first, last = (
        next(s for s in fog.storage.samples(n) if fog.net.opened(s).sender == edge.name)
        for n in (frame - 1, frame)
    )
    refs = []
    for data in (first, last):
        body = fog.net.opened(data).body
        assert isinstance(body, Stream)
        refs.append(SampleRef(edge.name, body.session, body.sequence, leaf_hash(data)))
    accusation = Accusation(miner, offence, frame - 1, "ssa", 0, *refs)
    hash_ = frame_hash or fog.kept(frame).hash
    vote = Vote("fog1", frame, hash_, fog.net.sealed.hash, (accusation,))
    votes = tuple(fog.net.signer(name).object(vote) for name in fog.net.detectors[:3])
    made = Verdict(
        "fog1", fog.net.sealed.hash, miner, offence, frame, frame - 1, "ssa", 0, votes, first, last
    )
    return fog.net.signer("det1").object(made)
