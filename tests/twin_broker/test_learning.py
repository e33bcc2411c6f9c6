"""What the manager waits for before it signs, and where its log goes on: no number twice, whatever its disk says."""

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

from mint.charter.model import Resume
from mint.charter.seal import SealedCharter
from mint.component import NEVER_NS
from mint.errors import Rejected
from mint.fault import verify_fault
from mint.frames import NO_HASH, LogFrame, frame_in
from mint.messages.fault import Fault, FaultKind
from mint.messages.frame import MAX_REPLY_FRAMES, FrameReply, FrameRequest
from tests.builders import Net, key_of
from tests.twin_broker.fog import Fog, Holder, member, said, with_manager
from tests.twin_broker.verdicts import verdict
from twin_broker.learning import TRIES
from twin_broker.storage import MemoryStorage

NET = Net(miners=4, devices=2)
TOPICS = NET.sealed.topics()
DETECTORS = NET.detectors


def charter(version: int, resume: Resume | None = None, **changes: Any) -> SealedCharter:
    return NET.next_version(version=version, resume=resume, **changes)


# --- what it waits for --------------------------------------------------------------------------------


def test_no_frame_is_closed_before_a_quorum_of_detectors_has_shown_its_newest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    fog = Fog()
    fog.silence(*DETECTORS)
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
    fog.silence(*DETECTORS[1:])
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
        reply = fog.answer(detector, FrameRequest("det1", "manager", first, 2, True))
        assert (reply.asked, [frame_in(data).number for data in reply.frames]) == (first, numbers)


@pytest.mark.parametrize("newest", [b"nonsense", b"by another"])
def test_what_is_no_frame_of_ours_does_not_count_as_an_answer(newest: bytes) -> None:
    fog = Fog()
    fog.run(3)
    if newest == b"by another":
        newest = NET.signer("det1").object(fog.told[-1].frame)
    fog.storage = MemoryStorage()
    fog.silence("det1", "det2")
    fog.start()
    for name in ("det1", "det2"):
        fog.reply(fog.holders[name], FrameReply(1, newest, (), ()))
    count = len(fog.told)
    fog.run(3)
    assert len(fog.told) == count
    assert fog.member.rejections.by_reason.total() == 2


def test_who_was_not_asked_is_not_heard() -> None:
    fog = Fog()
    fog.silence(*DETECTORS)
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


@settings(max_examples=40)
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
                    fog.cut(number)
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


# --- where the operator has it go on ------------------------------------------------------------------


def test_the_log_goes_on_from_the_frame_that_the_charter_names_and_only_once() -> None:
    fog = Fog()
    fog.run(10)
    resume = fog.resume_at(6)
    second = charter(2, resume)
    fog.cut(6)
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
    fog.silence(*DETECTORS)  # so that it has to wait
    fog.charter(charter(2, fog.resume_at(6)))
    newest = fog.storage.newest()
    assert newest is not None
    assert newest.number == 6
    for holder in fog.holders.values():
        fog.hears(holder, *fog.told[:6])
    fog.cut(6)
    fog.start()
    fog.run(3)
    assert fog.numbers[10:] == [7, 8, 9]
    fog.check_chain()


def test_detectors_that_have_not_heard_of_it_show_what_is_void_and_it_counts_for_nothing() -> None:
    fog = Fog()
    fog.run(10)
    fog.charter(charter(2, fog.resume_at(6)))
    fog.run(3)
    assert fog.numbers[10:] == [7, 8, 9]
    fog.check_chain()


@pytest.mark.parametrize("name", ["manager", "manager2"])
def test_a_new_manager_with_a_new_key_and_an_empty_disk_goes_on_where_the_charter_says(name: str) -> None:
    fog = Fog()
    fog.run(40)
    key = key_of("the new manager")
    resume = fog.resume_at(36)
    second = charter(2, resume, nodes=with_manager(NET, name, key))
    fog.charters[second.hash] = second
    fog.storage = MemoryStorage()
    fog.cut(36)
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
    fog.cut(0)
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
