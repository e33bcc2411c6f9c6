"""What makes a Fault: misconduct that is shown by what the accused has signed, or by a quorum of who looked.

| kind | proof, in order | shows |
|---|---|---|
| two_frames | frame, frame | the manager signed two frames of one number |
| bad_frame | frame, or an earlier frame and frame | a frame breaks a rule of the log (mint/frame_rules.py) |
| false_frame | frame, sample | a frame contradicts a sample that it names by its hash |
| false_note | frame, verdict | a frame takes note of a verdict that is none, or of something else than it says |
| two_votes | vote, vote | a detector cast two votes on one frame |
| two_samples | sample, sample | a device signed two samples at one place in its stream |
| two_totals | shares, sample | a device showed more shares of a miner, to be paid, than its later samples count |
| unheard | sample, frame | claim: the sample was heard in time, and the frame's place of that device is behind it |
| unseen | frame | claim: nobody could show the device's sample, or the verdict, that the frame names |
| omission | 2 f_detectors + 1 claims | so many detectors claim one thing at about one time |

A proof is checked under the charters that the frames, votes and samples name, so it stays valid as verdicts do.

**What follows** (and who does it): a manager with a proof of its own hand against it is done. Detectors judge none of
its frames any more and cast no vote (detectors/detector.py), it closes none (twin_broker/manager.py), enforcers go on
with the penalties that there are and with every valid verdict. The log goes on when the operator signs a charter that
says from which frame (`resume`), and mostly by another key. A detector that voted twice is not counted any more
(detectors/tally.py). A device with two samples of one place is told to people. A miner of whose shares its device
says two totals is barred from the ledger (mint/chain/body.py), and nobody halts. An omission halts nobody, for the
frames that there are stay true: people are told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mint.charter.seal import SealedCharter
from mint.envelope import open_envelope
from mint.errors import Reason, Rejected
from mint.fault_proofs import (
    Charters,
    bad_frame,
    false_frame,
    false_note,
    not_shown,
    two_frames,
    two_samples,
    two_totals,
    two_votes,
    unheard,
    unseen,
)
from mint.frames import resumes
from mint.messages.fault import Fault, FaultKind

CLAIMS: frozenset[FaultKind] = frozenset({"unheard", "unseen"})
# Shown by the manager's own signature: it is done.
OF_MANAGER: frozenset[FaultKind] = frozenset({"two_frames", "bad_frame", "false_frame", "false_note"})
# Who is accused says all.
ABOUT_NOBODY: frozenset[FaultKind] = frozenset(
    {"two_frames", "bad_frame", "false_note", "two_votes", "two_samples"}
)
# Claims of one omission lie at most this many frames apart: every detector comes to watch every device within as
# many slices as there are detectors (detectors/watch.py).
CLAIM_WINDOW = 600

_CHECKS: dict[FaultKind, Callable[[Fault, Charters], SealedCharter]] = {
    "two_frames": two_frames,
    "bad_frame": bad_frame,
    "false_frame": false_frame,
    "false_note": false_note,
    "two_votes": two_votes,
    "two_samples": two_samples,
    "two_totals": two_totals,
    "unheard": unheard,
    "unseen": unseen,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a valid Fault establishes: of whom, at which frame; `charter`: the one that it happened under."""

    kind: FaultKind
    accused: str
    frame: int
    about: str
    charter: SealedCharter

    @property
    def claim(self) -> bool:
        """Whether it is no more than one detector's word."""
        return self.kind in CLAIMS


def verify_fault(fault: Fault, charters: Charters) -> Shown:
    """Check a Fault down to the signatures of the accused.

    Raises:
        Rejected: it does not show that; UNKNOWN_CHARTER: it may, under a charter that is not known here.
    """
    if fault.about and fault.kind in ABOUT_NOBODY:
        raise not_shown(f"{fault.kind} is about nobody but the accused")
    check = _CHECKS.get(fault.kind, _omission)
    charter = check(fault, charters)
    if charter.charter.fog != fault.fog:
        raise Rejected(Reason.WRONG_NETWORK, f"fault of fog {fault.fog}")
    return Shown(fault.kind, fault.accused, fault.frame, fault.about, charter)


def halts(shown: Shown, current: SealedCharter) -> bool:
    """Whether the manager of the charter in force is done because of this.

    A charter that has the log resume has dealt with whatever was signed before it.
    """
    then, now = shown.charter.charter, current.charter
    if shown.kind not in OF_MANAGER or (then.manager.name, then.manager.key) != (
        now.manager.name,
        now.manager.key,
    ):
        return False
    return not resumes(then, now)


def _omission(fault: Fault, charters: Charters) -> SealedCharter:
    """A quorum of claims."""
    claimed: set[str] = set()
    kinds: set[FaultKind] = set()
    newest: SealedCharter | None = None
    frames = []
    for data in fault.proof:
        claim, sender, shown = claim_in(data, charters)
        if (claim.accused, claim.about) != (fault.accused, fault.about):
            raise not_shown("a claim is about something else")
        claimed.add(sender)
        kinds.add(claim.kind)
        frames.append(claim.frame)
        if newest is None or newest.charter.version < shown.charter.charter.version:
            newest = shown.charter
    if newest is None or len(claimed) < newest.charter.quorum or len(kinds) != 1:
        raise Rejected(Reason.NO_QUORUM, f"{len(claimed)} detectors claim it")
    if max(frames) != fault.frame or max(frames) - min(frames) > CLAIM_WINDOW:
        raise not_shown("the claims are not of one time")
    return newest


def claim_in(data: bytes, charters: Charters) -> tuple[Fault, str, Shown]:
    """The claim in an envelope, who makes it, and what it claims.

    Raises:
        Rejected: no valid claim of a detector.
    """
    refused = Rejected(Reason.UNKNOWN_CHARTER, "no charter is known")
    for sealed in sorted(charters.values(), key=lambda one: -one.charter.version):
        try:
            opened = open_envelope(data, sealed.trust(), expect="fault")
        except Rejected as rejected:
            refused = rejected
            continue
        claim = opened.message
        if not isinstance(claim, Fault) or claim.kind not in CLAIMS:
            raise not_shown("it holds what is no claim")
        if opened.sender not in sealed.charter.detectors:
            raise Rejected(Reason.WRONG_ROLE, f"{opened.sender} is no detector")
        return claim, opened.sender, verify_fault(claim, charters)
    raise refused
