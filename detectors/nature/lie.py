"""What is found, and that it is said once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from detectors.nature.past import Bools, Ints


class Kind(StrEnum):
    """What is wrong with the telemetry."""

    FROZEN = "frozen"
    REPLAYED = "replayed"
    COPIED = "copied"
    ALIKE = "alike"
    FABRICATED = "fabricated"


@dataclass(frozen=True, slots=True)
class Lie:
    """One finding: `row` has told what it can hardly have measured, since tick `since`.

    `decides`: whether this accuses; otherwise it is an alarm for people. `source`: the row compared with, or
    `row` itself. `lag`: ticks between the two. `bits`: what chance would have had to guess; 0 where that is
    not how it was found. `detail`: in words, `{}` for the source's name.
    """

    row: int
    kind: Kind
    decides: bool
    since: int
    source: int
    lag: int
    bits: float
    detail: str

    def reason(self, names: Sequence[str]) -> str:
        """In words, for people; `names` by row."""
        return self.detail.format(names[self.source])


class Told:
    """What was said of `miners` rows: each kind once as an alarm and once as what decides, until it ends."""

    def __init__(self, miners: int) -> None:
        # Two bits for each kind: it was said, and it was said to decide.
        self.bits = np.zeros(miners, np.int16)

    def fresh(self, lie: Lie) -> bool:
        """Whether this has still to be said; from now on it is."""
        bit = 1 << _PLACES[lie.kind]
        bit |= bit << 1 if lie.decides else 0
        if self.bits[lie.row] & bit == bit:
            return False
        self.bits[lie.row] |= bit
        return True

    def stands(self, kind: Kind) -> Bools:
        """Of whom it was said and is still so, (miners,)."""
        return np.asarray(self.bits & (3 << _PLACES[kind]) != 0)

    def end(self, rows: Ints, kind: Kind) -> None:
        """It is no longer so of these rows: the next time is another one."""
        self.bits[rows] &= ~(3 << _PLACES[kind])


# The lower of the two bits of each kind.
_PLACES = {kind: 2 * place for place, kind in enumerate(Kind)}
