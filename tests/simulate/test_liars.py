"""Liars lie, and what they say is shown: each lie by itself, in a network where nothing else goes wrong."""

from __future__ import annotations

import itertools

import pytest

from mint.effects import Effect, Post
from mint.fault import verify_fault
from mint.frames import frame_in
from mint.messages.fault import Fault as Misconduct
from mint.messages.judgement import Verdict
from network.simulate.faults import Fault, Kind, Plan, Size
from network.simulate.fog import Fog
from network.simulate.host import Do, Host
from network.simulate.nodes import AgentNode
from network.simulate.safety import Safety, message_in
from network.simulate.scenarios import scenario_of
from twin_broker.manager import Manager

SIZE = Size(6, 2, 4)
END_MS = 140_000


class Lied:
    """A run with one lie, from 20 s on."""

    def __init__(
        self,
        scenario: str,
        kind: Kind,
        who: str,
        *others: Fault,
        amount: int = 0,
        for_ms: int = 110_000,
        seed: int = 0,
    ) -> None:
        lie = Fault(kind, 20_000, for_ms, (who,), amount, seed)
        self.plan = Plan(scenario, 3, END_MS, END_MS, SIZE, (lie, *others))
        self.safety = Safety(self.plan, scenario_of(scenario).assumes)
        # Those that were published, by whoever did.
        self.verdicts: list[Verdict] = []
        self.fog = Fog(self.plan, self.observe, self.safety.wrote)
        self.safety.ground = self.ground = self.fog.ground

    def run(self, until_ms: int = END_MS) -> Lied:
        self.fog.run(until_ms)
        return self

    def shown(self) -> set[tuple[str, str, str]]:
        """Faults that were told and hold: kind, accused, about."""
        charters = {self.fog.charter.hash: self.fog.charter}
        found: set[tuple[str, str, str]] = set()
        for _, _, data in self.safety.faults:
            shown = verify_fault(message_in(data, Misconduct), charters)
            if not shown.claim:
                found.add((shown.kind, shown.accused, shown.about))
        return found

    def observe(self, host: Host, effect: Effect | Do, data: bytes | None) -> None:
        self.safety.observe(host, effect, data)
        if data is not None and isinstance(effect, Post) and "/verdict/" in effect.topic:
            self.verdicts.append(message_in(data, Verdict))

    def frames(self) -> int:
        """The newest frame that a detector has."""
        newest = self.ground.hosts["det2"].disk.storage.log.newest()  # type: ignore[attr-defined]
        return 0 if newest is None else int(newest.number)

    def votes_of(self, name: str) -> int:
        return sum(1 for sender, _ in self.safety._cast if sender == name)


def test_a_silent_detector_stops_nobody() -> None:
    lied = Lied("lying-detector", "vote-silent", "det1").run()
    assert not lied.shown()
    assert lied.votes_of("det2") >= 12
    assert lied.frames() > 130


def test_two_votes_on_a_frame_are_shown_and_count_no_more() -> None:
    lied = Lied("lying-detector", "vote-twice", "det1").run()
    assert lied.shown() == {("two_votes", "det1", "")}
    assert not lied.safety.lowered


@pytest.mark.parametrize("seed", range(8))
def test_no_lying_detector_has_an_innocent_put_low(seed: int) -> None:
    lied = Lied("lying-detector", "vote-innocent", "det1", seed=seed).run(60_000)
    assert not lied.safety.lowered
    assert any(accusers == {"det1"} for accusers in lied.safety._accusers.values()), "it does accuse"


def test_random_votes_are_borne() -> None:
    lied = Lied("lying-detector", "vote-random", "det1").run()
    assert not lied.safety.lowered
    assert {accused for _, accused, _ in lied.shown()} <= {"det1"}
    assert lied.frames() > 130


def test_a_forked_log_is_shown_and_judged_no_further() -> None:
    lied = Lied("equivocating-manager", "fork", "manager").run(60_000)
    assert ("two_frames", "manager", "") in lied.shown()
    assert lied.safety.forked_ns is not None
    head = lied.frames()
    assert lied.run().frames() == head


def test_invented_counters_are_shown_and_convict_nobody() -> None:
    lied = Lied("inventing-manager", "invent", "manager", amount=2).run()
    assert ("false_frame", "manager", "edge1") in lied.shown()
    assert not lied.safety.lowered


def test_a_lying_manager_keeps_and_tells_one_chain_and_goes_on_from_its_own_lies() -> None:
    lied = Lied("inventing-manager", "invent", "manager", amount=2, for_ms=5_000).run(60_000)
    storage = lied.ground.hosts["manager"].disk.storage
    frames = storage.frames(1, 1_000)  # type: ignore[attr-defined]
    for before, after in itertools.pairwise(frames):
        assert frame_in(after.data).previous == before.hash
    assert len(frames) > 20


def test_a_device_that_is_left_out_is_missed_by_a_quorum() -> None:
    lied = Lied("omitting-manager", "omit", "manager", amount=1).run()
    assert ("omission", "manager", "edge2") in lied.shown()
    assert lied.frames() > 130, "an omission halts nobody"


def test_two_samples_of_one_place_are_shown() -> None:
    lied = Lied("lying-agent", "sample-twice", "edge1").run()
    assert ("two_samples", "edge1", "") in lied.shown()
    assert lied.frames() > 130


@pytest.mark.parametrize("kind", ["withhold", "fabricate"])
def test_whoever_withholds_or_fabricates_stops_nobody(kind: Kind) -> None:
    lied = Lied("lying-agent", kind, "edge1", amount=700_000).run()
    assert lied.frames() > 100
    assert not any(accused == "manager" for _, accused, _ in lied.shown())


@pytest.mark.parametrize("lies", [True, False])
def test_fabricated_counters_hide_the_use_of_a_cheat_but_not_its_work(lies: bool) -> None:
    cheat = Fault("cheat", 30_000, 110_000, ("m01",), 2_000_000)
    lied = Lied("lying-agent", "fabricate", "edge1" if lies else "edge2", cheat, for_ms=120_000).run()
    (first, *_) = lied.verdicts
    assert (first.miner, first.evidence) == ("m01", "work" if lies else "budget")
    assert {verdict.miner for verdict in lied.verdicts} == {"m01"}
    assert "m01" in lied.safety.lowered


def test_fabricated_counters_of_honest_miners_convict_nobody_by_work() -> None:
    lied = Lied("lying-agent", "fabricate", "edge1").run()
    assert not [verdict for verdict in lied.verdicts if verdict.evidence == "work"]


def test_who_lies_runs_the_honest_component_inside() -> None:
    hosts = Lied("equivocating-manager", "fork", "manager").run(3_000).ground.hosts
    assert isinstance(getattr(hosts["manager"].component, "_inner", None), Manager)
    assert isinstance(hosts["edge1"].component, AgentNode)
