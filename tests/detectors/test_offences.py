"""Accusations stand until they are decided, and offences count rungs."""

from __future__ import annotations

import json

from detectors.offences import GRACE, MAX_GRACE, Offences
from mint.merkle import leaf_hash
from mint.messages.frame import Decision
from mint.messages.judgement import Accusation, SampleRef
from tests.builders import MS

SHARE = 100 * MS


def accusation(miner: str = "m01", began: int = 5, rung: int = 1, last: bytes = b"last") -> Accusation:
    refs = [SampleRef("edge1", 1, n, leaf_hash(data)) for n, data in ((1, b"first"), (2, last))]
    return Accusation(miner, began, "budget", rung, SHARE, refs[0], refs[1])


def decision(began: int, miner: str = "m01") -> Decision:
    return Decision(bytes(32), miner, began, 1)


def test_an_accusation_stands_until_it_is_decided_and_the_next_is_a_rung_higher() -> None:
    offences = Offences()
    assert offences.accuse(accusation())
    assert not offences.accuse(accusation(began=6))  # it is accused already
    assert list(offences.standing) == ["m01"]
    assert offences.rung("m01") == 1
    assert offences.decided([decision(5)], 8) == ["m01"]
    assert (offences.standing, offences.rung("m01")) == ({}, 2)
    assert [offences.spared("m01", 8 + n) for n in range(GRACE + 2)] == [True] * (GRACE + 1) + [False]


def test_a_second_certificate_of_the_same_offence_decides_nothing() -> None:
    offences = Offences()
    offences.decided([decision(5)], 8)
    assert offences.decided([decision(5)], 9) == []
    assert offences.decided([decision(4)], 9) == []
    assert offences.rung("m01") == 2


def test_an_offence_that_began_while_its_miner_was_silent_can_be_decided() -> None:
    offences = Offences()
    offences.decided([decision(5)], 8)
    offences.accuse(accusation(began=7, rung=2))  # its last reading before the decision
    assert offences.decided([decision(7)], 40) == ["m01"]
    assert offences.standing == {}


def test_grace_doubles_up_to_a_bound() -> None:
    offences, spared = Offences(), []
    for n in range(8):
        number = 1000 * (n + 1)
        offences.decided([decision(number - 1)], number)
        spared.append(sum(offences.spared("m01", number + k) for k in range(1, 999)))
    assert spared == [5, 10, 20, 40, MAX_GRACE, MAX_GRACE, MAX_GRACE, MAX_GRACE]


def test_offences_restored_are_the_same() -> None:
    offences = Offences()
    offences.decided([decision(3, "m02")], 8)
    offences.accuse(accusation())
    again = Offences()
    again.restore(json.loads(json.dumps(offences.state())))
    assert (again.standing, again.state()) == (offences.standing, offences.state())
    again.drop("m01")
    assert again.standing == {}
