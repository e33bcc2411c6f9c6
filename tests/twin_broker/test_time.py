"""The time that frames say: half a period apart at least, whatever the manager's clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mint.frame_rules import check_step
from mint.messages.frame import Frame
from tests.builders import MS, T0_MS, Net, S
from twin_broker.core import TwinManager

NET = Net(miners=2, devices=1)
NOW = 1000 * S
PERIOD_MS = NET.charter.period_ms
DAY_MS = 86_400_000


def closed(core: TwinManager, after_ms: int, wall_ms: int) -> Frame:
    return NET.message(core.close(NOW + after_ms * MS, wall_ms).data, Frame)


def manager() -> TwinManager:
    return TwinManager(NET.sealed, NET.signer("manager"), NOW)


@given(st.lists(st.tuples(st.integers(500, 5_000), st.integers(-DAY_MS, DAY_MS)), min_size=1, max_size=30))
def test_however_the_clock_leaps_frames_follow_one_another(steps: list[tuple[int, int]]) -> None:
    core, at_ms = manager(), 0
    before = closed(core, 0, T0_MS)
    for elapsed_ms, leap_ms in steps:
        at_ms += elapsed_ms
        frame = closed(core, at_ms, T0_MS + at_ms + leap_ms)
        check_step(before, frame, NET.charter)
        assert frame.time_ms - before.time_ms <= elapsed_ms + PERIOD_MS
        before = frame


def test_a_clock_that_is_right_is_what_frames_say() -> None:
    core = manager()
    said = [closed(core, n * PERIOD_MS, T0_MS + n * PERIOD_MS + n % 7).time_ms for n in range(50)]
    assert said == [T0_MS + n * PERIOD_MS + n % 7 for n in range(50)]


def test_a_clock_that_is_put_forward_is_followed_step_by_step_and_one_put_back_waited_for() -> None:
    core = manager()
    closed(core, 0, T0_MS)
    ahead = [closed(core, n * PERIOD_MS, T0_MS + n * PERIOD_MS + 20_000).time_ms for n in range(1, 40)]
    assert ahead[:3] == [T0_MS + 2 * n * PERIOD_MS for n in (1, 2, 3)]
    assert ahead[-1] == T0_MS + 39 * PERIOD_MS + 20_000
    back = [closed(core, n * PERIOD_MS, T0_MS + n * PERIOD_MS).time_ms for n in range(40, 100)]
    assert back[0] == ahead[-1] + PERIOD_MS // 2
    assert back[-1] == T0_MS + 99 * PERIOD_MS


def test_a_manager_that_starts_goes_by_its_clock_at_once() -> None:
    core = manager()
    first = core.close(NOW, T0_MS)
    core.resume(NET.message(first.data, Frame), first.hash, {})
    assert closed(core, 10, T0_MS + DAY_MS).time_ms == T0_MS + DAY_MS
