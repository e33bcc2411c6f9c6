"""The bench that holds calibration to its promise says both outcomes."""

from __future__ import annotations

from dataclasses import replace

from bench.bench_calibration import half, row


def test_a_promise_that_is_kept_and_one_that_is_broken() -> None:
    first, second = (half("independent", 0.05, hours=2, seed=seed, preset="calibrated") for seed in (1, 2))
    assert first.hours == second.hours == 2
    assert first.alarms.tolist() != second.alarms.tolist()
    assert " kept " in row(first, second, rate=4.0)
    louder = replace(second, alarms=second.alarms * 20 + 50)
    assert " BROKEN " in row(first, louder, rate=4.0)
