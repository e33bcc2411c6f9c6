"""One pass counts what each threshold would have counted by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detectors.judge import REARM
from detectors.ssa.direction import Direction
from mint.errors import InputError
from network.calibrate import alarms as module
from network.calibrate.alarms import Alarms, measure
from network.calibrate.rates import THRESHOLDS
from tests.calibrate.plain import clean, noise

W_VALUES = st.one_of(st.floats(0, 20), st.sampled_from([0.0, 1.0, 5.0, np.nan, 1e300, *THRESHOLDS[:40:7]]))


def one_by_one(W: np.ndarray, known: np.ndarray, h: float, rearm: float) -> np.ndarray:
    """Alarms of each miner by the definition: one begins above h, and none again before W was down to rearm h."""
    alarms, standing = np.zeros(W.shape[1]), np.zeros(W.shape[1], bool)
    for values, here in zip(W, known, strict=True):
        with np.errstate(invalid="ignore"):
            above, calm = here & (values > h), here & (values <= rearm * h)
        alarms += above & ~standing
        standing = (standing | above) & ~calm
    return alarms


@settings(max_examples=60)
@given(
    arrays(np.float64, (12, 3), elements=W_VALUES),
    arrays(np.bool_, (12, 3)),
    st.integers(0, 12),
    st.sampled_from([0.5, 1.0]),
)
def test_every_threshold_at_once_is_each_by_itself(
    W: np.ndarray, known: np.ndarray, taken: int, rearm: float
) -> None:
    alarms, counts, hours = Alarms(3, rearm), np.zeros((3, len(THRESHOLDS))), 0.0
    for number, (values, here) in enumerate(zip(W, known, strict=True)):
        if number == taken:  # what was counted before is not counted again, and what stands goes on
            counts, hours = alarms.take()
        alarms.push(values, here)
    rest, more = alarms.take()
    for index in range(0, len(THRESHOLDS), 31):
        expected = one_by_one(W, known, float(THRESHOLDS[index]), rearm)
        assert (counts + rest)[:, index].tolist() == expected.tolist()
    assert hours + more == pytest.approx(known.sum() / 3600)


def test_the_curve_is_what_the_detector_would_have_alarmed() -> None:
    percent = noise(1, miners=20, ticks=900)
    percent[300:320, 4] = np.nan
    curve = measure(clean(percent), "calibrated", np.random.default_rng(0))
    direction, W = Direction(20), []
    for row in percent:
        direction.push(row, np.isfinite(row))
        W.append(direction.W)
    for h in (0.5, 0.8, 1.2):
        expected = one_by_one(np.array(W), np.isfinite(percent), float(THRESHOLDS[curve.at(h)]), REARM).sum()
        assert expected > 0
        assert curve.alarms[curve.at(h)] == expected
    assert curve.hours == pytest.approx(np.isfinite(percent).sum() / 3600)
    assert curve.life == 0.25


def test_stretches_add_up_and_make_the_dispersion(monkeypatch: pytest.MonkeyPatch) -> None:
    percent = noise(2, miners=30, ticks=900)
    whole = measure(clean(percent), "calibrated", np.random.default_rng(0))
    monkeypatch.setattr(module, "STRETCH", 200)
    parts = measure(clean(percent), "calibrated", np.random.default_rng(0))
    assert parts.alarms.tolist() == whole.alarms.tolist()
    assert parts.hours == pytest.approx(whole.hours)
    # Drawn again and again, stretches give on average what they gave.
    assert parts.resampled[:, 0].mean() == pytest.approx(parts.alarms[0], rel=0.05)
    assert parts.resampled[:, 0].std() > 0


def test_the_paper_alarms_far_more_often_at_any_threshold() -> None:
    percent = noise(3, miners=4, ticks=600)
    ours = measure(clean(percent), "calibrated", np.random.default_rng(0))
    papers = measure(clean(percent), "paper", np.random.default_rng(0))
    for h in (2.0, 4.0):
        assert papers.alarms[papers.at(h)] > 10 * (1 + ours.alarms[ours.at(h)])


def test_telemetry_without_a_value_is_no_telemetry() -> None:
    with pytest.raises(InputError, match="no two readings"):
        measure(clean(np.full((50, 2), np.nan)), "calibrated", np.random.default_rng(0))
