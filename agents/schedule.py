"""When to sample: multiples of the period from the start, whatever happens in between. Pure."""

from __future__ import annotations


def next_tick(start_ns: int, period_ns: int, now_ns: int) -> int:
    """The first tick after `now_ns` (monotonic): ticks are `start_ns` + k `period_ns`, k >= 0.

    A late wake-up moves none of the later ticks, and ticks that were missed are not made up for.

    >>> next_tick(5, 10, 5), next_tick(5, 10, 14), next_tick(5, 10, 47), next_tick(5, 10, 0)
    (15, 15, 55, 5)
    """
    return start_ns + max(0, (now_ns - start_ns) // period_ns + 1) * period_ns
