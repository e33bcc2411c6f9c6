"""A detector's own past of the log: what it has judged, to know a frame that contradicts it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from detectors.follower import NO_HASH
from mint.charter.seal import SealedCharter
from mint.errors import Rejected
from mint.frame_log import FrameLog, Kept
from mint.frames import LogFrame, open_frame

# Frames whose hash is remembered, to know a vote on another frame of the same number: those that votes are counted on.
REMEMBERED = 64


class Past:
    """`last`: the frame judged last, None where the one before the next is not known."""

    def __init__(self, log: FrameLog) -> None:
        self._log = log
        self.last: LogFrame | None = None
        self._hashes: dict[int, bytes] = {}

    def passed(self, frame: LogFrame) -> None:
        """`frame` is judged."""
        self.last = frame
        self._hashes[frame.number] = frame.hash
        self._hashes.pop(frame.number - REMEMBERED, None)

    def resume(self, newest: Kept, charters: Mapping[bytes, SealedCharter]) -> None:
        """Know the newest frame of our log for the one judged last, after a restart."""
        if self.last is None:
            with suppress(Rejected):  # its charter is forgotten
                self.passed(open_frame(newest.data, charters))

    def forget(self) -> None:
        """The operator has the log go on from another frame."""
        self.last = None
        self._hashes.clear()

    def recent(self, number: int) -> bytes | None:
        """The hash of a frame judged lately."""
        return self._hashes.get(number)

    def hash_at(self, number: int) -> bytes | None:
        """The hash of a frame of our log; None when it is not known."""
        if number == 0:
            return NO_HASH
        known = self._hashes.get(number)
        if known is not None:
            return known
        kept = self._log.frames(number, 1)
        return kept[0].hash if kept and kept[0].number == number else None

    def data_at(self, number: int) -> bytes | None:
        """The envelope of a frame of our log; None when it is not known."""
        kept = self._log.frames(number, 1)
        return kept[0].data if kept and kept[0].number == number else None
