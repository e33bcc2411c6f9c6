"""What others have of our log, learnt before a frame is closed: our disk may be empty, or of yesterday.

All detectors are asked for their newest frame. Once 2 f_detectors + 1 have answered (mint/heads.py says why so many),
and we have every frame up to the newest one that any of them showed, the next frame is ours to close. What is shown
proves itself: whoever shows a frame of ours that we do not have is asked for all that lies between, one holder after
the other. Where nobody has that any more, the log goes on after the newest frame that was shown: its hash is what
matters, and a hole in our copy is better than a second frame of one number.

A charter may name the frame to go on from (`resume`). Then that one is looked for first, by its hash alone, and
what was signed before that charter counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mint.answers import PAUSE_NS
from mint.charter.model import Resume
from mint.charter.seal import SealedCharter
from mint.component import NEVER_NS
from mint.envelope import object_hash
from mint.errors import MintError, Rejected
from mint.fault import Shown
from mint.frame_log import FrameLog, Kept
from mint.frames import LogFrame, frame_in, open_frame, resumes
from mint.heads import ASK_AGAIN_NS, Heads
from mint.member import Member
from mint.merkle import leaf_hash
from mint.messages.frame import MAX_REPLY_FRAMES, Frame, FrameReply, FrameRequest
from twin_broker.storage import Stored

# Requests to one holder that bring nothing before it is believed to have nothing.
TRIES = 3
# Between two requests. A holder answers a client once in PAUSE_NS, after a burst (mint/answers.py): half as often is
# answered however many they are, and whatever its clock.
REQUEST_EVERY_NS = 2 * PAUSE_NS


@dataclass(frozen=True, slots=True)
class Learnt:
    """Frames that follow what we have; `anew`: that begin our copy of the log anew."""

    frames: tuple[Stored, ...]
    anew: bool


class Forked(MintError):
    """We have signed two frames of one number; `shown` says so."""

    def __init__(self, shown: Shown) -> None:
        super().__init__(f"there are two frames {shown.frame} of {shown.accused}")
        self.shown = shown


class Learning:
    """From the first request to the last frame that was shown; `wanted`: the frame to begin with, if it is not here."""

    def __init__(
        self,
        member: Member,
        charter: SealedCharter,
        log: FrameLog,
        head: tuple[int, bytes],
        wanted: Resume | None,
    ) -> None:
        """`head`: number and hash of our newest frame; `log`: those before it."""
        self._member, self._sealed, self._charter, self._log = member, charter, charter.charter, log
        self._number, self._head = head
        self._wanted = wanted
        self._holders = charter.charter.detectors
        self._heads = Heads((), self._holders, charter.charter.quorum)
        # The newest frame of ours that each holder showed, the holders who owe us an answer, and who has answered.
        self._newest: dict[str, LogFrame] = {}
        self._asked: set[str] = set()
        self._heard: set[str] = set()
        # Requests to a holder since a frame came last from anybody.
        self._tries: dict[str, int] = {}
        self._next_ns = 0
        self._told = False

    @property
    def done(self) -> bool:
        """Whether the next frame is ours to close."""
        return self._wanted is None and self._heads.known and self._number >= self._heads.head

    def due_ns(self) -> int:
        """When to ask next."""
        heads = self._heads.due_ns()
        behind = self._next_ns if self._behind() else NEVER_NS
        return behind if heads is None else min(heads, behind)

    def ask(self, now_ns: int) -> list[FrameRequest]:
        """What to ask now: everyone who has not answered for the newest frame, one who is ahead of us for the next."""
        holders = list(self._heads.ask(now_ns))
        behind = self._behind()
        if behind and now_ns >= self._next_ns:
            holder = min(behind, key=lambda name: (self._tries.get(name, 0), name))
            self._tries[holder] = self._tries.get(holder, 0) + 1
            self._next_ns = now_ns + ASK_AGAIN_NS
            holders.append(holder)
        self._asked.update(holders)
        first = self._number + 1 if self._wanted is None else self._wanted.frame
        return [
            FrameRequest(self._member.name, holder, first, MAX_REPLY_FRAMES, proofs=True)
            for holder in holders
        ]

    def reply(self, holder: str, reply: FrameReply, now_ns: int) -> Learnt | None:
        """Take in an answer whose envelope is valid; the frames that it brings.

        Raises:
            Rejected: it shows what is no frame, or is under a charter that has not come yet: it does not count.
            Forked: it shows a frame beside ours.
        """
        if holder not in self._asked:  # nobody has asked it
            return None
        self._asked.discard(holder)
        newest = self._shown(reply.newest)
        if newest is not None:
            self._check_fork(newest)
            self._newest[holder] = newest
        self._heard.add(holder)
        self._heads.heard(holder, newest.number if newest else 0)
        anew = self._wanted is not None
        frames = tuple(self._frames(reply))
        if frames:
            self._tries.clear()
        if self._tries.get(holder, 0) < TRIES:
            self._next_ns = now_ns + REQUEST_EVERY_NS
        return Learnt(frames, anew) if frames else None

    def skip(self, now_ns: int) -> Learnt | None:
        """The newest frame that was shown, where nobody brings what lies between."""
        behind = self._behind()
        if not behind or now_ns < self._next_ns or any(self._tries.get(name, 0) < TRIES for name in behind):
            return None
        ahead = [frame for frame in self._newest.values() if frame.number > self._number]
        if not ahead:
            self._tell_nowhere()
            return None
        newest = max(ahead, key=lambda frame: frame.number)
        self._member.log.warning(
            "nobody shows what lies between frames %d and %d: going on after it", self._number, newest.number
        )
        anew, self._wanted = self._wanted is not None, None
        self._number, self._head = newest.number, newest.hash
        return Learnt((Stored(Kept(newest.number, newest.hash, newest.data), (), ()),), anew)

    def _behind(self) -> list[str]:
        """Holders that have answered, and may have what we miss."""
        if self._wanted is not None:
            return sorted(self._heard)
        return [name for name, newest in self._newest.items() if newest.number > self._number]

    def _shown(self, data: bytes) -> LogFrame | None:
        """The newest frame of a holder; None: it has none, or none that counts under this charter."""
        resume = self._charter.resume
        if not data or (resume is not None and object_hash(data) == resume.hash):
            return None
        try:
            frame = open_frame(data, self._member.charters)
        except Rejected:
            # We may know none of the charters from before the one that has the log go on.
            if resume is not None and frame_in(data).number <= resume.frame:
                return None
            raise
        return None if self._void(frame) else frame

    def _frames(self, reply: FrameReply) -> Iterable[Stored]:
        """The frames of a reply that follow ours, with what they rest on."""
        proofs = {leaf_hash(data): data for data in reply.proofs}
        for data in reply.frames:
            frame = self._next(data)
            if frame is not None:
                self._number, self._head = frame.number, object_hash(data)
                yield _stored(Kept(self._number, self._head, data), frame, proofs)

    def _next(self, data: bytes) -> Frame | None:
        """The frame in an envelope, if it is the one that comes next."""
        if self._wanted is not None:
            if object_hash(data) != self._wanted.hash:
                return None
            self._wanted = None  # the operator has signed its hash: whoever signed the frame
            return frame_in(data)
        try:
            frame = open_frame(data, self._member.charters)
        except Rejected:  # what comes next of others' is shown by their newest frame, or not at all
            return None
        if self._void(frame) or frame.number > self._number + 1:
            return None
        if frame.number <= self._number:
            self._check_fork(frame)
            return None
        if frame.frame.previous != self._head:
            raise Forked(self._two(frame))
        return frame.frame

    def _void(self, frame: LogFrame) -> bool:
        """Whether it was signed before the charter that has the log go on from elsewhere."""
        return resumes(frame.charter.charter, self._charter)

    def _check_fork(self, frame: LogFrame) -> None:
        kept = self._log.frames(frame.number, 1) if frame.number <= self._number else []
        if kept and kept[0].number == frame.number and kept[0].hash != frame.hash:
            raise Forked(self._two(frame))

    def _two(self, frame: LogFrame) -> Shown:
        return Shown("two_frames", self._member.name, frame.number, "", self._sealed)

    def _tell_nowhere(self) -> None:
        if not self._told and self._wanted is not None:
            self._told = True
            self._member.log.error(
                "no detector has frame %d, from which charter version %d has the log go on: no frame is "
                "closed until one has (docs/operations.md)",
                self._wanted.frame,
                self._charter.version,
            )


def _stored(kept: Kept, frame: Frame, proofs: dict[bytes, bytes]) -> Stored:
    """A frame with those of the proofs that it names."""
    named = {decision.verdict for decision in frame.decisions}
    verdicts = tuple(data for data in proofs.values() if _object_hash(data) in named) if named else ()
    samples = tuple(proofs[entry.leaf] for entry in frame.devices if entry.leaf in proofs)
    return Stored(kept, samples, verdicts)


def _object_hash(data: bytes) -> bytes | None:
    try:
        return object_hash(data)
    except Rejected:
        return None
