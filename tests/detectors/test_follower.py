"""Following the frame log: once, in order, chained; what is missing is asked for."""

from __future__ import annotations

import pytest

from detectors.follower import ASK_AGAIN_NS, HISTORY, MAX_EARLY, Follower
from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.messages.frame import MAX_REPLY_FRAMES, Frame
from tests.builders import Net

NET = Net(miners=5, devices=2)


def log(count: int, first: int = 1, fork: int = 0) -> list[Opened]:
    """A chain of frames; from number `fork` on another one (0: never)."""
    signer, frames, previous = NET.signer("manager"), [], bytes(32)
    for number in range(1, first + count):
        time_ms = 1 if fork and number >= fork else 0
        frame = Frame("fog1", number, previous, NET.sealed.hash, time_ms, bytes(32), (), (), (), ())
        opened = NET.opened(signer.object(frame))
        frames.append(opened)
        previous = opened.hash
    return frames[first - 1 :]


def numbers(ready: list[tuple[Frame, bytes]]) -> list[int]:
    return [frame.number for frame, _ in ready]


def test_frames_come_out_once_and_in_order() -> None:
    frames, follower = log(6), Follower()
    out = [numbers(follower.take(frames[n - 1])) for n in (1, 1, 3, 5, 2, 2, 4, 6, 3)]
    assert out == [[1], [], [], [], [2, 3], [], [4, 5], [6], []]
    assert (follower.number, follower.head) == (6, frames[-1].hash)


def test_a_gap_is_asked_for_and_again_when_nobody_answers() -> None:
    frames, follower = log(50), Follower()
    follower.take(frames[0])
    assert follower.missing(0) is None
    follower.take(frames[4])
    assert follower.missing(0) == (2, 3)
    assert follower.missing(ASK_AGAIN_NS - 1) is None
    assert follower.missing(ASK_AGAIN_NS) == (2, 3)
    follower.replied(2, 2)
    for frame in frames[1:4]:
        follower.take(frame)
    assert follower.number == 5
    follower.take(frames[49])
    assert follower.missing(2 * ASK_AGAIN_NS) == (6, MAX_REPLY_FRAMES)


def test_what_nobody_has_any_more_is_passed_over() -> None:
    frames, follower = log(12), Follower()
    follower.take(frames[0])
    follower.take(frames[11])
    follower.replied(2, 10)
    assert [numbers(follower.take(frame)) for frame in frames[9:11]] == [[10], [11, 12]]


def test_an_answer_to_what_was_asked_before_a_restart_skips_nothing() -> None:
    frames = log(12)
    follower = Follower(3, frames[2].hash, begun=True)
    follower.replied(8, 8)
    follower.take(frames[7])
    assert follower.number == 3
    assert follower.missing(0) == (4, 4)


def test_a_detector_without_memory_replays_a_bounded_history() -> None:
    frames = log(2, first=HISTORY + 101)
    follower = Follower()
    assert follower.take(frames[0]) == []
    assert follower.missing(0) == (101, MAX_REPLY_FRAMES)
    young = Follower()
    young.take(log(1, first=HISTORY + 1)[0])
    assert young.missing(0) == (1, MAX_REPLY_FRAMES)


def test_two_frames_of_one_number_are_a_contradiction() -> None:
    frames, other = log(5), log(5, fork=3)
    follower = Follower()
    for frame in frames[:3]:
        follower.take(frame)
    with pytest.raises(Rejected, match="manager signed two frames 3") as caught:
        follower.take(other[2])
    assert caught.value.reason is Reason.BAD_CHAIN
    with pytest.raises(Rejected, match="frame 4 does not follow"):
        follower.take(other[3])
    assert numbers(follower.take(frames[3])) == [4]
    early = Follower()
    early.take(frames[4])
    with pytest.raises(Rejected, match="two frames 5"):
        early.take(other[4])


def test_a_frame_that_does_not_follow_loses_none_that_do() -> None:
    frames, other = log(5), log(5, fork=3)
    follower = Follower()
    follower.take(frames[0])
    follower.take(other[3])  # waits for 2 and 3
    follower.take(frames[2])
    assert numbers(follower.take(frames[1])) == [2, 3]
    assert follower.missing(0) is not None
    assert numbers(follower.take(frames[3])) == [4]


def test_no_more_frames_wait_than_the_bound() -> None:
    frames, follower = log(MAX_EARLY + 20), Follower()
    for frame in frames[1:]:
        follower.take(frame)
    assert len(follower._early) == MAX_EARLY
    assert numbers(follower.take(frames[0])) == list(range(1, MAX_EARLY + 1))  # the last went for the first
    assert follower.missing(0) == (MAX_EARLY + 1, 20)
