"""Opening a frame that may be of the past: signed by the manager of the charter that it names.

A charter may have replaced the manager's key since; the frame log goes through all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mint.charter.model import Charter
from mint.charter.seal import SealedCharter
from mint.envelope import Envelope, Opened, open_envelope
from mint.errors import Reason, Rejected
from mint.messages.frame import Frame
from mint.sign_bytes import Object
from mint.wire import decode

# What the first frame names as the hash of the one before it.
NO_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class LogFrame:
    """A frame whose signature holds, with the hash it is known by, its envelope, and the charter it names."""

    frame: Frame
    hash: bytes
    data: bytes
    sender: str
    charter: SealedCharter

    @property
    def number(self) -> int:
        """Its place in the log."""
        return self.frame.number


def resumes(before: Charter, after: Charter) -> bool:
    """Whether the operator had the log go on from a frame of his choice between these two charters.

    A later charter may still say so: what was said once is done once.
    """
    return after.resume is not None and after.resume != before.resume


def is_void(frame: LogFrame, charter: Charter) -> bool:
    """Whether the operator had the log go on from before this frame, by the charter in force or one before it."""
    resume = charter.resume
    return resume is not None and frame.number > resume.frame and resumes(frame.charter.charter, charter)


def check_time(frame: LogFrame, now_ms: int, charter: Charter) -> None:
    """Check that the time of a frame has come: its number is then no further ahead than frames can be.

    Raises:
        Rejected: WRONG_TIME, it is later than the clock tolerance of `charter`, the one in force, allows.
    """
    ahead_ms = frame.frame.time_ms - now_ms
    if ahead_ms > charter.clock_tolerance_ms:
        raise Rejected(Reason.WRONG_TIME, f"frame {frame.number} is {ahead_ms} ms ahead of this clock")


def frame_in(data: bytes) -> Frame:
    """The frame in an envelope that was checked before, or is known by its hash: only decoded.

    Raises:
        Rejected: MALFORMED, it is none.
    """
    return decode(decode(decode(data, Envelope).body, Object).payload, Frame)


def open_frame(data: bytes, charters: Mapping[bytes, SealedCharter], *, topic: str | None = None) -> LogFrame:
    """Open a frame under whichever known charter it names.

    Args:
        data: its envelope.
        charters: the charters known, by hash.
        topic: the topic it came on; None for one that came inside another message.

    Raises:
        Rejected: not a frame, not by a manager that we know of, or UNKNOWN_CHARTER: it is signed by one, and names a
            charter that has not come yet.
    """
    opened, key = _opened(data, charters, topic)
    frame = opened.message
    if not isinstance(frame, Frame):
        raise Rejected(Reason.WRONG_KIND, "not a frame")
    sealed = charters.get(frame.charter)
    if sealed is None:
        raise Rejected(Reason.UNKNOWN_CHARTER, f"frame {frame.number} names a charter that is not known here")
    manager = sealed.charter.manager
    if (manager.name, manager.key) != (opened.sender, key):
        raise Rejected(Reason.WRONG_ROLE, f"{opened.sender} is not the manager of the charter it names")
    return LogFrame(frame, opened.hash, data, opened.sender, sealed)


def _opened(data: bytes, charters: Mapping[bytes, SealedCharter], topic: str | None) -> tuple[Opened, bytes]:
    """Opened with the first manager's key that fits, of the newest charter first; and that key."""
    tried: set[tuple[str, bytes]] = set()
    refused: Rejected | None = None
    for sealed in sorted(charters.values(), key=lambda one: -one.charter.version):
        manager = sealed.charter.manager
        if (manager.name, manager.key) in tried:
            continue
        tried.add((manager.name, manager.key))
        try:
            return open_envelope(data, sealed.trust(), topic=topic, expect="frame"), manager.key
        except Rejected as rejected:
            if rejected.reason not in (Reason.BAD_SIGNATURE, Reason.UNKNOWN_SENDER, Reason.WRONG_ROLE):
                raise
            refused = refused or rejected
    raise refused or Rejected(Reason.UNKNOWN_CHARTER, "no charter is known")
