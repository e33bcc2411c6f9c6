"""A manager that lies is shown to have lied, and judged no further; who voted twice is not counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mint.errors import Reason
from mint.fault import OF_MANAGER
from mint.frame_log import Kept
from mint.frames import frame_in
from mint.merkle import root
from mint.messages.fault import Fault
from mint.messages.frame import Decision
from mint.messages.judgement import Vote
from mint.messages.sample import Sample
from tests.builders import T0_MS
from tests.detectors.fog import Fog

EMPTY = root([])
DETECTORS = ("det1", "det2", "det3", "det4")


def lying(fog: Fog, data: bytes, *hearers: str) -> None:
    """The manager tells some (default: everyone) a frame of its own making, and nothing else any more."""
    fog.parts["manager"].stop()
    for name in hearers or DETECTORS:
        fog.say(name, fog.topics.frame(), data)


def next_frame(fog: Fog, /, later_ms: int = 0, **changes: Any) -> bytes:
    """The frame that would come next (or later, by its number), with nothing new in it but the changes."""
    last = frame_in(fog.parts["det1"].disk.log.newest().data)
    devices = tuple(msgspec.structs.replace(entry, leaf=b"") for entry in last.devices)
    miners = tuple(msgspec.structs.replace(entry, present=False) for entry in last.miners)
    ahead = changes.get("number", last.number + 1) - last.number
    quiet: dict[str, Any] = {
        "number": last.number + 1,
        "previous": fog.hash_of(last.number),
        "time_ms": last.time_ms + later_ms + ahead * fog.net.charter.period_ms,
        "devices": devices,
        "miners": miners,
    }
    quiet |= {"root": EMPTY, "decisions": (), "receipts": ()}
    return fog.forged(last.number, **(quiet | changes))


def halted(fog: Fog, *names: str) -> None:
    """They judge no frame and cast no vote, over a restart, whatever comes."""
    for name in names or DETECTORS:
        at, votes = fog.number(name), len(fog.votes[name])
        for again in range(2):
            fog.say(name, fog.topics.frame(), next_frame(fog))
            memory = fog.parts[name].disk.memory()
            assert memory is not None
            assert memory.fault, "kept before it is told"
            assert fog.detector(name)._faults.done
            assert (fog.number(name), len(fog.votes[name])) == (at, votes)
            if not again:
                fog.down(name, 0.1)
                fog.run(2)


def young(periods: float = 14.5) -> Fog:
    fog = Fog()
    fog.run(periods)
    return fog


# --- the manager --------------------------------------------------------------------------------------


def test_the_next_frame_with_nothing_new_is_lawful() -> None:
    fog = young()
    lying(fog, next_frame(fog))
    fog.run(1)
    assert set(fog.numbers()) == {fog.newest + 1}
    assert fog.faults == []


def test_two_frames_of_one_number_halt_everyone_for_good() -> None:
    fog = young()
    lying(fog, fog.forged(fog.newest, time_ms=1), "det3")
    fog.run(1)
    assert set(fog.kinds()) == {"two_frames"}
    assert {name for name, _ in fog.faults} == set(DETECTORS), "each tells it in its own name"
    halted(fog)


def test_two_frames_of_an_old_number_too() -> None:
    fog = young(120)
    lying(fog, fog.forged(20, time_ms=1), "det3")
    fog.run(1)
    assert set(fog.kinds()) == {"two_frames"}
    halted(fog)


def test_two_frames_that_came_before_those_before_them() -> None:
    fog = young()
    fog.parts["manager"].stop()
    early: dict[str, Any] = {"number": fog.newest + 5, "previous": bytes(32)}
    fog.say("det1", fog.topics.frame(), next_frame(fog, **early))
    fog.say("det1", fog.topics.frame(), next_frame(fog, later_ms=1, **early))
    fog.run(1)
    assert set(fog.kinds()) == {"two_frames"}
    halted(fog)


def test_a_fork_that_each_side_follows_is_found_by_a_vote_on_another_hash() -> None:
    fog = young()
    fog.parts["manager"].stop()
    # Each half is shown a log of its own from here on, up to a frame that all vote on.
    asked = len(fog.said)
    number = fog.newest + 1
    while number % 10:
        number += 1
    for names, later_ms in ((("det1", "det2"), 1), (("det3", "det4"), 2)):
        previous = fog.hash_of(fog.newest)
        for at in range(fog.newest + 1, number + 1):
            data = next_frame(fog, number=at, previous=previous, later_ms=later_ms)
            previous = fog.opened(data).hash
            for name in names:
                fog.say(name, fog.topics.frame(), data)
    assert fog.faults == [], "nobody has seen both yet"
    assert set(fog.numbers()) == {number}
    fog.run(1)
    requests = [topic for _, topic, _ in fog.said[asked:]].count(fog.topics.frame_request())
    assert requests >= 2, "they ask the voters"
    assert set(fog.kinds()) == {"two_frames"}
    halted(fog)
    for frame in range(number - 5, number + 1):  # no quorum on either side
        sides = [fog.votes[name][frame].frame_hash for name in DETECTORS if frame in fog.votes[name]]
        assert all(sides.count(one) <= 2 for one in sides)


def doubled(fog: Fog) -> dict[str, Any]:
    last = frame_in(fog.data_of(fog.newest))
    return {"miners": (*last.miners[:1], *last.miners)}


BAD: dict[str, Callable[[Fog], dict[str, Any]]] = {
    "of another fog": lambda fog: {"fog": "fog2"},
    "without a device": lambda fog: {"devices": ()},
    "with a miner twice": doubled,
    "with another root": lambda fog: {"root": b"r" * 32},
    "that decides on nobody": lambda fog: {"decisions": (Decision(bytes(32), "m99", 1),)},
    "that decides without counting": lambda fog: {"decisions": (Decision(bytes(32), "m01", 1),)},
    "that counts without deciding": lambda fog: {
        "miners": tuple(
            msgspec.structs.replace(entry, present=False, offences=1)
            for entry in frame_in(fog.data_of(fog.newest)).miners
        )
    },
    "that loses a miner": lambda fog: {"miners": ()},
    "that follows another": lambda fog: {"previous": b"p" * 32},
    "where a device is elsewhere": lambda fog: {
        "devices": tuple(
            msgspec.structs.replace(entry, leaf=b"", sequence=entry.sequence + 1)
            for entry in frame_in(fog.data_of(fog.newest)).devices
        )
    },
}


@pytest.mark.parametrize("kind", BAD)
def test_a_frame_that_breaks_a_rule_is_shown_and_not_judged(kind: str) -> None:
    fog = young()
    lying(fog, next_frame(fog, **BAD[kind](fog)), "det2")
    fog.run(1)
    assert set(fog.kinds()) == {"bad_frame"}
    assert fog.number("det2") == fog.newest
    halted(fog)


def test_a_frame_that_says_something_else_than_the_sample_it_names_is_shown() -> None:
    fog = young(14)
    fog.lost = lambda sender, receiver, topic: topic == fog.topics.frame()
    number = fog.newest
    fog.run_until(lambda: fog.newest > number + 1)
    fog.parts["manager"].stop()
    fog.lost = lambda *_: False
    (kept,) = fog.parts["manager"].disk.frames(number + 1, 1)
    frame = frame_in(kept.data)
    lie = msgspec.structs.replace(frame.miners[0], usage_ns=frame.miners[0].usage_ns + 1)
    changed = msgspec.structs.replace(frame, miners=(lie, *frame.miners[1:]))
    data = fog.net.signer("manager").object(changed)
    for name in DETECTORS:
        fog.say(name, fog.topics.frame(), data)
    fog.run(1)
    assert set(fog.kinds()) == {"false_frame"}, "whoever watches that device"
    assert {fault.about for _, fault in fog.faults} == {"edge1"}
    assert set(fog.numbers()) == {number + 1}, "it was lawful, as far as it went"
    halted(fog)


FAR = 1_000_000


def test_a_frame_whose_number_is_far_ahead_and_whose_time_is_not_is_shown() -> None:
    fog = young(14)
    number = fog.newest
    lying(fog, next_frame(fog, number=number + FAR, time_ms=fog.now.wall_ms))
    fog.run(2)
    assert set(fog.kinds()) == {"bad_frame"}
    assert set(fog.numbers()) == {number}
    halted(fog)


def test_a_frame_of_a_time_to_come_halts_nobody_and_holds_up_nothing() -> None:
    fog = young(14)
    number = fog.newest
    for name in DETECTORS:  # now, and whoever asks is shown it as the newest there is
        far = next_frame(fog, number=number + FAR)
        fog.say(name, fog.topics.frame(), far)
    fog.cheat("m03")
    fog.run_until(lambda: bool(fog.verdicts))
    assert fog.faults == []
    assert all(fog.detector(name)._member.rejections.by_reason[Reason.WRONG_TIME] == 1 for name in DETECTORS)
    fog.run_until(lambda: min(fog.numbers()) >= fog.newest - 1)
    fog.check_logs()


def test_what_is_far_ahead_says_nothing_of_how_far_the_log_has_come() -> None:
    fog = young(14)
    last = frame_in(fog.data_of(fog.newest))
    far = next_frame(fog, number=last.number + FAR)
    fog.down("det1", 0.1)
    real = fog.parts["manager"].disk.newest
    fog.parts["manager"].disk.newest = lambda: Kept(last.number + FAR, bytes(32), far)
    fog.run(3)
    heads = fog.detector("det1")._asker.heads
    assert (heads.known, heads.head < last.number + FAR) == (False, True)
    fog.parts["manager"].disk.newest = real
    fog.run_until(lambda: fog.detector("det1")._asker.heads.known)
    assert fog.detector("det1")._asker.heads.head <= fog.newest


@pytest.mark.parametrize("of", ["another miner", "nobody", "the future"])
def test_a_frame_that_takes_note_of_no_verdict_is_shown_and_not_judged(of: str) -> None:
    fog = young(20)
    fog.lost = lambda sender, receiver, topic: receiver == "manager" and "/verdict/" in topic
    fog.cheat("m03")
    fog.run_until(lambda: bool(fog.verdicts))
    fog.run(1)
    verdict, victim = fog.verdicts[0], "m03"
    if of == "another miner":
        victim = "m01"
    elif of == "nobody":
        verdict = msgspec.structs.replace(verdict, votes=verdict.votes[:2])
    else:
        verdict = msgspec.structs.replace(verdict, frame=verdict.frame + 900)
    envelope = fog.net.signer("det4").object(verdict)
    miners = tuple(
        msgspec.structs.replace(entry, present=False, offences=1, decided=fog.newest + 1)
        if entry.miner == victim
        else msgspec.structs.replace(entry, present=False)
        for entry in frame_in(fog.data_of(fog.newest)).miners
    )
    decisions = (Decision(fog.opened(envelope).hash, victim, 1),)
    lying(fog, next_frame(fog, miners=miners, decisions=decisions))
    fog.run(1)
    assert bool(fog.faults) == (of == "another miner"), "it waits for what is not here yet"
    at = fog.newest
    for (
        name
    ) in DETECTORS:  # somebody shows it: valid ones come as verdicts, and others when they are asked for
        fog.detector(name)._verdicts.keep(envelope)
        fog.say(name, fog.topics.frame(), next_frame(fog, number=at + 9, previous=bytes(32)))
    fog.run(1)
    assert set(fog.kinds()) == {"false_note"}
    assert set(fog.numbers()) == {at}
    halted(fog)


def test_a_proof_is_kept_before_it_is_told_and_told_again_after_a_crash_between() -> None:
    fog = young()
    fog.parts["manager"].stop()
    for name in DETECTORS[1:]:
        fog.parts[name].stop()
    fog.parts["det1"].crash_in, fog.back_after = 1, 1.0
    fog.say("det1", fog.topics.frame(), fog.forged(fog.newest, time_ms=1))
    assert (fog.kinds(), fog.parts["det1"].up) == ([], False)
    fog.run(3)
    assert fog.detector("det1")._faults.done
    halted(fog, "det1")


def test_what_another_tells_halts_as_well_and_what_is_no_proof_does_not() -> None:
    fog = young()
    topic = fog.topics.fault("det4")
    one, other = fog.data_of(5), fog.forged(5, time_ms=1)
    signer = fog.net.signer("det4")

    def told(proof: tuple[bytes, ...], kind: str = "two_frames", about: str = "", frame: int = 5) -> None:
        fault = Fault("fog1", kind, "manager", frame, about, proof)  # type: ignore[arg-type] # one of them
        fog.say("det1", topic, signer.object(fault))

    told((one, one))
    told((one,))
    told((one, other), about="edge1")
    told((one, other), frame=6)
    told((one, fog.data_of(6)))
    told((one,), "bad_frame")
    told((one, fog.data_of(6)), "bad_frame", frame=6)
    told((one, b"junk"))
    told((one, other), "false_frame", "edge1")
    told((one, other), "false_note")
    told((one, one, one), "omission")
    assert not fog.detector("det1")._faults.done
    assert fog.parts["det1"].member.rejections.by_reason.total() == 11
    told((one, other))
    assert fog.detector("det1")._faults.done
    assert fog.kinds("det1") == ["two_frames"]
    told((other, one))
    assert fog.kinds("det1") == ["two_frames"], "once"


def test_every_kind_of_proof_against_the_manager_is_tried_here() -> None:
    assert {"two_frames", "bad_frame", "false_frame", "false_note"} == OF_MANAGER


# --- detectors and devices ----------------------------------------------------------------------------


def test_one_that_voted_twice_is_shown_and_not_counted_until_the_charter_changes() -> None:
    fog = young(20)
    fog.parts["det4"].stop()
    number, signer = fog.newest, fog.net.signer("det4")
    votes = [
        signer.object(Vote("fog1", number, frame_hash, fog.net.sealed.hash, ()))
        for frame_hash in (fog.hash_of(number), bytes(32))
    ]
    for name in DETECTORS[:3]:
        for data in votes:
            fog.say(name, fog.topics.vote("det4"), data)
    fog.run(1)
    assert set(fog.kinds()) == {"two_votes"}
    assert not any(fog.detector(name)._faults.done for name in DETECTORS[:3]), "nobody halts"
    fog.parts["det3"].stop()
    fog.cheat("m03")
    fog.run(8)
    agreed = next(vote for vote in fog.votes["det1"].values() if vote.accusations)
    topic = fog.topics.vote("det4")

    def third(frame: int) -> int:
        theirs = fog.votes["det1"][frame]
        for name in ("det1", "det2"):
            fog.say(name, topic, signer.object(theirs))
        return len(fog.verdicts)

    assert third(max(fog.votes["det1"])) == 0
    assert agreed.accusations
    fog.charter(fog.net.next_version(title="two"))
    fog.run(3)
    assert third(max(fog.votes["det1"])) > 0


def test_a_second_vote_told_by_another_drops_what_was_counted() -> None:
    fog = young(20)
    fog.lost = lambda sender, receiver, topic: (
        receiver == "det1" and (topic == fog.topics.vote("det3") or "/verdict/" in topic)
    )
    fog.parts["det4"].stop()
    fog.cheat("m03")
    fog.run_until(lambda: any(vote.accusations for vote in fog.votes["det3"].values()))
    number = max(fog.votes["det3"])
    theirs = fog.votes["det3"][number]
    signer = fog.net.signer("det2")
    pair = tuple(
        signer.object(vote)
        for vote in (fog.votes["det2"][number], msgspec.structs.replace(theirs, accusations=()))
    )
    fault = Fault("fog1", "two_votes", "det2", number, "", pair)
    fog.say("det1", fog.topics.fault("det3"), fog.net.signer("det3").object(fault))
    assert "det2" in fog.detector("det1")._faults.doubled
    fog.say("det1", fog.topics.vote("det3"), fog.net.signer("det3").object(theirs))
    assert not [topic for name, topic, _ in fog.said if name == "det1" and "/verdict/" in topic]


def test_two_samples_of_one_place_are_told_and_halt_nobody() -> None:
    fog = young(14.5)
    signer = fog.net.signer("edge1", session=9)
    topic = fog.topics.sample("edge1")
    one, other = (Sample(b"B" * 16, cpus, 10**15, ()) for cpus in (1, 2))
    first = signer.stream(one, topic, T0_MS + fog.now_ns // 10**6)
    signer._sequence = 0
    second = signer.stream(other, topic, T0_MS + fog.now_ns // 10**6)
    for data in (first, second, second, first):
        fog.publish("edge1", topic, data)
    fog.run(3)
    assert set(fog.kinds()) == {"two_samples"}
    assert {(fault.accused, fault.frame, fault.about) for _, fault in fog.faults} == {("edge1", 0, "")}
    assert len(fog.faults) == len(DETECTORS)
    assert len(set(fog.numbers())) == 1
    assert fog.number("det1") == fog.newest
