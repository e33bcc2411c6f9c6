"""From votes to a verdict on the bus; and the verdicts that others published, for the frames that name them."""

from __future__ import annotations

from detectors.evidence import Shelf
from detectors.tally import Met, Tally, candidates, described
from mint.effects import Post
from mint.envelope import Opened, object_hash
from mint.errors import Rejected
from mint.fault_proofs import verdict_in
from mint.member import Member
from mint.messages.judgement import Verdict
from mint.verdict import verify_verdict

# Quorums whose proof has to be asked for; more than this at once are met again by the next votes.
MAX_UNPROVEN = 64
# Verdicts kept as they came, until the frame that names them and a while longer: some copies of each.
MAX_KEPT = 256


class Verdicts:
    """What one detector makes of votes."""

    def __init__(self, member: Member, shelf: Shelf) -> None:
        self._member, self._shelf = member, shelf
        self.tally = Tally(member.charter.charter.quorum)
        self._unproven: dict[tuple[str, int], Met] = {}
        self._kept: dict[bytes, bytes] = {}

    def envelope(self, verdict_hash: bytes) -> bytes | None:
        """The envelope of a verdict with this hash, if it is at hand."""
        return self._kept.get(verdict_hash)

    def vote(self, opened: Opened, head: int) -> list[Post]:
        """Count a vote whose envelope is valid.

        Raises:
            Rejected: it does not count.
        """
        return [post for met in self.tally.vote(opened, head) for post in self._publish(met)]

    def published(self, data: bytes) -> None:
        """Another's verdict came: a false one must not keep us from publishing.

        Raises:
            Rejected: it is none.
        """
        verdict = verdict_in(data)
        verify_verdict(verdict, self._member.charters)
        self._is_out(verdict)
        self.keep(data)

    def keep(self, data: bytes) -> None:
        """Keep a verdict's envelope for a frame that may name it; whether it is one is checked then."""
        self._kept[object_hash(data)] = data
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]

    def again(self) -> list[Post]:
        """Publish what could not be proven before, where its samples have come."""
        return [post for met in list(self._unproven.values()) for post in self._publish(met)]

    def lacking(self) -> set[int]:
        """The frames whose samples would prove a quorum that is met, by whichever of its voters named them."""
        numbers: set[int] = set()
        for met in self._unproven.values():
            for pair in met.said.named:
                rests = [(self._shelf.frame_of(ref.leaf), self._shelf.envelope(ref.leaf)) for ref in pair]
                known = [number for number, _ in rests if number is not None]
                if len(known) == len(rests):  # else no frame that we know rests on them
                    numbers.update(number for number, held in rests if number is not None and held is None)
        return numbers

    def prune(self, head: int) -> None:
        """Forget votes long past; what still stands meets its quorum again."""
        self.tally.prune(head)
        self._unproven.clear()

    def _publish(self, met: Met) -> list[Post]:
        """The verdict of a quorum, or nothing while the samples that prove it are not here."""
        member = self._member
        refused: Rejected | None = None
        for verdict in candidates(met, member.charter.charter.fog, self._shelf.envelope):
            try:  # a liar may name samples that prove nothing
                verify_verdict(verdict, member.charters)
            except Rejected as rejected:
                refused = rejected
                continue
            return [self._post(verdict)]
        if refused is not None:
            member.rejections.count(refused, member.topics.verdict(member.name, met.miner))
        if len(self._unproven) < MAX_UNPROVEN:
            self._unproven[met.miner, met.offence] = met
        return []

    def _post(self, verdict: Verdict) -> Post:
        member = self._member
        data = member.signer.object(verdict)
        self.keep(data)
        self._is_out(verdict)
        member.log.info("verdict on %s: %s", verdict.miner, described(verdict))
        return Post(member.topics.verdict(member.name, verdict.miner), data, retain=True)

    def _is_out(self, verdict: Verdict) -> None:
        self._unproven.pop((verdict.miner, verdict.offence), None)
        self.tally.published(verdict.miner, verdict.offence, verdict.frame)
