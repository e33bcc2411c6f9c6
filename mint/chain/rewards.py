"""Who is paid for a block: everyone whose shares are in it or in the blocks before it, by their work.

Each block's reward is split over the shares that the last `window_blocks` blocks hold, itself included (P2Pool's
PPLNS). Finding the block earns nothing extra, so a share not shown is a share not paid, whatever else comes of it,
and the luck of finding blocks does not matter to anyone. Integers only: what does not divide goes to the largest
remainders, of equal ones to the smaller name. A block whose window holds no share pays nobody.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

# One block's reward.
REWARD = 10**9


def split(works: Mapping[str, int], amount: int = REWARD) -> dict[str, int]:
    """`amount` over the miners by their work; what all get together is `amount`, or nothing where no work is."""
    everything = sum(works.values())
    if everything == 0:
        return {}
    paid = {}
    remainders = []
    for name in sorted(works):
        paid[name], remainder = divmod(amount * works[name], everything)
        remainders.append((-remainder, name))
    for _, name in sorted(remainders)[: amount - sum(paid.values())]:
        paid[name] += 1
    return {name: earned for name, earned in paid.items() if earned}


class Window:
    """The work that the last blocks pay for; one step a block, whatever the window's length."""

    def __init__(self, blocks: int) -> None:
        """`blocks`: the chain's `window_blocks`."""
        self._blocks = blocks
        self._held: deque[Mapping[str, int]] = deque()
        self._works: Counter[str] = Counter()

    def block(self, works: Mapping[str, int]) -> dict[str, int]:
        """The reward of the next block, which holds shares of so much work, by miner."""
        self._held.append(works)
        self._works.update(works)
        if len(self._held) > self._blocks:
            self._works.subtract(self._held.popleft())
            self._works = +self._works
        return split(self._works)


def rewards(blocks: Iterable[Mapping[str, int]], window_blocks: int) -> list[dict[str, int]]:
    """The reward of each block of a chain, from its first on; `blocks`: the work of the shares in each, by miner."""
    window = Window(window_blocks)
    return [window.block(works) for works in blocks]
