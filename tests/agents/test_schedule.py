"""Ticks lie on one grid, and nothing is made up for."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agents.schedule import next_tick

ns = st.integers(0, 2**62)


@given(start=ns, period=st.integers(1, 2**45), now=ns)
def test_the_next_tick_is_the_first_on_the_grid_after_now(start: int, period: int, now: int) -> None:
    tick = next_tick(start, period, now)
    assert (tick - start) % period == 0
    assert tick > now
    assert tick == start or tick - period <= now


@given(start=ns, period=st.integers(1, 2**40), lates=st.lists(st.integers(0, 2**42), max_size=30))
def test_however_late_each_wake_up_is_at_most_one_sample_a_period(
    start: int, period: int, lates: list[int]
) -> None:
    now, ticks = start, []
    for late in lates:
        ticks.append(next_tick(start, period, now))
        now = ticks[-1] + late
    assert all(b - a >= period for a, b in itertools.pairwise(ticks))
