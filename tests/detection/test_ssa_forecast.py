"""The next value by SSA's recurrence: exact for every series of small enough rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.ssa.forecast import forecast
from mint.errors import InputError

T = np.arange(31.0)


def wave(amplitude: float, frequency: float, growth: float) -> np.ndarray:
    """An exponentially growing or fading sinusoid, of rank 2."""
    return amplitude * growth**T * np.cos(frequency * T + amplitude)


def test_each_kind_of_signal_goes_on_as_it_is() -> None:
    x = np.stack(
        [
            100 * 1.02**T,
            wave(5, 0.7, 1),
            3 * 0.9**T + 2 * np.sin(T),
            100 + 4 * np.sin(0.5 * T),
            100 + 0.1 * T,
            7 + T**2,
        ]
    )
    for signal, rank in zip(x, (1, 2, 3, 3, 2, 3), strict=True):
        for l in range(rank, 8):  # noqa: E741 - more than its rank are not there, and do no harm
            assert forecast(signal[None, :-1], 12, l)[0] == pytest.approx(signal[-1], rel=1e-8)


WAVES = st.tuples(st.floats(1, 100), st.floats(0.3, 2.8), st.floats(0.95, 1.05))


@given(st.floats(-1e3, 1e3), WAVES, WAVES, st.integers(5, 11), st.sampled_from([1e-9, 1.0, 1e9]))
def test_exact_for_any_series_of_rank_at_most_l(
    level: float,
    one: tuple[float, float, float],
    other: tuple[float, float, float],
    l: int,  # noqa: E741 - the paper's symbol
    size: float,
) -> None:
    """A level and two waves: rank 5 at most, less where they coincide."""
    x = size * (level + wave(*one) + wave(*other))
    ahead = forecast(x[None, :-1], 12, l)
    # Waves that hardly differ make a recurrence that magnifies rounding; six digits are left of the worst.
    assert ahead[0] == pytest.approx(x[-1], abs=1e-6 * np.abs(x).max())


@pytest.mark.parametrize("level", [0.0, 100.0, -1 / 3, 1e-300])
def test_constant_series_go_on(level: float) -> None:
    assert forecast(np.full((1, 24), level), 12, 4)[0] == pytest.approx(level, rel=1e-13)


@pytest.mark.parametrize("l", [1, 4, 11])
def test_what_was_over_long_ago_stays_over(l: int) -> None:  # noqa: E741 - the paper's symbol
    """Rank 1: with l of 11 ten eigentriples are not there, and must not stand in the way."""
    assert forecast(np.eye(1, 24), 12, l)[0] == 0


def test_a_miners_forecast_is_its_own() -> None:
    x = np.random.default_rng(1).normal(100, 4, (9, 30))
    together = forecast(x, 12, 4)
    np.testing.assert_allclose([forecast(row[None], 12, 4)[0] for row in x], together, rtol=1e-12)
    assert np.abs(together - 100).max() < 30


def test_a_free_coordinate_is_undefined() -> None:
    x = np.zeros((1, 12))
    x[0, -1] = 1.0
    assert np.isnan(forecast(x, 12, 1)).all()
    with pytest.raises(InputError, match="L <= T"):
        forecast(x, 13, 1)
