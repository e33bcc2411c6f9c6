"""Laws of detectors/nature/: rows may be arranged, stored, forgotten; and its parts, one by one."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.nature.lie import Kind
from detectors.nature.past import GRAM, HISTORY, Past, symbols
from detectors.nature.stream import Nature
from detectors.nature.surprise import ENOUGH_BITS, surprise
from mint.errors import InputError
from tests.detection.telling import accused, noise, told

LENGTH = 290


def with_lies(seed: int) -> np.ndarray:
    x = noise(seed, LENGTH, 7)
    x[200:, 0] = x[190:-10, 3]
    x[200:, 1] = x[200, 1]
    x[220:, 2] = x[150 : LENGTH - 70, 2]
    x[200:, 5] = x[200:, 6]
    x[np.random.default_rng(seed).random(x.shape) < 0.01] = np.nan
    return x


@settings(max_examples=4, deadline=None)
@given(order=st.permutations(range(7)), seed=st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(order: list[int], seed: int) -> None:
    x = with_lies(seed)
    mapped = {
        (tick, order[lie.row], lie.kind, lie.decides, lie.since, order[lie.source], lie.bits)
        for tick, lie in told(x[:, order])
    }
    plain = {(tick, lie.row, lie.kind, lie.decides, lie.since, lie.source, lie.bits) for tick, lie in told(x)}
    assert mapped == plain
    assert {kind for _, _, kind, *_ in plain} >= {Kind.COPIED, Kind.FROZEN, Kind.REPLAYED}


@settings(max_examples=4, deadline=None)
@given(cut=st.integers(0, LENGTH - 1), seed=st.integers(0, 99))
def test_it_goes_on_from_its_state_bit_for_bit(cut: int, seed: int) -> None:
    x = with_lies(seed)
    straight, first = Nature(7), Nature(7)
    expected = told(x, straight)
    before = told(x[:cut], first)
    second = Nature.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    assert before + told(x[cut:], second, cut) == expected
    assert second.state() == straight.state()


@settings(max_examples=4, deadline=None)
@given(order=st.permutations(range(7)), cut=st.integers(1, LENGTH - 1))
@example(order=[3, 1, 0, 6, 2, 5, 4], cut=250)  # in the midst of every lie
def test_rows_are_arranged_anew(order: list[int], cut: int) -> None:
    x = with_lies(1)
    nature = Nature(7)
    before = told(x[:cut], nature)
    nature.arrange([*order, -1])
    strangers = np.random.default_rng(2).normal(100, 4, (LENGTH, 1))
    after = told(np.hstack((x[cut:, order], strangers[cut:])), nature, cut)
    mapped = {(tick, order[lie.row], lie.kind, order[lie.source]) for tick, lie in after}
    assert {(tick, lie.row, lie.kind, lie.source) for tick, lie in before} | mapped == {
        (tick, lie.row, lie.kind, lie.source) for tick, lie in told(x)
    }


def test_reset_forgets() -> None:
    x = noise(16)
    nature = Nature(6)
    told(x[:400], nature)
    nature.reset(2, 4)
    fresh = Nature(6)
    told(np.where(np.isin(np.arange(6), (2, 4)), np.nan, x[:400]), fresh)
    assert nature.state() == fresh.state()
    copied = x[395:695].copy()
    copied[:, 2] = x[95:395, 4]  # what is forgotten cannot be copied from
    assert not told(copied, nature, 400)


def test_what_was_told_twice_is_still_known_when_one_is_forgotten() -> None:
    x = noise(17, 400)
    x[200:260, 2] = x[150:210, 1]
    x[300:360, 3] = x[150:210, 1]
    nature = Nature(6)
    assert [(lie.row, lie.source) for _, lie in accused(told(x[:300], nature))] == [(2, 1)]
    nature.reset(2)
    after = accused(told(x[300:], nature, 300))
    assert [(lie.row, lie.source, lie.lag) for _, lie in after] == [(3, 1, 150)]


def test_memory_of_a_miner() -> None:
    nature = Nature(10_000)
    owners = (nature, nature._past, nature._steady, nature._copies, nature._told)
    parts = [part for owner in owners for part in vars(owner).values()]
    assert sum(part.nbytes for part in parts if isinstance(part, np.ndarray)) < 700 * 10_000


# --- parts ------------------------------------------------------------------------------------------


def test_symbols_are_the_same_on_every_machine() -> None:
    assert symbols(np.array([0, 1, 50_000_000, -1])).tolist() == [1, 35, 213, 208]


def test_a_run_is_followed_to_its_beginning() -> None:
    rng = np.random.default_rng(17)
    lines = rng.integers(1, 256, (HISTORY, 2)).astype(np.uint8)
    lines[-40:, 0] = lines[-60:-20, 1]
    past, runs = Past(2), []
    for now in lines:
        found = past.push(now)
        runs += list(zip(*(part.tolist() for part in found), strict=True))
    row, source, lag, length, _ = runs[-1]
    assert (row, source, lag) == (0, 1, 20)
    assert GRAM < length <= 40


def test_surprise_counts_what_could_not_be_foreseen() -> None:
    rng = np.random.default_rng(18)
    fine = rng.integers(1, 256, HISTORY).astype(np.uint8)
    other = rng.integers(1, 256, HISTORY).astype(np.uint8)
    other[-30:] = fine[-40:-10]
    assert surprise(other, fine, 10, 30) > 30 * 5.5
    still = np.full(HISTORY, 7, np.uint8)
    assert surprise(still, still, 10, 90) < 2
    timetable = np.tile(np.repeat(np.array([9, 5], np.uint8), 30), 7)
    assert surprise(timetable, None, 60, 90) < ENOUGH_BITS / 2
    assert surprise(timetable, timetable, 60, 90) < ENOUGH_BITS / 2


def test_a_loop_surprises_in_every_turn() -> None:
    line = np.random.default_rng(19).integers(1, 256, HISTORY).astype(np.uint8)
    line[-160:] = np.tile(line[-160:-120], 4)
    assert surprise(line, None, 40, 96) > 96 * 5


def test_a_ramp_is_no_more_surprising_than_the_noise_before_it() -> None:
    rng = np.random.default_rng(20)
    ramp = np.arange(100, 140, dtype=np.uint8)
    mine, theirs = (rng.integers(1, 4, HISTORY).astype(np.uint8) for _ in range(2))
    mine[-40:], theirs[-60:-20] = ramp, ramp
    assert surprise(mine, theirs, 20, 40) < 40 * np.log2(3)


def test_what_stands_still_is_not_followed() -> None:
    past = Past(50)
    assert not any(len(past.push(np.arange(1, 51, dtype=np.uint8)).rows) for _ in range(100))


def test_bad_ticks_are_refused() -> None:
    nature, none = Nature(2), np.zeros(2, np.int64)
    here = np.ones(2, bool)
    with pytest.raises(InputError, match="2 miners"):
        nature.push(0, here, np.zeros(3), none, none)
    with pytest.raises(InputError, match="row 1"):
        nature.push(0, here, np.array([1.0, np.nan]), none, none)
    with pytest.raises(InputError, match="rows 0 to 1"):
        nature.arrange([2])
    state = nature.state()
    state["past"][0] = "00"
    with pytest.raises(InputError, match="another version"):
        Nature.restore(state)
