"""What makes a verdict, checked down to the charter and the accused device's own samples.

A verdict is valid when, under one charter:

1. it holds votes of at least 2 f_detectors + 1 different detectors, each validly signed;
2. all of them name this fog, this charter, and one and the same frame (number and hash);
3. each of them accuses this miner of this offence (the frame it began at), on this rung of the ladder;
4. it holds two samples that the miner's own device signed, in order, of one boot, which one of those
   accusations names by their leaf hashes;
5. those samples show more use than the budget law allows (mint/budget.py), where the evidence is of use: no
   number of lying detectors can convict a miner whose own device's samples do not show that. SSA's evidence (growth
   where no kernel law holds, telemetry that cannot have been measured) lies in many ticks and no two samples can
   show it: there the quorum's word counts, and the samples say where to look.

Who assembled and published it does not matter. Detectors build by this rule, enforcers and everyone else
check by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mint.budget import Reading, excess
from mint.charter.model import Charter, Miner
from mint.charter.seal import SealedCharter
from mint.envelope import Opened, Stream, Trust, open_envelope
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash
from mint.messages.judgement import Accusation, Verdict, Vote
from mint.messages.sample import MinerReading, Sample

# The evidence that rests on the quorum alone (rule 5).
BY_QUORUM = "ssa"
# Where no counter says what was taken, there is nothing to take back: the quota stays low for a minute at 1 Hz.
LEAST_FRAMES = 60


@dataclass(frozen=True, slots=True)
class Proven:
    """What a valid verdict establishes.

    `first` and `last` are the accused miner's readings on its own device's clock, within `boot`; `epoch` is
    that of the last one. `until` is the frame number that the penalty lasts to at least. `excess_ns` is the
    CPU time used above entitlement between the readings.
    """

    miner: Miner
    began: int
    frame: int
    rung: int
    until: int
    evidence: str
    excess_ns: int
    first: Reading
    last: Reading
    boot: bytes
    epoch: int
    charter: SealedCharter


def verify_verdict(verdict: Verdict, charters: Mapping[bytes, SealedCharter]) -> Proven:
    """Check a verdict.

    Args:
        verdict: as decoded from its envelope.
        charters: the charters known, by hash.

    Raises:
        Rejected: naming the link that breaks.
    """
    sealed = charters.get(verdict.charter)
    if sealed is None:
        raise Rejected(Reason.UNKNOWN_CHARTER, f"verdict under charter {verdict.charter.hex()[:12]}")
    charter = sealed.charter
    miner = charter.miners_by_name().get(verdict.miner)
    if verdict.fog != charter.fog or miner is None:
        raise Rejected(Reason.WRONG_NETWORK, f"verdict on {verdict.miner} of {verdict.fog}")
    if verdict.rung < 1:
        raise Rejected(Reason.IMPOSSIBLE, "rungs count from 1")
    trust = sealed.trust()
    accusations = _accusations(verdict, charter, trust)
    evidence = Counter(accusation.evidence for accusation in accusations).most_common(1)[0][0]
    first, last, boot, epoch = _evidence(verdict, miner, accusations, trust)
    if not first.before_ns <= first.after_ns <= last.before_ns <= last.after_ns:
        raise Rejected(Reason.NOT_PROVEN, "the times of the samples are not in order")
    if evidence != BY_QUORUM and not charter.rule(miner).proves(first, last):
        raise Rejected(
            Reason.NOT_PROVEN, f"the samples do not show that {miner.name} took more than the law allows"
        )
    return Proven(
        miner=miner,
        began=verdict.began,
        frame=verdict.frame,
        rung=verdict.rung,
        until=verdict.frame + _frames(charter, verdict.rung, evidence),
        evidence=evidence,
        excess_ns=excess(first, last, miner.entitlement.cpu_ppm) // 1_000_000,
        first=first,
        last=last,
        boot=boot,
        epoch=epoch,
        charter=sealed,
    )


def _frames(charter: Charter, rung: int, evidence: str) -> int:
    """How long the penalty lasts at least, in frames."""
    frames = charter.rung(rung).frames
    return max(frames, LEAST_FRAMES) if evidence == BY_QUORUM else frames


def _accusations(verdict: Verdict, charter: Charter, trust: Trust) -> list[Accusation]:
    """The accusations of its votes, one a detector (rules 1 to 3)."""
    if len(verdict.votes) > len(charter.nodes):
        raise Rejected(Reason.NO_QUORUM, f"{len(verdict.votes)} votes are more than there are nodes")
    found: dict[str, Accusation] = {}
    frame_hash = None
    for data in verdict.votes:
        opened = open_envelope(data, trust, expect="vote")
        vote = opened.message
        assert isinstance(vote, Vote)  # noqa: S101 (`expect` says so; this tells the type checker)
        if (vote.fog, vote.charter, vote.frame) != (verdict.fog, verdict.charter, verdict.frame):
            raise Rejected(Reason.NO_QUORUM, f"a vote of {opened.sender} is on something else")
        if frame_hash not in (None, vote.frame_hash):
            raise Rejected(Reason.NO_QUORUM, f"votes on two different frames {verdict.frame}")
        frame_hash = vote.frame_hash
        accusation = accusation_of(vote, verdict.miner, verdict.began, verdict.rung)
        if accusation is None:
            raise Rejected(
                Reason.NO_QUORUM, f"the vote of {opened.sender} does not accuse {verdict.miner} of this"
            )
        found[opened.sender] = accusation
    if len(found) < charter.quorum:
        raise Rejected(Reason.NO_QUORUM, f"{len(found)} detectors, {charter.quorum} are needed")
    return list(found.values())


def accusation_of(vote: Vote, miner: str, began: int, rung: int) -> Accusation | None:
    """What `vote` says of this miner and offence on this rung; None: nothing."""
    for accusation in vote.accusations:
        if (accusation.miner, accusation.began, accusation.rung) == (miner, began, rung):
            return accusation
    return None


def _evidence(
    verdict: Verdict, miner: Miner, accusations: list[Accusation], trust: Trust
) -> tuple[Reading, Reading, bytes, int]:
    """The two readings (rule 4), with the boot and epoch they are of."""
    named = {(accusation.first.leaf, accusation.last.leaf) for accusation in accusations}
    if (leaf_hash(verdict.first), leaf_hash(verdict.last)) not in named:
        raise Rejected(Reason.NOT_PROVEN, "the samples are not those the votes name")
    opened_first = open_envelope(verdict.first, trust, expect="sample")
    opened_last = open_envelope(verdict.last, trust, expect="sample")
    if {opened_first.sender, opened_last.sender} != {miner.device}:
        raise Rejected(Reason.NOT_PROVEN, f"the samples are not of {miner.device}")
    if not _place(opened_first) < _place(opened_last):
        raise Rejected(Reason.NOT_PROVEN, "the samples are not in order")
    first, sample_first = reading_in(opened_first, miner.name)
    last, sample_last = reading_in(opened_last, miner.name)
    if sample_first.boot != sample_last.boot:
        raise Rejected(Reason.NOT_PROVEN, "the samples are of two boots; their times do not compare")
    return (
        *window(first, sample_first.steal_ns, last, sample_last.steal_ns),
        sample_last.boot,
        last.epoch,
    )


def window(
    first: MinerReading, first_steal_ns: int, last: MinerReading, last_steal_ns: int
) -> tuple[Reading, Reading]:
    """Two readings of one boot as the budget law compares them.

    Where the parent cgroup was made anew in between, its counter began again at zero after `first` was read:
    only what the new one counted is certain to have been used since.
    """
    used = first.usage_ns if first.epoch == last.epoch else 0
    return (
        Reading(first.before_ns, first.after_ns, used, first_steal_ns),
        Reading(last.before_ns, last.after_ns, last.usage_ns, last_steal_ns),
    )


def reading_in(opened: Opened, miner: str) -> tuple[MinerReading, Sample]:
    """The reading of `miner` in an opened sample.

    Raises:
        Rejected: NOT_PROVEN, the sample does not hold that miner.
    """
    sample = opened.message
    assert isinstance(sample, Sample)  # noqa: S101 (`expect` says so; this tells the type checker)
    for reading in sample.miners:
        if reading.miner == miner:
            return reading, sample
    raise Rejected(Reason.NOT_PROVEN, f"the sample of {opened.sender} does not hold {miner}")


def _place(opened: Opened) -> tuple[int, int]:
    assert isinstance(opened.body, Stream)  # noqa: S101 (the kind's table says so; this tells the type checker)
    return opened.body.session, opened.body.sequence
