"""The log goes on from the frame that the operator's charter names, wherever detectors were, and nobody votes twice."""

from __future__ import annotations

import copy

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mint.charter.model import Resume
from mint.envelope import Signer
from mint.frames import frame_in
from network.simulate.signing import HashKey
from tests.detectors.fog import Fog
from tests.detectors.test_faults import halted, next_frame

DETECTORS = ("det1", "det2", "det3", "det4")
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def forked(fog: Fog, *sides: tuple[str, ...], frames: int = 6) -> None:
    """The manager has gone on, for each side otherwise; nobody has found out yet."""
    fog.parts["manager"].stop()
    start = fog.newest
    for later_ms, names in enumerate(sides):
        previous = fog.hash_of(start)
        for number in range(start + 1, start + 1 + frames):
            data = next_frame(fog, number=number, previous=previous, later_ms=later_ms)
            previous = fog.opened(data).hash
            for name in names:
                fog.say(name, fog.topics.frame(), data)


def goes_on(fog: Fog, number: int, frame_hash: bytes) -> None:
    """Everyone is at the newest frame of the new log, which follows the named one, and votes again."""
    fog.run_until(lambda: set(fog.numbers()) == {fog.newest} and fog.newest > number + 3, 60)
    assert fog.frames[number + 1].previous == frame_hash
    fog.check_logs()
    last = max(max(fog.votes[name]) for name in DETECTORS)
    fog.run_until(lambda: all(max(fog.votes[name]) > last for name in DETECTORS), 120)
    number = max(fog.votes["det1"])
    assert len({fog.votes[name][number].frame_hash for name in DETECTORS if number in fog.votes[name]}) == 1


def test_after_a_fork_detectors_that_halted_at_different_frames_go_on_from_the_named_one() -> None:
    fog = Fog()
    fog.run(24.5)
    number = fog.newest
    forked(fog, ("det1", "det2"), ("det3",), frames=8)
    fog.say("det4", fog.topics.frame(), next_frame(fog, number=number + 1, previous=fog.hash_of(number)))
    fog.run(3)
    halted(fog)
    assert len(set(fog.numbers())) > 1
    named = fog.hash_of(number)
    fog.resume(number, named)
    fog.up("manager")
    goes_on(fog, number, named)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("back", [0, 2])
def test_the_operator_may_choose_one_side_of_a_fork(side: int, back: int) -> None:
    fog = Fog()
    fog.run(24.5)
    sides = (("det1", "det2"), ("det3", "det4"))
    forked(fog, *sides)
    fog.run(3)
    halted(fog)
    number = fog.number(sides[side][0]) - back
    named = fog.hash_of(number, sides[side][0])
    sealed = fog.resume(number, named)
    fog.parts["manager"].charters.append(sealed)
    fog.up("manager")
    goes_on(fog, number, named)


def test_one_that_is_on_the_other_side_of_a_fork_and_behind_leaves_it() -> None:
    fog = Fog()
    fog.run(24.5)
    forked(fog, ("det1", "det2", "det3"))
    number, named = fog.number("det1"), fog.hash_of(fog.number("det1"))
    other = next_frame(fog, number=fog.newest + 1, previous=fog.hash_of(fog.newest), later_ms=7)
    fog.say("det4", fog.topics.frame(), other)
    assert fog.number("det4") == fog.newest + 1 < number
    fog.parts["manager"].charters.append(fog.resume(number, named))
    fog.up("manager")
    goes_on(fog, number, named)


def test_by_another_key_of_the_manager() -> None:
    fog = Fog()
    fog.run(24.5)
    number = fog.newest - 4
    named = fog.hash_of(number)
    fog.parts["manager"].stop()
    fog.say("det1", fog.topics.frame(), fog.forged(fog.newest, time_ms=1))
    fog.run(2)
    halted(fog)
    key = HashKey("another")
    sealed = fog.net.with_key("manager", key, resume=Resume(number, named))
    fog.charter(sealed)
    manager = fog.parts["manager"]
    manager.key, manager.disk = key, type(manager.disk)()
    manager.charters = [sealed]
    fog.up("manager")
    goes_on(fog, number, named)
    # Whoever has the old key says nothing that counts any more.
    old = fog.forged(fog.newest, by=fog.net.keys["manager"], time_ms=5, number=fog.newest + 1)
    fog.say("det1", fog.topics.frame(), old)
    fog.run(3)
    assert set(fog.numbers()) == {fog.newest}


def test_what_is_void_is_dropped_even_where_it_waits_or_comes_late() -> None:
    fog = Fog()
    fog.run(24.5)
    number, named = fog.newest, fog.hash_of(fog.newest)
    forked(fog, DETECTORS, frames=4)
    late = [fog.data_of(n) for n in range(number + 1, number + 5)]
    early = next_frame(fog, number=number + 9, previous=bytes(32))
    fog.say("det1", fog.topics.frame(), early)
    fog.resume(number, named)
    fog.up("manager")
    fog.run(1)
    for data in (*late, early):
        fog.say("det1", fog.topics.frame(), data)
        fog.say("det2", fog.topics.frame(), data)
    goes_on(fog, number, named)
    assert fog.faults == []


