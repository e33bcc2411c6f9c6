"""The wire format, pinned: fixed keys and contents give exactly these bytes, and another decoder reads them so.

A change here is a change of what is on the wire: old and new nodes would not understand each other. If it is
meant, write the new bytes with `python -m tests.core.test_golden` and raise the version in mint/topics.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from mint.envelope import object_hash, open_envelope
from mint.keys import verifies
from mint.merkle import leaf_hash, root
from mint.messages.chain import Block, BlockReply, BlockRequest, Header, ShareBatch, Shares
from mint.messages.fault import Fault
from mint.messages.frame import Decision, DeviceEntry, Frame, FrameReply, FrameRequest, MinerEntry
from mint.messages.judgement import Absence, Accusation, Alarm, Behaviour, SampleRef, Score, Verdict, Vote
from mint.messages.receipt import Receipt
from mint.messages.sample import Ack, MinerReading, Sample, State, Twin
from mint.sign_bytes import DOMAIN
from tests.builders import Net, key_of

FILE = Path(__file__).with_name("golden.json")
NET = Net(miners=1, devices=1, detectors=1)
TOPICS = NET.sealed.topics()
BOOT, HASH = bytes(range(16)), bytes(range(32))
READING = MinerReading(
    "m01", 3, 10**9, 10**9 + 30_000, 10**8, 10, 2, 5 * 10**7, 2**20, 4096, -1, 100_000, True, 512
)
SAMPLE = Sample(BOOT, 4, 12_000_000, (READING,))


def made() -> dict[str, bytes]:
    """One envelope of every kind."""
    agent, manager, detector = NET.signer("edge1", 5), NET.signer("manager", 2), NET.signer("det1", 9)
    sample = agent.stream(SAMPLE, TOPICS.sample("edge1"), 1_800_000_000_000)
    later = agent.stream(SAMPLE, TOPICS.sample("edge1"), 1_800_000_001_000)
    first, last = (SampleRef("edge1", 5, n, leaf_hash(data)) for n, data in ((1, sample), (2, later)))
    entry = DeviceEntry("edge1", 5, 2, BOOT, 12_000_000, leaf_hash(later))
    miner = MinerEntry("m01", True, 3, 10**9, 10**9 + 30_000, 10**8, 10, 2, 5 * 10**7, -1, 100_000, 1, 7, 512)
    frame = Frame(
        "fog1",
        7,
        bytes(32),
        NET.sealed.hash,
        1_800_000_001_000,
        root([entry.leaf]),
        (entry,),
        (miner,),
        (Decision(HASH, "m01", 1),),
        (HASH,),
    )
    signed = manager.object(frame)
    accusation = Accusation("m01", 2, 6, "budget", 10**8, first, last)
    vote = detector.object(
        Vote("fog1", 7, object_hash(signed), NET.sealed.hash, (accusation,), ("m01",), 1_800_000_001_000)
    )
    absence = Absence("fog1", NET.sealed.hash, 7, ("m01",), (vote,))
    verdict = Verdict("fog1", NET.sealed.hash, "m01", 2, 7, 6, "budget", 10**8, (vote,), sample, later)
    receipt = Receipt(1, 1_800_000_002_000, "m01", "correct", HASH, 2, 200_000, 50_000, 10**8, 10**9, "down")
    fault = Fault("fog1", "two_frames", "manager", 7, "", (signed, signed))
    score = Score("m01", 1.5, 0.25, 0.0, 7, float("inf"))
    shares = Shares("m01", HASH, bytes(32), 3, 1_800_000_000_500, 2**20, 40, bytes(range(16)))
    batch = agent.object(ShareBatch("fog1", "edge1", 5, 2, (shares,)))
    header = Header(HASH, root([leaf_hash(batch)]), "m01", 3, 1_800_000_000_500, 2**20, 2**64 - 1)
    block = agent.object(Block(header, (batch,)))
    return {
        "charter": NET.sealed.data,
        "sample": sample,
        "frame": signed,
        "vote": vote,
        "absence": agent.object(absence),
        "verdict": detector.object(verdict),
        "receipt": NET.signer("enforcer").object(receipt),
        "fault": detector.object(fault),
        "alarm": detector.object(Alarm(7, "m01", "budget", "above")),
        "state": agent.stream(State(True, "docker", ("m01",)), TOPICS.state("edge1"), 1),
        "ack": manager.stream(Ack("edge1", 5, 2), TOPICS.ack("edge1"), 2),
        "request": detector.stream(FrameRequest("det1", "manager", 1, 32, False), TOPICS.frame_request(), 3),
        "reply": manager.stream(FrameReply(1, signed, (signed,), (sample,)), TOPICS.frame_reply("det1"), 4),
        "twin": manager.stream(
            Twin("m01", 7, 99_000, -1, 50_000, 0, 100_000, 100_000, "fair"), TOPICS.twin("m01"), 5
        ),
        "behaviour": detector.stream(Behaviour(7, 17.0, "m01", (score,)), TOPICS.behaviour("det1"), 6),
        "shares": batch,
        "block": block,
        "block_request": agent.stream(BlockRequest("edge1", "edge2", (HASH,), 64), TOPICS.block_request(), 7),
        "block_reply": agent.stream(BlockReply(HASH, 3, (block,)), TOPICS.block_reply("edge1"), 8),
    }


PINNED: dict[str, str] = json.loads(FILE.read_text()) if FILE.exists() else {}


@pytest.mark.parametrize("kind", sorted(PINNED))
def test_every_kind_is_written_exactly_as_pinned(kind: str) -> None:
    assert made()[kind].hex() == PINNED[kind]


def test_every_kind_is_pinned() -> None:
    assert sorted(PINNED) == sorted(made())


@pytest.mark.parametrize("kind", sorted(PINNED))
def test_msgpack_reads_the_same_and_writes_the_same_bytes(kind: str) -> None:
    data = bytes.fromhex(PINNED[kind])
    body, signature = msgpack.unpackb(data)
    assert msgpack.packb([body, signature]) == data
    fields = msgpack.unpackb(body)
    assert msgpack.packb(fields) == body
    payload = msgpack.unpackb(fields[-1])
    assert msgpack.packb(payload) == fields[-1]
    opened = open_envelope(data, NET.sealed.trust()) if kind != "charter" else None
    message = opened.message if opened else NET.charter
    assert payload == _plain(message)


def _plain(value: Any) -> Any:
    """A message as a decoder without types sees it: a list of its fields in order."""
    if isinstance(value, msgspec.Struct):
        return [_plain(getattr(value, name)) for name in value.__struct_fields__]
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def test_an_object_is_the_tag_the_kind_the_sender_and_the_payload() -> None:
    body, signature = msgpack.unpackb(made()["vote"])
    tag, kind, sender, payload = msgpack.unpackb(body)
    assert (tag, kind, sender) == ("o", "vote", "det1")
    fog, frame, frame_hash, charter, accusations, dark, time_ms = msgpack.unpackb(payload)
    assert (fog, frame, charter, dark) == ("fog1", 7, NET.sealed.hash, ["m01"])
    assert time_ms == 1_800_000_001_000
    assert len(frame_hash) == 32
    ((miner, offence, began, evidence, excess_ns, first, last),) = accusations
    assert (miner, offence, began, evidence, excess_ns) == ("m01", 2, 6, "budget", 10**8)
    assert first[:3] == ["edge1", 5, 1]
    assert last == [
        "edge1",
        5,
        2,
        leaf_hash(msgpack.unpackb(msgpack.unpackb(msgpack.unpackb(made()["verdict"])[0])[-1])[-1]),
    ]
    assert verifies(key_of("det1").public, signature, DOMAIN + NET.network + body)


def test_a_stream_is_the_tag_the_kind_its_place_the_time_the_topic_and_the_payload() -> None:
    body, signature = msgpack.unpackb(made()["sample"])
    assert msgpack.unpackb(body) == [
        "s",
        "sample",
        "edge1",
        5,
        1,
        1_800_000_000_000,
        "mint/1/fog1/agent/edge1/sample",
        msgpack.packb(
            [
                BOOT,
                4,
                12_000_000,
                [
                    [
                        "m01",
                        3,
                        10**9,
                        10**9 + 30_000,
                        10**8,
                        10,
                        2,
                        5 * 10**7,
                        2**20,
                        4096,
                        -1,
                        100_000,
                        True,
                        512,
                    ]
                ],
            ]
        ),
    ]
    assert verifies(key_of("edge1").public, signature, DOMAIN + NET.network + body)


if __name__ == "__main__":
    FILE.write_text(json.dumps({kind: data.hex() for kind, data in made().items()}, indent=1) + "\n")
