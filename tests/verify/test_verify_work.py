"""`mint verify` of a verdict by work: proven from the operator's key alone, and it says what it cannot tell apart."""

from __future__ import annotations

from functools import cache

import msgspec

from mint.charter.model import Chain, DeviceClass
from network.verify.case import Case
from network.verify.command import run
from network.verify.report import Report
from tests.builders import Net, World

NET = Net(miners=4, devices=2, chain=Chain(10_000, 334, 60, 10**9), classes=(DeviceClass("pi", 2_000_000),))
ATTACK_AT = 20


@cache
def whole() -> Case:
    """Eighty frames; m03 works for two and reports one from frame 20 on, until it is put low."""
    world = World(NET)
    world.run(ATTACK_AT)
    world.miner("m03").work = 2.0
    while not world.verdicts:
        world.tick()
    world.run(3)
    return Case(
        charters=(NET.sealed.data,),
        frames=tuple(closed.data for closed in world.log),
        samples=tuple(sample for closed in world.log for sample in closed.samples),
        verdicts=tuple(verdict for closed in world.log for verdict in closed.verdicts),
    )


def report(case: Case) -> Report:
    return run(case, NET.operator.public, recompute=True)


def test_a_verdict_by_work_is_proven_and_says_that_it_is_one_of_two_lies() -> None:
    found = report(whole())
    assert found.proven, found.lines()
    (verdict,) = found.verdicts
    assert (verdict["miner"], verdict["evidence"]) == ("m03", "work")
    said = "\n".join(found.lines())
    for words in (
        "CPU-s above what it reported since frame",
        "their shares took",
        "it reports too little, or its code is faster than the image, and the samples do not say which",
        "recomputed: the frames accuse it from frame",
    ):
        assert words in said, words


def test_without_the_frames_that_the_offence_began_in_it_is_not_recomputed() -> None:
    case = whole()
    found = report(msgspec.structs.replace(case, frames=case.frames[30:]))
    assert found.proven, found.lines()
    assert "not recomputed: that takes" in "\n".join(found.lines())