def test_a_later_charter_that_still_says_so_does_nothing() -> None:
    fog = Fog()
    fog.run(24.5)
    number, named = fog.newest - 3, fog.hash_of(fog.newest - 3)
    fog.resume(number, named)
    goes_on(fog, number, named)
    before = {n: fog.hash_of(n) for n in range(1, fog.newest)}
    at = fog.numbers()
    sealed = fog.resume(number, named, version=3, title="three")
    fog.run(3)
    assert min(fog.numbers()) >= max(at)
    for name in DETECTORS:
        fog.down(name, 0.5)
    fog.run(15)
    assert set(fog.numbers()) == {fog.newest}
    assert {n: fog.hash_of(n) for n in before} == before
    assert fog.frames[fog.newest].charter == sealed.hash
    assert fog.faults == []


@settings(max_examples=10, phases=PHASES)
@given(st.integers(0, 3), st.integers(0, 8), st.sampled_from(DETECTORS))
def test_killed_between_any_two_effects_of_going_back(effects: int, back: int, name: str) -> None:
    fog = Fog()
    fog.run(24.5)
    number, named = fog.newest - back, fog.hash_of(fog.newest - back)
    part = fog.parts[name]
    part.crash_in, fog.back_after = effects, 1.0
    fog.resume(number, named)
    goes_on(fog, number, named)
    assert fog.faults == []


@pytest.mark.parametrize("away", ["before", "long before", "after", "put back"])
def test_one_that_was_away_finds_its_way(away: str) -> None:
    fog = Fog()
    fog.run(14.5)
    old = copy.deepcopy(fog.parts["det2"].disk)
    if away == "long before":
        fog.parts["det2"].stop()
    fog.run(10)
    number, named = fog.newest - 5, fog.hash_of(fog.newest - 5)
    if away == "before":
        fog.parts["det2"].stop()
    fog.resume(number, named)
    fog.run(8)
    part = fog.parts["det2"]
    if away in ("after", "put back"):
        part.stop()
    if away == "put back":
        part.disk = old
    fog.run(5)
    fog.up("det2")
    goes_on(fog, number, named)
    assert fog.faults == []


def test_the_log_can_be_resumed_again_after_the_same_frame() -> None:
    fog = Fog()
    fog.run(24.5)
    number, named = fog.newest, fog.hash_of(fog.newest)
    fog.resume(number, named)
    goes_on(fog, number, named)
    first = fog.hash_of(number + 1)
    fog.charter(fog.net.next_version(version=3, resume=Resume(number, named, again=1)))
    goes_on(fog, number, named)
    assert fog.hash_of(number + 1) != first
    assert fog.faults == []


def test_a_log_that_begins_anew() -> None:
    fog = Fog()
    fog.run(14.5)
    fog.resume(0, bytes(32))
    goes_on(fog, 0, bytes(32))
    assert fog.faults == []


def test_a_manager_that_lies_after_it_was_trusted_anew_halts_it_for_good() -> None:
    fog = Fog()
    fog.run(24.5)
    number = fog.newest
    named = fog.hash_of(number)
    fog.say("det1", fog.topics.frame(), fog.forged(number, time_ms=1))
    fog.run(1)
    fog.parts["manager"].stop()
    halted(fog)
    fog.resume(number, named)
    fog.up("manager")
    goes_on(fog, number, named)
    fog.parts["manager"].stop()
    fog.say("det3", fog.topics.frame(), fog.forged(fog.newest, time_ms=2))
    fog.run(1)
    halted(fog)


def test_the_fault_of_before_is_heard_again_and_halts_nobody() -> None:
    fog = Fog()
    fog.run(24.5)
    number = fog.newest
    named = fog.hash_of(number)
    fog.say("det1", fog.topics.frame(), fog.forged(number, time_ms=1))
    fog.run(1)
    fog.resume(number, named)
    fog.run(2)
    fog.up("manager")
    for name in DETECTORS:  # what is retained comes again with every start
        fog.down(name, 0.5)
    goes_on(fog, number, named)
    assert not any(fog.detector(name)._faults.done for name in DETECTORS)


def test_a_new_manager_without_a_word_of_the_operator_follows_the_log_there_is() -> None:
    fog = Fog()
    fog.run(14.5)
    key = HashKey("another")
    sealed = fog.net.with_key("manager", key)
    fog.charter(sealed)
    manager = fog.parts["manager"]
    manager.stop()
    manager.key = key
    fog.up("manager")
    at = fog.newest
    fog.run(25)
    assert set(fog.numbers()) == {fog.newest}
    assert fog.newest > at + 15
    assert max(fog.votes["det1"]) > at
    fork = Signer("manager", key, fog.net.network).object(frame_in(next_frame(fog, previous=bytes(32))))
    fog.say("det1", fog.topics.frame(), fork)
    fog.run(1)
    assert set(fog.kinds()) <= {"bad_frame"}
