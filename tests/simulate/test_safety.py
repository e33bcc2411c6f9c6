"""The checks of safety, each with the least that breaks it."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from detectors.store import Memory
from mint.containers.model import Quota
from mint.effects import Effect, Keep, Post
from mint.envelope import Signer, object_hash
from mint.frame_log import Kept
from mint.messages.frame import Decision, Frame
from mint.messages.judgement import Accusation, SampleRef, Verdict, Vote
from mint.topics import Topics
from network.simulate.charter import FOG, NETWORK
from network.simulate.faults import Fault, Plan, Size
from network.simulate.fog import Fog
from network.simulate.safety import Safety, Violation
from network.simulate.scenarios import ALL
from network.simulate.signing import HashKey
from twin_broker.storage import Append, Stored

SIZE = Size(4, 2, 4)
TOPICS = Topics(FOG)
REF = SampleRef("edge1", 1, 1, bytes(32))
CHEAT = Fault("cheat", 1_000, 1_000, ("m01",), 2_000_000)


class Watched:
    """A network that has just begun, and the checks of it."""

    def __init__(self, *faults: Fault, assumes: frozenset[str] = ALL) -> None:
        self.plan = Plan("calm", 1, 600_000, 300_000, SIZE, faults or (CHEAT,))
        self.safety = Safety(self.plan, assumes)
        self.fog = Fog(self.plan, self.safety.observe, self.safety.wrote)
        self.safety.ground = self.fog.ground
        self.fog.run(900)  # before the cheat, with everyone started

    def does(self, name: str, *effects: Effect) -> None:
        host = self.fog.ground.hosts[name]
        for effect in effects:
            if isinstance(effect, Keep):
                host.disk.storage.keep(effect.what)
            self.safety.observe(host, effect, effect.data if isinstance(effect, Post) else None)

    def votes(self, name: str, frame: int, *accused: str, offence: int = 1, evidence: str = "budget") -> None:
        """A detector keeps a vote and tells it."""
        accusations = tuple(Accusation(one, offence, 1, evidence, 1, REF, REF) for one in accused)  # type: ignore[arg-type]
        data = sign(name).object(Vote(FOG, frame, bytes(32), bytes(32), accusations))
        self.does(name, Keep(Memory(frame, b"", {}, data)), Post(TOPICS.vote(name), data))

    def publishes(self, name: str, miner: str, evidence: str = "budget", offence: int = 1) -> None:
        verdict = Verdict(FOG, bytes(32), miner, offence, 9, 1, evidence, 1, (), b"", b"")  # type: ignore[arg-type]
        self.does(name, Post(TOPICS.verdict(name, miner), sign(name).object(verdict)))

    def closes(self, number: int, time_ms: int = 0, *decided: tuple[str, int], keeps: bool = True) -> None:
        decisions = tuple(Decision(bytes(32), *one) for one in decided)
        frame = Frame(FOG, number, bytes(32), bytes(32), time_ms, bytes(32), (), (), decisions, ())
        data = sign("manager").object(frame)
        stored = Stored(Kept(number, object_hash(data), data), (), ())
        keep = (Keep(Append((stored,), {})),) if keeps else ()
        self.does("manager", *keep, Post(TOPICS.frame(), data))

    def writes(self, miner: str, ppm: int) -> None:
        """Its enforcer writes a quota."""
        device = self.fog.ground.device_of(miner)
        enforcer = SIZE.enforcer_names[SIZE.device_names.index(device.name)]
        device.hold(miner, enforcer).write(Quota.of_ppm(ppm))

    def opens(self, miner: str, *offences: int) -> None:
        """Its enforcer has these cases."""
        device = self.fog.ground.device_of(miner)
        enforcer = SIZE.enforcer_names[SIZE.device_names.index(device.name)]
        core = self.fog.ground.hosts[enforcer].component.enforcer.core  # type: ignore[union-attr]
        core.states[miner] = type(
            "State", (), {"cases": [type("Case", (), {"offence": one}) for one in offences]}
        )


def sign(name: str) -> Signer:
    return Signer(name, HashKey(name), NETWORK)


def breaks(rule: str) -> AbstractContextManager[object]:
    """What is done breaks this guarantee."""
    return pytest.raises(Violation, match=f"^{rule}: ")


def accusation(miner: str) -> Accusation:
    return Accusation(miner, 1, 1, "budget", 1, REF, REF)


def quorum(watched: Watched, frame: int, *accused: str, offence: int = 1) -> None:
    for name in SIZE.detector_names[:3]:
        watched.votes(name, frame, *accused, offence=offence)


def test_a_quota_is_lowered_on_a_quorums_word() -> None:
    watched = Watched()
    quorum(watched, 9, "m01")
    watched.opens("m01", 1)
    watched.writes("m01", 50_000)
    watched.writes("m01", 100_000)
    assert len(watched.safety.lowered["m01"]) == 1


def test_a_quota_is_not_lowered_on_votes_of_different_frames() -> None:
    watched = Watched()
    for frame, name in ((8, "det1"), (9, "det2"), (9, "det3")):
        data = sign(name).object(Vote(FOG, frame, bytes([frame]) * 32, bytes(32), (accusation("m01"),)))
        watched.does(name, Keep(Memory(frame, b"", {}, data)), Post(TOPICS.vote(name), data))
    watched.opens("m01", 1)
    with breaks("S2"):
        watched.writes("m01", 50_000)


def test_a_quota_is_lowered_for_the_offence_that_was_voted_for() -> None:
    watched = Watched()
    quorum(watched, 9, "m01", offence=1)
    watched.opens("m01", 1, 2)
    with breaks("S2"):
        watched.writes("m01", 50_000)


def test_a_quota_is_not_lowered_without_a_case() -> None:
    watched = Watched()
    quorum(watched, 9, "m01")
    with breaks("S2"):
        watched.writes("m01", 50_000)


def test_nobody_innocent_is_put_low_and_nobody_gets_more_than_its_entitlement() -> None:
    watched = Watched()
    quorum(watched, 9, "m02")
    watched.opens("m02", 1)
    with breaks("S1"):
        watched.writes("m02", 50_000)
    with breaks("S3"):
        watched.writes("m02", 110_000)


def test_a_cheat_may_write_what_it_likes() -> None:
    watched = Watched()
    watched.fog.ground.devices["edge1"].hold("m01", "cheat").write(Quota.of_ppm(10_000))
    assert not watched.safety.lowered


def test_a_verdict_is_on_a_cheat_and_of_a_quorum() -> None:
    watched = Watched()
    with breaks("S2"):
        watched.publishes("det1", "m01")
    quorum(watched, 9, "m01", "m02")
    watched.publishes("det1", "m01")
    with breaks("S1"):
        watched.publishes("det1", "m02")


def test_where_the_manager_lies_ssa_may_err_and_the_law_may_not() -> None:
    watched = Watched(CHEAT, Fault("invent", 5_000, 1_000, ("manager",)), assumes=ALL - {"log"})
    quorum(watched, 9, "m02")
    watched.publishes("det1", "m02", evidence="ssa")
    with breaks("S1"):
        watched.publishes("det1", "m02", evidence="budget")


def test_whoever_lives_on_a_lying_device_is_not_known_to_be_innocent() -> None:
    watched = Watched(CHEAT, Fault("fabricate", 5_000, 1_000, ("edge2",)), assumes=ALL - {"telemetry"})
    assert watched.safety.innocent == {"m03"}


def test_an_honest_detector_says_one_word_on_a_frame_after_it_is_kept() -> None:
    watched = Watched()
    watched.votes("det1", 9)
    watched.votes("det1", 9)
    watched.votes("det1", 10, "m01")
    with breaks("S5"):
        watched.votes("det1", 9, "m01")
    data = sign("det2").object(Vote(FOG, 9, bytes(32), bytes(32), ()))
    with breaks("S5"):
        watched.does("det2", Post(TOPICS.vote("det2"), data))


def test_what_a_liar_votes_breaks_nothing() -> None:
    watched = Watched(CHEAT, Fault("vote-twice", 5_000, 1_000, ("det1",)))
    watched.votes("det1", 9)
    watched.votes("det1", 9, "m01")


def test_an_honest_manager_keeps_and_tells_one_frame_a_number() -> None:
    watched = Watched()
    watched.closes(101)
    watched.closes(101)
    with breaks("S6"):
        watched.closes(102, keeps=False)
    with breaks("S6"):
        watched.closes(101, 1)


def test_the_log_decides_an_offence_once() -> None:
    watched = Watched()
    watched.closes(101, 0, ("m01", 1))
    watched.closes(102, 0, ("m01", 2))
    with breaks("S3"):
        watched.closes(103, 0, ("m01", 1))


def test_a_fork_of_a_lying_manager_is_noted() -> None:
    watched = Watched(CHEAT, Fault("fork", 5_000, 1_000, ("manager",)), assumes=ALL - {"log"})
    watched.closes(101)
    assert watched.safety.forked_ns is None
    watched.closes(101, 1)
    assert watched.safety.forked_ns == watched.fog.ground.schedule.now_ns
