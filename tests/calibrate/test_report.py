"""What is said of several kinds of telemetry that alarm unlike one another."""

from __future__ import annotations

import json

import numpy as np

from network.calibrate import plot, report
from network.calibrate.rates import THRESHOLDS, Curve
from network.calibrate.report import Calibration


def kind(name: str, first: float, hours: float, life: float = 24.0) -> Curve:
    alarms = np.floor(first * np.exp(-(THRESHOLDS - 1) / 0.5))
    resampled = np.random.default_rng(1).poisson(alarms, (40, len(alarms))).astype(np.float64)
    return Curve(name, hours, life, alarms, np.ones_like(alarms), resampled)


LOUD, QUIET = kind("loud", 1e6, 10_000), kind("quiet", 1e3, 40_000)


def test_a_kind_above_the_rate_is_named_and_the_threshold_is_for_all_together() -> None:
    found = Calibration.of("calibrated", 0.001, 1, [LOUD, QUIET])
    assert found.choice is not None
    assert found.all.high[found.all.at(found.choice.threshold)] <= 0.001
    assert [curve.name for curve in found.above] == ["loud"]
    said = report.text(found)
    assert "loud alarms more often than that" in said
    assert "quiet alarms more often" not in said
    kinds = json.loads(report.data(found, None))["telemetry"]
    assert kinds[1]["threshold"] < found.choice.threshold < kinds[0]["threshold"]
    assert kinds[1]["seen_at_chosen"]["high"] < 0.001 < kinds[0]["seen_at_chosen"]["low"]


def test_a_short_life_is_named_where_w_learns_and_gives_no_threshold_alone() -> None:
    short = kind("short", 1e3, 40_000, life=0.5)
    assert "short ends after 0.5 hours" in report.text(Calibration.of("calibrated", 0.001, 1, [short, QUIET]))
    assert "ends after" not in report.text(Calibration.of("paper", 0.001, 1, [short, QUIET]))
    assert "ends after" not in report.text(Calibration.of("calibrated", 0.001, 1, [QUIET]))
    alone = Calibration.of("calibrated", 0.001, 1, [short])
    assert alone.choice is None
    assert "Record for longer" in report.text(alone)
    assert Calibration.of("paper", 0.001, 1, [short]).choice is not None


def test_w_without_bound_is_no_clean_telemetry() -> None:
    often = np.full(len(THRESHOLDS), 500.0)
    wild = Curve("wild", 1e5, 24.0, often, often, LOUD.resampled)
    found = Calibration.of("calibrated", 0.001, 1, [wild])
    assert found.choice is None
    assert "500 times: is this telemetry clean?" in report.text(found)
    assert plot.png(found).startswith(b"\x89PNG")


def test_the_table_has_every_threshold_up_to_the_first_that_nothing_crossed() -> None:
    rows = report.csv(Calibration.of("calibrated", 0.001, 1, [LOUD, QUIET])).splitlines()
    for curve in (LOUD, QUIET):
        own = [row.split(",") for row in rows if row.startswith(f'"{curve.name}"')]
        assert len(own) == np.count_nonzero(curve.alarms) + 1
        assert [int(row[3]) for row in own] == curve.alarms[: len(own)].astype(int).tolist()
