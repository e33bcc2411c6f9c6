"""What makes a verdict, checked down to the charter and the accused device's own samples.

A verdict is valid when, under one charter:

1. it holds votes of at least 2 f_detectors + 1 different detectors, each validly signed;
2. all of them name this fog, this charter, and one and the same frame (number and hash);
3. each of them accuses this miner of this offence (its number, which is also its rung of the ladder);
4. it holds two samples that the miner's own device signed, in order, of one boot, which one of those
   accusations names by their leaf hashes;
5. those samples show more use than the budget law allows (mint/budget.py), where the evidence is of use, or more
   work than the CPU time that they report explains (mint/work.py), where it is of work: no number of lying detectors
   can convict a miner whose own device's samples do not show that. SSA's evidence (growth where no kernel law holds,
   telemetry that cannot have been measured) lies in many ticks and no two samples can show it: there the quorum's
   word counts, and the samples say where to look;
6. what it says was done (since when, how much, by which evidence) is what its votes say: the evidence that most of
   them name, and of since and how much the middle one, which at most f_detectors liars cannot move beyond what an
   honest detector said.

Who assembled and published it does not matter. Detectors build by this rule, enforcers and everyone else
check by it. A certificate stays valid: nothing that happens later, to a detector or to the charter, is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mint.budget import Reading, excess
from mint.charter.model import Charter, Miner
from mint.charter.seal import SealedCharter
from mint.envelope import Opened, Trust, open_envelope
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash
from mint.messages.judgement import Accusation, Evidence, SampleRef, Verdict, Vote
from mint.messages.sample import MinerReading, Sample
from mint.sign_bytes import Stream
from mint.work import Count, work_rule

# The evidence that rests on the quorum alone, and that of work (rule 5).
BY_QUORUM, BY_WORK = "ssa", "work"
# Where no counter says what was taken, there is nothing to take back: the quota stays low for a minute at 1 Hz.
LEAST_FRAMES = 60


@dataclass(frozen=True, slots=True)
class Proven:
    """What a valid verdict establishes.

    `offence`: the how-many-eth of the miner, its rung of the ladder. `first` and `last` are the accused miner's
    readings on its own device's clock, within `boot`; `epoch` is that of the last one. `until` is the frame number
    that the penalty lasts to at least. `excess_ns` is the CPU time used above entitlement between the readings, or by
    evidence of work that proven above what was reported.
    """

    miner: Miner
    offence: int
    began: int
    frame: int
    frame_hash: bytes
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
    trust = sealed.trust()
    accusations, frame_hash = _accusations(verdict, charter, trust)
    said = summary(accusations)
    if (verdict.began, verdict.evidence, verdict.excess_ns) != (said.began, said.evidence, said.excess_ns):
        raise Rejected(Reason.NOT_PROVEN, "it says something else of the offence than its votes")
    evidence = said.evidence
    read_first, read_last, samples = _evidence(verdict, miner, accusations, trust)
    steal_ns = [sample.steal_ns for sample in samples]
    first, last = window(read_first, steal_ns[0], read_last, steal_ns[1])
    if not first.before_ns <= first.after_ns <= last.before_ns <= last.after_ns:
        raise Rejected(Reason.NOT_PROVEN, "the times of the samples are not in order")
    if evidence == BY_WORK:
        excess_ns = _worked(charter, miner, read_first, read_last)
    else:
        excess_ns = excess(first, last, miner.entitlement.cpu_ppm) // 1_000_000
        if evidence != BY_QUORUM and not charter.rule(miner).proves(first, last):
            raise Rejected(
                Reason.NOT_PROVEN, f"the samples do not show that {miner.name} took more than the law allows"
            )
    return Proven(
        miner=miner,
        offence=verdict.offence,
        began=verdict.began,
        frame=verdict.frame,
        frame_hash=frame_hash,
        until=verdict.frame + _frames(charter, verdict.offence, evidence),
        evidence=evidence,
        excess_ns=excess_ns,
        first=first,
        last=last,
        boot=samples[1].boot,
        epoch=read_last.epoch,
        charter=sealed,
    )


def _frames(charter: Charter, offence: int, evidence: str) -> int:
    """How long the penalty lasts at least, in frames."""
    frames = charter.rung(offence).frames
    return max(frames, LEAST_FRAMES) if evidence in (BY_QUORUM, BY_WORK) else frames


def _worked(charter: Charter, miner: Miner, first: MinerReading, last: MinerReading) -> int:
    """CPU time that the shares between two readings prove above what was reported, ns.

    Raises:
        Rejected: NOT_PROVEN, that CPU time explains them.
    """
    rule = work_rule(charter, miner)
    if rule is None:
        raise Rejected(Reason.NOT_PROVEN, f"nothing says how many shares a CPU-second of {miner.name} makes")
    if first.epoch != last.epoch:
        raise Rejected(
            Reason.NOT_PROVEN, "the samples are of two epochs; what was used in between is not known"
        )
    counts = Count(first.usage_ns, first.shares), Count(last.usage_ns, last.shares)
    if not rule.proves(*counts):
        raise Rejected(
            Reason.NOT_PROVEN,
            f"the samples do not show that {miner.name} did more work than its CPU time explains",
        )
    return rule.excess_ns(*counts)


def _accusations(verdict: Verdict, charter: Charter, trust: Trust) -> tuple[list[Accusation], bytes]:
    """The accusations of its votes, one a detector, and the hash of the frame they are on (rules 1 to 3)."""
    if len(verdict.votes) > len(charter.nodes):
        raise Rejected(Reason.NO_QUORUM, f"{len(verdict.votes)} votes are more than there are nodes")
    found: dict[str, Accusation] = {}
    frame_hash = b""
    for data in verdict.votes:
        opened = open_envelope(data, trust, expect="vote")
        vote = opened.message
        assert isinstance(vote, Vote)  # noqa: S101 (`expect` says so; this tells the type checker)
        if (vote.fog, vote.charter, vote.frame) != (verdict.fog, verdict.charter, verdict.frame):
            raise Rejected(Reason.NO_QUORUM, f"a vote of {opened.sender} is on something else")
        if frame_hash not in (b"", vote.frame_hash):
            raise Rejected(Reason.NO_QUORUM, f"votes on two different frames {verdict.frame}")
        frame_hash = vote.frame_hash
        accusation = accusation_of(vote, verdict.miner, verdict.offence)
        if accusation is None:
            raise Rejected(
                Reason.NO_QUORUM, f"the vote of {opened.sender} does not accuse {verdict.miner} of this"
            )
        found[opened.sender] = accusation
    if len(found) < charter.quorum:
        raise Rejected(Reason.NO_QUORUM, f"{len(found)} detectors, {charter.quorum} are needed")
    return list(found.values()), frame_hash


def accusation_of(vote: Vote, miner: str, offence: int) -> Accusation | None:
    """What `vote` says of this miner's offence of this number; None: nothing."""
    for accusation in vote.accusations:
        if (accusation.miner, accusation.offence) == (miner, offence):
            return accusation
    return None


class Summary(NamedTuple):
    """What several accusations of one offence say together.

    `named`: the pairs of samples that they name, those first that most of them do.
    """

    began: int
    evidence: Evidence
    excess_ns: int
    named: tuple[tuple[SampleRef, SampleRef], ...]


def summary(accusations: Sequence[Accusation]) -> Summary:
    """The word of a quorum (rule 6), whatever the order of its votes; ties go to the smaller."""
    evidence = Counter(one.evidence for one in accusations)
    named = Counter((one.first, one.last) for one in accusations)
    middle = (len(accusations) - 1) // 2
    return Summary(
        began=sorted(one.began for one in accusations)[middle],
        evidence=min(evidence, key=lambda one: (-evidence[one], one)),
        excess_ns=sorted(one.excess_ns for one in accusations)[middle],
        named=tuple(sorted(named, key=lambda pair: (-named[pair], pair[0].leaf, pair[1].leaf))),
    )


def _evidence(
    verdict: Verdict, miner: Miner, accusations: list[Accusation], trust: Trust
) -> tuple[MinerReading, MinerReading, tuple[Sample, Sample]]:
    """The two readings (rule 4), and the samples that they are of."""
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
    return first, last, (sample_first, sample_last)


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
