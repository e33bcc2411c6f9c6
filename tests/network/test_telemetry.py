"""Simulated telemetry: the laws that real counters obey hold for it too."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.telemetry import (
    BLOCK,
    CLOCK_TICK,
    LUMP_MAX,
    PERIOD,
    PERIODS,
    PPM,
    RHO,
    STEAL_UNIT,
    Counters,
    Floats,
    Ints,
    Kind,
    Phase,
    percentages,
    simulate,
    stream,
)

TICKS = 2 * BLOCK + 17  # blocks have to join
PHASES = st.sampled_from(["random", "drifting"])
SHARES = st.integers(PPM // 100, PPM)


def rng(seed: int = 2021) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def counters(
    entitled_ppm: int = 50_000,
    seed: int = 2021,
    *,
    contended: bool = False,
    phase: Phase = "random",
    ticks: int = TICKS,
) -> Counters:
    return simulate(
        rng(seed), miners=20, ticks=ticks, entitled_ppm=entitled_ppm, contended=contended, phase=phase
    )


def highest_excess(usage: Ints, quota: int) -> Ints:
    """The largest of use less grants over all windows, each miner's."""
    beyond = usage - np.arange(len(usage))[:, None] * (PERIODS * quota)
    worst: Ints = (beyond - np.minimum.accumulate(beyond, axis=0)).max(axis=0)
    return worst


def autocorrelation(values: Floats) -> float:
    deviations = values - values.mean(axis=0)
    return float((deviations[1:] * deviations[:-1]).mean() / (deviations**2).mean())


@settings(max_examples=40, deadline=None)
@given(SHARES, PHASES, st.booleans(), st.integers(0, 2**32))
def test_time_and_counters_never_run_backwards(ppm: int, phase: Phase, contended: bool, seed: int) -> None:
    seen = counters(ppm, seed, contended=contended, phase=phase)
    assert (seen.before <= seen.after).all()
    assert (seen.after[:-1] <= seen.before[1:]).all()
    for column in (seen.usage, seen.steal):
        assert (column >= 0).all()
        assert (np.diff(column, axis=0) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(SHARES, PHASES, st.booleans(), st.integers(0, 2**32))
def test_use_is_never_above_quota_and_what_the_kernel_owns_up_to(
    ppm: int, phase: Phase, contended: bool, seed: int
) -> None:
    seen = counters(ppm, seed, contended=contended, phase=phase)
    quota = ppm * PERIOD // PPM
    slack = quota + 2 * CLOCK_TICK
    told = seen.steal if contended else np.zeros_like(seen.steal)
    assert (highest_excess(seen.usage - told, quota) <= slack + STEAL_UNIT).all()
    assert (highest_excess(seen.usage, quota) <= slack + contended * LUMP_MAX).all()


@pytest.mark.parametrize("phase", ["random", "drifting"])
@pytest.mark.parametrize("ppm", [20_000, 50_000, 300_000])
def test_what_one_second_used_too_much_the_next_ones_lack(ppm: int, phase: Phase) -> None:
    percent = counters(ppm, phase=phase, ticks=1800).percent(ppm)
    assert percent.mean() == pytest.approx(100, abs=0.2)
    assert -0.55 < autocorrelation(percent) < -0.4


def test_overruns_are_as_large_as_recorded_whatever_the_quota() -> None:
    for ppm in (50_000, 100_000, 200_000):
        seen = counters(ppm, phase="drifting", ticks=600)
        excess = highest_excess(seen.usage, PERIOD * ppm // PPM)
        assert 6_000_000 < np.median(excess) < 9_000_000


def test_a_whole_cpu_is_neither_exceeded_nor_throttled() -> None:
    percent = counters(PPM, contended=False).percent(PPM)
    assert np.allclose(percent, 100)


def test_a_lump_is_charged_at_once_and_collected_by_throttling() -> None:
    percent = counters(50_000, contended=True, ticks=3600).percent(50_000)
    tick, miner = np.unravel_index(percent[:-1].argmax(), percent[:-1].shape)
    assert percent[tick, miner] > 200
    assert percent[tick + 1, miner] < 80


def test_contended_miners_lose_quota_and_quiet_ones_do_not() -> None:
    assert 98 < counters(100_000, contended=True, ticks=1800).percent(100_000).mean() < 99.5


@settings(max_examples=20, deadline=None)
@given(PHASES, st.booleans(), st.integers(1, 2 * BLOCK))
def test_a_seed_has_one_history_and_a_shorter_one_is_its_beginning(
    phase: Phase, contended: bool, ticks: int
) -> None:
    whole = counters(contended=contended, phase=phase, ticks=2 * BLOCK)
    part = counters(contended=contended, phase=phase, ticks=ticks)
    blocks = stream(rng(), miners=20, entitled_ppm=50_000, contended=contended, phase=phase)
    chunks = list(islice(blocks, 2))
    for name in ("before", "after", "usage", "steal"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[:ticks])
        assert np.array_equal(
            np.concatenate([getattr(chunk, name) for chunk in chunks]), getattr(whole, name)
        )


def test_each_miner_may_have_an_entitlement_of_its_own() -> None:
    ppm = np.array([20_000, 50_000, 500_000])
    seen = simulate(rng(), miners=3, ticks=600, entitled_ppm=ppm, contended=False)
    assert seen.percent(ppm).mean(axis=0) == pytest.approx(100, abs=0.5)


def test_what_is_not_told_is_not_there() -> None:
    told = counters(contended=True)
    silent = simulate(
        rng(),
        miners=20,
        ticks=TICKS,
        entitled_ppm=50_000,
        contended=True,
        bracketed=False,
        steal_told=False,
    )
    assert np.array_equal(silent.usage, told.usage)
    assert np.array_equal(silent.after, silent.before)
    assert (told.after - told.before).max() > 10_000_000
    assert told.steal.any()
    assert not silent.steal.any()


def test_a_drifting_phase_stays_and_jumps() -> None:
    seen = counters(phase="drifting", ticks=7200)
    moved = np.abs(np.diff(seen.before % PERIOD, axis=0))
    moved = np.minimum(moved, PERIOD - moved)
    assert np.quantile(moved, 0.99) < PERIOD // 50
    assert moved.max() > PERIOD // 4


@pytest.mark.parametrize("kind", ["independent", "autocorrelated", "heavy-tailed"])
def test_percentages_have_the_mean_deviation_and_memory_they_are_named_for(kind: Kind) -> None:
    values = percentages(rng(), kind, 50, 4000, 5.0)
    assert values.shape == (4000, 50)
    assert values.mean() == pytest.approx(100, abs=0.1)
    assert values.std() == pytest.approx(5, rel=0.05)
    assert autocorrelation(values) == pytest.approx(RHO if kind == "autocorrelated" else 0, abs=0.02)
    beyond = float((np.abs(values - 100) > 20).mean())
    assert (beyond > 1e-3) == (kind == "heavy-tailed")
    assert values[0].std() == pytest.approx(5, rel=0.6)
    assert np.array_equal(values, percentages(rng(), kind, 50, 4000, 5.0))
