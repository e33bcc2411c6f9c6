"""What happened in a run, kept cheaply: plain values now, words only when somebody reads them.

Two things come of it. The **digest** runs over everything that was ever noted, so that two runs can be compared
without keeping either. The **lines** are the last of what was noted, and everything that was marked as worth
keeping (faults, convictions, quotas), both bounded.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from heapq import merge
from typing import NamedTuple

from network.simulate.schedule import MS

# Some ten seconds of a fog with sixteen miners: what led to a violation.
RECENT = 1_000
# Faults, cheats, convictions and changed quotas of a run of ten minutes, several times over.
KEPT = 4_000


class Note(NamedTuple):
    """Something that happened: when (true ns), in which order, to whom, what (see `words`), and with which values."""

    at_ns: int
    order: int
    who: str
    what: str
    values: tuple[object, ...]


class History:
    """The history of one run."""

    __slots__ = ("_kept", "_order", "_recent", "digest")

    def __init__(self) -> None:
        self.digest = 0
        self._order = 0
        self._recent: deque[Note] = deque(maxlen=RECENT)
        self._kept: deque[Note] = deque(maxlen=KEPT)

    def message(self, at_ns: int, who: str, topic: str, payload: bytes) -> None:
        """`who` sent these bytes."""
        self._order = order = self._order + 1
        # The hash of integers is the same in every process, unlike that of text.
        self.digest = hash((self.digest, at_ns, zlib.crc32(payload)))
        self._recent.append(Note(at_ns, order, who, "sent", (topic, payload)))

    def note(self, at_ns: int, who: str, what: str, *values: object, keep: bool = True) -> None:
        """Something else happened; what is to `keep` is still there at the end."""
        self._order = order = self._order + 1
        self.digest = hash((self.digest, at_ns, zlib.crc32(f"{who} {what} {values}".encode())))
        (self._kept if keep else self._recent).append(Note(at_ns, order, who, what, values))

    def notes(self) -> Iterator[Note]:
        """What is still known, in order."""
        return merge(self._kept, self._recent, key=lambda note: note.order)

    @property
    def length(self) -> int:
        """How much was noted over all."""
        return self._order


def stamp(at_ns: int) -> str:
    """A true time as people read it."""
    return f"{at_ns // MS / 1000:10.3f} s"
