"""Following the frame log: every frame once, in order, each chained to the one before.

A frame that comes too early waits for those before it, which are asked for (detectors/asking.py). What nobody has any
more is passed over; what does not follow is not, for then somebody has signed what he may not.
"""

from __future__ import annotations

from collections.abc import Callable

from mint.frames import NO_HASH, LogFrame
from mint.messages.frame import MAX_REPLY_FRAMES

# A detector that starts without a memory judges this much before it: SSA warms up in 36 frames, an offence that began
# earlier than this has mostly been decided. Where work is 1.2 times what is reported, a test takes about as long: it
# sees that later than the others do.
HISTORY = 600
# Frames that came early and wait for those before them; past this the last ones are asked for again in their turn.
MAX_EARLY = 256


class Follower:
    """Where we are in the log. `number` and `head`: the last frame judged and its hash (None: not known).

    `newest`: the highest number heard of. `begun`: whether we know where to begin.
    """

    def __init__(self, number: int = 0, head: bytes | None = NO_HASH, *, begun: bool = False) -> None:
        self.number, self.head, self.begun = number, head, begun
        self.newest = number
        self._early: dict[int, LogFrame] = {}
        # A number under which a frame came that does not follow.
        self._refused = 0

    def begin(self, newest: int) -> None:
        """Begin so that a history of the log, which has come to frame `newest`, is judged."""
        self.begun = True
        if newest > HISTORY:
            self._go_to(newest - HISTORY, None)

    def take(self, frame: LogFrame) -> LogFrame | None:
        """Take in a frame whose signature holds; another one of its number that waits already, if there is one."""
        self.newest = max(self.newest, frame.number)
        if frame.number <= self.number:
            return None
        early = self._early.setdefault(frame.number, frame)
        while len(self._early) > MAX_EARLY:
            del self._early[max(self._early)]
        return early if early.hash != frame.hash else None

    def next(self) -> LogFrame | None:
        """The frame that comes next, if it is here; it may yet turn out not to follow (`follows`)."""
        return self._early.get(self.number + 1) if self.begun else None

    def follows(self, frame: LogFrame) -> bool:
        """Whether a frame is chained to the last one judged."""
        return self.head in (None, frame.frame.previous)

    def judged(self, frame: LogFrame) -> None:
        """`frame`, the next one, is judged."""
        self._early.pop(frame.number, None)
        self.number, self.head = frame.number, frame.hash
        self.newest = max(self.newest, frame.number)

    def refuse(self, frame: LogFrame) -> None:
        """`frame` does not follow; another of its number may come."""
        self._early.pop(frame.number, None)
        self._refused = frame.number

    def rewind(self, number: int, head: bytes | None) -> None:
        """Go on after frame `number`, which has this hash."""
        self.begun = True
        self._go_to(number, head)

    def forget(self, void: Callable[[LogFrame], bool]) -> None:
        """Let none of the frames wait that are void."""
        self._early = {number: frame for number, frame in self._early.items() if not void(frame)}
        self.newest = max(self._early, default=self.number)

    def missing(self) -> tuple[int, int] | None:
        """The first missing number, and how many to ask for; None when nothing is missing."""
        if not self.begun or self.newest <= self.number or self.number + 1 in self._early:
            return None
        upto = min(self._early, default=self.newest + 1)
        return self.number + 1, max(1, min(upto - self.number - 1, MAX_REPLY_FRAMES))

    def skip(self, most: int) -> bool:
        """Pass over what nobody has, up to the frame that waits, but at most so many; False: there is no going on."""
        if not self._early or self._refused == self.number + 1:
            return False
        self._go_to(min(min(self._early) - 1, self.number + most), None)
        return True

    def _go_to(self, number: int, head: bytes | None) -> None:
        self.number, self.head, self._refused = number, head, 0
        self._early = {early: frame for early, frame in self._early.items() if early > number}
        self.newest = max(self._early, default=number)
