"""Four detectors over one frame log: the same votes whatever order, restart or late start; nobody innocent in any."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import core
from detectors.core import VOTE_WITHIN
from mint.charter.model import Entitlement
from mint.effects import Post, Say
from mint.errors import Reason, Rejected
from mint.messages.frame import Frame
from mint.messages.judgement import Alarm, Behaviour, Vote
from mint.verdict import verify_verdict
from tests.builders import Judge, Net, World

NET = Net(miners=8, devices=2)
ATTACK_AT = 12


def votes(judge: Judge) -> dict[int, Vote]:
    return {number: NET.message(data, Vote) for number, data in judge.votes.items()}


@cache
def doubling(enforce: bool = True) -> World:
    """m03 doubles its quota after frame 12; forty frames in all."""
    world = World(NET, enforce=enforce)
    world.run(ATTACK_AT)
    world.miner("m03").factor = 2.0
    world.run(28)
    return world


# --- an attack, from samples to a verdict -------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_doubled_miner_is_convicted_at_the_second_tick_and_nobody_else_ever_is(seed: int) -> None:
    world = World(
        Net(miners=16, devices=4, cpu_ppm=random.Random(seed).choice([20_000, 50_000, 250_000])), seed
    )
    world.run(ATTACK_AT)
    world.miner("m07").factor = 2.0
    world.run(20)
    assert world.accused() == {"m07"}
    (verdict,), (proven,) = world.verdicts, world.proven
    assert (proven.miner.name, proven.offence, proven.evidence) == ("m07", 1, "budget")
    assert (
        proven.frame - ATTACK_AT <= 3
    )  # the second tick; the third where a bracket or a phase hides the first
    assert verify_verdict(verdict, {world.net.sealed.hash: world.net.sealed}) == proven
    noted = [(f, d.miner) for f, frame in enumerate(frames(world), 1) for d in frame.decisions]
    assert noted == [(proven.frame + 1, "m07")]


def frames(world: World) -> list[Frame]:
    return [world.net.message(closed.data, Frame) for closed in world.log]


def test_a_verdicts_proof_is_the_accused_devices_own_two_samples() -> None:
    (proven,) = doubling().proven
    share_ns = 100_000_000
    assert proven.excess_ns > NET.charter.rule(proven.miner).allowed_ns
    assert proven.excess_ns == pytest.approx((proven.frame - ATTACK_AT) * share_ns, abs=share_ns)


@pytest.mark.parametrize("seed", range(3))
def test_honest_miners_are_never_accused(seed: int) -> None:
    world = World(Net(miners=16, devices=2), seed)
    world.miner("m02").factor = 0.3
    world.miner("m03").running = False
    world.run(60)
    assert (world.accused(), world.verdicts) == (set(), [])


def test_who_merely_slows_down_or_rises_to_its_entitlement_is_not_accused() -> None:
    world = World(NET)
    for factor in (1.0, 0.1, 1.0, 0.5, 1.0):
        world.miner("m01").factor = factor
        world.run(10)
    assert world.accused() == set()


def test_colluders_are_all_convicted_a_majority_too() -> None:
    world = World(Net(miners=9, devices=3, f_miners=3), 3)
    world.run(ATTACK_AT)
    cheats = {f"m{n:02}" for n in range(1, 7)}
    for name in cheats:
        world.miner(name).factor = 1.3
    world.run(15)
    assert world.accused() == cheats
    assert {proven.miner.name for proven in world.proven} == cheats


def test_a_slow_ramp_is_convicted_while_small() -> None:
    world = World(NET)
    world.run(ATTACK_AT)
    for _ in range(60):
        world.miner("m05").factor *= 1.01 if not world.verdicts else 1.0
        world.run(1)
    assert world.accused() == {"m05"}
    assert len(world.proven) == 1
    assert world.proven[0].excess_ns < 3 * NET.charter.rule(world.proven[0].miner).allowed_ns


def test_a_cheat_that_nobody_stops_climbs_the_ladder_and_does_not_fill_the_log() -> None:
    world = doubling(enforce=False)
    assert world.accused() == {"m03"}
    assert [proven.offence for proven in world.proven] == [1, 2, 3]
    begins = [proven.began for proven in world.proven]
    decided = [proven.frame + 1 for proven in world.proven]
    assert all(begin >= before for begin, before in zip(begins[1:], decided, strict=False))


# --- the same frames, the same votes ------------------------------------------------------------------


def test_four_detectors_cast_the_same_votes() -> None:
    one, *others = (votes(judge) for judge in doubling().judges)
    assert any(vote.accusations for vote in one.values())
    for other in others:
        assert other == one


def test_every_d_frames_there_is_a_vote_and_while_an_accusation_stands() -> None:
    cast = votes(doubling().judges[0])
    (proven,) = doubling().proven
    assert sorted(cast) == sorted({10, 20, 30, 40} | {proven.frame})
    assert {number for number, vote in cast.items() if vote.accusations} == {proven.frame}


def replay(world: World, change: Callable[[Judge, int], Judge] | None = None) -> Judge:
    """Another detector that sees the same log."""
    judge = Judge(world.net, "det2")
    for closed in world.log:
        if change is not None:
            judge = change(judge, closed.number)
        judge.step(closed)
    return judge


@settings(max_examples=10)
@given(st.randoms(use_true_random=False), st.booleans())
def test_samples_may_reach_a_detector_in_any_order_or_not_at_all(rng: random.Random, lost: bool) -> None:
    world = doubling()
    judge = Judge(NET, "det2")
    samples = [(NET.opened(data).sender, data) for closed in world.log for data in closed.samples]
    rng.shuffle(samples)
    for closed in world.log:
        if not lost:
            for _ in range(3):
                if samples:
                    judge.shelf.sample(*samples.pop())
        judge.step(closed)
    assert votes(judge) == votes(world.judges[0])


@pytest.mark.parametrize("enforce", [True, False])
def test_a_detector_that_restarts_at_any_frame_casts_the_same_votes_and_none_twice(enforce: bool) -> None:
    world = doubling(enforce)
    whole = votes(world.judges[0])
    for at in range(1, len(world.log) + 1, 2 if enforce else 5):

        def restarted(judge: Judge, number: int, at: int = at) -> Judge:
            if number != at:
                return judge
            again = Judge(NET, "det2")
            again.core.restore(json.loads(json.dumps(judge.core.state())))
            again.votes = judge.votes  # `step` refuses a second vote on one of these
            return again

        assert votes(replay(world, restarted)) == whole, at


def test_a_memory_of_a_charter_that_is_gone_keeps_the_last_vote_and_judges_anew() -> None:
    world, judge = doubling(enforce=False), Judge(NET, "det2")
    for closed in world.log:
        judge.step(closed)
    state = json.loads(json.dumps(judge.core.state()))
    other = Judge(Net(miners=3, devices=1), "det2")
    other.core.restore(state)
    assert other.core.last_vote == judge.core.last_vote > 0
    assert other.core.state()["judge"] == Judge(Net(miners=3, devices=1), "det2").core.state()["judge"]


def test_from_an_older_memory_frames_are_judged_again_but_not_voted_on_again() -> None:
    """State is stored with each vote: a crash between two votes replays what came after the last."""
    world = doubling(enforce=False)
    judge = Judge(NET, "det2")
    saved: Any = None
    for closed in world.log:
        if judge.step(closed).vote is not None:
            saved = (closed.number, json.loads(json.dumps(judge.core.state())))
        if saved is None:
            continue
        number, state = saved
        again = Judge(NET, "det2")
        again.core.restore(json.loads(json.dumps(state)))
        assert [again.step(old).vote for old in world.log[number : closed.number]] == [None] * (
            closed.number - number
        )
        assert again.core.state() == judge.core.state() | {"shelf": again.core.state()["shelf"]}
        # Even if it is shown a frame that it voted on before, it stays silent.
        assert again.step(world.log[number - 1]).vote is None


def test_a_detector_that_starts_late_and_replays_the_log_agrees_from_then_on() -> None:
    world = doubling(enforce=False)
    newest = world.log[-1].number
    judge = Judge(NET, "det2")
    for closed in world.log:
        step = judge.core.step(NET.log_frame(closed.data), newest)
        if step.vote is not None:
            judge.votes[closed.number] = step.vote
    expected = {n: vote for n, vote in votes(world.judges[0]).items() if n + VOTE_WITHIN >= newest}
    assert votes(judge) == expected
    for number in range(1, 40, 7):  # and one that the manager can give only the newer frames
        partial = Judge(NET, "det2")
        for closed in world.log[number:]:
            partial.step(closed)
        later = {n: v for n, v in votes(partial).items() if n > ATTACK_AT + 10}
        if number < ATTACK_AT:
            assert {n: [a.miner for a in v.accusations] for n, v in later.items()} == {
                n: [a.miner for a in v.accusations] for n, v in votes(world.judges[0]).items() if n in later
            }


# --- restarts, reboots, gaps --------------------------------------------------------------------------


def test_restarts_of_miners_agents_and_devices_accuse_nobody_and_hide_nobody() -> None:
    world = World(NET)
    world.run(8)
    world.miner("m01").recreate()
    world.run(8)
    world.edge("edge1").restart()
    world.run(8)
    world.edge("edge2").restart(reboot=True)
    world.run(8)
    assert world.accused() == set()
    world.miner("m04").factor = 2.0
    world.run(1)
    world.miner("m04").recreate()  # it wipes its counter while it cheats
    world.run(4)
    assert world.accused() == {"m04"}
    assert [proven.miner.name for proven in world.proven] == ["m04"]


def test_what_was_used_in_silence_counts() -> None:
    world = World(NET)
    world.run(8)
    world.miner("m01").factor = 2.0
    for _ in range(10):
        world.tick(silent=["edge1"])
    assert world.accused() == set()
    world.run(3)
    assert world.accused() == {"m01"}
    assert world.proven[0].began <= 8


def test_an_offence_goes_on_through_a_silence_after_its_verdict() -> None:
    world = World(NET, enforce=False)
    world.run(ATTACK_AT)
    world.miner("m01").factor = 2.0
    while not world.verdicts:
        world.tick()
    for _ in range(80):
        world.tick(silent=["edge1"])
    world.run(4)
    assert [proven.offence for proven in world.proven] == [1, 2]
    world.run(10)
    standing = [vote for n, vote in votes(world.judges[0]).items() if vote.accusations and n > 100]
    assert len(standing) <= 3


def test_the_dark_are_called_out_once() -> None:
    world = World(NET)
    world.run(3)
    for _ in range(40):
        world.tick(silent=["edge1"])
    judge = Judge(NET, "det2")
    said = [alarm for closed in world.log for alarm in alarms(judge.step(closed).effects)]
    assert sorted(alarm.miner for alarm in said if alarm.detector == "dark") == ["m01", "m03", "m05", "m07"]
    assert {alarm.frame for alarm in said if alarm.detector == "dark"} == {33}


def test_votes_name_the_dark_as_long_as_they_are_and_all_say_the_same() -> None:
    world = World(NET)
    world.run(3)
    for _ in range(40):
        world.tick(silent=["edge1"])
    late = Judge(NET, "det2")
    for closed in world.log[5:]:  # which began to watch after they had gone silent
        late.step(closed)
    world.run(12)
    said = [votes(judge) for judge in world.judges]
    detection = NET.charter.detection
    assert detection.dark_frames == 30
    dark = {number: vote.dark for number, vote in said[0].items() if vote.dark}
    assert dark == {40: ("m01", "m03", "m05", "m07")}, "of 33 to 43 every tenth is voted on"
    assert {vote.dark for number, vote in said[0].items() if number not in dark} == {()}
    assert [{n: vote.dark for n, vote in one.items()} for one in said[1:]] == [
        {n: vote.dark for n, vote in said[0].items()}
    ] * 3
    assert votes(late)[40].dark == dark[40]
    assert said[0][40].time_ms == frames(world)[39].time_ms


def test_who_never_came_is_dark_once_the_log_is_old_enough() -> None:
    world = World(NET)
    for _ in range(40):
        world.tick(silent=["edge2"])
    said = votes(world.judges[0])
    assert {number: vote.dark for number, vote in said.items() if vote.dark} == {
        number: ("m02", "m04", "m06", "m08") for number in said if number >= 30
    }
    assert {10, 20, 30, 40} <= said.keys()


def test_where_more_are_dark_than_a_vote_names_the_next_votes_name_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "MAX_DARK", 3)
    world = World(NET)
    for _ in range(60):
        world.tick(silent=["edge1", "edge2"])
    said = [vote.dark for number, vote in sorted(votes(world.judges[0]).items()) if vote.dark]
    assert all(len(dark) == 3 and list(dark) == sorted(dark) for dark in said)
    assert {name for dark in said[:3] for name in dark} == {miner.name for miner in NET.charter.miners}


def alarms(effects: tuple[Post | Say, ...]) -> list[Alarm]:
    opened = [NET.opened(effect.data) for effect in effects if isinstance(effect, Post)]
    return [one.message for one in opened if isinstance(one.message, Alarm)]


def test_an_attack_raises_one_alarm_and_every_frame_shows_all_scores() -> None:
    world, judge = doubling(), Judge(NET, "det2")
    said: list[Alarm] = []
    for closed in world.log:
        effects = judge.step(closed).effects
        said += alarms(effects)
        (shown,) = [e.message for e in effects if isinstance(e, Say) and isinstance(e.message, Behaviour)]
        assert shown.frame == closed.number
        assert [score.miner for score in shown.scores] == [f"m{n:02}" for n in range(1, 9)]
    budget = [(alarm.frame, alarm.miner) for alarm in said if alarm.detector == "budget"]
    assert [miner for _, miner in budget] == ["m03"]
    assert ATTACK_AT < budget[0][0] <= ATTACK_AT + 3


# --- votes that do not arrive, and liars --------------------------------------------------------------


def test_a_quorum_missed_on_one_frame_is_met_on_the_next() -> None:
    world = World(NET)
    world.lost = lambda frame, detector: frame < 20 and detector in ("det1", "det2")
    world.run(ATTACK_AT)
    world.miner("m03").factor = 2.0
    world.run(12)
    assert [proven.frame for proven in world.proven] == [20]
    assert world.proven[0].offence == 1


def test_one_crashed_detector_delays_nothing_and_two_stop_verdicts_but_not_votes() -> None:
    for crashed, count in ((("det4",), 1), (("det3", "det4"), 0)):
        world = World(NET)
        world.lost = lambda _, detector, crashed=crashed: detector in crashed  # type: ignore[misc]  # mypy cannot infer a lambda's default
        world.run(ATTACK_AT)
        world.miner("m03").factor = 2.0
        world.run(8)
        assert len(world.proven) == count
        assert world.accused() == {"m03"}


def test_a_lying_detector_convicts_nobody() -> None:
    world = doubling()
    accused = next(vote for vote in votes(world.judges[0]).values() if vote.accusations).accusations[0]
    forged = type(accused)("m01", *[getattr(accused, f) for f in accused.__struct_fields__[1:]])
    vote = votes(world.judges[0])[40]
    lie = NET.signer("det4").object(Vote(vote.fog, 38, vote.frame_hash, vote.charter, (forged,)))
    for judge in world.judges:
        assert judge.tally.vote(NET.opened(lie), 40) == []
    with pytest.raises(Rejected) as caught:
        world.judges[0].tally.vote(
            NET.opened(NET.signer("det4").object(Vote(vote.fog, 38, vote.frame_hash, vote.charter, ()))), 40
        )
    assert caught.value.reason is Reason.REPLAYED


# --- charters -----------------------------------------------------------------------------------------


def test_a_new_entitlement_begins_anew_and_drops_what_could_not_be_proven_any_more() -> None:
    world = World(NET)
    world.lost = lambda frame, detector: True  # no verdict: the accusation stands
    world.run(ATTACK_AT)
    world.miner("m03").factor = 2.0
    world.run(4)
    judge = world.judges[0]
    assert set(judge.core._offences.standing) == {"m03"}
    twice = Entitlement(200_000, 0, 1 << 26, 1 << 20)
    miners = tuple(
        type(m)(m.name, m.device, twice, m.law, m.mode, m.image) if m.name == "m03" else m
        for m in NET.charter.miners
    )
    second = NET.next_version(miners=miners)
    world.manager.take_charter(second)
    for edge in world.edges:
        world.now_ns += 0
        world.manager.sample(NET.opened(edge.sealed(world.now_ns + 10**9)), world.now_ns + 10**9)
    closed = world.manager.close(world.now_ns + 10**9, 0)
    step = judge.step(closed, second)
    assert judge.core._offences.standing == {}
    assert step.vote is None or not NET.message(step.vote, Vote).accusations


def test_a_miner_that_leaves_the_charter_leaves_every_vote() -> None:
    world = World(NET)
    world.lost = lambda frame, detector: True
    world.run(ATTACK_AT)
    world.miner("m03").factor = 2.0
    world.run(4)
    judge = world.judges[0]
    second = NET.next_version(miners=tuple(m for m in NET.charter.miners if m.name != "m03"))
    world.manager.take_charter(second)
    closed = world.manager.close(world.now_ns + 10**9, 0)
    judge.step(closed, second)
    assert judge.core._offences.standing == {}
    again = Judge(NET, "det2")  # and its state is taken up under the new charter as under the old
    again.core.restore(json.loads(json.dumps(world.judges[1].core.state())))
    again.step(closed, second)
    assert again.core._offences.standing == {}
