"""Counting votes into verdicts: 2 f_detectors + 1 on one frame that accuse one miner of one offence.

Counted miner by miner, one vote a detector and frame; the votes themselves are the certificate, so it does not
matter which detector assembles it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.messages.judgement import Accusation, Verdict, Vote
from mint.verdict import Summary, accusation_of, summary

# Votes are counted on frames at most this far behind the newest: accusations stand until they are decided,
# so what missed its quorum on one frame meets it on the next.
WINDOW = 64
# And this far ahead of our own head: others may be quicker.
AHEAD = 64
# A verdict that the log has not taken note of after this many frames is published again.
AGAIN = 5

# Envelope of the sample with a leaf hash; None when it is not at hand.
Envelopes = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Met:
    """A quorum that was met: what its accusations say together, and the votes."""

    miner: str
    offence: int
    frame: int
    charter: bytes
    said: Summary
    votes: tuple[bytes, ...]


class Tally:
    """Votes by frame, frame hash and detector."""

    def __init__(self, quorum: int) -> None:
        self.quorum = quorum
        self._votes: dict[tuple[int, bytes], dict[str, Opened]] = {}
        self._cast: dict[tuple[int, str], Opened] = {}
        self._published: dict[tuple[str, int], int] = {}

    def other(self, opened: Opened) -> bytes | None:
        """The envelope of another vote of this detector on this frame: the two of them are a Fault."""
        vote = opened.message
        cast = self._cast.get((vote.frame, opened.sender)) if isinstance(vote, Vote) else None
        return None if cast is None or cast.hash == opened.hash else cast.data

    def drop(self, detector: str) -> None:
        """Count what a detector has said no more."""
        for votes in self._votes.values():
            votes.pop(detector, None)

    def vote(self, opened: Opened, head: int) -> list[Met]:
        """Take in a vote whose envelope is valid; the quorums that it completes or still meets.

        Raises:
            Rejected: too old or too far ahead, or the detector's second vote on one frame.
        """
        vote = opened.message
        if not isinstance(vote, Vote):
            raise Rejected(Reason.WRONG_KIND, "not a vote")
        if not head - WINDOW <= vote.frame <= head + AHEAD:
            raise Rejected(
                Reason.WRONG_TIME, f"{opened.sender} votes on frame {vote.frame}, we are at {head}"
            )
        cast = self._cast.get((vote.frame, opened.sender))
        if cast is not None:
            if cast.hash == opened.hash:
                return []
            raise Rejected(Reason.REPLAYED, f"{opened.sender} votes twice on frame {vote.frame}")
        self._cast[vote.frame, opened.sender] = opened
        self._votes.setdefault((vote.frame, vote.frame_hash), {})[opened.sender] = opened
        return self._met(vote)

    def _met(self, vote: Vote) -> list[Met]:
        met = []
        others = self._votes[vote.frame, vote.frame_hash].values()
        for accusation in vote.accusations:
            key = (accusation.miner, accusation.offence)
            published = self._published.get(key)
            if published is not None and vote.frame < published + AGAIN:
                continue
            agreeing: list[bytes] = []
            said: list[Accusation] = []
            for other in others:
                theirs = other.message
                if not isinstance(theirs, Vote) or theirs.charter != vote.charter:
                    continue
                same = accusation_of(theirs, *key)
                if same is not None:
                    agreeing.append(other.data)
                    said.append(same)
            if len(agreeing) >= self.quorum:
                # Of a quorum f_detectors + 1 are honest; one vote more would change what the certificate says.
                summed = summary(said[: self.quorum])
                met.append(Met(*key, vote.frame, vote.charter, summed, tuple(agreeing[: self.quorum])))
        return met

    def published(self, miner: str, offence: int, frame: int) -> None:
        """A verdict on this offence is on the bus (ours or another's)."""
        self._published[miner, offence] = max(frame, self._published.get((miner, offence), 0))

    def prune(self, head: int) -> None:
        """Forget votes behind the window."""
        low = head - WINDOW
        self._votes = {key: votes for key, votes in self._votes.items() if key[0] >= low}
        self._cast = {key: cast for key, cast in self._cast.items() if key[0] >= low}
        self._published = {key: frame for key, frame in self._published.items() if frame >= low}


def candidates(met: Met, fog: str, envelopes: Envelopes) -> Iterator[Verdict]:
    """The verdicts that a quorum may make of the samples at hand; a liar may have named some that prove nothing."""
    for pair in met.said.named:
        first, last = (envelopes(ref.leaf) for ref in pair)
        if first is not None and last is not None:
            yield Verdict(
                fog=fog,
                charter=met.charter,
                miner=met.miner,
                offence=met.offence,
                frame=met.frame,
                began=met.said.began,
                evidence=met.said.evidence,
                excess_ns=met.said.excess_ns,
                votes=met.votes,
                first=first,
                last=last,
            )


def described(verdict: Verdict) -> str:
    """What was done, since when, how much, by which evidence: for people."""
    taken_s = verdict.excess_ns / 1e9
    return (
        f"offence {verdict.offence} since frame {verdict.began}: {taken_s:.3f} CPU-s above entitlement "
        f"({verdict.evidence})"
    )
