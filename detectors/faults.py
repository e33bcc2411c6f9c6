"""What a detector knows of misconduct, and tells: proofs, and claims that may become one.

What follows from a proof is said in mint/fault.py. Here it is that a manager is `done`, and whose votes count no more.
"""

from __future__ import annotations

from dataclasses import dataclass

from mint.charter.seal import SealedCharter
from mint.effects import Post
from mint.envelope import Envelope, Opened
from mint.errors import Rejected
from mint.fault import CLAIM_WINDOW, Shown, halts, verify_fault
from mint.member import Member
from mint.messages.fault import Fault, FaultKind
from mint.sign_bytes import Object
from mint.wire import decode

# Proofs remembered, so that each is told once; a fog has some tens of nodes, each with a few ways to do wrong.
MAX_KNOWN = 256
# Claims of one detector: two a device of the largest fog that one host carries (docs/architecture.md).
MAX_CLAIMS = 512
# What may go on, and is to be shown by what was signed since (detectors/batches.py says how often).
LASTING: FaultKind = "two_totals"

# What is told once: kind, accused, device.
Key = tuple[FaultKind, str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """Misconduct that was seen: of what kind, whose, at which frame, about which device, and what shows it."""

    kind: FaultKind
    accused: str
    frame: int
    about: str
    proof: tuple[bytes, ...]


class Faults:
    """`done`: the proof for which the manager's frames are not judged any more, empty while they are.

    `doubled`: detectors that were shown to have voted twice on a frame, under the charter in force.
    """

    def __init__(self, member: Member, charter: SealedCharter, done: bytes) -> None:
        self._member = member
        self.done = done
        self._known: set[Key] = set()
        self._claims: dict[str, dict[Key, tuple[int, bytes]]] = {}
        self.take_charter(charter)

    def take_charter(self, charter: SealedCharter) -> None:
        """The operator has spoken: whom he kept is trusted anew, and the log may go on."""
        self._charter = charter
        self.doubled: set[str] = set()
        self._known.clear()
        if self.done and not self._halts(self.done):
            self.done = b""

    def _halts(self, done: bytes) -> bool:
        """Whether a proof of our own telling still halts the manager."""
        fault = decode(decode(decode(done, Envelope).body, Object).payload, Fault)
        try:
            return halts(verify_fault(fault, self._member.charters), self._charter)
        except Rejected:  # its charter is forgotten: so many came since
            return False

    def tell(self, found: Found) -> list[Post]:
        """Tell of misconduct that we can show, or claim; nothing where others would not believe it."""
        fog = self._charter.charter.fog
        fault = Fault(fog, found.kind, found.accused, found.frame, found.about, found.proof)
        try:
            shown = verify_fault(fault, self._member.charters)
        except Rejected as rejected:
            self._member.rejections.count(rejected, self._member.topics.fault(self._member.name))
            return []
        if not shown.claim:
            return self._shown(shown, fault, again=shown.kind == LASTING)
        data = self._member.signer.object(fault)
        return [self._post(data), *self._claimed(shown, self._member.name, data)]

    def hear(self, opened: Opened, fault: Fault) -> list[Post]:
        """Another tells of misconduct.

        Raises:
            Rejected: it does not show it.
        """
        shown = verify_fault(fault, self._member.charters)
        return self._claimed(shown, opened.sender, opened.data) if shown.claim else self._shown(shown, fault)

    def _shown(self, shown: Shown, fault: Fault, *, again: bool = False) -> list[Post]:
        """What follows from a proof; told on in our own name, once, so that one lost link hides nothing.

        `again`: what we saw ourselves is told though it was before.
        """
        key: Key = (shown.kind, shown.accused, shown.about)
        halting = halts(shown, self._charter) and not self.done
        if not halting and not again and (key in self._known or len(self._known) >= MAX_KNOWN):
            return []
        self._known.add(key)
        self._member.log.warning("fault of %s at frame %d: %s", shown.accused, shown.frame, shown.kind)
        if shown.kind == "two_votes" and shown.charter.hash == self._charter.hash:
            self.doubled.add(shown.accused)
        data = self._member.signer.object(fault)
        if halting:
            self.done = data
            self._member.log.error("no frame of %s is judged any more (docs/operations.md)", shown.accused)
        return [self._post(data)]

    def _claimed(self, shown: Shown, sender: str, data: bytes) -> list[Post]:
        """Take in a claim; a quorum of them is told as an omission."""
        charter = self._charter.charter
        if sender not in charter.detectors:
            return []
        key: Key = (shown.kind, shown.accused, shown.about)
        claims = self._claims.setdefault(sender, {})
        claims[key] = (shown.frame, data)
        if len(claims) > MAX_CLAIMS:
            del claims[next(iter(claims))]
        same = [
            theirs[key]
            for name, theirs in self._claims.items()
            if key in theirs and name in charter.detectors
        ]
        newest = max(frame for frame, _ in same)
        counted = sorted(claim for claim in same if claim[0] >= newest - CLAIM_WINDOW)[-charter.quorum :]
        if len(counted) < charter.quorum or ("omission", shown.accused, shown.about) in self._known:
            return []
        return self.tell(
            Found("omission", shown.accused, newest, shown.about, tuple(data for _, data in counted))
        )

    def _post(self, data: bytes) -> Post:
        return Post(self._member.topics.fault(self._member.name), data, retain=True)
