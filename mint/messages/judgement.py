"""What detectors say: alarms and scores for people, votes and verdicts for enforcers."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mint.messages.frame import MAX_MINERS
from mint.wire import MOST, Hash, Name, Nat, Text, Wire

# Accusations in one vote; more cheats than this at once are taken up by the next votes.
MAX_ACCUSATIONS = 64
# Dark miners in one vote; where there are more, the next votes name the others.
MAX_DARK = 64
# Votes in a verdict: a quorum; a fog with more detectors than this would have f_detectors above 40.
MAX_VOTES = 128

Evidence = Literal["budget", "ssa", "pob", "work"]


class Alarm(Wire, frozen=True):
    """Something looks wrong to one detector: shown to people, decides nothing."""

    frame: Nat
    miner: Name
    detector: Literal["budget", "ssa", "pob", "work", "dark"]
    reason: Text


class Score(Wire, frozen=True):
    """One miner's scores at one frame, for people.

    D, S, W: equations 6 to 8 (nan while the detector warms up); `level_ns`: CPU time above entitlement over
    the worst window (the budget law); `krum`: equation 10 as a decimal, the exact integer rounded.
    """

    miner: Name
    D: float
    S: float
    W: float
    level_ns: Nat
    krum: float


class Behaviour(Wire, frozen=True):
    """A detector's view of every miner at one frame; `benchmark` is B* (equation 11), empty when none yet."""

    frame: Nat
    h: float
    benchmark: Annotated[str, Meta(max_length=32)]
    scores: Annotated[tuple[Score, ...], Meta(max_length=MAX_MINERS)]


class SampleRef(Wire, frozen=True):
    """A sample envelope by its device, place in the device's stream, and RFC 6962 leaf hash."""

    device: Name
    session: Nat
    sequence: Nat
    leaf: Hash


class Accusation(Wire, frozen=True):
    """`miner` has taken more than its share: its offence number `offence`, which is also its rung of the ladder.

    The miner and that number are the offence's id: the frame says how many were decided before, so every detector
    counts alike. `began` is the frame it began at, as this detector sees it; `first` and `last` are the device's own
    samples that show `excess_ns` of CPU time above entitlement between them (evidence `work`: above what they report).
    """

    miner: Name
    offence: Annotated[int, Meta(ge=1, le=MOST)]
    began: Nat
    evidence: Evidence
    excess_ns: Nat
    first: SampleRef
    last: SampleRef


class Vote(Wire, frozen=True):
    """A detector's one word on one frame; accuses nobody when there is nobody to accuse, and each miner once.

    `dark` are the miners, sorted, of which no sample has come for so long, or whose samples count so few of the shares
    that they show, that they do not count in the ledger (mint/absence.py); `time_ms` is the frame's own, so that this
    can be of use for no longer than it is true.
    """

    fog: Name
    frame: Nat
    frame_hash: Hash
    charter: Hash
    accusations: Annotated[tuple[Accusation, ...], Meta(max_length=MAX_ACCUSATIONS)]
    dark: Annotated[tuple[Name, ...], Meta(max_length=MAX_DARK)] = ()
    time_ms: Nat = 0


class Absence(Wire, frozen=True):
    """2 f_detectors + 1 votes on one frame that call these miners dark (sorted), brought together by an agent.

    The votes are what counts, as in a verdict: who assembled it need not be trusted (mint/absence.py).
    """

    fog: Name
    charter: Hash
    frame: Nat
    miners: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_DARK)]
    votes: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=MAX_VOTES)]


class Verdict(Wire, frozen=True):
    """2 f_detectors + 1 votes that accuse one miner of one offence on one frame, with the samples in proof.

    What was done is said for people: since frame `began`, `excess_ns` of CPU time above entitlement, by `evidence`
    (as in an accusation). It follows from the votes and the samples, and whoever checks a verdict checks that it
    does. The votes are its certificate: whoever assembles and publishes it need not be trusted (mint/verdict.py).
    """

    fog: Name
    charter: Hash
    miner: Name
    offence: Annotated[int, Meta(ge=1, le=MOST)]
    frame: Nat
    began: Nat
    evidence: Evidence
    excess_ns: Nat
    votes: Annotated[tuple[bytes, ...], Meta(max_length=MAX_VOTES)]
    first: bytes
    last: bytes
