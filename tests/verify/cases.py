"""A case made of a network in memory in which m03 doubled its quota, and what it is checked against."""

from __future__ import annotations

from functools import cache

from network.verify.case import Case
from network.verify.checks import Source
from network.verify.command import run
from network.verify.report import Report
from tests.builders import Net, World
from twin_broker.core import Closed

NET = Net(miners=4, devices=2)
ATTACK_AT = 12
TICKS = 40
CHEAT = "m03"


@cache
def log() -> tuple[Closed, ...]:
    """Forty frames, with every sample, and the verdict on m03."""
    world = World(NET)
    world.run(ATTACK_AT)
    world.miner(CHEAT).factor = 2.0
    world.run(TICKS - ATTACK_AT)
    return tuple(world.log)


@cache
def whole() -> Case:
    """The whole log as a case."""
    return Case(
        charters=(NET.sealed.data,),
        frames=tuple(closed.data for closed in log()),
        samples=tuple(sample for closed in log() for sample in closed.samples),
        verdicts=tuple(verdict for closed in log() for verdict in closed.verdicts),
    )


def report(source: Source, *, recompute: bool = False, operator: bytes | None = None) -> Report:
    return run(source, operator or NET.operator.public, recompute=recompute)


def told(found: Report) -> list[dict[str, object]]:
    """What a report says of its verdicts, but for the hashes of their envelopes."""
    return [{key: said for key, said in verdict.items() if key != "hash"} for verdict in found.verdicts]


def broken(source: Source) -> str:
    """The link that breaks first."""
    found = report(source)
    assert not found.proven
    return next(f"{link.about}: {link.text}" for link in found.links if not link.holds)


def flipped(data: bytes, at: int, bits: int) -> bytes:
    """The bytes with these bits of one of them changed."""
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]
