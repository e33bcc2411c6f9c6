"""Following the frame log: every frame once, in order, each chained to the one before; what is missing is asked for.

A frame that comes too early waits; after a gap has been asked for and nobody has anything older to give
(logs are pruned), the follower goes on from the oldest frame there is.
"""

from __future__ import annotations

from mint.frames import LogFrame
from mint.messages.frame import MAX_REPLY_FRAMES

# A detector that starts without a memory replays this much: SSA warms up in 36 frames, an offence that began
# earlier than this has long been decided.
HISTORY = 600
# Frames that came early and wait for those before them; past this the oldest are asked for again in their turn.
MAX_EARLY = 256
# An unanswered request is repeated after this long.
ASK_AGAIN_NS = 1_000_000_000
NO_HASH = bytes(32)


class Follower:
    """Where we are in the log. `number` and `head`: the last frame judged and its hash (None: not known)."""

    def __init__(self, number: int = 0, head: bytes | None = NO_HASH, *, begun: bool = False) -> None:
        self.number, self.head = number, head
        self.newest = number
        self._begun = begun
        self._early: dict[int, LogFrame] = {}
        self._asked_ns: int | None = None
        self._tries = 0

    def take(self, frame: LogFrame) -> LogFrame | None:
        """Take in a frame whose signature holds; another one of its number that waits already, if there is one."""
        self.newest = max(self.newest, frame.number)
        if not self._begun:
            self._begin(frame.number)
        if frame.number <= self.number:
            return None
        early = self._early.setdefault(frame.number, frame)
        while len(self._early) > MAX_EARLY:
            del self._early[max(self._early)]
        return early if early.hash != frame.hash else None

    def next(self) -> LogFrame | None:
        """The frame that comes next, if it is here; it may yet turn out not to follow (`follows`)."""
        return self._early.get(self.number + 1)

    def follows(self, frame: LogFrame) -> bool:
        """Whether a frame is chained to the last one judged."""
        return self.head in (None, frame.frame.previous)

    def judged(self, frame: LogFrame) -> None:
        """`frame`, the next one, is judged."""
        self._early.pop(frame.number, None)
        self.number, self.head = frame.number, frame.hash
        self._asked_ns, self._tries = None, 0

    def refuse(self, frame: LogFrame) -> None:
        """`frame` does not follow; another of its number may come."""
        self._early.pop(frame.number, None)

    def rewind(self, number: int, head: bytes) -> None:
        """Go on after frame `number`, which has this hash: the operator says so."""
        self.number, self.head, self._begun = number, head, True
        self.newest = number
        self._early.clear()
        self._asked_ns, self._tries = None, 0

    def replied(self, asked: int, first_number: int) -> None:
        """A reply begins at `first_number`: if that is past the number asked for, nobody has what lies between.

        A reply to what we asked before a restart says nothing of the frames that we go on from now.
        """
        if asked <= self.number + 1 < first_number:
            self.number, self.head = first_number - 1, None
            self._early = {number: frame for number, frame in self._early.items() if number > self.number}

    def missing(self, now_ns: int) -> tuple[int, int, int] | None:
        """The first missing number, how many to ask for, and the how-many-eth try it is (from 0).

        None when nothing is missing, or it was asked for just now.
        """
        if self.newest <= self.number or self.number + 1 in self._early:
            return None
        if self._asked_ns is not None and now_ns - self._asked_ns < ASK_AGAIN_NS:
            return None
        self._asked_ns = now_ns
        self._tries += 1
        upto = min(self._early, default=self.newest + 1)
        return self.number + 1, max(1, min(upto - self.number - 1, MAX_REPLY_FRAMES)), self._tries - 1

    def due_ns(self) -> int | None:
        """When to ask next; None: nothing is missing."""
        if self.newest <= self.number or self.number + 1 in self._early:
            return None
        return 0 if self._asked_ns is None else self._asked_ns + ASK_AGAIN_NS

    def _begin(self, number: int) -> None:
        self._begun = True
        if number - 1 > HISTORY:
            self.number, self.head = number - 1 - HISTORY, None
