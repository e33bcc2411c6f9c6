"""The chain that an hour's shares make, by the rules of mint/chain/, and what it pays to whom.

Whose hash is good enough for the difficulty of its height finds the block, unless the chain holds a verdict on it that
covers the height. Difficulty, penalties and rewards are mint/chain's own functions. What is left out is the network
between nodes: a block is known to everybody at once, so that there are no forks; a batch of shares or a verdict is in
the first block that is found a period or more after it was told, but nobody anchors a verdict on itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mint.chain.difficulty import clock_after, work_after
from mint.chain.penalties import Bar, bar, barred
from mint.chain.rewards import rewards
from mint.chain.shares import share_works
from mint.chain.times import median, with_next
from mint.charter.model import Chain, Charter
from network.fairness.hashing import Found, Ints
from network.fairness.hours import Convicted, Mined
from network.simulate.clock import T0_MS
from network.simulate.schedule import MS, S

Bools = NDArray[np.bool_]

# A batch of shares is told once a second, and templates hold what was told.
TOLD_NS = S
# Hashes looked at at once for one that is a block's: some blocks' worth.
AT_ONCE = 4096


@dataclass(frozen=True)
class Ledger:
    """B blocks of n miners: when each was found (true ns, (B,)) and by whom (row, (B,)); what it pays, (B, n), in 1e-9.

    `paid`: of every share found, whether it is paid; `void`: at which heights, from 1 on, whose blocks and shares do
    not count, (B + 1, n).
    """

    at_ns: Ints
    finder: Ints
    rewards: Ints
    paid: Bools
    void: Bools


def ledger_of(mined: Mined) -> Ledger:
    """The chain of an hour."""
    charter, found = mined.charter.charter, mined.found
    names = sorted(charter.miners_by_name())
    blocks, bars = _mined(charter, found, mined.verdicts, names)
    at_ns, heights = found.at_ns[blocks], range(1, len(blocks) + 2)
    void = np.array(
        [[barred(bars, charter, name, (height,)) is not None for name in names] for height in heights]
    )
    # Each share is of the height that its miner was at, and in the block that its batch was told in time for; neither
    # may be barred.
    own, holding = np.searchsorted(at_ns, found.at_ns), np.searchsorted(at_ns, found.at_ns + TOLD_NS)
    held = holding < len(blocks)
    paid = held & ~void[own, found.miner] & ~void[holding, found.miner]
    counts = np.zeros((len(blocks), len(names)), np.int64)
    np.add.at(counts, (holding[paid], found.miner[paid]), 1)
    return Ledger(at_ns, found.miner[blocks], _rewards(charter, counts, names), paid, void)


def _rewards(charter: Charter, counts: Ints, names: list[str]) -> Ints:
    """What each block pays to each miner, where it holds so many paid shares of each: (B, n) both."""
    works = share_works(charter)
    blocks = [
        {name: count * works[name] for name, count in zip(names, row, strict=True) if count}
        for row in counts.tolist()
    ]
    paid = rewards(blocks, _chain(charter).window_blocks)
    return np.array([[one.get(name, 0) for name in names] for one in paid], np.int64).reshape(counts.shape)


def _mined(
    charter: Charter, found: Found, verdicts: list[Convicted], names: list[str]
) -> tuple[list[int], list[Bar]]:
    """The hashes that are blocks, as their places among the shares, and what the verdicts in them bar."""
    chain = _chain(charter)
    blocks: list[int] = []
    bars: list[Bar] = []
    pending = list(verdicts)
    times: tuple[int, ...] = ()
    clock_ms = place = 0
    while True:
        height = len(blocks) + 1
        out = [row for row, name in enumerate(names) if barred(bars, charter, name, (height,))]
        block = _next(found, place, work_after(chain, height - 1, clock_ms), out)
        if block is None:
            return blocks, bars
        at_ns, finder = int(found.at_ns[block]), names[found.miner[block]]
        for one in [
            one for one in pending if one.at_ns + TOLD_NS <= at_ns and one.proven.miner.name != finder
        ]:
            bars.append(bar(chain, one.proven, height))
            pending.remove(one)
        before, times = times, with_next(times, T0_MS + at_ns // MS)
        clock_ms = clock_after(chain, clock_ms, median(before), median(times)) if before else 0
        blocks.append(block)
        place = block + 1


def _next(found: Found, place: int, work: int, out: list[int]) -> int | None:
    """The first hash from `place` on that proves `work`, of a miner that is not out."""
    while place < len(found.proves):
        good = found.proves[place : place + AT_ONCE] >= work
        if out:
            good &= ~np.isin(found.miner[place : place + AT_ONCE], out)
        if good.any():
            return place + int(good.argmax())
        place += AT_ONCE
    return None


def _chain(charter: Charter) -> Chain:
    assert charter.chain is not None  # noqa: S101 (an hour's charter has one; this tells the type checker)
    return charter.chain
