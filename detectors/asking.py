"""Whom a detector asks for what it misses: the manager first, then the other detectors in turn."""

from __future__ import annotations

from mint.charter.model import Charter
from mint.effects import Now, Say
from mint.heads import Heads
from mint.messages.frame import MAX_REPLY_FRAMES, FrameRequest
from mint.topics import Topics

REQUEST_EXPIRY_S = 10
# An unanswered request is repeated after this long, to the next holder.
ASK_AGAIN_NS = 1_000_000_000
# Frames whose proofs are wanted at once; what does not fit is wanted again with the next frame.
MAX_WANTED = 64
NEVER_NS = 2**62


class Asker:
    """Requests of the detector `name`; every want is asked for at once, and then once a second."""

    def __init__(self, name: str, topics: Topics, charter: Charter) -> None:
        self._name, self._topics = name, topics
        # Frame number -> when it was asked for last, and how often.
        self._wanted: dict[int, tuple[int, int]] = {}
        self.heads = Heads((), (), 0)
        self.take_charter(charter, anew=True)

    def take_charter(self, charter: Charter, *, anew: bool) -> None:
        """Ask the nodes of this charter; `anew`: for their heads too, whatever was known."""
        others = tuple(name for name in charter.detectors if name != self._name)
        self._holders = (charter.manager.name, *others)
        if anew or not self.heads.known:
            self.heads = Heads((charter.manager.name,), others, charter.quorum - 1)

    def frames(self, first: int, count: int, tries: int) -> Say:
        """A request for frames, the how-many-eth (from 0)."""
        return self._request(self._holder(tries), first, count)

    def frame_of(self, holder: str, number: int) -> Say:
        """A request for the frame that one certain holder has under this number."""
        return self._request(holder, number, 1)

    def want(self, numbers: set[int]) -> None:
        """These are the frames whose samples and verdicts are wanted, and no others."""
        kept = {number: asked for number, asked in self._wanted.items() if number in numbers}
        for number in sorted(numbers):
            if len(kept) < MAX_WANTED:
                kept.setdefault(number, (-ASK_AGAIN_NS, 0))
        self._wanted = kept

    def due(self, now: Now, head: int) -> list[Say]:
        """What is to be asked now; `head` is the frame that we are at."""
        asked: list[Say] = []
        for number, (asked_ns, tries) in self._wanted.items():
            if now.monotonic_ns - asked_ns >= ASK_AGAIN_NS:
                self._wanted[number] = (now.monotonic_ns, tries + 1)
                asked.append(self._request(self._holder(tries), number, 1, proofs=True))
        heads = self.heads.ask(now.monotonic_ns)
        return asked + [self._request(holder, head + 1, MAX_REPLY_FRAMES) for holder in heads]

    def due_ns(self) -> int:
        """When something is to be asked next."""
        wanted = min((asked_ns + ASK_AGAIN_NS for asked_ns, _ in self._wanted.values()), default=NEVER_NS)
        heads = self.heads.due_ns()
        return wanted if heads is None else min(wanted, heads)

    def _holder(self, tries: int) -> str:
        return self._holders[tries % len(self._holders)]

    def _request(self, holder: str, first: int, count: int, *, proofs: bool = False) -> Say:
        request = FrameRequest(self._name, holder, first, count, proofs)
        return Say(self._topics.frame_request(), request, qos=1, expiry_s=REQUEST_EXPIRY_S)
