"""What time a block may say it is.

It is later than the median of the eleven blocks before it (or of as many as there are): a rule of the chain. And it
is not further ahead of the receiver's own clock than the charter's tolerance: that is no rule, for time mends it;
such a block is kept out until then.
"""

from __future__ import annotations

from mint.errors import Reason, Rejected

# As Bitcoin: a majority of them is a majority of the hashing, a few blocks later.
MEDIAN_BLOCKS = 11


def median(times: tuple[int, ...]) -> int:
    """The middle one of the last blocks' times, the later of two; 0 where there is no block."""
    return sorted(times)[len(times) // 2] if times else 0


def with_next(times: tuple[int, ...], time_ms: int) -> tuple[int, ...]:
    """The times that the block after this one is held against."""
    return (*times[1 - MEDIAN_BLOCKS :], time_ms)


class Early(Rejected):
    """A block is of a time to come: it may be taken from `due_ms` on (Unix ms, on the receiver's clock)."""

    def __init__(self, time_ms: int, now_ms: int, tolerance_ms: int) -> None:
        super().__init__(Reason.FUTURE, f"a block of {time_ms - now_ms} ms from now")
        self.due_ms = time_ms - tolerance_ms


def check_now(time_ms: int, now_ms: int, tolerance_ms: int) -> None:
    """Check a block's time against the receiver's.

    Raises:
        Early: it is of a time to come.
    """
    if time_ms > now_ms + tolerance_ms:
        raise Early(time_ms, now_ms, tolerance_ms)
