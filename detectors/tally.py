"""Counting votes into verdicts: 2 f_detectors + 1 on one frame that accuse one miner of one offence.

Counted miner by miner, one vote a detector and frame; the votes themselves are the certificate, so it does not
matter which detector assembles it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.messages.judgement import Accusation, Verdict, Vote
from mint.verdict import accusation_of

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
    """A quorum that was met: votes, the charter they name, one of the accusations (they agree in what counts)."""

    miner: str
    began: int
    rung: int
    frame: int
    charter: bytes
    accusation: Accusation
    votes: tuple[bytes, ...]


class Tally:
    """Votes by frame, frame hash and detector."""

    def __init__(self, quorum: int) -> None:
        self.quorum = quorum
        self._votes: dict[tuple[int, bytes], dict[str, Opened]] = {}
        self._cast: dict[tuple[int, str], bytes] = {}
        self._published: dict[tuple[str, int], int] = {}

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
            if cast == opened.hash:
                return []
            raise Rejected(Reason.REPLAYED, f"{opened.sender} votes twice on frame {vote.frame}")
        self._cast[vote.frame, opened.sender] = opened.hash
        self._votes.setdefault((vote.frame, vote.frame_hash), {})[opened.sender] = opened
        return self._met(vote)

    def _met(self, vote: Vote) -> list[Met]:
        met = []
        others = self._votes[vote.frame, vote.frame_hash].values()
        for accusation in vote.accusations:
            key = (accusation.miner, accusation.began, accusation.rung)
            published = self._published.get(key[:2])
            if published is not None and vote.frame < published + AGAIN:
                continue
            agreeing: list[bytes] = []
            named: list[Accusation] = []
            for other in others:
                theirs = other.message
                if not isinstance(theirs, Vote) or theirs.charter != vote.charter:
                    continue
                same = accusation_of(theirs, *key)
                if same is not None:
                    agreeing.append(other.data)
                    named.append(same)
            if len(agreeing) >= self.quorum:
                # A liar may name other samples; f_detectors + 1 of a quorum are honest and name the same.
                (first, last), _ = Counter((one.first, one.last) for one in named).most_common(1)[0]
                agreed = next(one for one in named if (one.first, one.last) == (first, last))
                met.append(Met(*key, vote.frame, vote.charter, agreed, tuple(agreeing[: self.quorum])))
        return met

    def published(self, miner: str, began: int, frame: int) -> None:
        """A verdict on this offence is on the bus (ours or another's)."""
        self._published[miner, began] = max(frame, self._published.get((miner, began), 0))

    def prune(self, head: int) -> None:
        """Forget votes behind the window."""
        low = head - WINDOW
        self._votes = {key: votes for key, votes in self._votes.items() if key[0] >= low}
        self._cast = {key: cast for key, cast in self._cast.items() if key[0] >= low}
        self._published = {key: frame for key, frame in self._published.items() if frame >= low}


def assemble(met: Met, fog: str, envelopes: Envelopes) -> Verdict | None:
    """The verdict of a quorum; None when a sample that proves it is not at hand."""
    first, last = envelopes(met.accusation.first.leaf), envelopes(met.accusation.last.leaf)
    if first is None or last is None:
        return None
    return Verdict(
        fog=fog,
        charter=met.charter,
        miner=met.miner,
        began=met.began,
        frame=met.frame,
        rung=met.rung,
        reason=reason(met.accusation),
        votes=met.votes,
        first=first,
        last=last,
    )


def reason(accusation: Accusation) -> str:
    """The accusation in words, for people."""
    taken_s = accusation.excess_ns / 1e9
    return (
        f"used {taken_s:.3f} CPU-s above entitlement since frame {accusation.began} ({accusation.evidence})"
    )
