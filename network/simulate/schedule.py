"""Virtual time: what happens when, in one order for one seed.

Time is integer ns since the simulation began ("true time"; no host sees it). What is scheduled for the same
time happens in the order in which it was scheduled, so that a history depends on nothing but what made it.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

US = 1_000
MS = 1_000_000
S = 1_000_000_000


class Schedule:
    """Calls in the order of their time; `now_ns` is the time of the one that runs."""

    __slots__ = ("_heap", "_made", "now_ns")

    def __init__(self) -> None:
        self.now_ns = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []
        self._made = 0

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, at_ns: int, call: Callable[..., None], *args: object) -> None:
        """Call `call(*args)` at `at_ns`.

        Raises:
            ValueError: that time has passed (a mistake in the program).
        """
        if at_ns < self.now_ns:
            raise ValueError(f"{at_ns} has passed, it is {self.now_ns}")
        self._made += 1
        heappush(self._heap, (at_ns, self._made, call, args))

    def run(self, until_ns: int) -> None:
        """Do everything up to `until_ns`, and what comes of it until then; it is `until_ns` afterwards."""
        heap = self._heap
        while heap and heap[0][0] <= until_ns:
            self.now_ns, _, call, args = heappop(heap)
            call(*args)
        self.now_ns = max(self.now_ns, until_ns)
