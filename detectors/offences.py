"""From a conviction to a decision in the log: accusations stand until then, offences count rungs afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from mint.messages.frame import Decision
from mint.messages.judgement import Accusation, SampleRef

# Frames after a decision in which a miner is not judged: the verdict is on its way to the quota, and what is
# used until it arrives is taken back with the rest. Doubled with every further offence, so that one whom
# nobody stops (observe mode, a dead enforcer) does not fill the log with verdicts.
GRACE = 5
MAX_GRACE = 60


class Offences:
    """What stands against each miner."""

    def __init__(self) -> None:
        self.standing: dict[str, Accusation] = {}
        self._decided: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._spared_until: dict[str, int] = {}

    def accuse(self, accusation: Accusation) -> bool:
        """Let an accusation stand; False when one stands against that miner already."""
        if accusation.miner in self.standing:
            return False
        self.standing[accusation.miner] = accusation
        return True

    def rung(self, miner: str) -> int:
        """The rung that the next offence of `miner` has earned: the first earns 1."""
        return self._decided.get(miner, 0) + 1

    def decided(self, decisions: Iterable[Decision], number: int) -> list[str]:
        """Frame `number` takes note of these verdicts; the miners that they are new against."""
        new = []
        for decision in decisions:
            miner = decision.miner
            if decision.began <= self._last.get(miner, -1):
                continue  # an earlier certificate decided it
            self._last[miner] = decision.began
            self._decided[miner] = self._decided.get(miner, 0) + 1
            self._spared_until[miner] = number + min(GRACE << (self._decided[miner] - 1), MAX_GRACE)
            self.standing.pop(miner, None)
            new.append(miner)
        return new

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
            "decided": self._decided,
            "last": self._last,
            "spared": self._spared_until,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        for plain in state["standing"]:
            accusation = _accusation(plain)
            self.standing[accusation.miner] = accusation
        self._decided = dict(state["decided"])
        self._last = dict(state["last"])
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
