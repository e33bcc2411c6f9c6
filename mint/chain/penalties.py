"""Which heights a verdict, a lie about shares, or darkness takes from its miner.

A verdict that a block at height a anchors covers the heights (a, a + n], where n blocks last as long as its penalty
does:

    n = ceil((until - frame) * period / block_interval), at least 1.

A fault "two totals" (mint/fault.py: its device showed more shares of the miner, to be paid, than its samples count)
covers the blocks of a day: no counter says what was taken, so nothing else takes it back.

An Absence (mint/absence.py) covers as many blocks as last 2 d frames, at least 2: votes name the dark every d
frames, so that it is said again as long as it lasts, and who is seen again counts again soon.

In those heights the miner's blocks are invalid and its shares are not paid. Whether the charter has verdicts carried
out, holds the miner's or pardons the offence is asked of the charter in force at the height in question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mint.absence import Absent
from mint.charter.model import Chain, Charter
from mint.verdict import Proven

# A lie costs its miner so long: the ledger's own penalty, for the enforcer has nothing to correct.
LIE_MS = 86_400_000
# In place of an offence's number, which begin at 1.
LIE, ABSENT = 0, -1
# So that one block that nobody finds in time makes no gap in what votes say again.
LEAST_ABSENT = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """`miner` is barred from height `first` to `last` for its offence of this number, for a LIE, or as ABSENT."""

    miner: str
    offence: int
    first: int
    last: int

    @property
    def reason(self) -> str:
        """For people."""
        return {LIE: "a lie about its shares", ABSENT: "being dark"}.get(
            self.offence, f"its offence {self.offence}"
        )


def blocks_of(chain: Chain, frames: int, period_ms: int) -> int:
    """How many blocks a penalty of so many frames lasts."""
    return max(1, -(-frames * period_ms // chain.block_interval_ms))


def bar(chain: Chain, proven: Proven, anchored: int) -> Bar:
    """What a verdict that is anchored at height `anchored` covers."""
    period_ms = proven.charter.charter.period_ms
    blocks = blocks_of(chain, proven.until - proven.frame, period_ms)
    return Bar(proven.miner.name, proven.offence, anchored + 1, anchored + blocks)


def bar_of_lie(chain: Chain, miner: str, anchored: int) -> Bar:
    """What a lie covers whose proof is anchored at height `anchored`."""
    return Bar(miner, LIE, anchored + 1, anchored + blocks_of(chain, LIE_MS, 1))


def bar_of_absence(chain: Chain, absent: Absent, miner: str, anchored: int) -> Bar:
    """What an absence of `miner` that is anchored at height `anchored` covers."""
    blocks = max(LEAST_ABSENT, blocks_of(chain, absent.lasting_ms, 1))
    return Bar(miner, ABSENT, anchored + 1, anchored + blocks)


def barred(bars: Iterable[Bar], charter: Charter, miner: str, heights: Iterable[int]) -> Bar | None:
    """The bar that covers `miner` at one of these heights under this charter; None: nothing does."""
    known = charter.miners_by_name().get(miner)
    if known is None or not charter.enforces(known):
        return None
    pardoned = {pardon.offence for pardon in charter.pardons if pardon.miner == miner}
    wanted = tuple(heights)
    for one in bars:
        covers = any(one.first <= height <= one.last for height in wanted)
        if one.miner == miner and covers and one.offence not in pardoned:
            return one
    return None
