"""Answers to who misses frames: what was asked for, as it came, and no more than a client is due."""

from __future__ import annotations

import pytest

from mint.answers import BURST, MAX_REPLY_BYTES, PAUSE_NS, Answers
from mint.effects import Now, Say
from mint.envelope import ReplayGuard, Signer, open_envelope
from mint.errors import Reason, Rejected
from mint.frame_log import Kept
from mint.messages.frame import MAX_REPLY_FRAMES, FrameReply, FrameRequest
from mint.messages.sample import Ack
from tests.builders import Net

NET = Net(miners=1, devices=1)
TOPICS = NET.sealed.topics()
START = 1000 * 10**9


class Log:
    """Frames of this size, by number."""

    def __init__(self, *numbers: int, size: int = 10) -> None:
        self.kept = [Kept(number, bytes(32), b"%d." % number + bytes(size)) for number in numbers]

    def newest(self) -> Kept | None:
        return self.kept[-1] if self.kept else None

    def frames(self, first: int, count: int) -> list[Kept]:
        return [kept for kept in self.kept if kept.number >= first][:count]


class Asking:
    """A client and a holder."""

    def __init__(self, log: Log, proof: bytes = b"", client: str = "det1") -> None:
        self.signer: Signer = NET.signer(client)
        self.client, self.now_ns = client, START
        self.guard = ReplayGuard(60_000)
        self.asked_for: list[int] = []
        self.answers = Answers("manager", log, self._proofs)
        self._proof = proof

    def _proofs(self, kept: Kept) -> tuple[bytes, ...]:
        self.asked_for.append(kept.number)
        return (b"%d:" % kept.number + self._proof,)

    def asks(
        self, first: int, count: int = MAX_REPLY_FRAMES, *, proofs: bool = False, of: str = "manager"
    ) -> FrameReply:
        (say,) = self.sends(FrameRequest(self.client, of, first, count, proofs))
        assert (say.topic, say.qos) == (TOPICS.frame_reply(self.client), 1)
        assert isinstance(say.message, FrameReply)
        return say.message

    def sends(self, request: FrameRequest) -> list[Say]:
        self.now_ns += PAUSE_NS
        return self.data(self.signer.stream(request, TOPICS.frame_request(), 0))

    def data(self, data: bytes) -> list[Say]:
        opened = open_envelope(data, NET.sealed.trust())
        return self.answers.answer(opened, self.guard, TOPICS, Now(self.now_ns, 0))


def numbers(reply: FrameReply) -> list[int]:
    return [int(data.split(b".")[0]) for data in reply.frames]


def test_frames_are_given_from_a_number_on_in_order_with_the_newest() -> None:
    asking = Asking(Log(*range(10, 20)))
    reply = asking.asks(12, 3)
    assert (reply.asked, numbers(reply), reply.proofs) == (12, [12, 13, 14], ())
    assert reply.newest.startswith(b"19.")
    assert numbers(asking.asks(18)) == [18, 19]
    assert (numbers(asking.asks(20)), asking.asked_for) == ([], [])
    assert numbers(asking.asks(3, 2)) == [10, 11], "the oldest there are, and `asked` says what is not"


def test_who_has_nothing_says_so() -> None:
    reply = Asking(Log()).asks(1)
    assert (reply.newest, reply.frames, reply.asked) == (b"", (), 1)


def test_an_answer_stops_before_a_hole() -> None:
    asking = Asking(Log(1, 2, 5, 6))
    assert [numbers(asking.asks(first)) for first in (1, 3, 5)] == [[1, 2], [5, 6], [5, 6]]


def test_proofs_come_with_the_frames_that_they_are_of() -> None:
    reply = Asking(Log(1, 2, 3), b"sample").asks(2, 5, proofs=True)
    assert (numbers(reply), reply.proofs) == ([2, 3], (b"2:sample", b"3:sample"))


@pytest.mark.parametrize("proofs", [False, True])
def test_an_answer_fits_into_a_packet_and_holds_one_frame_at_least(proofs: bool) -> None:
    size = MAX_REPLY_BYTES // 3
    log = Log(1, 2, 3, 4, size=10 if proofs else size)
    asking = Asking(log, bytes(size) if proofs else b"")
    assert numbers(asking.asks(1, proofs=proofs)) == [1, 2]
    huge = Log(1, 2, size=MAX_REPLY_BYTES + 1)
    assert numbers(Asking(huge).asks(1)) == [1]


def test_what_is_for_another_holder_is_left_to_it() -> None:
    assert Asking(Log(1)).sends(FrameRequest("det1", "det2", 1, 1, False)) == []


def test_no_more_is_answered_than_a_client_is_due() -> None:
    asking = Asking(Log(1))

    def burst() -> int:
        for count in range(100):
            request = FrameRequest("det1", "manager", 1, 1, False)
            try:
                asking.data(asking.signer.stream(request, TOPICS.frame_request(), 0))
            except Rejected as rejected:
                assert rejected.reason is Reason.TOO_OFTEN  # noqa: PT017 # it comes sooner or later
                return count
        return 100

    assert burst() == BURST
    asking.now_ns += 3 * PAUSE_NS
    assert burst() == 3
    asking.now_ns += 1000 * PAUSE_NS
    assert burst() == BURST
    # Another is due as much.
    other = Asking(Log(1), client="det2")
    other.answers, other.now_ns = asking.answers, asking.now_ns
    assert numbers(other.asks(1)) == [1]


def test_what_is_not_answered() -> None:
    asking = Asking(Log(1))
    request = FrameRequest("det1", "manager", 1, 1, False)
    data = asking.signer.stream(request, TOPICS.frame_request(), 0)
    assert len(asking.data(data)) == 1
    ack = NET.signer("manager").stream(Ack("edge1", 1, 1), TOPICS.ack("edge1"), 0)
    in_anothers_name = asking.signer.stream(
        FrameRequest("det2", "manager", 1, 1, False), TOPICS.frame_request(), 0
    )
    late = NET.signer("det1", 2).stream(request, TOPICS.frame_request(), 10**6)
    for wrong, reason in (
        (data, Reason.REPLAYED),
        (in_anothers_name, Reason.IMPOSSIBLE),
        (late, Reason.WRONG_TIME),
        (ack, Reason.WRONG_KIND),
    ):
        with pytest.raises(Rejected) as caught:
            asking.data(wrong)
        assert caught.value.reason is reason
