"""How much work the next block takes: ASERT (absolutely scheduled exponentially rising targets), in integers.

    work(h + 1) = first_work * 2^((block_interval * (h - 1) - clock(h)) / half_life)

so that every half life the chain is behind its schedule halves the work, and the other way round. It depends on
nothing but the chain up to the parent, forgets no error, and cannot oscillate (Toomim 2020; Bitcoin Cash runs it
since then). Its 2^x is the cubic of that chain's specification (aserti3-2d), within 0.013 %.

`clock` is the time that the chain has seen. It follows the median time of eleven blocks (mint/chain/times.py),
which one miner cannot move, and a single step of it counts for a half life at most: after a night in which nothing
was mined the work is halved once, and not given away until the schedule has been caught up with.

The half life is 64 blocks: chance alone then moves the work by 7 % (sqrt(ln 2 / 128)), and nine tenths of a change of
hash rate are followed in some 200 blocks at the new rate.
"""

from __future__ import annotations

from mint.charter.model import Chain
from mint.wire import MOST

HALF_LIFE_BLOCKS = 64
# Fixed point: 16 bits after the point.
ONE = 1 << 16
# Nothing between 1 and 2^63 is further apart than this many doublings.
MOST_DOUBLINGS = 64


def clock_after(chain: Chain, clock_ms: int, median_before_ms: int, median_ms: int) -> int:
    """The clock at a block: that of its parent and how far the median went on, a half life at most."""
    return clock_ms + min(max(0, median_ms - median_before_ms), HALF_LIFE_BLOCKS * chain.block_interval_ms)


def work_after(chain: Chain, height: int, clock_ms: int) -> int:
    """The work of the block after the one at `height`, whose clock is `clock_ms` (of block 1: 0).

    Between 1 and 2^63 - 1.
    """
    if height == 0:
        return chain.first_work
    ahead_ms = chain.block_interval_ms * (height - 1) - clock_ms
    exponent = ahead_ms * ONE // (HALF_LIFE_BLOCKS * chain.block_interval_ms)
    doublings, x = divmod(exponent, ONE)
    if abs(doublings) > MOST_DOUBLINGS:
        return MOST if doublings > 0 else 1
    factor = ONE + ((195_766_423_245_049 * x + 971_821_376 * x * x + 5_127 * x * x * x + (1 << 47)) >> 48)
    work = chain.first_work * factor
    work = work << doublings if doublings >= 0 else work >> -doublings
    return min(max(1, work >> 16), MOST)
