"""Counting votes into absences: 2 f_detectors + 1 on one frame that call the same miners dark (mint/absence.py)."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence

from mint.charter.seal import SealedCharter
from mint.envelope import Opened
from mint.messages.judgement import Absence, Vote

# Votes kept of each detector, its newest: theirs on one frame come within a second or two, and every `d` frames.
KEPT = 4


class Absences:
    """The votes that call somebody dark, as far as they may still become an absence."""

    def __init__(self) -> None:
        self._of: dict[str, OrderedDict[int, Opened]] = {}
        # Who was said to be dark at a frame already, of the newest frames.
        self._made: OrderedDict[int, frozenset[str]] = OrderedDict()

    def vote(self, opened: Opened, vote: Vote, sealed: SealedCharter) -> Absence | None:
        """Take in a vote whose envelope is valid; what it completes, to be signed. `sealed` is in force."""
        if not vote.dark or (vote.fog, vote.charter) != (sealed.charter.fog, sealed.hash):
            return None
        mine = self._of.setdefault(opened.sender, OrderedDict())
        mine.setdefault(vote.frame, opened)
        while len(mine) > KEPT:
            mine.popitem(last=False)
        detectors = sealed.charter.detectors
        for gone in self._of.keys() - set(detectors):
            del self._of[gone]
        same = [self._of[name][vote.frame] for name in sorted(self._of) if vote.frame in self._of[name]]
        agreed = _agreed([one for one in same if _alike(one, vote)], sealed.charter.quorum)
        if agreed is None or agreed[0] <= self._made.get(vote.frame, frozenset()):
            return None
        miners, votes = agreed
        self._made[vote.frame] = miners
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        return Absence(vote.fog, vote.charter, vote.frame, tuple(sorted(miners)), votes)


def _alike(opened: Opened, vote: Vote) -> bool:
    """Whether this is a vote on the same frame, under the same charter."""
    other = opened.message
    return isinstance(other, Vote) and (other.frame_hash, other.time_ms, other.charter) == (
        vote.frame_hash,
        vote.time_ms,
        vote.charter,
    )


def _agreed(votes: Sequence[Opened], quorum: int) -> tuple[frozenset[str], tuple[bytes, ...]] | None:
    """The most miners that a quorum of votes names together, whoever else each of them names; and those votes."""
    dark = [(set(one.message.dark), one.data) for one in votes if isinstance(one.message, Vote)]
    counts = Counter(name for names, _ in dark for name in names)
    miners = sorted(
        (name for name, count in counts.items() if count >= quorum), key=lambda n: (-counts[n], n)
    )
    while miners:
        naming = [data for names, data in dark if names.issuperset(miners)]
        if len(naming) >= quorum:
            return frozenset(miners), tuple(naming[:quorum])
        miners.pop()
    return None
