"""That work evidence is as quick and as seldom wrong as docs/work-evidence.md says: few runs of bench/bench_work.py."""

from __future__ import annotations

import numpy as np
import pytest

from bench.bench_work import OFF, delay, false_rate, main, rule
from mint.work import DESIGNS

LAW = rule(334)


def test_at_most_one_honest_miner_in_a_million_hours_is_accused_at_the_worst_class_rate() -> None:
    rng = np.random.default_rng(1)
    rates = [false_rate(rng, LAW, which, max(OFF), 4000) for which in range(len(DESIGNS))]
    assert sum(one.per_hour + 4 * one.error for one in rates) < 1e-6
    # And not for nothing: the bound is within a factor of ten of what it has to be.
    assert sum(one.per_hour for one in rates) > 1e-7


@pytest.mark.parametrize(("factor", "seconds"), [(1.2, 600), (2.0, 60)])
def test_half_of_the_cheats_are_convicted_in_time_at_the_worst_class_rate(
    factor: float, seconds: int
) -> None:
    assert delay(np.random.default_rng(2), LAW, factor, min(OFF), 200).median <= seconds


def test_a_rate_that_can_be_counted_is_the_rate_that_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bound of 4 nats false accusations are common: the estimate against plain counting."""
    rng = np.random.default_rng(3)
    monkeypatch.setattr("bench.bench_work._told_at_once", lambda law, which: 4_000_000)
    told = false_rate(rng, LAW, 1, 1.02, 20_000)
    step, cost, z, low, count = DESIGNS[1].ln / 1e6, 0.6 * 1.02 * 2.994, np.zeros(500), np.zeros(500), 0
    ticks = 3600
    for _ in range(ticks):
        z += step * rng.poisson(1.02 * 2.994, 500) - cost
        low = np.minimum(low, z)
        accused = z - low >= 4
        count += int(accused.sum())
        low = np.where(accused, z, low)
    assert told.per_hour == pytest.approx(count / 500 * 3600 / ticks, rel=0.1)


def test_it_prints_both_tables(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--runs", "200", "--miners", "10"])
    out = capsys.readouterr().out
    assert "seconds to conviction" in out
    assert "false accusations in a million miner-hours" in out
