"""Difficulty brings the chain to its interval whatever the hash rate does, and nobody moves it with a clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import fmean

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mint.chain.difficulty import HALF_LIFE_BLOCKS, clock_after, work_after
from mint.chain.times import MEDIAN_BLOCKS, check_now, median, with_next
from mint.charter.model import Chain
from mint.errors import Reason, Rejected
from mint.wire import MOST

INTERVAL_MS = 10_000
CHAIN = Chain(INTERVAL_MS, 400, 10, 1 << 30)
HALF_LIFE_MS = HALF_LIFE_BLOCKS * INTERVAL_MS
RATE = CHAIN.first_work / INTERVAL_MS  # hashes a ms

# What hash rate there is at a time, and what a block that is found then says the time is.
Hashing = Callable[[int], float]


def mined(
    blocks: int,
    hashing: Hashing,
    seed: int,
    said: Callable[[int, int], int] = lambda height, at_ms: at_ms,
    night: tuple[int, int] = (0, 0),
) -> tuple[list[int], list[int]]:
    """When each block of a chain was found, and its work; `night`: so long nobody mines before that block."""
    rng = random.Random(seed)
    at_ms = clock_ms = 0
    times: tuple[int, ...] = ()
    found: list[int] = []
    works: list[int] = []
    for height in range(blocks):
        works.append(work_after(CHAIN, height, clock_ms))
        at_ms += max(1, round(rng.expovariate(1) * works[-1] / hashing(at_ms)))
        at_ms += night[1] if height == night[0] else 0
        found.append(at_ms)
        before = median(times)
        after = with_next(times, max(before + 1, said(height, at_ms)))
        clock_ms = clock_after(CHAIN, clock_ms, before, median(after)) if times else 0
        times = after
    return found, works


def mean_interval(found: list[int], first: int, last: int) -> float:
    return (found[last] - found[first]) / (last - first) / INTERVAL_MS


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 10**6))
@example(3.0, -3.0, 0)
@example(-3.0, 3.0, 1)
def test_the_interval_comes_back_after_any_change_of_hash_rate(
    first: float, second: float, seed: int
) -> None:
    """From up to eight times too easy or too hard at the beginning, and a change by up to 64 times after that."""
    change_at: list[int] = []

    def hashing(at_ms: int) -> float:
        return RATE * float(2 ** (second if change_at and at_ms >= change_at[0] else first))

    change_at = [mined(700, hashing, seed)[0][-1]]
    found, _ = mined(1600, hashing, seed)
    assert mean_interval(found, 400, 699) == pytest.approx(1, abs=0.2)
    assert mean_interval(found, 1300, 1599) == pytest.approx(1, abs=0.2)


def test_chance_moves_the_work_by_a_few_percent() -> None:
    _, works = mined(20_000, lambda _: RATE, 5)
    mean = fmean(works)
    deviation = fmean((work - mean) ** 2 for work in works) ** 0.5 / mean
    assert 0.05 < deviation < 0.11


def test_a_night_without_mining_halves_the_work_once() -> None:
    night_ms = 12 * 3_600_000
    found, works = mined(1400, lambda _: RATE, 3, night=(600, night_ms))
    assert found[600] - found[599] > night_ms
    # The median sees it six blocks later.
    before, after = fmean(works[590:606]), fmean(works[606:612])
    assert after / before == pytest.approx(0.5, rel=0.1)
    assert mean_interval(found, 1000, 1399) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("lie_ms", [120_000, -120_000, -(10**12)])
def test_a_third_of_the_miners_that_lie_about_the_time_as_far_as_others_take_it_move_nothing(
    lie_ms: int,
) -> None:
    rng = random.Random(9)
    liars = [rng.random() < 1 / 3 for _ in range(3000)]

    def said(height: int, at_ms: int) -> int:
        return max(0, at_ms + lie_ms) if liars[height] else at_ms

    found, _ = mined(3000, lambda _: RATE, 4, said)
    assert mean_interval(found, 500, 2999) == pytest.approx(1, abs=0.1)


@given(st.integers(0, 10**7), st.integers(-(10**15), 10**15), st.integers(1, MOST))
def test_work_is_always_a_number_of_the_wire_and_grows_as_the_clock_falls_behind(
    height: int, clock_ms: int, first_work: int
) -> None:
    chain = Chain(INTERVAL_MS, 400, 10, first_work)
    work = work_after(chain, height, clock_ms)
    assert 1 <= work <= MOST
    assert work_after(chain, height, clock_ms + 1000) <= work or height == 0
    assert work_after(chain, height + 1, clock_ms) >= work or height == 0


@given(st.integers(-20 * HALF_LIFE_MS, 20 * HALF_LIFE_MS))
def test_work_is_two_to_the_half_lives_within_the_cubic(ahead_ms: int) -> None:
    wanted = CHAIN.first_work * 2 ** (ahead_ms / HALF_LIFE_MS)
    assert work_after(CHAIN, 1, -ahead_ms) == pytest.approx(wanted, rel=0, abs=2e-4 * wanted + 1)
    assert work_after(CHAIN, 1 + HALF_LIFE_BLOCKS, HALF_LIFE_MS - ahead_ms) == work_after(CHAIN, 1, -ahead_ms)


@given(st.lists(st.integers(0, 10**6), max_size=60))
def test_the_median_never_falls_on_a_chain(steps: list[int]) -> None:
    """Each block is later than the median before it, by whatever it likes."""
    times: tuple[int, ...] = ()
    middles = [0]
    for step in steps:
        times = with_next(times, median(times) + 1 + step)
        middles.append(median(times))
    assert middles == sorted(middles)
    assert len(times) <= MEDIAN_BLOCKS


def test_a_block_of_a_time_to_come_is_kept_out_until_then() -> None:
    check_now(1000 + 120_000, 1000, 120_000)
    with pytest.raises(Rejected) as caught:
        check_now(1001 + 120_000, 1000, 120_000)
    assert caught.value.reason is Reason.FUTURE
