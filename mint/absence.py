"""Who is dark, shown to whoever has only the charters: such a miner does not count in the ledger (mint/chain/body.py).

A miner is dark when the frames have had no reading of it for `dark_frames` of the charter's detection, or never since
the charter gave it to a device; and so is one that shows more shares than its samples count, as far as detectors
have heard (detectors/batches.py). Every vote names the dark (detectors/core.py), and 2 f_detectors + 1 of them are
an Absence. It is valid when, under one charter,

1. it holds votes of at least 2 f_detectors + 1 different detectors, each validly signed;
2. all of them are on one frame (number, hash and time) of this fog, under this charter;
3. each of them calls every one of its miners dark.

It says that they were, at `time_ms`: no offence, and nothing to take back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mint.charter.seal import SealedCharter
from mint.envelope import open_envelope
from mint.errors import Reason, Rejected
from mint.messages.judgement import Absence, Vote


@dataclass(frozen=True, slots=True)
class Absent:
    """What a valid Absence establishes: who was dark at which frame, and at what time (Unix ms, the frame's)."""

    miners: tuple[str, ...]
    frame: int
    time_ms: int
    charter: SealedCharter

    @property
    def lasting(self) -> int:
        """Frames for which it holds: twice as many as until votes say it again."""
        return 2 * self.charter.charter.detection.d

    @property
    def lasting_ms(self) -> int:
        """The same as time."""
        return self.lasting * self.charter.charter.period_ms


def verify_absence(absence: Absence, charters: Mapping[bytes, SealedCharter]) -> Absent:
    """Check an Absence.

    Args:
        absence: as decoded from its envelope.
        charters: the charters known, by hash.

    Raises:
        Rejected: naming the link that breaks.
    """
    sealed = charters.get(absence.charter)
    if sealed is None:
        raise Rejected(Reason.UNKNOWN_CHARTER, f"absence under charter {absence.charter.hex()[:12]}")
    charter, miners = sealed.charter, set(absence.miners)
    if absence.fog != charter.fog or not charter.miners_by_name().keys() >= miners:
        raise Rejected(Reason.WRONG_NETWORK, f"absence of miners of {absence.fog}")
    if list(absence.miners) != sorted(miners):
        raise Rejected(Reason.MALFORMED, "its miners are not in order, each once")
    if len(absence.votes) > len(charter.nodes):
        raise Rejected(Reason.NO_QUORUM, f"{len(absence.votes)} votes are more than there are nodes")
    detectors: set[str] = set()
    said: set[tuple[bytes, int]] = set()
    for data in absence.votes:
        opened = open_envelope(data, sealed.trust(), expect="vote")
        vote = opened.message
        assert isinstance(vote, Vote)  # noqa: S101 (`expect` says so; this tells the type checker)
        said.add((vote.frame_hash, vote.time_ms))
        if (vote.fog, vote.charter, vote.frame) != (absence.fog, absence.charter, absence.frame) or len(
            said
        ) > 1:
            raise Rejected(Reason.NO_QUORUM, f"a vote of {opened.sender} is on something else")
        if not miners <= set(vote.dark):
            raise Rejected(Reason.NO_QUORUM, f"the vote of {opened.sender} does not call them all dark")
        detectors.add(opened.sender)
    if len(detectors) < charter.quorum:
        raise Rejected(Reason.NO_QUORUM, f"{len(detectors)} detectors, {charter.quorum} are needed")
    ((_, time_ms),) = said
    return Absent(absence.miners, absence.frame, time_ms, sealed)
