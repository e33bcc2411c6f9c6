"""Four detectors agree on one log, whoever is away, killed or put back, and for however long."""

from __future__ import annotations

import copy

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors.follower import HISTORY
from mint.messages.frame import MAX_REPLY_FRAMES
from tests.builders import MS
from tests.detectors.fog import FastNet, Fog

# An example is some seconds of a whole fog: a smaller one would tell little more, and take minutes to be found.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
DETECTORS = ("det1", "det2", "det3", "det4")


def attacked(fog: Fog, before: int = 20, after: int = 20) -> Fog:
    """m03 takes twice its share after some frames; nobody stops it."""
    fog.enforce = False
    fog.run(before)
    fog.cheat("m03")
    fog.run(after)
    return fog


def same_votes(fog: Fog, *names: str, since: int = 0) -> None:
    """Whoever voted on a frame said the same of it, and something was said."""
    voted = [number for name in names for number in fog.votes[name] if number > since]
    assert voted
    for number in voted:
        votes = [fog.votes[name][number] for name in names if number in fog.votes[name]]
        assert all(vote == votes[0] for vote in votes), number


def caught_up(fog: Fog) -> None:
    fog.run_until(lambda: set(fog.numbers()) == {fog.newest}, 30)
    fog.check_logs()


def test_from_samples_to_decisions_all_say_the_same_and_nothing_is_rejected() -> None:
    fog = attacked(Fog())
    same_votes(fog, *DETECTORS)
    assert all(fog.votes[name].keys() == fog.votes["det1"].keys() for name in DETECTORS)
    decided = [(d.miner, d.offence) for frame in fog.frames.values() for d in frame.decisions]
    assert decided == [("m03", n + 1) for n in range(len(decided))]
    assert len(decided) >= 2
    assert {v.miner for v in fog.verdicts} == {"m03"}
    assert fog.faults == []
    assert [part.member.rejections.by_reason for part in fog.parts.values()] == [{}] * len(fog.parts)
    caught_up(fog)


@pytest.mark.parametrize("away", [1, 5, 40, 150])
def test_one_that_was_away_catches_up_and_votes_as_if_it_had_been_there(away: int) -> None:
    fog = Fog()
    fog.run(15)
    fog.down("det2", away)
    attacked(fog, before=5, after=away + 20)
    caught_up(fog)
    back = 15 + away + 5
    same_votes(fog, *DETECTORS)
    assert any(number > back for number in fog.votes["det2"])
    assert [n for n in fog.votes["det1"] if n > back] == [n for n in fog.votes["det2"] if n > back]
    assert fog.faults == []


def test_one_whose_bus_loses_everything_for_a_while_catches_up_without_a_restart() -> None:
    fog = Fog()
    fog.run(15)
    fog.lost = lambda sender, receiver, topic: receiver == "det2"
    attacked(fog, before=5, after=10)
    assert fog.number("det2") < fog.newest - 10
    fog.lost = lambda sender, receiver, topic: False
    fog.run(8)
    caught_up(fog)
    same_votes(fog, *DETECTORS)


def test_where_the_manager_is_away_another_detector_answers() -> None:
    fog = Fog()
    fog.run(15)
    fog.down("det2", 40)
    fog.run(30)
    fog.parts["manager"].stop()
    fog.run(20)
    assert fog.number("det2") == fog.newest
    fog.check_logs()


def test_a_gap_in_the_middle_of_frames_that_come_is_asked_for() -> None:
    fog = Fog()
    fog.run(15)
    topic = fog.topics.frame()
    fog.lost = lambda sender, receiver, on: on == topic and receiver == "det2" and fog.newest % 3 == 0
    fog.run(30)
    assert fog.number("det2") >= fog.newest - 1
    fog.check_logs()


def test_one_without_a_memory_names_the_same_offences_and_its_votes_count_with_the_others() -> None:
    fog = Fog(off=["det2"])
    attacked(fog, before=15, after=15)
    decided = fog.frames[fog.newest].miners
    assert max(entry.offences for entry in decided) >= 1
    fog.parts["det4"].stop()  # three are left, and all of them are needed
    count = len(fog.verdicts)
    fog.up("det2")
    fog.run(100)
    caught = [fog.votes["det2"][n] for n in fog.votes["det2"] if fog.votes["det2"][n].accusations]
    assert caught
    for vote in caught:
        theirs = fog.votes["det1"][vote.frame]
        assert [(a.miner, a.offence) for a in vote.accusations] == [
            (a.miner, a.offence) for a in theirs.accusations
        ]
    assert len(fog.verdicts) > count
    voters = {fog.opened(data).sender for verdict in fog.verdicts[count:] for data in verdict.votes}
    assert "det2" in voters


