"""Which heights a verdict takes from its miner.

A verdict that a block at height a anchors covers the heights (a, a + n], where n blocks last as long as its penalty
does:

    n = ceil((until - frame) * period / block_interval), at least 1.

In those heights the miner's blocks are invalid and its shares are not paid. Whether the charter has verdicts carried
out, holds the miner's or pardons the offence is asked of the charter in force at the height in question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mint.charter.model import Chain, Charter
from mint.verdict import Proven


@dataclass(frozen=True, slots=True)
class Bar:
    """`miner` is barred from height `first` to `last` for its offence of this number."""

    miner: str
    offence: int
    first: int
    last: int


def blocks_of(chain: Chain, frames: int, period_ms: int) -> int:
    """How many blocks a penalty of so many frames lasts."""
    return max(1, -(-frames * period_ms // chain.block_interval_ms))


def bar(chain: Chain, proven: Proven, anchored: int) -> Bar:
    """What a verdict that is anchored at height `anchored` covers."""
    period_ms = proven.charter.charter.period_ms
    blocks = blocks_of(chain, proven.until - proven.frame, period_ms)
    return Bar(proven.miner.name, proven.offence, anchored + 1, anchored + blocks)


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
