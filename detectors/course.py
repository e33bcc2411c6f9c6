"""Where a detector is in the log and what it thinks there.

It is found again after a restart, and put back where the charter has the log go on from.

The memory holds the thinking as of the last vote; frames that were judged after it are judged again, without a word.
"""

from __future__ import annotations

from collections.abc import Collection

from detectors.core import DetectorCore, Step
from detectors.evidence import Shelf
from detectors.follower import HISTORY, Follower
from detectors.past import Past
from detectors.store import Cut, Memory
from mint.charter.model import Resume
from mint.charter.seal import SealedCharter
from mint.effects import Keep
from mint.errors import Rejected
from mint.frame_log import FrameLog, Kept
from mint.frames import LogFrame, is_void, open_frame, resumes
from mint.member import Member

# Frames read at once from our copy of the log.
PAGE = 64


class Course:
    """`core` thinks, `follower` knows what comes next, `past` what was; `begins`: what is to be kept first."""

    def __init__(self, member: Member, log: FrameLog, shelf: Shelf, memory: Memory | None) -> None:
        self._member, self._log, self._shelf = member, log, shelf
        then = member.charters.get(bytes.fromhex(memory.state["charter"])) if memory else None
        self.core = DetectorCore(member.name, then or member.charter, member.signer, shelf)
        self.follower, self.past = Follower(), Past(log)
        self.begins: list[Keep] = []
        if memory is not None:
            self.core.restore(memory.state)
        if memory is not None and then is None:
            # So long ago that the charter of that time is forgotten: we may not even know what is void of it.
            self.begins.append(Keep(Cut(0)))
            return
        if memory is not None:
            self.follower.rewind(memory.number, memory.head or None)
            member.log.info("continuing after frame %d", memory.number)
        self._replay()

    def step(self, frame: LogFrame, uncounted: Collection[str], *, may_vote: bool) -> Step:
        """Judge the next frame; `uncounted` as in DetectorCore.step."""
        step = self.core.step(frame, self.follower.newest, uncounted, may_vote=may_vote)
        self._passed(frame)
        return step

    def memory(self, vote: bytes, fault: bytes) -> Memory:
        """All this, to be kept."""
        head = self.follower.head or b""
        return Memory(self.follower.number, head, self.core.state(), vote, fault)

    def other(self, frame: LogFrame) -> bytes | None:
        """The envelope of another frame of that number that we have judged; None: there is none."""
        if frame.number > self.follower.number or self.past.hash_at(frame.number) in (None, frame.hash):
            return None
        return self.past.data_at(frame.number)

    # --- what was judged before ---

    def _replay(self) -> None:
        """Judge again what we have judged before and not remembered, from our own copy of the log."""
        newest = self._log.newest()
        if newest is None:
            return
        first = max(self.follower.number + 1, newest.number - HISTORY + 1)
        if first > self.follower.number + 1:
            self.follower.rewind(first - 1, None)
        self.follower.begun = True
        while page := self._log.frames(self.follower.number + 1, PAGE):
            for kept in page:
                self._again(kept)
        if self.past.last is None and newest.hash == self.follower.head:
            self._know(newest)

    def _know(self, kept: Kept) -> None:
        try:
            self.past.passed(open_frame(kept.data, self._member.charters))
        except Rejected:  # its charter is forgotten
            return

    def _again(self, kept: Kept) -> None:
        try:
            frame = open_frame(kept.data, self._member.charters)
        except Rejected:  # its charter is forgotten
            self.follower.rewind(kept.number, kept.hash)
            return
        self.core.step(frame, frame.number, may_vote=False)
        self._passed(frame)

    def _passed(self, frame: LogFrame) -> None:
        self.follower.judged(frame)
        self.past.passed(frame)

    # --- the operator's word ---

    def astray(self, charter: SealedCharter) -> bool:
        """Whether what we have judged, or keep, is void by this charter."""
        resume, follower = charter.charter.resume, self.follower
        if resume is None:
            return False
        if follower.number == resume.frame and follower.head not in (None, resume.hash):
            return True
        if follower.number > resume.frame and resumes(self.core.charter, charter.charter):
            return True
        newest = self._log.newest()
        if newest is None or newest.number <= resume.frame:
            return False
        try:
            return is_void(open_frame(newest.data, self._member.charters), charter.charter)
        except Rejected:  # its charter is forgotten: so long ago was that resumption, too
            return False

    def behind(self, resume: Resume) -> bool:
        """Whether the frame that the log goes on from is still before us."""
        follower = self.follower
        here = (follower.number, follower.head)
        return follower.number <= resume.frame and here != (resume.frame, resume.hash)

    def rewind(self, resume: Resume, charter: SealedCharter) -> Cut:
        """Go on after the operator's frame: judge anew up to it, where it is in our log; what of that is void."""
        named = self.past.hash_at(resume.frame) == resume.hash
        after = resume.frame if named else 0
        if (self.follower.number, self.follower.head) != (resume.frame, resume.hash):
            last_vote = self.core.last_vote
            self.core = DetectorCore(self._member.name, charter, self._member.signer, self._shelf)
            self.core.last_vote = last_vote
            self.past.forget()
            self._shelf.cut(after)
            self.follower.rewind(max(0, after - HISTORY), None)
            for kept in self._log.frames(self.follower.number + 1, HISTORY):
                if kept.number <= after:
                    self._again(kept)
            self.follower.rewind(resume.frame, resume.hash)
            self._member.log.warning("the log goes on after frame %d, by the operator's word", resume.frame)
        return Cut(after)
