"""Who is dark does not count in the ledger for as long as that is said, and no longer; no old word of it is of use."""

from __future__ import annotations

import msgspec
import pytest

from agents.pow.chain.absences import KEPT, Absences
from mint.chain.penalties import LEAST_ABSENT
from mint.chain.state import STALE_BLOCKS, State, restored, snapshot
from mint.envelope import open_envelope
from mint.errors import Reason
from mint.messages.judgement import MAX_DARK, Absence, Vote
from tests.chain.fog import Fog
from tests.chain.mine import CHAIN, INTERVAL_MS, Mine, net
from tests.chain.test_rules import refused

NET = net()
MINE = Mine(NET)
TENTH = MINE.grown(MINE.genesis, 10)
D = NET.charter.detection.d
PERIOD_MS = NET.charter.period_ms
LASTING_MS = 2 * D * PERIOD_MS
BLOCKS = max(LEAST_ABSENT, -(-LASTING_MS // INTERVAL_MS))


def vote(
    *dark: str,
    frame: int = 40,
    by: str = "det1",
    time_ms: int | None = None,
    mine: Mine = MINE,
    mark: bytes = b"h",
) -> bytes:
    at_ms = max(TENTH.times) if time_ms is None else time_ms
    made = Vote("fog1", frame, mark * 32, mine.net.sealed.hash, (), dark, at_ms)
    return mine.net.signer(by).object(made)


def absence(
    *dark: str, frame: int = 40, time_ms: int | None = None, by: str = "edge1", mine: Mine = MINE
) -> bytes:
    votes = tuple(vote(*dark, frame=frame, by=name, time_ms=time_ms, mine=mine) for name in NET.detectors[:3])
    return mine.net.signer(by).object(Absence("fog1", mine.net.sealed.hash, frame, dark, votes))


def barred(state: State) -> list[tuple[str, int, int]]:
    return [(one.miner, one.first, one.last) for one in state.bars]


def test_a_dark_miner_does_not_count_until_a_while_after_it_was_said_last() -> None:
    state = MINE.after(TENTH, "m01", absence("m01", "m03"))
    last = 11 + BLOCKS
    assert barred(state) == [("m01", 12, last), ("m03", 12, last)]
    shares = MINE.shares(state, "m03", 2)
    assert MINE.checked(state, MINE.block(state, "m02", shares)).works == {}
    for _ in range(BLOCKS):
        with refused(Reason.BARRED, "being dark"):
            MINE.after(state, "m01")
        state = MINE.after(state, "m02")
    assert MINE.after(state, "m01").height == last + 1
    assert (state.offences, state.lies) == ({}, {})


def test_a_bar_lasts_two_blocks_at_least() -> None:
    mine = Mine(net(chain=msgspec.structs.replace(CHAIN, block_interval_ms=3_600_000)))
    state = mine.grown(mine.genesis, 3)
    state = mine.after(state, "m02", absence("m01", time_ms=max(state.times), mine=mine))
    assert barred(state) == [("m01", 5, 6)]


def test_it_is_said_again_as_long_as_it_lasts_and_nothing_twice() -> None:
    state = MINE.after(TENTH, "m02", absence("m01"))
    for frame, by in ((40, "edge1"), (40, "edge2"), (40 - D, "edge1"), (39 + D, "edge1")):
        with refused(Reason.REPLAYED):
            MINE.after(state, "m02", absence("m01", frame=frame, by=by))
    with refused(Reason.REPLAYED):
        MINE.after(TENTH, "m02", absence("m01"), absence("m01", by="edge2"))
    # Who is named with others is barred alone where those were barred a moment ago.
    other = MINE.after(state, "m02", absence("m01", "m03"))
    assert barred(other)[1:] == [("m03", 13, 12 + BLOCKS)]
    again = MINE.after(state, "m02", absence("m01", frame=40 + D))
    assert barred(again)[1:] == [("m01", 13, 12 + BLOCKS)]
    assert again.dark == {"m01": 40 + D}
    assert restored(MINE.ledger, snapshot(again)) == again


def test_what_was_true_long_ago_bars_nobody() -> None:
    oldest_ms = TENTH.median_ms - LASTING_MS
    assert MINE.after(TENTH, "m02", absence("m01", time_ms=oldest_ms)).dark == {"m01": 40}
    with refused(Reason.STALE):
        MINE.after(TENTH, "m02", absence("m01", time_ms=oldest_ms - 1))


def test_an_absence_without_a_quorum_or_of_nobody_here_makes_a_block_invalid() -> None:
    good = NET.opened(absence("m01")).message
    assert isinstance(good, Absence)
    few = NET.signer("edge1").object(msgspec.structs.replace(good, votes=good.votes[:2]))
    with refused(Reason.NO_QUORUM):
        MINE.after(TENTH, "m02", few)
    with refused(Reason.WRONG_ROLE):
        MINE.after(TENTH, "m02", NET.signer("det1").object(good))
    without = NET.next_version(miners=NET.charter.miners[1:])
    with refused(Reason.REPLAYED):
        MINE.after(TENTH, "m02", without.data, absence("m01"))


@pytest.mark.parametrize("changes", [{"mode": "observe"}, {"holds": ("m01",)}])
def test_the_operator_lifts_it(changes: dict[str, object]) -> None:
    state = MINE.after(TENTH, "m02", absence("m01"))
    lifted = MINE.after(state, "m01", NET.next_version(**changes).data)
    assert MINE.after(lifted, "m01").height == 13


def test_bars_that_are_over_are_forgotten() -> None:
    state = MINE.after(TENTH, "m02", absence("m01"))
    state = MINE.grown(state, BLOCKS + STALE_BLOCKS + 1, "m02")
    assert state.bars == ()


# --- bringing votes together --------------------------------------------------------------------------------


def take(absences: Absences, *votes: bytes) -> list[tuple[str, ...]]:
    """The miners of the absences that these complete, each of which is one."""
    made = []
    for data in votes:
        opened = open_envelope(data, NET.sealed.trust())
        assert isinstance(opened.message, Vote)
        found = absences.vote(opened, opened.message, NET.sealed)
        if found is not None:
            MINE.after(TENTH, "m02", NET.signer("edge1").object(found))
            made.append(found.miners)
    return made


def test_a_quorum_of_votes_is_an_absence_once() -> None:
    absences = Absences()
    assert take(absences, vote("m01"), vote("m01"), vote("m01", by="det2")) == []
    assert take(absences, vote("m01", by="det3")) == [("m01",)]
    assert take(absences, vote("m01", by="det4"), vote("m01", by="det3")) == []


def test_liars_add_nobody_and_hide_nobody() -> None:
    honest = [vote("m01", "m03", by=name) for name in ("det1", "det2", "det3")]
    for lie in (vote("m01", by="det4"), vote("m01", "m02", "m03", by="det4"), vote("m02", by="det4")):
        for place in range(4):
            votes = [*honest[:place], lie, *honest[place:]]
            assert take(Absences(), *votes)[-1] == ("m01", "m03")


def test_votes_on_different_frames_make_none() -> None:
    absences = Absences()
    assert take(absences, vote("m01"), vote("m01", by="det2")) == []
    assert take(absences, vote("m01", by="det3", mark=b"i"), vote("m01", by="det4", frame=41)) == []


def test_of_a_detector_that_votes_without_end_a_few_votes_are_kept() -> None:
    absences = Absences()
    take(absences, vote("m01", by="det1"), vote("m01", by="det2"))
    take(absences, *(vote("m02", by="det4", frame=frame) for frame in range(100, 140)))
    assert len(absences._of["det4"]) == KEPT
    assert take(absences, vote("m01", by="det3")) == [("m01",)]


def test_an_absence_of_as_many_as_a_vote_names_fits_its_kind() -> None:
    names = tuple(f"m{n:031}" for n in range(MAX_DARK))
    many = net(miners=1)
    votes = tuple(
        many.signer(name).object(Vote("f" * 32, 2**62, b"h" * 32, b"c" * 32, (), names, 2**62))
        for name in many.detectors
    )
    data = many.signer("edge1").object(Absence("f" * 32, b"c" * 32, 2**62, names, votes * 5))
    assert len(data) <= 64 << 10  # seven liars' worth of detectors


# --- nodes --------------------------------------------------------------------------------------------------

THREE = Mine(net(devices=3))


def test_honest_miners_anchor_that_one_is_dark_and_it_counts_again_soon_after() -> None:
    fog = Fog(THREE.net)
    fog.run(4)
    for name in ("det1", "det2", "det3"):
        said = vote("m02", by=name, time_ms=fog.now.wall_ms, mine=THREE)
        fog.say(fog.topics.vote(name), said)
    fog.settle()
    fog.run(1, ["m01"])
    tip = fog.peers["edge2"].node.tree.tip
    assert [(one.miner, one.last - one.first + 1) for one in tip.bars] == [("m02", BLOCKS)]
    assert fog.mine("m02", block=True)
    assert fog.peers["edge2"].refused(Reason.BARRED) == 1
    fog.run(BLOCKS, ["m01"])
    fog.pass_time(20)
    fog.run(1, ["m02"])
    assert fog.peers["edge1"].node.tree.tip.height == tip.height + BLOCKS + 1
    assert len(fog.tips()) == 1


def test_a_vote_of_two_is_no_absence() -> None:
    fog = Fog(THREE.net)
    fog.run(4)
    for name in ("det1", "det2"):
        fog.say(fog.topics.vote(name), vote("m02", by=name, time_ms=fog.now.wall_ms, mine=THREE))
    fog.settle()
    fog.run(2, ["m01"])
    assert fog.peers["edge1"].node.tree.tip.bars == ()
