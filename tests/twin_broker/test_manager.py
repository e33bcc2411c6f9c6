"""The manager between bus, disk and clock: what it waits for, when it is done, and where its log goes on."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mint.charter.model import Node, Resume
from mint.charter.seal import SealedCharter
from mint.effects import Post
from mint.envelope import object_hash
from mint.errors import Reason, Rejected
from mint.fault import verify_fault
from mint.frame_log import Kept
from mint.frames import LogFrame, frame_in, open_frame
from mint.keys import Key
from mint.merkle import leaf_hash
from mint.messages.fault import Fault, FaultKind
from mint.messages.frame import MAX_REPLY_FRAMES, Frame, FrameReply, FrameRequest
from mint.messages.judgement import Vote
from mint.names import Role
from tests.builders import Edge, Net, S, key_of
from tests.twin_broker.fog import Fog, Holder, member
from tests.twin_broker.verdicts import verdict
from twin_broker.core import NO_HASH
from twin_broker.learning import NEVER_NS, TRIES
from twin_broker.storage import Cut, MemoryStorage

NET = Net(miners=4, devices=2)
TOPICS = NET.sealed.topics()
DETECTORS = NET.detectors


def charter(version: int, resume: Resume | None = None, **changes: Any) -> SealedCharter:
    return NET.next_version(version=version, resume=resume, **changes)


def with_manager(name: str, key: Key) -> tuple[Node, ...]:
    """The nodes, of which another is the manager."""
    return tuple(
        msgspec.structs.replace(node, name=name, key=key.public) if node.role is Role.MANAGER else node
        for node in NET.charter.nodes
    )


def resume_at(fog: Fog, number: int) -> Resume:
    return Resume(number, fog.kept(number).hash)


def silence(fog: Fog, *names: str) -> None:
    for name in names:
        fog.holders[name].silent = True


def said(caplog: pytest.LogCaptureFixture, level: int = logging.ERROR) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


# --- what it waits for --------------------------------------------------------------------------------


def test_no_frame_is_closed_before_a_quorum_of_detectors_has_shown_its_newest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    fog = Fog()
    silence(fog, *DETECTORS)
    fog.start()
    fog.run(3)
    for name in ("det4", "det2"):
        fog.hears(fog.holders[name])
        fog.run(3)
    assert fog.told == []
    assert fog.acks == []
    fog.hears(fog.holders["det3"])
    fog.run(3)
    assert fog.numbers == [1, 2, 3]
    # What came meanwhile is in the first frame, and none of it is asked for again.
    assert [entry.sequence for entry in fog.told[0].frame.devices] == [10, 10]
    assert fog.acks[0].sequence == 10
    messages = said(caplog, logging.INFO)
    assert messages.count("waits until 3 of det1, det2, det3, det4 have shown their newest frame") == 2


def test_who_has_not_answered_is_asked_once_a_second_and_who_has_is_left_alone() -> None:
    fog = Fog()
    silence(fog, *DETECTORS[1:])
    fog.start()
    asked = len(fog.holders["det2"].asked)
    count = len(fog.holders["det1"].asked)
    fog.run(10)
    assert 9 <= len(fog.holders["det2"].asked) - asked <= 11
    assert len(fog.holders["det1"].asked) == count
    assert fog.holders["det2"].asked[-1] == FrameRequest("manager", "det2", 1, MAX_REPLY_FRAMES, True)
    for name in DETECTORS[1:]:
        fog.hears(fog.holders[name])
    fog.run(2)
    asked = sum(len(holder.asked) for holder in fog.holders.values())
    fog.run(10)
    assert asked == sum(len(holder.asked) for holder in fog.holders.values())


def test_a_start_on_an_intact_disk_costs_one_round_trip() -> None:
    fog = Fog()
    fog.run(5)
    asked = sum(len(holder.asked) for holder in fog.holders.values())
    fog.start()
    assert sum(len(holder.asked) for holder in fog.holders.values()) == asked + len(DETECTORS)
    fog.run(5)
    assert fog.numbers == list(range(1, 11))
    fog.check_chain()


@pytest.mark.parametrize("lost", [0, 5, 40])
def test_a_disk_that_was_put_back_is_made_whole_before_anything_is_signed(lost: int) -> None:
    """40 frames are more than one answer holds; on an empty disk all of them are missing."""
    fog = Fog()
    fog.run(5)
    old = fog.disk() if lost else MemoryStorage()
    fog.run(lost or 40)
    fog.storage = old
    fog.start()
    newest = fog.numbers[-1]
    fog.run(5)
    assert fog.numbers[-1] > newest
    assert fog.numbers == sorted(set(fog.numbers)), "no number twice"
    fog.check_chain()


def test_one_who_shows_a_frame_and_brings_nothing_holds_up_nobody_who_asks_others() -> None:
    fog = Fog()
    fog.run(3)
    old = fog.disk()
    fog.run(40)
    newest = fog.told[-1].data
    fog.storage = old
    fog.holders["det1"].silent = True
    fog.start()
    fog.reply(fog.holders["det1"], FrameReply(4, newest, (), ()))
    fog.run(3)
    fog.check_chain()
    assert fog.numbers == sorted(set(fog.numbers))
    assert fog.numbers[-1] > 43


def forgetful(fog: Fog, keep: int) -> None:
    """Every detector has forgotten all frames but the newest few."""
    for name, holder in fog.holders.items():
        fog.holders[name] = Holder(fog.net, name)
        for kept in holder.log.frames(1, 1000)[-keep:]:
            fog.holders[name].hear(kept)


def test_where_nobody_has_what_lies_between_the_log_goes_on_after_the_newest_frame() -> None:
    fog = Fog()
    fog.run(3)
    old = fog.disk()
    fog.run(40)
    forgetful(fog, 2)
    fog.storage = old
    fog.start()
    fog.run(TRIES * len(DETECTORS) + 3)
    assert fog.numbers == sorted(set(fog.numbers))
    assert fog.numbers[-1] > 44
    kept = [kept.number for kept in fog.storage.frames(1, 1000)]
    assert kept[:4] == [1, 2, 3, 43]
    # Whoever asks for what is missing gets what there is before the hole, and not more as if it were whole.
    detector = fog.holders["det1"]
    for first, numbers in ((2, [2, 3]), (4, [43, 44])):
        reply = answer(fog, detector, FrameRequest("det1", "manager", first, 2, True))
        assert (reply.asked, [frame_in(data).number for data in reply.frames]) == (first, numbers)


def answer(fog: Fog, holder: Holder, request: FrameRequest) -> FrameReply:
    """What the manager answers."""
    fog.run(0.1, sampled=False)
    data = holder.signer.stream(request, TOPICS.frame_request(), fog.now.wall_ms)
    effects = fog.manager.receive(fog.incoming(TOPICS.frame_request(), data), fog.now)
    (reply,) = [effect.message for effect in effects if not isinstance(effect, Post)]  # type: ignore[union-attr]
    assert isinstance(reply, FrameReply)
    return reply


@pytest.mark.parametrize("newest", [b"nonsense", b"by another"])
def test_what_is_no_frame_of_ours_does_not_count_as_an_answer(newest: bytes) -> None:
    fog = Fog()
    fog.run(3)
    if newest == b"by another":
        newest = NET.signer("det1").object(fog.told[-1].frame)
    fog.storage = MemoryStorage()
    silence(fog, "det1", "det2")
    fog.start()
    for name in ("det1", "det2"):
        fog.reply(fog.holders[name], FrameReply(1, newest, (), ()))
    count = len(fog.told)
    fog.run(3)
    assert len(fog.told) == count
    assert fog.member.rejections.by_reason.total() == 2


def test_who_was_not_asked_is_not_heard() -> None:
    fog = Fog()
    silence(fog, *DETECTORS)
    fog.start()
    for _ in range(5):
        fog.reply(fog.holders["det1"], FrameReply(1, b"", (), ()))
    for name in ("manager", "enforcer"):
        fog.reply(Holder(NET, name), FrameReply(1, b"", (), ()))
    fog.run(0.5)
    assert not fog.told
    assert fog.manager.due_ns() < NEVER_NS


# --- no frame twice, whatever happens ---------------------------------------------------------------

OFTEN = ["run", "kill", "verdict"]
SELDOM = ["old disk", "no disk", "save", "silence", "charter", "resume"]
EVENTS = st.lists(st.sampled_from([*OFTEN, *OFTEN, *SELDOM]), min_size=3, max_size=20)


@settings(max_examples=100)
@given(EVENTS, st.randoms(use_true_random=False))
def test_no_number_is_signed_twice_but_by_the_operators_word(events: list[str], rng: random.Random) -> None:
    fog = Fog()
    disk, version = fog.disk(), 1
    resumed: list[Resume] = []
    for event in [*events, "run"]:
        match event:
            case "run":
                fog.run(rng.choice([0.3, 2, 12]))
            case "kill":
                fog.start()
            case "verdict" if is_kept(fog, *fog.numbers[-2:]):
                offence = (fog.manager._core.next_offence("m01") or 1) + rng.choice([-1, 0, 0, 1])
                given_ = verdict(fog, "m01", max(1, offence), fog.numbers[-1])
                fog.receive(TOPICS.verdict("det1", "m01"), given_)
            case "save":
                disk = fog.disk()
            case "old disk":
                fog.storage, disk = disk, fog.disk()
                fog.start()
            case "no disk":
                fog.storage = MemoryStorage()
                fog.start()
            case "silence":
                for holder in fog.holders.values():
                    fog.hears(holder, *current(fog))
                fog.holders[rng.choice(DETECTORS)].silent = True
            case "charter":
                version += 1
                fog.charter(charter(version, fog.member.charter.charter.resume, title=str(version)))
            case "resume" if fog.told:
                version += 1
                fog.run(5)  # whatever it was waiting for
                chain = current(fog)
                number = rng.randrange(len(chain) + 1)
                resume = Resume(number, chain[number - 1].hash if number else NO_HASH)
                if resume not in resumed:  # what was said once is done once
                    resumed.append(resume)
                    cut(fog, number)
                    fog.charter(charter(version, resume))
                    disk = fog.disk()
    fog.run(5)
    fog.check_chain()
    for faults in (two_frames_of(fog), steps_of(fog), proofs_of(fog)):
        for fault in faults:
            with pytest.raises(Rejected):
                verify_fault(fault, fog.charters)
    if not resumed:
        assert fog.numbers == sorted(set(fog.numbers))


def is_kept(fog: Fog, *numbers: int) -> bool:
    """Whether two frames are at hand, each with a sample of edge1."""
    senders = [[NET.opened(data).sender for data in fog.storage.samples(number)] for number in numbers]
    return len(senders) == 2 and all("edge1" in names for names in senders)


def fault_of(kind: FaultKind, frame: LogFrame, *proof: bytes) -> Fault:
    return Fault("fog1", kind, frame.sender, frame.number, "", proof)


def two_frames_of(fog: Fog) -> Iterator[Fault]:
    for one, other in itertools.combinations(fog.told, 2):
        if one.number == other.number:
            yield fault_of("two_frames", one, one.data, other.data)


def steps_of(fog: Fog) -> Iterator[Fault]:
    for frame in fog.told:
        yield fault_of("bad_frame", frame, frame.data)
        for before in fog.told:
            if before.number + 1 == frame.number:
                yield fault_of("bad_frame", frame, before.data, frame.data)


def proofs_of(fog: Fog) -> Iterator[Fault]:
    for frame in fog.told:
        for proof in fog.proofs[frame.hash]:
            about = NET.opened(proof).sender
            yield msgspec.structs.replace(fault_of("false_frame", frame, frame.data, proof), about=about)
            yield fault_of("false_note", frame, frame.data, proof)


def current(fog: Fog) -> list[LogFrame]:
    """The log as it is, beginning with frame 1."""
    chain = []
    by_hash = {frame.hash: frame for frame in fog.told}
    at = fog.told[-1] if fog.told else None
    newest = fog.storage.newest()
    if newest is not None and newest.hash in by_hash:
        at = by_hash[newest.hash]
    while at is not None:
        chain.append(at)
        at = by_hash.get(at.frame.previous)
    return chain[::-1]


def cut(fog: Fog, number: int) -> None:
    """Detectors that have heard the charter forget what is void."""
    for holder in fog.holders.values():
        holder.log.keep(Cut(number))


# --- where the operator has it go on ------------------------------------------------------------------


def test_the_log_goes_on_from_the_frame_that_the_charter_names_and_only_once() -> None:
    fog = Fog()
    fog.run(10)
    resume = resume_at(fog, 6)
    second = charter(2, resume)
    cut(fog, 6)
    fog.charter(second)
    fog.run(3)
    anew = fog.told[10:]
    assert [frame.number for frame in anew] == [7, 8, 9]
    assert {frame.frame.charter for frame in anew} == {second.hash}
    assert anew[0].frame.previous == resume.hash
    fog.check_chain()
    fog.start()  # the charter still says so
    fog.run(2)
    fog.charter(charter(3, resume, title="three"))
    fog.run(3)
    assert fog.numbers[10:] == list(range(7, 15))
    fog.check_chain()


def test_a_kill_right_after_the_cut_changes_nothing() -> None:
    fog = Fog()
    fog.run(10)
    silence(fog, *DETECTORS)  # so that it has to wait
    fog.charter(charter(2, resume_at(fog, 6)))
    newest = fog.storage.newest()
    assert newest is not None
    assert newest.number == 6
    for holder in fog.holders.values():
        fog.hears(holder, *fog.told[:6])
    cut(fog, 6)
    fog.start()
    fog.run(3)
    assert fog.numbers[10:] == [7, 8, 9]
    fog.check_chain()


def test_detectors_that_have_not_heard_of_it_show_what_is_void_and_it_counts_for_nothing() -> None:
    fog = Fog()
    fog.run(10)
    fog.charter(charter(2, resume_at(fog, 6)))
    fog.run(3)
    assert fog.numbers[10:] == [7, 8, 9]
    fog.check_chain()


@pytest.mark.parametrize("name", ["manager", "manager2"])
def test_a_new_manager_with_a_new_key_and_an_empty_disk_goes_on_where_the_charter_says(name: str) -> None:
    fog = Fog()
    fog.run(40)
    key = key_of("the new manager")
    resume = resume_at(fog, 36)
    second = charter(2, resume, nodes=with_manager(name, key))
    fog.charters[second.hash] = second
    fog.storage = MemoryStorage()
    cut(fog, 36)
    fog.start(member(NET, second, name=name, key=key))  # it knows no other charter
    fog.run(4)
    anew = fog.told[40:]
    assert [(frame.number, frame.sender) for frame in anew] == [(n, name) for n in (37, 38, 39, 40)]
    assert anew[0].frame.previous == resume.hash
    fog.check_chain()
    # It is killed, with and without its disk, and goes on all the same.
    fog.start()
    fog.run(2)
    fog.storage = MemoryStorage()
    fog.start()
    fog.run(3)
    assert fog.numbers[40:] == list(range(37, 46))
    fog.check_chain()


def test_it_goes_on_from_the_very_beginning() -> None:
    fog = Fog()
    fog.run(10)
    fog.charter(charter(2, Resume(0, NO_HASH)))
    assert fog.storage.newest() is None
    cut(fog, 0)
    fog.run(3)
    assert fog.numbers[10:] == [1, 2, 3]
    assert fog.told[10].frame.previous == NO_HASH
    fog.check_chain()


def test_a_frame_to_go_on_from_that_nobody_has_is_said_once_and_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fog = Fog()
    fog.run(10)
    wanted = fog.kept(6)
    fog.storage = MemoryStorage()
    second = charter(2, Resume(6, wanted.hash))
    fog.charters[second.hash] = second
    for name in DETECTORS:
        fog.holders[name] = Holder(NET, name)
    fog.start(member(NET, second))
    fog.run(30)
    assert len(fog.told) == 10
    assert said(caplog) == [
        "no detector has frame 6, from which charter version 2 has the log go on: no frame is closed until one "
        "has (docs/operations.md)"
    ]
    fog.holders["det3"].hear(wanted)
    fog.run(5)
    assert fog.numbers[10:][:2] == [7, 8]


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
    reply = answer(fog, fog.holders["det1"], FrameRequest("det1", "manager", 1, 2, False))
    assert [frame_in(data).number for data in reply.frames] == [1, 2]
    return (len(fog.told), len(fog.acks), fog.manager.due_ns()) == (told, acks, NEVER_NS)


def test_a_proof_against_it_ends_its_frames_until_a_charter_says_where_they_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fog = Fog()
    fog.run(8)
    assert not is_done(fog)
    fault, resume = two_frames(fog), resume_at(fog, 5)
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
    cut(fog, 5)
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
    fog.charter(charter(2, nodes=with_manager("manager", key_of("another"))))
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
    plain = answer(fog, detector, FrameRequest("det1", "manager", 6, 1, False))
    assert (plain.proofs, plain.frames, plain.newest) == ((), (fog.told[5].data,), fog.told[-1].data)
    proofs = answer(fog, detector, FrameRequest("det1", "manager", 6, 1, True)).proofs
    assert {leaf_hash(proof) for proof in proofs[:2]} == {entry.leaf for entry in frame.devices}
    assert proofs[2:] == (given_,)
    # Told by others to a manager whose disk is empty, they are at hand again.
    fog.storage = MemoryStorage()
    for holder in fog.holders.values():
        holder.hear(fog.told and Kept(6, fog.told[5].hash, fog.told[5].data), proofs)
    fog.start()
    fog.run(3)
    assert set(answer(fog, detector, FrameRequest("det1", "manager", 6, 1, True)).proofs) == set(proofs)


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
    cut(fog, 4)
    fog.charter(charter(2, resume_at(fog, 4)))
    fog.run(4)
    fog.receive(TOPICS.verdict("det1", "m01"), given_)  # on frame 5, which is another one now
    assert fog.member.rejections.by_reason == {Reason.NOT_PROVEN: 1}
    fog.run(1)
    assert {m.miner: m.offences for m in fog.told[-1].frame.miners}["m01"] == 0
    assert open_frame(fog.told[-1].data, fog.charters).number == fog.numbers[-1]
