"""A detector's own past of the log: what it has judged, to know a frame that contradicts it."""

from __future__ import annotations

from mint.frame_log import FrameLog
from mint.frames import NO_HASH, LogFrame

# Frames remembered, to know a vote on another frame of the same number: those that votes are counted on.
REMEMBERED = 64


class Past:
    """`last`: the frame judged last, None where the one before the next is not known."""

    def __init__(self, log: FrameLog) -> None:
        self._log = log
        self.last: LogFrame | None = None
        self._recent: dict[int, LogFrame] = {}

    def passed(self, frame: LogFrame) -> None:
        """`frame` is judged."""
        self.last = frame
        self._recent[frame.number] = frame
        self._recent.pop(frame.number - REMEMBERED, None)

    def forget(self) -> None:
        """The operator has the log go on from another frame."""
        self.last = None
        self._recent.clear()

    def recent(self, number: int) -> bytes | None:
        """The hash of a frame judged lately."""
        frame = self._recent.get(number)
        return None if frame is None else frame.hash

    def hash_at(self, number: int) -> bytes | None:
        """The hash of a frame of our log; None when it is not known."""
        if number == 0:
            return NO_HASH
        if number in self._recent:
            return self._recent[number].hash
        kept = self._log.frames(number, 1)
        return kept[0].hash if kept and kept[0].number == number else None

    def data_at(self, number: int) -> bytes | None:
        """The envelope of a frame of our log; None when it is not known."""
        if number in self._recent:
            return self._recent[number].data
        kept = self._log.frames(number, 1)
        return kept[0].data if kept and kept[0].number == number else None
