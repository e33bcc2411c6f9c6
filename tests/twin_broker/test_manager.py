"""When the manager is done, and what it takes and tells as long as it is not."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from mint.charter.model import Resume
from mint.charter.seal import SealedCharter
from mint.component import NEVER_NS
from mint.effects import Post
from mint.envelope import object_hash
from mint.errors import Reason
from mint.frame_log import Kept
from mint.frames import frame_in, open_frame
from mint.merkle import leaf_hash
from mint.messages.fault import Fault
from mint.messages.frame import Frame, FrameRequest
from mint.messages.judgement import Vote
from tests.builders import Edge, Net, S, key_of
from tests.twin_broker.fog import Fog, Holder, said, with_manager
from tests.twin_broker.verdicts import verdict
from twin_broker.storage import MemoryStorage

NET = Net(miners=4, devices=2)
TOPICS = NET.sealed.topics()
DETECTORS = NET.detectors


def charter(version: int, resume: Resume | None = None, **changes: Any) -> SealedCharter:
    return NET.next_version(version=version, resume=resume, **changes)


# --- when it is done ----------------------------------------------------------------------------------


def another(frame: Frame) -> bytes:
    """Another frame of that number by the same manager."""
    return NET.signer("manager").object(msgspec.structs.replace(frame, time_ms=frame.time_ms + 1))


def accuse(fog: Fog, fault: Fault, by: str = "det1") -> None:
    fog.receive(TOPICS.fault(by), NET.signer(by).object(fault))


def two_frames(fog: Fog) -> Fault:
    frame = fog.told[-1]
    return Fault("fog1", "two_frames", frame.sender, frame.number, "", (frame.data, another(frame.frame)))


def is_done(fog: Fog) -> bool:
    """Whether it closes no frame, acknowledges nothing, and still answers."""
    told, acks = len(fog.told), len(fog.acks)
    fog.run(5)
    reply = fog.answer(fog.holders["det1"], FrameRequest("det1", "manager", 1, 2, False))
    assert [frame_in(data).number for data in reply.frames] == [1, 2]
    return (len(fog.told), len(fog.acks), fog.manager.due_ns()) == (told, acks, NEVER_NS)


def test_a_proof_against_it_ends_its_frames_until_a_charter_says_where_they_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fog = Fog()
    fog.run(8)
    assert not is_done(fog)
    fault, resume = two_frames(fog), fog.resume_at(5)
    accuse(fog, fault)
    assert is_done(fog)
    accuse(fog, fault, "det2")
    fog.receive(TOPICS.sample("edge1"), fog.edges[0].sealed(fog.now.monotonic_ns))
    assert is_done(fog)
    (line,) = said(caplog)
    assert "shown at frame 13 (two_frames)" in line
    assert line.endswith("until a charter says from which frame the log goes on (docs/operations.md)")
    fog.charter(charter(2, title="this alone changes nothing"))
    assert is_done(fog)
    fog.cut(5)
    fog.charter(charter(3, resume))
    count = len(fog.told)
    fog.run(3)
    assert fog.numbers[count:] == [6, 7, 8]
    accuse(fog, fault)  # it is at the broker still
    assert not is_done(fog)
    fog.check_chain()


@pytest.mark.parametrize("kind", ["another", "claim", "nothing shown", "of a detector"])
def test_what_is_shown_of_others_or_not_shown_changes_nothing(kind: str) -> None:
    fog = Fog()
    fog.run(8)
    fault = two_frames(fog)
    match kind:
        case "another":
            fault = msgspec.structs.replace(fault, accused="manager2")
        case "claim":
            fault = Fault("fog1", "unseen", "manager", 8, "edge1", (fog.told[-1].data,))
        case "nothing shown":
            fault = msgspec.structs.replace(fault, proof=fault.proof[:1] * 2)
        case "of a detector":
            votes = [
                NET.signer("det2").object(Vote("fog1", 8, bytes([n]) * 32, NET.sealed.hash, ()))
                for n in (1, 2)
            ]
            fault = Fault("fog1", "two_votes", "det2", 8, "", tuple(votes))
    accuse(fog, fault)
    assert not is_done(fog)


def test_it_is_done_where_detectors_show_a_frame_of_its_own_beside_those_it_has(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fog = Fog()
    fog.run(8)
    other = another(fog.told[-1].frame)
    for name in DETECTORS:
        fog.holders[name] = Holder(NET, name)
        for frame in fog.told[:-1]:
            fog.holders[name].hear(Kept(frame.number, frame.hash, frame.data))
        fog.holders[name].hear(Kept(8, object_hash(other), other))
    fog.start()
    assert is_done(fog)
    assert "shown at frame 8 (two_frames)" in said(caplog)[0]


def test_it_is_done_when_a_charter_names_another_manager(caplog: pytest.LogCaptureFixture) -> None:
    fog = Fog()
    fog.run(8)
    fog.charter(charter(2, nodes=with_manager(NET, "manager", key_of("another"))))
    assert is_done(fog)
    assert said(caplog) == ["another is the manager by charter version 2: no frame is closed here any more"]
    fog.charter(charter(3, title="it is back"))
    fog.run(3)
    assert not is_done(fog)
    fog.check_chain()


# --- what it takes, and what it tells -----------------------------------------------------------------


def test_on_every_connection_it_tells_the_charter_and_its_newest_frame_again() -> None:
    fog = Fog()
    fog.run(3)
    for _ in range(2):
        posts = [effect for effect in fog.manager.connected(fog.now) if isinstance(effect, Post)]
        assert [(post.topic, post.data, post.retain) for post in posts] == [
            (TOPICS.charter(), NET.sealed.data, True),
            (TOPICS.frame(), fog.told[-1].data, False),
        ]


def test_the_first_frame_that_names_a_charter_rests_on_samples_that_are_valid_under_it() -> None:
    fog = Fog()
    fog.run(3)
    rotated = tuple(
        msgspec.structs.replace(node, key=key_of("edge1, rotated").public) if node.name == "edge1" else node
        for node in NET.charter.nodes
    )
    second = charter(2, nodes=rotated)
    fog.charter(second)
    old = fog.sample(fog.edges[0])  # under the charter that the next frame names
    refused = fog.member.rejections.by_reason
    assert not refused
    fog.run(1, sampled=False)
    assert fog.told[-1].frame.charter == NET.sealed.hash
    assert fog.told[-1].frame.devices[0].leaf == leaf_hash(old)
    fog.sample(fog.edges[0])
    assert refused == {Reason.BAD_SIGNATURE: 1}
    edge = Edge(NET, "edge1", random.Random(1), session=2)
    edge.signer._key = key_of("edge1, rotated")
    edge.miners = fog.edges[0].miners
    fog.edges[0] = edge
    fog.run(2)
    frame = fog.told[-1].frame
    assert (frame.charter, frame.devices[0].session) == (second.hash, 2)
    assert fog.posts[-1].topic == TOPICS.frame()
    assert (TOPICS.charter(), second.data) in {(post.topic, post.data) for post in fog.posts}


def test_how_far_a_stream_may_be_off_follows_the_charter() -> None:
    fog = Fog()
    fog.run(3)

    def refused(off_ms: int) -> bool:
        signer = fog.holders["det1"].signer
        request = FrameRequest("det1", "manager", 1, 1, False)
        data = signer.stream(request, TOPICS.frame_request(), fog.now.wall_ms - off_ms)
        fog.run(0.1, sampled=False)
        return not fog.manager.receive(fog.incoming(TOPICS.frame_request(), data), fog.now)

    assert not refused(100_000)
    fog.charter(charter(2, clock_tolerance_ms=5_000))
    fog.run(2)
    assert refused(100_000)
    assert not refused(4_000)


def test_whoever_asks_for_proofs_gets_the_samples_and_the_verdicts_that_a_frame_names() -> None:
    fog = Fog()
    fog.run(5)
    given_ = verdict(fog, "m01", 1, 5)
    fog.receive(TOPICS.verdict("det1", "m01"), given_)
    fog.receive(TOPICS.verdict("det2", "m01"), NET.signer("det2").object(NET.opened(given_).message))
    ring = [edge.sealed(fog.now.monotonic_ns + n * S // 10) for edge in fog.edges for n in range(3)]
    for data in ring:
        fog.receive(TOPICS.sample(NET.opened(data).sender), data)
    fog.run(1, sampled=False)
    frame = fog.told[-1].frame
    assert [(d.verdict, d.miner, d.offence) for d in frame.decisions] == [(object_hash(given_), "m01", 1)]
    assert set(ring) == set(fog.storage.samples(6))
    detector = fog.holders["det1"]
    plain = fog.answer(detector, FrameRequest("det1", "manager", 6, 1, False))
    assert (plain.proofs, plain.frames, plain.newest) == ((), (fog.told[5].data,), fog.told[-1].data)
    proofs = fog.answer(detector, FrameRequest("det1", "manager", 6, 1, True)).proofs
    assert {leaf_hash(proof) for proof in proofs[:2]} == {entry.leaf for entry in frame.devices}
    assert proofs[2:] == (given_,)
    # Told by others to a manager whose disk is empty, they are at hand again.
    fog.storage = MemoryStorage()
    for holder in fog.holders.values():
        holder.hear(Kept(6, fog.told[5].hash, fog.told[5].data), proofs)
    fog.start()
    fog.run(3)
    assert set(fog.answer(detector, FrameRequest("det1", "manager", 6, 1, True)).proofs) == set(proofs)


def test_a_verdict_on_a_frame_that_is_not_of_this_log_is_not_noted() -> None:
    fog = Fog()
    fog.run(5)
    fog.receive(TOPICS.verdict("det1", "m01"), verdict(fog, "m01", 1, 5, frame_hash=b"h" * 32))
    assert fog.member.rejections.by_reason == {Reason.NOT_PROVEN: 1}
    fog.receive(TOPICS.verdict("det1", "m01"), verdict(fog, "m01", 2, 5))
    assert fog.member.rejections.by_reason == {Reason.NOT_PROVEN: 1, Reason.BAD_CHAIN: 1}
    fog.receive(TOPICS.verdict("det1", "m01"), verdict(fog, "m01", 1, 5))
    fog.run(2)
    assert [len(frame.frame.decisions) for frame in fog.told] == [0, 0, 0, 0, 0, 1, 0]
    assert {m.miner: m.offences for m in fog.told[-1].frame.miners}["m01"] == 1
    # It is retained at the broker, and known after a restart.
    fog.start()
    fog.receive(TOPICS.verdict("det1", "m01"), verdict(fog, "m01", 1, 5))
    fog.run(2)
    assert [len(frame.frame.decisions) for frame in fog.told[7:]] == [0, 0]


def test_an_offence_of_a_void_frame_is_forgotten_with_it_and_may_be_found_again() -> None:
    fog = Fog()
    fog.run(5)
    given_ = verdict(fog, "m01", 1, 5)
    fog.receive(TOPICS.verdict("det1", "m01"), given_)
    fog.run(2)
    fog.cut(4)
    fog.charter(charter(2, fog.resume_at(4)))
    fog.run(4)
    fog.receive(TOPICS.verdict("det1", "m01"), given_)  # on frame 5, which is another one now
    assert fog.member.rejections.by_reason == {Reason.NOT_PROVEN: 1}
    fog.run(1)
    assert {m.miner: m.offences for m in fog.told[-1].frame.miners}["m01"] == 0
    assert open_frame(fog.told[-1].data, fog.charters).number == fog.numbers[-1]
