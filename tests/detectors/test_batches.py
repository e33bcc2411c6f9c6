"""Batches of shares held against samples: a device that shows more than it reports is told of, an honest one never."""

from __future__ import annotations

import pytest

from detectors import batches
from mint.messages.chain import ShareBatch, Shares
from tests.builders import T0_MS
from tests.detectors.fog import FastNet, Fog

DETECTORS = FastNet().detectors
MANY = 10**6


def newest(fog: Fog, device: str = "edge1") -> tuple[int, int]:
    """The place of its newest sample."""
    place: tuple[int, int] = fog.parts[device].part.ring.newest
    return place


def counted(fog: Fog, miner: str = "m01") -> int:
    """The shares that the newest frame says of it."""
    return next(one.shares for one in fog.frames[fog.newest].miners if one.miner == miner)


def show(
    fog: Fog, total: int, miner: str = "m01", device: str = "edge1", place: tuple[int, int] | None = None
) -> None:
    """`device` shows shares of `miner` to be paid, as of its newest sample."""
    entry = Shares(miner, b"p" * 32, b"r" * 32, 3, T0_MS, 9, total, bytes(8))
    batch = ShareBatch("fog1", device, *(place or newest(fog, device)), (entry,))
    fog.publish(device, fog.topics.share(device), fog.net.signer(device).object(batch))


def young() -> Fog:
    fog = Fog()
    fog.run(10.5)
    return fog


def test_who_shows_more_shares_than_its_next_samples_count_is_told_of_and_nobody_halts() -> None:
    fog = young()
    show(fog, MANY)
    fog.run(4)
    assert set(fog.kinds()) == {"two_totals"}
    assert {(fault.accused, fault.frame, fault.about) for _, fault in fog.faults} == {("edge1", 0, "m01")}
    assert sorted(name for name, _ in fog.faults) == sorted(DETECTORS), "each tells of it once"
    assert fog.numbers() == [fog.newest] * len(DETECTORS)


def test_what_the_next_samples_count_may_be_shown() -> None:
    fog = young()
    for _ in range(8):
        show(fog, counted(fog))
        fog.run(1)
    assert not fog.kinds()


def test_a_later_batch_without_the_miner_hides_no_earlier_one() -> None:
    fog = young()
    show(fog, MANY)
    show(fog, 0)
    show(fog, 0, "m03")
    fog.run(4)
    assert {fault.about for _, fault in fog.faults} == {"m01"}


def test_what_was_shown_before_an_agent_began_anew_is_not_held_against_it() -> None:
    fog = young()
    show(fog, MANY)
    fog.down("edge1", 3)
    fog.run(8)
    assert newest(fog)[0] == 2
    assert not fog.kinds()
    show(fog, MANY, place=(1, 5))
    fog.run(3)
    assert not fog.kinds()


def test_who_goes_on_is_told_of_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "AGAIN", 4)
    fog = young()
    show(fog, MANY)
    fog.run(10)
    told = [fault for name, fault in fog.faults if name == "det1"]
    assert 2 <= len(told) <= 3
    assert len({fault.proof for fault in told}) == len(told), "each by another sample"


def test_a_batch_of_anothers_miner_or_in_anothers_name_is_not_kept() -> None:
    fog = young()
    show(fog, MANY, "m02")
    entry = Shares("m01", b"p" * 32, b"r" * 32, 3, T0_MS, 9, MANY, bytes(8))
    batch = ShareBatch("fog1", "edge1", *newest(fog), (entry,))
    fog.publish("edge2", fog.topics.share("edge2"), fog.net.signer("edge2").object(batch))
    fog.run(4)
    assert not fog.kinds()
    assert not fog.detector("det1")._batches._held


# --- whose batches name another run than its samples --------------------------------------------------------


def lie(fog: Fog, periods: int, *totals: int, every: int = 10) -> None:
    """In every so many of the periods, edge1 shows these totals of m01 as of a session long past."""
    for period in range(periods):
        if period % every == 0:
            for total in totals:
                show(fog, total + period, place=(0, 0))
        fog.run(1)


def dark(fog: Fog) -> dict[str, tuple[str, ...]]:
    """Whom the newest votes call dark, by detector."""
    return {name: votes[max(votes)].dark for name, votes in fog.votes.items()}


def test_who_is_never_counted_is_voted_dark_by_all_though_no_proof_is_signed() -> None:
    fog = young()
    lie(fog, 25, MANY)
    assert set(dark(fog).values()) == {()}, "twice may be chance"
    lie(fog, 25, MANY)
    assert dark(fog) == dict.fromkeys(DETECTORS, ("m01",))
    assert not fog.kinds()
    assert fog.numbers() == [fog.newest] * len(DETECTORS)


@pytest.mark.parametrize("totals", [(0, MANY, 0), (2 * MANY, 0)])
def test_shares_that_are_counted_hide_none_that_are_not(totals: tuple[int, ...]) -> None:
    fog = young()
    for _ in range(4):
        lie(fog, 10, *totals)
        lie(fog, 10, 0)
    assert set(dark(fog).values()) == {("m01",)}


def test_who_counts_what_it_showed_is_believed_again() -> None:
    fog = young()
    lie(fog, 50, counted(fog) + 400)
    assert set(dark(fog).values()) == {("m01",)}
    miner = fog.edges["edge1"].miners["m01"]
    miner._worked += 10**12
    lie(fog, 30, 0)
    assert counted(fog) > 500
    assert set(dark(fog).values()) == {()}


def test_a_device_that_lost_its_disk_and_counts_from_zero_is_believed() -> None:
    fog = young()
    show(fog, MANY)
    show(fog, MANY + 1)
    fog.down("edge1", 3)
    for _ in range(10):
        show(fog, 0, place=(2, 1))
        fog.run(5)
    assert set(dark(fog).values()) == {()}
    assert not fog.kinds()


def test_a_device_that_is_cut_off_for_a_while_is_believed() -> None:
    fog = young()
    for _ in range(6):
        fog.lost = lambda sender, _receiver, topic: sender == "edge1" and "/sample" in topic
        fog.run(12)
        fog.lost = lambda _sender, _receiver, _topic: False
        fog.run(3)
        show(fog, counted(fog))
    fog.run(10)
    assert set(dark(fog).values()) == {()}


def test_frames_have_a_while_to_count_what_was_shown() -> None:
    fog = young()
    for _ in range(4):
        show(fog, counted(fog) + 10, place=(0, 0))  # which it finds in the next five periods
        fog.run(12)
    assert set(dark(fog).values()) == {()}


def test_frames_without_a_reading_of_the_miner_say_nothing_of_it() -> None:
    fog = young()
    lie(fog, 20, MANY)
    fog.edges["edge1"].miners["m01"].running = False
    lie(fog, 25, MANY)
    assert set(dark(fog).values()) == {()}


def test_what_waits_to_be_compared_is_bounded() -> None:
    fog = young()
    fog.down("edge1", 200)
    for _ in range(60):
        show(fog, 0, place=(1, 1))
        fog.run(1)
    assert len(fog.detector("det1")._batches._shown["m01"].totals) == batches.MAX_PENDING
