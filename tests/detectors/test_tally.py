"""Votes into verdicts: a quorum, one vote a detector, and liars who name other samples."""

from __future__ import annotations

import pytest

from detectors.tally import AGAIN, AHEAD, WINDOW, Met, Tally, candidates, described
from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash
from mint.messages.judgement import Accusation, SampleRef, Vote
from mint.messages.sample import State
from tests.builders import MS, Net

NET = Net(miners=5, devices=2)
SHARE = 100 * MS


def accusation(
    miner: str = "m01", offence: int = 1, began: int = 5, excess_ns: int = SHARE, last: bytes = b"last"
) -> Accusation:
    refs = [SampleRef("edge1", 1, n, leaf_hash(data)) for n, data in ((1, b"first"), (2, last))]
    return Accusation(miner, offence, began, "budget", excess_ns, refs[0], refs[1])


def vote(name: str, *accusations: Accusation, frame: int = 10, of: bytes = b"h" * 32) -> Opened:
    made = Vote("fog1", frame, of, NET.sealed.hash, accusations)
    return NET.opened(NET.signer(name).object(made))


def cast(tally: Tally, *votes: Opened, head: int = 10) -> list[list[Met]]:
    return [tally.vote(one, head) for one in votes]


@pytest.mark.parametrize("f", [0, 1, 2])
def test_a_quorum_is_exactly_two_f_and_one(f: int) -> None:
    net = Net(miners=3, devices=1, detectors=3 * f + 1)
    tally = Tally(net.charter.quorum)
    made = Vote("fog1", 10, b"h" * 32, net.sealed.hash, (accusation(),))
    met = [tally.vote(net.opened(net.signer(name).object(made)), 10) for name in net.detectors]
    assert [len(one) for one in met] == [0] * (2 * f) + [1] * (f + 1)
    assert len(met[2 * f][0].votes) == 2 * f + 1
    assert len({net.opened(data).sender for data in met[-1][0].votes}) == 2 * f + 1


def test_one_vote_a_detector_and_frame() -> None:
    tally = Tally(3)
    assert cast(tally, vote("det1", accusation()), vote("det1", accusation())) == [[], []]  # told again
    for other in (vote("det1"), vote("det1", accusation(), of=b"i" * 32)):
        with pytest.raises(Rejected, match="det1 votes twice on frame 10") as caught:
            tally.vote(other, 10)
        assert caught.value.reason is Reason.REPLAYED
    assert cast(tally, vote("det2", accusation()))[0] == []
    assert cast(tally, vote("det1", accusation(), frame=11))[0] == []


def test_votes_on_other_frames_hashes_miners_or_offences_do_not_add_up() -> None:
    tally = Tally(3)
    scattered = (
        vote("det1", accusation()),
        vote("det2", accusation(offence=2)),
        vote("det3", accusation("m02")),
        vote("det4", accusation(), of=b"i" * 32),
        vote("det2", accusation(), frame=11),
        vote("det3", accusation("m02"), frame=11),
    )
    assert not any(cast(tally, *scattered))


def test_votes_add_up_whatever_they_say_of_since_and_how_much() -> None:
    tally = Tally(3)
    *_, third = cast(
        tally,
        vote("det1", accusation(began=5, excess_ns=3)),
        vote("det2", accusation(began=9, excess_ns=1, last=b"later")),
        vote("det3", accusation(began=2, excess_ns=2)),
    )
    said = third[0].said
    assert (said.began, said.excess_ns, said.named[0][1].leaf) == (5, 2, leaf_hash(b"last"))


def test_one_who_voted_twice_is_counted_no_more() -> None:
    tally = Tally(3)
    first = vote("det1", accusation())
    cast(tally, first, vote("det2", accusation()))
    other = vote("det1")
    assert tally.other(first) is None
    assert tally.other(other) == first.data
    tally.drop("det1")
    assert cast(tally, vote("det3", accusation())) == [[]]
    assert len(cast(tally, vote("det4", accusation()))[0]) == 1


def test_several_miners_are_tallied_one_by_one() -> None:
    tally = Tally(3)
    both = (accusation(), accusation("m02"))
    met = cast(tally, vote("det1", *both), vote("det2", both[1]), vote("det3", *both), vote("det4", both[0]))
    assert [[one.miner for one in step] for step in met] == [[], [], ["m02"], ["m01"]]


def test_a_liar_who_names_other_samples_does_not_choose_the_proof() -> None:
    liar, honest = accusation(last=b"forged"), accusation()
    tally = Tally(3)
    (*_, third) = cast(tally, vote("det1", honest), vote("det2", honest), vote("det3", liar))
    assert [last.leaf for _, last in third[0].said.named] == [leaf_hash(b"last"), leaf_hash(b"forged")]
    assert len(third[0].votes) == 3


def test_votes_far_from_our_head_are_not_kept() -> None:
    tally = Tally(3)
    for frame in (100 - WINDOW - 1, 100 + AHEAD + 1):
        with pytest.raises(Rejected) as caught:
            tally.vote(vote("det1", frame=frame), 100)
        assert caught.value.reason is Reason.WRONG_TIME
    for frame in (100 - WINDOW, 100 + AHEAD):
        tally.vote(vote("det1", frame=frame), 100)
    tally.prune(101)
    assert [frame for frame, _ in tally._cast] == [100 + AHEAD]
    state = NET.opened(NET.signer("edge1").stream(State(True, "", ()), "t", 0))
    with pytest.raises(Rejected) as caught:
        tally.vote(state, 100)
    assert caught.value.reason is Reason.WRONG_KIND


def test_a_verdict_on_the_bus_is_not_published_again_until_the_log_seems_not_to_know_it() -> None:
    tally = Tally(3)
    tally.published("m01", 1, 10)
    for frame in range(10, 10 + AGAIN + 1):
        *_, third = cast(
            tally, *(vote(name, accusation(), frame=frame) for name in NET.detectors[:3]), head=frame
        )
        assert bool(third) == (frame == 10 + AGAIN)


def test_a_verdict_is_assembled_of_whichever_samples_are_at_hand() -> None:
    tally = Tally(3)
    honest, other = accusation(), accusation(last=b"other")
    *_, third = cast(tally, vote("det1", honest), vote("det2", honest), vote("det3", other))
    held: dict[bytes, bytes] = {leaf_hash(b"first"): b"first"}
    assert list(candidates(third[0], "fog1", held.get)) == []
    held |= {leaf_hash(data): data for data in (b"last", b"other")}
    verdict, another = candidates(third[0], "fog1", held.get)
    assert (verdict.miner, verdict.offence, verdict.frame, verdict.began) == ("m01", 1, 10, 5)
    assert (verdict.first, verdict.last, verdict.charter) == (b"first", b"last", NET.sealed.hash)
    assert another.last == b"other"
    assert described(verdict) == "offence 1 since frame 5: 0.100 CPU-s above entitlement (budget)"
