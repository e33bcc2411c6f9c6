"""What a console knows, and what it refuses to believe."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from console import events, views
from console.picture import HISTORY, MAX_EVENTS, Picture
from console.views import MinerView
from mint.charter.model import Resume, replaced
from mint.charter.seal import seal
from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.keys import new_key
from mint.messages.fault import Fault
from mint.messages.frame import DeviceEntry, Frame
from mint.messages.judgement import Accusation, Alarm, Behaviour, SampleRef, Score, Vote
from mint.messages.sample import State, Twin
from tests.console.history import (
    BEGAN,
    CHEAT,
    CONVICTED,
    CPU_PPM,
    RESTORED,
    T0_MS,
    Fog,
    History,
    forked,
    frame,
)

Seen = Callable[..., Picture]


def of(picture: Picture, name: str = CHEAT) -> MinerView:
    return next(miner for miner in views.miners(picture) if miner.name == name)


def test_an_honest_fog_is_fair(seen: Seen) -> None:
    picture = seen(50, cheat=None)
    miners = views.miners(picture)
    assert [miner.name for miner in miners] == sorted(picture.charter.miners_by_name())
    assert {miner.word for miner in miners} == {"fair"}
    assert all(len(miner.history) == 50 and 80 < (miner.use or 0) < 120 for miner in miners)
    assert all(miner.quota_ppm == miner.entitled_ppm == CPU_PPM for miner in miners)
    assert sum(miner.best for miner in miners) == 1
    assert not picture.events


def test_scores_are_medians_and_nan_while_detectors_warm_up(seen: Seen, fog: Fog) -> None:
    assert math.isnan(of(seen(20)).W)
    picture = seen(50)
    assert 0 < of(picture).W < 6
    liar = Behaviour(50, 1e9, "", (Score(CHEAT, 1.0, 1.0, 1e9, 2**62, 1.0),))
    topic = fog.topics.behaviour("detector_4")
    picture.take(fog.stream("detector_4", liar, topic, T0_MS + 50_000), T0_MS + 50_000)
    assert of(picture).W < 6
    assert of(picture).excess_ms < 10
    assert views.network(picture, T0_MS).h == 25


def test_the_course_of_a_cheat(seen: Seen) -> None:
    words = {n: of(seen(n)).word for n in (BEGAN - 1, BEGAN, BEGAN + 1, CONVICTED, RESTORED - 1, RESTORED)}
    assert words == {
        BEGAN - 1: "fair",
        BEGAN: "drift",
        BEGAN + 1: "accused",
        CONVICTED: "CONVICTED",
        RESTORED - 1: "CONVICTED",
        RESTORED: "restored",
    }
    accused = of(seen(BEGAN + 1))
    assert len(accused.accusers) == 4
    convicted = of(seen(CONVICTED))
    assert convicted.detail == "offence 1, pays back"
    assert not convicted.accusers
    assert convicted.proven is not None
    assert (convicted.proven.began, convicted.proven.offence) == (BEGAN, 1)
    assert of(seen(RESTORED + 31)).word == "fair"


def test_every_event_is_told_once_in_one_plain_line(seen: Seen) -> None:
    found = list(seen(RESTORED + 5).events)
    assert Counter(event.kind for event in found) == {
        "alarm": 1,  # four detectors saw it
        "accusation": 4,
        "verdict": 1,  # two detectors published it
        "receipt": 2,
    }
    for event in found:
        assert event.miner == CHEAT
        assert "\n" not in events.as_line(event)
        assert json.loads(events.as_json(event)) == {
            "time_ms": event.time_ms,
            "kind": event.kind,
            "text": event.text,
            "miner": event.miner,
            "by": event.by,
            "frame": event.frame,
        }


def test_what_others_wrote_cannot_command_the_terminal(fog: Fog) -> None:
    picture = Picture(fog.sealed)
    alarm = fog.object("detector_1", Alarm(1, CHEAT, "budget", "\x1b[2Jgone\nnext\u202e"))
    assert picture.take(alarm, T0_MS)[0].text.endswith("?[2Jgone?next?")


def test_a_verdict_that_does_not_hold_is_not_shown(fog: Fog) -> None:
    picture = Picture(fog.sealed)
    for verdict in (fog.verdict(voters=2), msgspec.structs.replace(fog.verdict(), offence=2)):
        with pytest.raises(Rejected) as refused:
            picture.take(fog.object("detector_1", verdict), T0_MS)
        assert refused.value.reason is Reason.NO_QUORUM
    assert of(picture).proven is None
    assert not picture.events


@pytest.mark.parametrize("change", [{"began": BEGAN + 1}, {"excess_ns": 10**12}, {"evidence": "ssa"}])
def test_a_verdict_says_what_its_votes_say_or_is_not_shown(fog: Fog, change: dict[str, object]) -> None:
    picture = Picture(fog.sealed)
    liar = msgspec.structs.replace(fog.verdict(), **change)
    with pytest.raises(Rejected) as refused:
        picture.take(fog.object("detector_1", liar), T0_MS)
    assert refused.value.reason is Reason.NOT_PROVEN
    (event,) = picture.take(fog.object("detector_1", fog.verdict()), T0_MS)
    assert (
        event.text == f"{CHEAT} convicted of offence 1 (budget): 399 ms of CPU too much since frame {BEGAN}"
    )


def test_a_verdict_from_before_is_shown_and_is_over_when_the_manager_says_so(fog: Fog, seen: Seen) -> None:
    picture = seen(CONVICTED + 40, cheat=None)
    (event,) = picture.take(fog.object("detector_1", fog.verdict()), T0_MS + 1, retained=True)
    assert event.text.endswith("before this console came")
    assert of(picture).word == "fair"
    twin = Twin(CHEAT, CONVICTED + 41, 50_000, -1, 0, 0, CPU_PPM // 2, CPU_PPM, "convicted")
    now_ms = T0_MS + 1000 * (CONVICTED + 41)
    picture.take(fog.stream("manager", twin, fog.topics.twin(CHEAT), now_ms), now_ms)
    assert (of(picture).word, of(picture).detail) == ("CONVICTED", "offence 1, enforcer to act")


def test_receipts_of_a_penalty(fog: Fog, seen: Seen) -> None:
    picture, history = seen(CONVICTED), History(fog)
    for number, action, detail in ((7, "pause", "paused"), (8, "resume", "pays back")):
        picture.take(history.receipt(number, CHEAT, action, 1, 1, ""), T0_MS)  # type: ignore[arg-type]
        assert of(picture).detail == f"offence 1, {detail}"
    picture.take(history.receipt(9, CHEAT, "drift", 1, 1, "", offence=0), T0_MS)
    assert of(picture).word == "CONVICTED"


def test_an_enforcer_speaks_for_its_devices_only(fog: Fog) -> None:
    nodes = tuple(
        msgspec.structs.replace(node, devices=("edge1",)) if node.devices else node
        for node in fog.sealed.charter.nodes
    )
    picture = Picture(seal(replaced(fog.sealed.charter, nodes=nodes), fog.operator))
    with pytest.raises(Rejected) as refused:  # miner_07 lives on edge3
        picture.take(History(fog).receipt(1, CHEAT, "correct", 1, 1, ""), T0_MS)
    assert refused.value.reason is Reason.IMPOSSIBLE


def test_streams_are_taken_once_and_in_time(fog: Fog) -> None:
    picture = Picture(fog.sealed)
    twin = Twin(CHEAT, 1, 100_000, -1, 0, 0, CPU_PPM, CPU_PPM, "fair")
    opened = fog.stream("manager", twin, fog.topics.twin(CHEAT), T0_MS)
    picture.take(opened, T0_MS)
    late = fog.stream("manager", twin, fog.topics.twin(CHEAT), T0_MS)
    elsewhere = fog.stream("manager", twin, fog.topics.twin("miner_01"), T0_MS)
    for again, now_ms, reason in (
        (opened, T0_MS, Reason.REPLAYED),
        (late, T0_MS + 61_000, Reason.WRONG_TIME),
        (elsewhere, T0_MS, Reason.WRONG_TOPIC),
    ):
        with pytest.raises(Rejected) as refused:
            picture.take(again, now_ms)
        assert refused.value.reason is reason
    assert of(picture).history == (100.0,)


def test_missed_frames_leave_a_gap_and_history_is_bounded(fog: Fog) -> None:
    picture = Picture(fog.sealed)

    def twin(frame: int) -> Opened:
        message = Twin(CHEAT, frame, 100_000, -1, 0, 0, CPU_PPM, CPU_PPM, "fair")
        return fog.stream("manager", message, fog.topics.twin(CHEAT), T0_MS)

    picture.take(twin(1), T0_MS)
    picture.take(twin(4), T0_MS)
    assert of(picture).history == (100.0, None, None, 100.0)
    picture.take(twin(2**40), T0_MS)
    assert len(of(picture).history) == HISTORY


def test_events_are_bounded(fog: Fog) -> None:
    picture = Picture(fog.sealed)
    for k in range(MAX_EVENTS + 50):
        picture.note(f"line {k}", T0_MS)
    assert len(picture.events) == MAX_EVENTS
    assert picture.events[-1].text == f"line {MAX_EVENTS + 49}"


def test_frames_that_stop_are_told_once_and_so_is_their_return(fog: Fog, seen: Seen) -> None:
    picture, history = Picture(fog.sealed), History(fog)
    last_ms = T0_MS + 20_000
    for told in history.frames(1, 20):
        told.reaches(picture)
    assert picture.tick(last_ms + 5_000) == ()
    (event,) = picture.tick(last_ms + 6_000)
    assert event.text.startswith("no frame for 6 s: is the manager's host down?")
    assert picture.tick(last_ms + 7_000) == ()
    view = views.network(picture, last_ms + 12_000)
    assert view.trouble.startswith("no frame for 12 s: ")
    assert "no verdicts come" in view.trouble
    (again,) = (
        event
        for told in history.frame(21)
        for event in told.reaches(picture, last_ms + 15_000)
        if event.kind == "network"
    )
    assert again.text == "frames come again, after 15 s"
    assert views.network(picture, last_ms + 16_000).trouble == ""


def test_a_console_that_never_hears_a_frame_says_so(fog: Fog) -> None:
    picture = Picture(fog.sealed)
    assert picture.tick(T0_MS) == ()
    (event,) = picture.tick(T0_MS + 6_000)
    assert "None came since this console began to wait" in event.text


def test_a_manager_that_signs_two_histories_is_seen(fog: Fog) -> None:
    picture, first = Picture(fog.sealed), frame(fog, 5, bytes(32))
    assert first.reaches(picture) == first.reaches(picture) == ()
    assert "two histories at frame 5" in frame(fog, 5, bytes(32), 1).reaches(picture)[0].text
    assert frame(fog, 6, first.opened.hash).reaches(picture) == ()
    assert "two histories at frame 7" in frame(fog, 7, first.opened.hash).reaches(picture)[0].text


def test_a_log_that_the_operator_has_go_on_from_an_earlier_frame_is_one_history(fog: Fog) -> None:
    picture, fifth = Picture(fog.sealed), frame(fog, 5, bytes(32))
    fifth.reaches(picture)
    for number, previous in ((6, fifth.opened.hash), (7, bytes(32))):
        frame(fog, number, previous).reaches(picture)
    later = Fog(operator=fog.operator, keys=fog.keys, version=2, resume=Resume(5, fifth.opened.hash))
    picture.take_charter(later.sealed)
    (event,) = frame(later, 6, fifth.opened.hash).reaches(picture)
    assert event.text == "the log goes on after frame 5, as the charter says"
    assert picture.number == 6


def test_a_frame_of_a_manager_that_the_charter_has_replaced_is_of_the_log_all_the_same(fog: Fog) -> None:
    picture, last = Picture(fog.sealed), frame(fog, 5, bytes(32))
    picture.take_charter(Fog(operator=fog.operator, keys=fog.keys | {"manager": new_key()}, version=2).sealed)
    assert last.reaches(picture) == ()
    assert picture.number == 5


# --- faults ---------------------------------------------------------------------------------------------------------


def test_a_manager_that_is_shown_to_have_forked_the_log_is_done_until_the_operator_says_where_it_goes_on(
    fog: Fog,
) -> None:
    picture = Picture(fog.sealed)
    (event,) = picture.take(fog.object("detector_1", forked(fog)), T0_MS)
    assert (event.kind, event.by, event.frame, event.text) == (
        "fault",
        "detector_1",
        5,
        "manager signed two frames 5",
    )
    assert picture.take(fog.object("detector_2", forked(fog)), T0_MS) == (), "shown once"
    assert views.network(picture, T0_MS).trouble.startswith("manager signed two frames 5. It is done: ")
    picture.take_charter(
        Fog(operator=fog.operator, keys=fog.keys, version=2, resume=Resume(4, bytes(32))).sealed
    )
    assert views.network(picture, T0_MS).trouble == ""


def test_a_fault_from_before_is_shown_as_one(fog: Fog) -> None:
    picture = Picture(fog.sealed)
    (event,) = picture.take(fog.object("detector_1", forked(fog)), T0_MS, retained=True)
    assert event.text.endswith("frames 5, before this console came")


def test_a_fault_that_shows_nothing_is_not_shown(fog: Fog) -> None:
    picture, same = Picture(fog.sealed), frame(fog, 5, bytes(32)).opened.data
    for fault in (
        Fault("fog1", "two_frames", "manager", 5, "", (same, same)),
        replaced_fault(forked(fog), frame=6),
    ):
        with pytest.raises(Rejected) as refused:
            picture.take(fog.object("detector_1", fault), T0_MS)
        assert refused.value.reason is Reason.NOT_PROVEN
    assert not picture.events
    assert views.network(picture, T0_MS).trouble == ""


def replaced_fault(fault: Fault, **changes: object) -> Fault:
    return msgspec.structs.replace(fault, **changes)


def voted_twice(fog: Fog, detector: str) -> Fault:
    votes = [Vote("fog1", 9, bytes([n]) * 32, fog.sealed.hash, ()) for n in (1, 2)]
    proof = tuple(fog.signers[detector].object(vote) for vote in votes)
    return Fault("fog1", "two_votes", detector, 9, "", proof)


def test_a_detector_that_voted_twice_is_told_and_halts_nobody(fog: Fog) -> None:
    picture = Picture(fog.sealed)
    (event,) = picture.take(fog.object("detector_1", voted_twice(fog, "detector_3")), T0_MS)
    assert events.as_line(event).endswith("  fault       detector_3 cast two votes on frame 9")
    assert views.network(picture, T0_MS).trouble == ""


def test_a_fault_of_somebody_else_does_not_hide_that_the_manager_is_done(fog: Fog) -> None:
    picture = Picture(fog.sealed)
    for fault in (forked(fog), voted_twice(fog, "detector_3")):
        picture.take(fog.object("detector_1", fault), T0_MS)
    assert views.network(picture, T0_MS).trouble.startswith("manager signed two frames 5. ")


def test_a_claim_is_told_as_the_word_of_who_makes_it_and_a_quorum_of_them_as_proof(fog: Fog) -> None:
    picture = Picture(fog.sealed)
    entry = DeviceEntry("edge1", 1, 1, bytes(16), 0, bytes(32))
    message = Frame("fog1", 5, bytes(32), fog.sealed.hash, 0, bytes(32), (entry,), (), (), ())
    rests = fog.object("manager", message).data
    claim = Fault("fog1", "unseen", "manager", 5, "edge1", (rests,))
    claims = [fog.object(name, claim) for name in fog.detectors[:3]]
    told = [event.text for one in claims for event in picture.take(one, T0_MS)]
    assert told == [
        f"{name} claims: manager signed a frame 5 that rests on what nobody can show of edge1"
        for name in fog.detectors[:3]
    ]
    omission = Fault("fog1", "omission", "manager", 5, "edge1", tuple(one.data for one in claims))
    (event,) = picture.take(fog.object("detector_1", omission), T0_MS)
    assert (
        event.text == "manager withholds what concerns edge1 up to frame 5, as a quorum of detectors claims"
    )
    assert views.network(picture, T0_MS).trouble == ""


def test_who_votes_is_counted(fog: Fog, seen: Seen) -> None:
    picture = seen(30, cheat=None)
    assert views.network(picture, T0_MS).voting == 4
    history = History(fog, cheat=None)
    for told in history.frames(31, 60):
        if told.opened.sender != "detector_2":
            told.reaches(picture)
    assert views.network(picture, T0_MS).voting == 3


def test_accusations_that_are_not_repeated_lapse(fog: Fog, seen: Seen) -> None:
    picture = seen(40, cheat=None)
    ref = SampleRef("edge3", 1, 1, bytes(32))
    accusation = Accusation(CHEAT, 1, 39, "pob", 10, ref, ref)
    vote = Vote("fog1", 41, bytes(32), fog.sealed.hash, (accusation,))
    picture.take(fog.object("detector_3", vote), T0_MS)
    assert (of(picture).word, of(picture).accusers) == ("accused", ("detector_3",))
    for told in History(fog, cheat=None).frames(41, 49):
        if isinstance(told.opened.message, Frame):
            told.reaches(picture)
    assert of(picture).accusers == ()


def test_agents_come_and_go(fog: Fog, seen: Seen) -> None:
    picture, topic = seen(5), fog.topics.state("edge1")
    assert views.network(picture, T0_MS).agents_alive == 4
    death = fog.stream("edge1", State(False, "", ()), topic, T0_MS)
    assert picture.take(death, T0_MS)[0].text == "agent edge1 is gone: its miners go dark"
    view = views.network(picture, T0_MS)
    assert (view.agents_alive, view.agents, view.runtimes) == (3, 4, ("docker",))


def test_a_new_charter_keeps_what_is_known_of_those_who_stay(fog: Fog, seen: Seen) -> None:
    picture, charter = seen(CONVICTED), fog.sealed.charter
    fewer = replaced(charter, version=2, miners=charter.miners[1:], f_miners=0)
    picture.take_charter(seal(fewer, fog.operator))
    assert [miner.name for miner in views.miners(picture)] == fog.miners[1:]
    assert of(picture).word == "CONVICTED"
    stranger = fog.object("detector_1", Alarm(1, fog.miners[0], "budget", ""))
    with pytest.raises(Rejected):
        picture.take(stranger, T0_MS)
