"""Work as evidence in a whole fog: a miner that works for two and reports one is convicted by its own two samples."""

from __future__ import annotations

from functools import cache

import pytest

from mint.charter.model import Chain, DeviceClass, replaced
from mint.messages.frame import Frame
from mint.verdict import verify_verdict
from mint.work import Count, work_rule
from tests.builders import Net, World

CHAIN = Chain(10_000, 334, 120, 10**9)
NET = Net(miners=8, devices=2, chain=CHAIN, classes=(DeviceClass("pi", 2_000_000),))
ATTACK_AT = 30


@cache
def lying(enforce: bool = True) -> World:
    """m03 reports half of what it uses, or hashes twice as fast, after frame 30; two hundred frames in all."""
    world = World(NET, enforce=enforce)
    world.run(ATTACK_AT)
    world.miner("m03").work = 2.0
    world.run(170)
    return world


def test_it_is_convicted_within_a_minute_and_nobody_else_ever_is() -> None:
    world = lying()
    assert world.accused() == {"m03"}
    proven = world.proven[0]
    assert (proven.miner.name, proven.offence, proven.evidence) == ("m03", 1, "work")
    assert ATTACK_AT < proven.frame <= ATTACK_AT + 60
    for verdict, said in zip(world.verdicts, world.proven, strict=True):
        assert verify_verdict(verdict, {NET.sealed.hash: NET.sealed}) == said


def test_its_verdict_says_how_much_it_worked_beyond_what_it_reported() -> None:
    verdict, proven = lying().verdicts[0], lying().proven[0]
    seconds = (proven.last.before_ns - proven.first.before_ns) / 1e9
    assert proven.excess_ns == pytest.approx(seconds * 0.1 * 1e9, rel=0.2)
    assert verdict.excess_ns == proven.excess_ns


def test_who_goes_on_lying_is_convicted_again_by_what_it_did_since() -> None:
    world = lying(enforce=False)
    assert [one.offence for one in world.proven] == list(range(1, len(world.proven) + 1))
    assert len(world.proven) >= 2
    frames = {NET.message(closed.data, Frame).number: closed for closed in world.log}
    assert all(one.frame in frames for one in world.proven)
    for before, after in zip(world.proven, world.proven[1:], strict=False):
        assert after.first.before_ns >= before.last.before_ns


def test_honest_miners_of_a_ledger_are_never_accused() -> None:
    world = World(NET, 5)
    world.miner("m02").factor = 0.3
    world.miner("m04").work = 0.5  # it hides shares, or does something else
    world.run(120)
    assert world.accused() == set()


def test_work_and_use_that_grow_alike_are_evidence_of_use() -> None:
    world = World(NET, 6)
    world.run(ATTACK_AT)
    world.miner("m03").factor = 2.0
    world.run(20)
    assert {one.evidence for one in world.proven} == {"budget"}


def test_without_a_ledger_the_same_telemetry_convicts_nobody() -> None:
    world = World(Net(miners=4, devices=2))
    world.miner("m03").work = 3.0
    world.run(120)
    assert world.accused() == set()


def test_the_law_is_the_charters() -> None:
    rule = work_rule(NET.charter, NET.charter.miners[0])
    assert rule is not None
    assert (rule.hashes, rule.cpu_ppm) == (2_000_000, 100_000)
    assert rule.share_work == 2_000_000 * 334 // 10_000
    assert rule.excess_ns(Count(0, 0), Count(0, 0)) == 0
    unmeasured = replaced(NET.charter, classes=(DeviceClass("pi", 0),))
    assert work_rule(unmeasured, unmeasured.miners[0]) is None
