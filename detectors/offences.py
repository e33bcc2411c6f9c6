"""From a conviction to a decision in the log: accusations stand until then, and the log counts offences.

A frame says how many offences of each miner were decided on; the next one is that number and one. So detectors
that saw a miner's past and one that begins today name the same offence, and a verdict that comes late, or twice, or
from several who assembled it, is on an offence that has been decided.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mint.messages.frame import Frame
from mint.messages.judgement import Accusation, SampleRef

# Frames after a decision in which a miner is not judged: the verdict is on its way to the quota, and what is
# used until it arrives is taken back with the rest. Doubled with every further offence, so that one whom
# nobody stops (observe mode, a dead enforcer) does not fill the log with verdicts.
GRACE = 5
MAX_GRACE = 60
# Where doubling has long passed the most.
MAX_DOUBLINGS = 8


class Offences:
    """What stands against each miner."""

    def __init__(self) -> None:
        self.standing: dict[str, Accusation] = {}
        self._decided: dict[str, int] = {}
        self._spared_until: dict[str, int] = {}

    def accuse(self, accusation: Accusation) -> bool:
        """Let an accusation stand; False when one stands against that miner already."""
        if accusation.miner in self.standing:
            return False
        self.standing[accusation.miner] = accusation
        return True

    def next(self, miner: str) -> int:
        """The number of the offence that is to be decided on next: the first is 1."""
        return self._decided.get(miner, 0) + 1

    def note(self, frame: Frame) -> list[str]:
        """Take note of the decisions of a frame; the miners decided on."""
        self._decided = {entry.miner: entry.offences for entry in frame.miners if entry.offences}
        for decision in frame.decisions:
            grace = GRACE << min(decision.offence - 1, MAX_DOUBLINGS)
            self._spared_until[decision.miner] = frame.number + min(grace, MAX_GRACE)
        for miner in [name for name, one in self.standing.items() if one.offence < self.next(name)]:
            del self.standing[miner]
        return [decision.miner for decision in frame.decisions]

    def drop(self, miner: str) -> None:
        """Let nothing stand against `miner`: what it is entitled to changed, or it is no miner any more."""
        self.standing.pop(miner, None)

    def spared(self, miner: str, number: int) -> bool:
        """Whether `miner` is not judged on frame `number`."""
        return number <= self._spared_until.get(miner, -1)

    def state(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "standing": [_plain(accusation) for accusation in self.standing.values()],
            "decided": dict(self._decided),
            "spared": dict(self._spared_until),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        for plain in state["standing"]:
            accusation = _accusation(plain)
            self.standing[accusation.miner] = accusation
        self._decided = dict(state["decided"])
        self._spared_until = dict(state["spared"])


def _plain(accusation: Accusation) -> list[Any]:
    fields = list(msgspec.structs.astuple(accusation))
    for index in (-2, -1):
        ref = fields[index]
        fields[index] = [ref.device, ref.session, ref.sequence, ref.leaf.hex()]
    return fields


def _accusation(plain: list[Any]) -> Accusation:
    *fields, first, last = plain
    refs = [SampleRef(ref[0], ref[1], ref[2], bytes.fromhex(ref[3])) for ref in (first, last)]
    return Accusation(*fields, *refs)
