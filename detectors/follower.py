"""Following the frame log: every frame once, in order, each chained to the one before; what is missing is asked for.

A frame that comes too early waits; after a gap has been asked for and the manager has nothing older to give
(its log is pruned), the follower goes on from the oldest frame there is.
"""

from __future__ import annotations

from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.messages.frame import MAX_REPLY_FRAMES, Frame

# A detector that starts without a memory replays this much: SSA warms up in 36 frames, an offence that began
# earlier than this has long been decided.
HISTORY = 600
# Frames that came early and wait for those before them; past this the oldest are asked for again in their turn.
MAX_EARLY = 256
# An unanswered request is repeated after this long.
ASK_AGAIN_NS = 1_000_000_000
NO_HASH = bytes(32)


class Follower:
    """Where we are in the log. `number` and `head`: the last frame handed out and its hash (None: not known)."""

    def __init__(self, number: int = 0, head: bytes | None = NO_HASH, *, begun: bool = False) -> None:
        self.number, self.head = number, head
        self.newest = number
        self._begun = begun
        self._early: dict[int, Opened] = {}
        self._asked_ns: int | None = None

    def take(self, opened: Opened) -> list[tuple[Frame, bytes]]:
        """Take in a frame whose envelope is valid; the frames that are next now, with their hashes.

        Raises:
            Rejected: BAD_CHAIN, it contradicts the log as we know it.
        """
        frame = opened.message
        if not isinstance(frame, Frame):
            raise Rejected(Reason.WRONG_KIND, "not a frame")
        self.newest = max(self.newest, frame.number)
        if not self._begun:
            self._begin(frame.number)
        if frame.number <= self.number:
            if frame.number == self.number and self.head not in (None, opened.hash):
                raise Rejected(Reason.BAD_CHAIN, f"{opened.sender} signed two frames {frame.number}")
            return []
        early = self._early.get(frame.number)
        if early is not None and early.hash != opened.hash:
            raise Rejected(Reason.BAD_CHAIN, f"{opened.sender} signed two frames {frame.number}")
        self._early[frame.number] = opened
        while len(self._early) > MAX_EARLY:
            del self._early[max(self._early)]
        return self._next()

    def replied(self, asked: int, first_number: int) -> None:
        """A reply begins at `first_number`: if that is past the number asked for, nobody has what lies between.

        A reply to what we asked before a restart says nothing of the frames that we go on from now.
        """
        if asked <= self.number + 1 < first_number:
            self.number, self.head = first_number - 1, None
        self._asked_ns = None

    def missing(self, now_ns: int) -> tuple[int, int] | None:
        """The first missing number and how many to ask for; None when nothing is missing, or asked for just now."""
        if self.newest <= self.number:
            return None
        if self._asked_ns is not None and now_ns - self._asked_ns < ASK_AGAIN_NS:
            return None
        self._asked_ns = now_ns
        upto = min(self._early, default=self.newest + 1)
        return self.number + 1, max(1, min(upto - self.number - 1, MAX_REPLY_FRAMES))

    def _begin(self, number: int) -> None:
        self._begun = True
        if number - 1 > HISTORY:
            self.number, self.head = number - 1 - HISTORY, None

    def _next(self) -> list[tuple[Frame, bytes]]:
        ready: list[tuple[Frame, bytes]] = []
        while (opened := self._early.pop(self.number + 1, None)) is not None:
            frame = opened.message
            assert isinstance(frame, Frame)  # noqa: S101 (only frames get in; this tells the type checker)
            if self.head not in (None, frame.previous):
                if ready:  # those before it are good; it is asked for again
                    return ready
                raise Rejected(Reason.BAD_CHAIN, f"frame {frame.number} does not follow the frame we have")
            self.number, self.head = frame.number, opened.hash
            ready.append((frame, opened.hash))
        return ready
