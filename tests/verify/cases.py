"""A case made of a network in memory in which m03 doubled its quota, and what it is checked against."""

from __future__ import annotations

from functools import cache

from network.verify.case import Case
from network.verify.command import run
from network.verify.report import Report
from tests.builders import Net, World

NET = Net(miners=4, devices=2)
ATTACK_AT = 12
TICKS = 40
CHEAT = "m03"


@cache
def whole() -> Case:
    """The whole log of forty frames, every sample, the verdict on m03."""
    world = World(NET)
    world.run(ATTACK_AT)
    world.miner(CHEAT).factor = 2.0
    world.run(TICKS - ATTACK_AT)
    return Case(
        charters=(NET.sealed.data,),
        frames=tuple(closed.data for closed in world.log),
        samples=tuple(sample for closed in world.log for sample in closed.samples),
        verdicts=tuple(verdict for closed in world.log for verdict in closed.verdicts),
    )


def report(case: Case, *, recompute: bool = False, operator: bytes | None = None) -> Report:
    return run(case, operator or NET.operator.public, recompute=recompute)


def broken(case: Case) -> str:
    """The link that breaks first."""
    found = report(case)
    assert not found.proven
    return next(f"{link.about}: {link.text}" for link in found.links if not link.holds)