def test_one_that_begins_in_the_middle_agrees_although_it_saw_the_offence_begin_elsewhere() -> None:
    """It has no frame of before: what it names as the beginning, and the samples, are others."""
    fog = Fog(off=["det2"])
    fog.enforce = False
    fog.lost = lambda sender, receiver, topic: "/verdict/" in topic or "/vote/" in topic  # no decision yet
    fog.run(20)
    fog.cheat("m03")
    fog.run(6)
    for name in ("det1", "det3", "det4", "manager"):
        disk = fog.parts[name].disk
        frames = disk._frames if name == "manager" else disk.log.by_number
        for number in [n for n in frames if n < 23]:
            del frames[number]  # pruned
    fog.up("det2")
    fog.run(10)
    fog.lost = lambda sender, receiver, topic: False
    fog.parts["det4"].stop()
    fog.run(10)
    mine, theirs = (
        next(v.accusations[0] for v in fog.votes[n].values() if v.accusations and v.frame >= 34)
        for n in ("det2", "det1")
    )
    assert (mine.miner, mine.offence) == (theirs.miner, theirs.offence) == ("m03", 1)
    assert mine.began > theirs.began
    assert mine.first != theirs.first
    assert ("m03", 1) in {(v.miner, v.offence) for v in fog.verdicts}
    assert fog.faults == []


def test_a_long_log_is_begun_near_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    history = 4 * MAX_REPLY_FRAMES  # several replies are needed, as for all of HISTORY
    assert history < HISTORY
    monkeypatch.setattr("detectors.follower.HISTORY", history)
    monkeypatch.setattr("detectors.course.HISTORY", history)
    fog = Fog(off=["det2"])
    fog.run(history + 60)
    fog.up("det2")
    fog.run(10)
    assert fog.number("det2") == fog.newest
    first = fog.parts["det2"].disk.log.frames(0, 1)[0].number
    assert fog.newest - history - 15 < first <= fog.newest - history + 5
    fog.run(20)
    assert fog.votes["det2"]


# --- killed ------------------------------------------------------------------------------------------


@settings(max_examples=10, phases=PHASES)
@given(
    st.sampled_from(DETECTORS),
    st.integers(10, 34),
    st.integers(0, 14),
    st.sampled_from([0.0, 0.5, 3.0, 12.0]),
    st.booleans(),
)
def test_killed_between_any_two_effects_it_votes_on_no_frame_twice_and_then_as_the_others(
    name: str, at: int, effects: int, down: float, enforce: bool
) -> None:
    fog = Fog()
    fog.enforce, fog.back_after = enforce, down
    fog.run(18 if at > 18 else at)
    if at > 18:
        fog.cheat("m03")
        fog.run(at - 18)
    fog.parts[name].crash_in = effects  # `Fog` itself fails a second vote, and one that was not kept
    fog.run(4)
    fog.cheat("m03")
    fog.run(40)
    same_votes(fog, *DETECTORS)
    last = fog.newest - 10
    assert [n for n in fog.votes[name] if n > last] == [n for n in fog.votes["det1"] if n > last]
    assert fog.faults == []
    caught_up(fog)


