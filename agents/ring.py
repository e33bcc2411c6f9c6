"""The last samples as they were signed, kept until the manager has said that they are stored. Pure.

A PUBACK is not durability (brokers lose acknowledged messages when they are killed), so an agent keeps each
sample until an `Ack` covers it. Counters are cumulative: what falls out of a full ring loses resolution, no
use. A sample is sent again as the very same bytes, so that nobody can be shown two samples of one sequence.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

# A minute at the default period: what a manager needs to restart, and 1 MiB at the largest device.
RING_SAMPLES = 60
# Samples sent again at once: a silent manager must not multiply what every device sends.
MAX_AGAIN = 4
# An acknowledgement takes well below a period; two of them tell loss from delay.
RESEND_PERIODS = 2
# Waits double with every try, up to 2^4: some five tries in the minute that a sample stays in the ring.
MAX_DOUBLINGS = 4


@dataclass(slots=True)
class _Entry:
    place: tuple[int, int]  # session, sequence
    data: bytes
    due_ns: int
    tries: int


class Ring:
    """Samples in the order they were made; `dropped` counts those that fell out before they were acknowledged.

    Times are monotonic ns; `resend_ns` is how long to wait before a sample is sent a second time.
    """

    def __init__(self, resend_ns: int) -> None:
        self.resend_ns = resend_ns
        self.dropped = 0
        self._entries: deque[_Entry] = deque()
        self._newest = (0, 0)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def newest(self) -> tuple[int, int]:
        """Session and sequence of the last sample added; (0, 0) before the first."""
        return self._newest

    def add(self, session: int, sequence: int, data: bytes, now_ns: int) -> None:
        """Keep a new sample, which is being sent for the first time.

        Raises:
            ValueError: it is not above the last one (a mistake in the program).
        """
        place = (session, sequence)
        if place <= self._newest:
            raise ValueError(f"sample {place} after {self._newest}")
        if len(self._entries) == RING_SAMPLES:
            self._entries.popleft()
            self.dropped += 1
        self._entries.append(_Entry(place, data, now_ns + self.resend_ns, 0))
        self._newest = place

    def acked(self, session: int, sequence: int) -> int:
        """Everything up to this place is stored; how many samples left the ring for that."""
        left = 0
        while self._entries and self._entries[0].place <= (session, sequence):
            self._entries.popleft()
            left += 1
        return left

    def unacked(self, now_ns: int) -> list[bytes]:
        """What to send again now: those that waited long enough, oldest first, at most `MAX_AGAIN`."""
        due = [entry for entry in self._entries if entry.due_ns <= now_ns][:MAX_AGAIN]
        for entry in due:
            entry.tries = min(entry.tries + 1, MAX_DOUBLINGS)
            entry.due_ns = now_ns + (self.resend_ns << entry.tries)
        return [entry.data for entry in due]

    def everything(self, now_ns: int) -> list[bytes]:
        """All that is not acknowledged, oldest first: what a new connection begins with."""
        for entry in self._entries:
            entry.tries, entry.due_ns = 0, now_ns + self.resend_ns
        return [entry.data for entry in self._entries]
