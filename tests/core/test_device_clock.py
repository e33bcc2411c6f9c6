"""A device's clock may gain 0.1 % and 2 s on the manager's, and lateness excuses nothing for long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint.device_clock import DILATION_PPM, SETTLE_PERIODS, SLACK_NS, DeviceClock, S
from mint.errors import Reason, Rejected

PERIOD = S
BOOT = b"B" * 16


def run(seconds: int, rate: float, late_s: float = 0.0) -> int | None:
    """The second at which a clock that runs at `rate` is refused; the first samples come `late_s` late at once."""
    clock = None
    for tick in range(seconds):
        device, manager = round(tick * rate * S), round(max(tick, late_s) * S)
        if clock is None:
            clock = DeviceClock.begin(BOOT, device, manager)
            continue
        try:
            clock = clock.check(device, manager, PERIOD)
        except Rejected:
            return tick
    return None


def test_an_honest_clock_is_never_refused() -> None:
    for rate in (1.0, 1.0005, 0.9995, 0.5):
        assert run(4000, rate) is None


@pytest.mark.parametrize("late_s", [5, 59])
def test_samples_that_waited_in_the_agents_ring_are_no_fast_clock(late_s: float) -> None:
    assert run(4000, 1.0, late_s) is None
    assert run(4000, 1.0005, late_s) is None


@pytest.mark.parametrize("rate", [1.01, 1.05, 1.5, 2.0, 10.0])
def test_a_fast_clock_is_refused_soon_after_settling(rate: float) -> None:
    refused = run(4000, rate)
    assert refused is not None
    # What it may gain from the anchor on, 2 s at most behind the newest sample when it settled.
    assert SETTLE_PERIODS < refused <= SETTLE_PERIODS + 2 + 2 * SLACK_NS / S / (rate - 1)


@given(st.lists(st.tuples(st.integers(0, 3 * S), st.integers(0, 3 * S)), max_size=200))
def test_once_settled_no_history_gains_more_than_the_law(steps: list[tuple[int, int]]) -> None:
    clock = DeviceClock(BOOT, 0, 0, 0, settled=True)
    device = manager = 0
    for of_device, of_manager in steps:
        manager += of_manager
        try:
            clock = clock.check(device + of_device, manager, PERIOD)
        except Rejected:
            continue
        device += of_device
        assert device - manager <= device * DILATION_PPM // 1_000_000 + SLACK_NS


def test_a_sample_that_is_refused_leaves_the_clock_as_it_was() -> None:
    clock = DeviceClock(BOOT, 0, 0, 0, settled=True)
    with pytest.raises(Rejected, match=r"gained 9.0 s in 10.0 s") as caught:
        clock.check(10 * S, S, PERIOD)
    assert caught.value.reason is Reason.WRONG_TIME
    assert clock.check(10 * S, 10 * S, PERIOD) == clock
