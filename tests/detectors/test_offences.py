"""Accusations stand until they are decided, and the log counts offences."""

from __future__ import annotations

import json

from detectors.offences import GRACE, MAX_GRACE, Offences
from mint.merkle import leaf_hash
from mint.messages.frame import Decision, Frame, MinerEntry
from mint.messages.judgement import Accusation, SampleRef
from tests.builders import MS

SHARE = 100 * MS


def accusation(miner: str = "m01", offence: int = 1, began: int = 5, last: bytes = b"last") -> Accusation:
    refs = [SampleRef("edge1", 1, n, leaf_hash(data)) for n, data in ((1, b"first"), (2, last))]
    return Accusation(miner, offence, began, "budget", SHARE, refs[0], refs[1])


def frame(number: int, counted: dict[str, int], *decided: str) -> Frame:
    """A frame that counts so many offences of miners, and takes note of the last one of some."""
    miners = tuple(
        MinerEntry(name, False, 0, 0, 0, 0, 0, 0, 0, 0, 0, count, number if count else 0, 0)
        for name, count in sorted(counted.items())
    )
    decisions = tuple(Decision(bytes(32), name, counted[name]) for name in decided)
    return Frame("fog1", number, bytes(32), bytes(32), 0, bytes(32), (), miners, decisions, ())


def test_an_accusation_stands_until_it_is_decided_and_the_next_offence_is_one_more() -> None:
    offences = Offences()
    assert offences.accuse(accusation())
    assert not offences.accuse(accusation(began=6))  # it is accused already
    assert list(offences.standing) == ["m01"]
    assert offences.note(frame(7, {"m01": 0})) == []
    assert (list(offences.standing), offences.next("m01")) == (["m01"], 1)
    assert offences.note(frame(8, {"m01": 1}, "m01")) == ["m01"]
    assert (offences.standing, offences.next("m01")) == ({}, 2)
    assert [offences.spared("m01", 8 + n) for n in range(GRACE + 2)] == [True] * (GRACE + 1) + [False]


def test_one_without_a_past_names_the_same_offence_as_all_others() -> None:
    offences = Offences()
    assert offences.note(frame(900, {"m01": 3, "m02": 0})) == []
    assert (offences.next("m01"), offences.next("m02")) == (4, 1)


def test_what_was_decided_in_frames_that_were_passed_over_does_not_stand() -> None:
    offences = Offences()
    offences.accuse(accusation())
    offences.accuse(accusation("m02"))
    offences.note(frame(40, {"m01": 1, "m02": 0}))
    assert list(offences.standing) == ["m02"]


def test_a_miner_that_left_the_log_begins_with_its_first_offence() -> None:
    offences = Offences()
    offences.note(frame(8, {"m01": 2}))
    offences.note(frame(9, {}))
    assert offences.next("m01") == 1


def test_grace_doubles_up_to_a_bound() -> None:
    offences, spared = Offences(), []
    for offence in range(1, 20):
        number = 1000 * offence
        offences.note(frame(number, {"m01": offence}, "m01"))
        spared.append(sum(offences.spared("m01", number + k) for k in range(1, 999)))
    assert spared == [5, 10, 20, 40, *[MAX_GRACE] * 15]


def test_offences_restored_are_the_same() -> None:
    offences = Offences()
    offences.note(frame(8, {"m02": 1}, "m02"))
    offences.accuse(accusation())
    again = Offences()
    again.restore(json.loads(json.dumps(offences.state())))
    assert (again.standing, again.state()) == (offences.standing, offences.state())
    assert (again.next("m02"), again.spared("m02", 9)) == (2, True)
    again.drop("m01")
    assert again.standing == {}
