"""What a detector knows of misconduct, and tells: proofs, and claims that may become one.

What follows from a proof is said in mint/fault.py. Here it is that a manager is `done`, and whose votes count no more.
"""

from __future__ import annotations

from mint.charter.seal import SealedCharter
from mint.effects import Effect, Post
from mint.envelope import Opened
from mint.errors import Rejected
from mint.fault import CLAIM_WINDOW, Shown, halts, verify_fault
from mint.frames import resumes
from mint.member import Member
from mint.messages.fault import Fault, FaultKind

# Proofs remembered, so that each is told once; a fog has some tens of nodes, each with a few ways to do wrong.
MAX_KNOWN = 256
# Claims by whom and about what: detectors times devices, at the most.
MAX_CLAIMS = 4096

# What is told once: kind, accused, device.
Key = tuple[FaultKind, str, str]


class Faults:
    """`done`: the proof for which the manager's frames are not judged any more, empty while they are.

    `doubled`: detectors that were shown to have voted twice on a frame.
    """

    def __init__(self, member: Member, charter: SealedCharter, done: bytes) -> None:
        self._member, self._charter = member, charter
        self.done = done
        self.doubled: set[str] = set()
        self._known: dict[Key, None] = {}
        self._claims: dict[tuple[Key, str], tuple[int, bytes]] = {}

    def take_charter(self, charter: SealedCharter) -> None:
        """The operator has spoken: whom he kept is trusted anew, and the log may go on."""
        before, after = self._charter.charter, charter.charter
        if resumes(before, after) or before.manager != after.manager:
            self.done = b""
        self._charter = charter
        self.doubled.clear()
        self._known.clear()

    def accuse(
        self, kind: FaultKind, accused: str, frame: int, about: str, proof: tuple[bytes, ...]
    ) -> list[Effect]:
        """Tell of misconduct that we can show, or claim; nothing where others would not believe it."""
        fault = Fault(self._charter.charter.fog, kind, accused, frame, about, proof)
        try:
            shown = verify_fault(fault, self._member.charters)
        except Rejected as rejected:
            self._member.rejections.count(rejected, self._member.topics.fault(self._member.name))
            return []
        data = self._member.signer.object(fault)
        if shown.claim:
            return [self._post(data), *self._claimed(shown, self._member.name, data)]
        return self._shown(shown, data)

    def hear(self, opened: Opened, fault: Fault) -> list[Effect]:
        """Another tells of misconduct.

        Raises:
            Rejected: it does not show it.
        """
        shown = verify_fault(fault, self._member.charters)
        if shown.claim:
            return self._claimed(shown, opened.sender, opened.data)
        return self._shown(shown, self._member.signer.object(fault))

    def _shown(self, shown: Shown, data: bytes) -> list[Effect]:
        """What follows from a proof; told on in our own name, once, so that one lost link hides nothing."""
        key: Key = (shown.kind, shown.accused, shown.about)
        if key in self._known:
            return []
        self._known[key] = None
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._member.log.warning("fault of %s at frame %d: %s", shown.accused, shown.frame, shown.kind)
        if shown.kind == "two_votes":
            self.doubled.add(shown.accused)
        if halts(shown, self._charter) and not self.done:
            self.done = data
            self._member.log.error("no frame of %s is judged any more (docs/operations.md)", shown.accused)
        return [self._post(data)]

    def _claimed(self, shown: Shown, sender: str, data: bytes) -> list[Effect]:
        """Take in a claim; a quorum of them is told as an omission."""
        charter = self._charter.charter
        if sender not in charter.detectors:
            return []
        key: Key = (shown.kind, shown.accused, shown.about)
        self._claims.pop((key, sender), None)
        self._claims[key, sender] = (shown.frame, data)
        while len(self._claims) > MAX_CLAIMS:
            del self._claims[next(iter(self._claims))]
        same = [claim for (claimed, _), claim in self._claims.items() if claimed == key]
        newest = max(frame for frame, _ in same)
        counted = sorted(claim for claim in same if claim[0] >= newest - CLAIM_WINDOW)[-charter.quorum :]
        if len(counted) < charter.quorum:
            return []
        proof = tuple(claim for _, claim in counted)
        return self.accuse("omission", shown.accused, newest, shown.about, proof)

    def _post(self, data: bytes) -> Post:
        return Post(self._member.topics.fault(self._member.name), data, retain=True)
