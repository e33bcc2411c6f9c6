"""Following the frame log: once, in order, chained; what is missing is known, what nobody has is passed over."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from detectors.follower import HISTORY, MAX_EARLY, Follower
from mint.frames import LogFrame
from mint.messages.frame import MAX_REPLY_FRAMES, Frame
from tests.builders import Net

NET = Net(miners=5, devices=2)
ALL = 10**9


def log(count: int, first: int = 1, fork: int = 0) -> list[LogFrame]:
    """A chain of frames; from number `fork` on another one (0: never)."""
    signer, frames, previous = NET.signer("manager"), [], bytes(32)
    for number in range(1, first + count):
        time_ms = 1 if fork and number >= fork else 0
        frame = Frame("fog1", number, previous, NET.sealed.hash, time_ms, bytes(32), (), (), (), ())
        frames.append(NET.log_frame(signer.object(frame)))
        previous = frames[-1].hash
    return frames[first - 1 :]


LOG, FORK = log(60), log(60, fork=3)


def begun(number: int = 0) -> Follower:
    return Follower(number, LOG[number - 1].hash if number else bytes(32), begun=True)


def judge(follower: Follower) -> list[int]:
    """Judge all that comes next."""
    numbers = []
    while (frame := follower.next()) is not None:
        if not follower.follows(frame):
            follower.refuse(frame)
            break
        follower.judged(frame)
        numbers.append(frame.number)
    return numbers


def take(follower: Follower, *numbers: int, of: list[LogFrame] = LOG) -> list[int]:
    out = []
    for number in numbers:
        follower.take(of[number - 1])
        out += judge(follower)
    return out


def test_frames_come_out_once_and_in_order() -> None:
    follower = begun()
    assert [take(follower, n) for n in (1, 1, 3, 5, 2, 2, 4, 6, 3)] == [
        [1], [], [], [], [2, 3], [], [4, 5], [6], []
    ]  # fmt: skip
    assert (follower.number, follower.head, follower.newest) == (6, LOG[5].hash, 6)


@given(st.randoms(use_true_random=False), st.integers(0, 20))
def test_whatever_the_order_every_frame_is_judged_once(rng: random.Random, start: int) -> None:
    follower, numbers = begun(start), list(range(1, 61)) * 2
    rng.shuffle(numbers)
    assert take(follower, *numbers) == list(range(start + 1, 61))
    assert follower.missing() is None


def test_what_is_missing_is_the_gap_before_the_frame_that_waits() -> None:
    follower = begun()
    take(follower, 1)
    assert follower.missing() is None
    take(follower, 5)
    assert follower.missing() == (2, 3)
    assert take(follower, 2, 3, 4) == [2, 3, 4, 5]
    take(follower, 50)
    assert follower.missing() == (6, MAX_REPLY_FRAMES)


def test_what_nobody_has_any_more_is_passed_over() -> None:
    follower = begun()
    take(follower, 1, 12, 10)
    assert follower.skip(ALL)
    assert (follower.number, follower.head) == (9, None)
    assert judge(follower) == [10]
    assert take(follower, 11) == [11, 12]
    take(follower, 55)
    assert follower.skip(20)  # not all at once: what comes after so many somebody may have
    assert (follower.number, follower.missing()) == (32, (33, 22))


def test_a_frame_that_does_not_follow_is_not_passed_over() -> None:
    follower = begun()
    take(follower, 1, 2, 4)
    assert take(follower, 3, of=FORK) == [3]  # 3 is where they part
    assert follower.next() is None, "4 does not follow that"
    take(follower, 6)
    assert not follower.skip(ALL)
    assert follower.missing() == (4, 2)
    assert take(follower, 4, of=FORK) == [4]
    assert follower.skip(ALL)


def test_a_detector_without_a_past_waits_until_it_knows_where_to_begin() -> None:
    follower = Follower()
    take(follower, 40)
    assert (follower.next(), follower.missing()) == (None, None)
    follower.begin(40)
    assert (follower.number, follower.head, follower.missing()) == (0, bytes(32), (1, MAX_REPLY_FRAMES))
    old = Follower()
    old.begin(HISTORY + 100)
    assert (old.number, old.head) == (100, None)


def test_another_frame_of_a_number_that_waits_is_handed_out() -> None:
    follower = begun()
    assert follower.take(LOG[4]) is None
    assert follower.take(LOG[4]) is None
    assert follower.take(FORK[4]) == LOG[4]
    take(follower, 1, 2, 3, 4)
    assert follower.head == LOG[4].hash, "who came first is kept"


def test_going_back_keeps_what_waits_and_is_not_void() -> None:
    follower = begun()
    take(follower, *range(1, 10))
    for number in (12, 13):
        follower.take(FORK[number - 1])
    follower.take(LOG[13])
    follower.forget(lambda frame: frame in LOG)
    assert follower.newest == 13
    follower.rewind(10, FORK[9].hash)
    assert follower.missing() == (11, 1)
    assert take(follower, 11, of=FORK) == [11, 12, 13]
    follower.rewind(5, LOG[4].hash)
    assert (follower.number, follower.newest, follower.missing()) == (5, 5, None)


def test_no_more_frames_wait_than_the_bound() -> None:
    frames, follower = log(MAX_EARLY + 20), begun()
    for frame in frames[1:]:
        follower.take(frame)
    assert len(follower._early) == MAX_EARLY
    follower.take(frames[0])
    assert judge(follower) == list(range(1, MAX_EARLY + 1))  # the last went for the first
    assert follower.missing() == (MAX_EARLY + 1, 20)
