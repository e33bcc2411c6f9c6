"""Whom a detector asks for what it misses: the manager first, then the other detectors in turn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mint.answers import frame_request
from mint.charter.model import Charter
from mint.component import NEVER_NS
from mint.effects import Now, Say
from mint.heads import ASK_AGAIN_NS, Heads
from mint.messages.frame import MAX_REPLY_FRAMES, FrameRequest
from mint.topics import Topics
from mint.wire import MOST

# How often a holder is asked that may be gone; messages get lost, and what is passed over is not judged any more.
ASKED_ENOUGH = 5
# Frames whose proofs are wanted at once; what does not fit is wanted again with the next frame.
MAX_WANTED = 64


@dataclass(slots=True)
class _Want:
    """Frames, or the proofs of one: when they are to be asked for next, how often they were, and who has answered."""

    first: int
    count: int
    due_ns: int = 0
    tries: int = 0
    holder: str = ""
    answered: set[str] = field(default_factory=set)


class Asker:
    """Requests of the detector `name`: each want goes to one holder after the other, then round again, once a second.

    `heads`: how far the log has come, asked of everyone whenever a connection stands anew.
    """

    def __init__(self, name: str, topics: Topics, charter: Charter) -> None:
        self._name, self._topics = name, topics
        self._proofs: dict[int, _Want] = {}
        self._frames: _Want | None = None
        self.take_charter(charter)

    def take_charter(self, charter: Charter) -> None:
        """Ask the nodes of this charter."""
        self._charter = charter
        others = tuple(name for name in charter.detectors if name != self._name)
        self._holders = (charter.manager.name, *others)
        self.connected()

    def connected(self) -> None:
        """Nobody knows what was said since we were connected last."""
        manager, *others = self._holders
        self.heads = Heads((manager,), others, self._charter.quorum - 1)

    def frame_of(self, holder: str, number: int) -> Say:
        """A request for the frame that one certain holder has under this number."""
        return self._request(holder, number, 1)

    def want_frames(self, missing: tuple[int, int] | None) -> None:
        """These frames are wanted (the first number and how many), and no others."""
        if missing is None:
            self._frames = None
        elif self._frames is None or self._frames.first != missing[0]:
            self._frames = _Want(*missing)
        else:
            self._frames.count = missing[1]

    def want_proofs(self, numbers: Iterable[int]) -> None:
        """These are the frames whose samples and verdicts are wanted, and no others."""
        wanted = sorted(numbers)[:MAX_WANTED]
        if wanted or self._proofs:
            self._proofs = {number: self._proofs.get(number) or _Want(number, 1) for number in wanted}

    def replied(self, holder: str, asked: int) -> None:
        """A holder answered what began at this number: what is wanted still, the next one may have."""
        for want in (self._frames, self._proofs.get(asked)):
            if want is None or want.first != asked or holder in want.answered:
                continue
            want.answered.add(holder)
            if want.holder == holder:
                want.due_ns = 0

    def in_vain(self, now_ns: int) -> bool:
        """Whether no holder has the frames that are wanted: all have said so, or were asked and asked again."""
        want = self._frames
        if want is None or want.due_ns > now_ns:
            return False
        silent = len(self._holders) - len(want.answered.intersection(self._holders))
        return not silent or want.tries >= ASKED_ENOUGH * len(self._holders)

    def due(self, now: Now) -> list[Say]:
        """What is to be asked now; for a head with a number that no frame has: its answer says nothing of a gap."""
        now_ns = now.monotonic_ns
        asked: list[Say] = []
        if self._frames is not None and self._frames.due_ns <= now_ns:
            asked.append(self._ask(self._frames, now_ns))
        due = [want for want in self._proofs.values() if want.due_ns <= now_ns]
        asked += [self._ask(want, now_ns, proofs=True) for want in due]
        return asked + [self._request(holder, MOST, 1) for holder in self.heads.ask(now_ns)]

    def due_ns(self) -> int:
        """When something is to be asked next."""
        heads = self.heads.due_ns()
        wants = [want.due_ns for want in (self._frames, *self._proofs.values()) if want is not None]
        return min([NEVER_NS if heads is None else heads, *wants])

    def _ask(self, want: _Want, now_ns: int, *, proofs: bool = False) -> Say:
        want.holder = self._holders[want.tries % len(self._holders)]
        want.tries, want.due_ns = want.tries + 1, now_ns + ASK_AGAIN_NS
        return self._request(want.holder, want.first, min(want.count, MAX_REPLY_FRAMES), proofs=proofs)

    def _request(self, holder: str, first: int, count: int, *, proofs: bool = False) -> Say:
        request = FrameRequest(self._name, holder, first, count, proofs)
        return frame_request(self._topics, request)
