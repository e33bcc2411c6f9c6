"""Scripts, the telemetry simulated from them, and the excess that vectors are made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.ssa.parameters import PAPER
from mint.budget import Reading
from mint.budget import excess as law_excess
from network.reproduce.colluders import GAINS, SCRIPT, STARTS
from network.reproduce.measures import W, excess, use
from network.reproduce.script import MINERS, Change, Script
from network.reproduce.simulated import ENTITLED_PPM, simulated
from network.trace import Counters, Trace


def test_a_script_says_what_each_may_use_in_each_second() -> None:
    script = Script("x", 5, (Change(1, 0, 150), Change(3, 0, 100), Change(3, 2, 200)))
    percent = script.percent()
    assert percent[:, 0].tolist() == [100, 150, 150, 100, 100]
    assert percent[:, 2].tolist() == [100, 100, 100, 200, 200]
    assert (np.delete(percent, [0, 2], axis=1) == 100).all()


def test_the_gains_of_figure_6_do_not_overlap_and_begin_when_w_has_settled() -> None:
    percent = SCRIPT.percent()
    for gain, start in zip(GAINS, STARTS, strict=True):
        assert (percent[start : start + 60, :2] == 100 + gain).all()
        assert (percent[start - 60 : start] == 100).all()
        assert start >= 480
    assert (percent[:, 2:] == 100).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    changes=st.lists(
        st.builds(Change, st.integers(0, 59), st.integers(0, MINERS - 1), st.integers(50, 300)), max_size=4
    ),
)
def test_counters_grow_by_what_the_script_grants(seed: int, changes: list[Change]) -> None:
    script = Script("x", 60, tuple(sorted(changes, key=lambda change: change.t_s)))
    trace = simulated(script, np.random.default_rng(seed))
    counters, percent = trace.counters, script.percent()
    assert counters is not None
    assert (np.diff(counters.usage_ns, axis=0) >= 0).all()
    assert (counters.after_ns[:-1] <= counters.before_ns[1:]).all()
    used = np.diff(counters.usage_ns, axis=0)
    granted = percent * (ENTITLED_PPM * 10)  # ns a second
    # A reading sees at most a period's quota more or less, and the kernel's overrun of two clock ticks.
    slack = 2 * granted / 10 + 2 * 8_000_000
    assert (np.abs(used - granted) < slack).all()


def test_the_noise_is_that_of_real_containers_at_005_cpu() -> None:
    trace = simulated(Script("x", 600, ()), np.random.default_rng(1))
    percent = use(trace)
    assert percent.shape == (600, MINERS)
    assert percent.mean() == pytest.approx(100, abs=0.2)
    assert 2.5 < percent.std() < 5
    beyond = percent - 100
    assert np.mean(beyond[1:] * beyond[:-1]) / np.mean(beyond**2) == pytest.approx(-0.5, abs=0.1)


@given(
    numbers=st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**12)),
        min_size=3,
        max_size=8,
    ),
    ppm=st.integers(1_000, 4_000_000),
)
def test_the_excess_is_the_budget_laws(numbers: list[tuple[int, int, int]], ppm: int) -> None:
    before = np.array([second * 10**9 + a for second, (a, _, _) in enumerate(numbers)])
    after = before + np.array([width for _, width, _ in numbers])
    usage = np.cumsum([used for _, _, used in numbers])
    usage_ns, before_ns, after_ns = (values.reshape(-1, 1) for values in (usage, before, after))
    nothing = np.zeros_like(usage_ns)
    counters = Counters(
        usage_ns=usage_ns,
        before_ns=before_ns,
        after_ns=after_ns,
        entitled_ppm=np.full_like(usage_ns, ppm),
        steal_ns=nothing,
        epoch=nothing,
        boot=nothing,
    )
    trace = Trace(("m01",), np.arange(len(numbers)), np.ones_like(nothing, bool), counters, None)
    readings = [Reading(*(int(x) for x in row)) for row in zip(before, after, usage, strict=True)]
    last = len(numbers) - 1
    expected = [law_excess(readings[1], reading, ppm) // (ppm * 1000) for reading in readings[2:]]
    assert excess(trace, 1, last)[:, 0].tolist() == expected


def test_w_comes_with_the_sample_that_fills_the_window_and_bridges_a_missing_one() -> None:
    series = np.random.default_rng(3).normal(100, 4, (60, 2))
    series[50, 1] = np.nan
    score = W(series)
    assert np.isnan(score[: PAPER.span - 1]).all()
    assert not np.isnan(score[PAPER.span - 1 :]).any()