def test_killed_again_and_again_all_of_them_at_any_time() -> None:
    fog = Fog(seed=4)
    fog.enforce = False
    for n in range(60):
        if n == 15:
            fog.cheat("m03")
        victim = fog.rng.choice(DETECTORS)
        part = fog.parts[victim]
        if part.up:
            part.crash_in, fog.back_after = fog.rng.randrange(12), fog.rng.random() * 2
        fog.run(1)
    for part in fog.parts.values():
        part.crash_in = None
    fog.run(20)
    caught_up(fog)
    same_votes(fog, *DETECTORS)
    assert fog.faults == []
    assert any(fog.votes[name].get(fog.newest // 10 * 10) for name in DETECTORS)


@pytest.mark.parametrize("lost", ["nothing", "memory", "log", "both"])
@pytest.mark.parametrize("age", [1, 7, 25])
def test_put_back_to_an_older_state_of_its_disk_it_says_nothing_twice(age: int, lost: str) -> None:
    fog = Fog()
    fog.enforce = False
    fog.run(20)
    fog.cheat("m03")
    old = copy.deepcopy(fog.parts["det2"].disk)
    fog.run(age)
    part = fog.parts["det2"]
    part.stop()
    if lost in ("memory", "both"):
        part.disk._memory = old._memory
    if lost in ("log", "both"):
        part.disk.log = old.log
    upto = fog.newest
    fog.up("det2")
    fog.run(40)
    caught_up(fog)
    same_votes(fog, *DETECTORS)
    assert any(number > upto for number in fog.votes["det2"])
    assert fog.faults == []


def test_an_empty_disk_is_an_older_state_too() -> None:
    fog = attacked(Fog())
    part = fog.parts["det2"]
    part.stop()
    part.disk = type(part.disk)()
    fog.up("det2")
    fog.run(30)
    caught_up(fog)
    same_votes(fog, *DETECTORS)


def test_without_enough_others_to_ask_it_follows_and_does_not_vote() -> None:
    fog = Fog()
    fog.run(15)
    for name in ("det3", "det4"):
        fog.parts[name].stop()
    fog.down("det2", 1)
    fog.run(25)
    assert fog.number("det2") == fog.newest
    assert max(fog.votes["det2"]) == 10
    fog.up("det3")
    fog.run(20)
    assert max(fog.votes["det2"]) > 30


# --- the bus ------------------------------------------------------------------------------------------


@settings(max_examples=6, phases=PHASES)
@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(2, 900))
def test_messages_lost_late_and_in_any_order_make_no_difference_in_the_end(
    seed: int, percent: int, most_ms: int
) -> None:
    fog = Fog(seed=seed)
    rng = fog.rng
    fog.lost = lambda sender, receiver, topic: rng.random() * 100 < percent
    fog.delay_ns = lambda sender, receiver, topic: rng.randrange(1, most_ms) * MS
    attacked(fog, before=25, after=40)
    fog.lost, fog.delay_ns = lambda *_: False, lambda *_: 2 * MS
    fog.run(25)
    caught_up(fog)
    voted = {number for name in DETECTORS for number in fog.votes[name]}
    for number in voted:
        said = {
            tuple((a.miner, a.offence) for a in fog.votes[name][number].accusations)
            for name in DETECTORS
            if number in fog.votes[name]
        }
        assert len(said) == 1, number
    assert fog.faults == []
    assert {v.miner for v in fog.verdicts} <= {"m03"}


def test_a_verdict_that_a_frame_names_is_asked_for_and_the_frame_waits() -> None:
    fog = Fog()
    fog.run(20)
    fog.lost = lambda sender, receiver, topic: (
        receiver == "det2" and ("/verdict/" in topic or "/vote/" in topic or "/reply/" in topic)
    )
    fog.cheat("m03")
    fog.run_until(lambda: any(frame.decisions for frame in fog.frames.values()))
    noted = max(n for n, frame in fog.frames.items() if frame.decisions)
    fog.run(5)
    assert fog.number("det2") == noted - 1, "it waits"
    holders = []
    fog.lost = lambda sender, receiver, topic: (
        receiver == "det2" and ("/verdict/" in topic or "/vote/" in topic or sender == "manager")
    )
    fog.run(4)
    asked = [
        fog.opened(data).message.holder  # type: ignore[attr-defined]
        for name, topic, data in fog.said
        if name == "det2" and topic == fog.topics.frame_request()
    ]
    assert asked[-4:].count("manager") <= 2, "in turn"
    holders.append(asked)
    assert fog.number("det2") >= noted, "another detector had it"
    fog.lost = lambda *_: False
    fog.run(5)
    caught_up(fog)
    assert fog.faults == []


def test_one_that_knows_only_the_newest_charter_goes_on_without_the_frames_before_it() -> None:
    fog = Fog(off=["det2"])
    fog.run(90)
    second = fog.net.next_version(title="two")
    fog.charter(second)
    fog.run(20)
    fog.parts["det2"].charters = [second]
    fog.up("det2")
    fog.run_until(lambda: fog.number("det2") == fog.newest, 60)
    first = min(n for n, frame in fog.frames.items() if frame.charter == second.hash)
    assert fog.parts["det2"].disk.log.frames(0, 1)[0].number == first
    fog.run(20)
    assert fog.votes["det2"]
    assert fog.faults == []


def test_a_verdict_under_a_charter_of_before_its_time_holds_up_nobody() -> None:
    fog = Fog(off=["det2"])
    fog.run(20)
    fog.lost = lambda sender, receiver, topic: receiver == "manager" and "/verdict/" in topic
    fog.cheat("m03")
    fog.run_until(lambda: bool(fog.verdicts))
    second = fog.net.next_version(title="two")
    fog.charter(second)
    fog.run_until(lambda: any(f.charter == second.hash for f in fog.frames.values()))
    topic, data = next((topic, data) for _, topic, data in fog.said if "/verdict/" in topic)
    fog.say("manager", topic, data)
    fog.run(20)
    (noted,) = [frame for frame in fog.frames.values() if frame.decisions]
    assert noted.charter == second.hash
    assert fog.verdicts[0].charter == fog.net.sealed.hash
    fog.parts["det2"].charters = [second]
    fog.up("det2")
    fog.run_until(lambda: fog.number("det2") == fog.newest, 60)
    assert fog.parts["det2"].disk.log.frames(0, 1)[0].number <= noted.number


def test_a_frame_of_a_charter_on_its_way_is_judged_when_that_has_come() -> None:
    fog = Fog()
    fog.run(15)
    second = fog.net.next_version(title="two")
    fog.lost = lambda sender, receiver, topic: receiver == "det2" and topic == fog.topics.charter()
    fog.charter(second)
    fog.run(10)
    waits = fog.number("det2")
    assert fog.frames[waits + 1].charter == second.hash
    fog.lost = lambda *_: False
    fog.charter(second)
    fog.run(5)
    caught_up(fog)
    assert fog.frames[fog.newest].charter == second.hash


@pytest.mark.parametrize("detectors", [1, 2, 7])
def test_it_is_the_same_with_other_numbers_of_detectors(detectors: int) -> None:
    fog = attacked(Fog(FastNet(detectors=detectors)))
    same_votes(fog, *fog.net.detectors)
    assert any(frame.decisions for frame in fog.frames.values())
    assert fog.faults == []
