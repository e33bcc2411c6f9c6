"""The enforcer's rules, on a device that is simulated; laws first, then one test a rule."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.core import PATIENCE_PERIODS, QUIET_PERIODS, STUCK_PERIODS, Core
from enforcer.state import MAX_CASES, MAX_KNOWN
from mint.charter.model import Pardon, Rung
from mint.containers.model import Quota
from tests.enforcer.device import (
    FAIR,
    KEYS,
    LONG,
    LOW,
    MINER,
    Device,
    convicted,
    device,
    doubled,
    offend,
    proven_with,
)
from tests.enforcer.offences import CPU_PPM, ELSEWHERE, ENFORCER, LADDER, PERIOD_NS, proven

ENTITLED_NS = CPU_PPM * PERIOD_NS // 1_000_000


# --- laws -------------------------------------------------------------------------------------------------------

events = st.lists(
    st.one_of(
        st.tuples(st.just("periods"), st.integers(1, 12)),
        st.tuples(st.just("offend"), st.integers(1, 6)),
        st.tuples(st.just("again"), st.just(0)),
        st.tuples(st.just("raise"), st.sampled_from([10_000, 40_000, -1])),
        st.tuples(st.just("refill"), st.sampled_from([1, 3, 20])),
        st.tuples(st.just("crash"), st.integers(0, 6)),
        st.tuples(st.just("remake"), st.just(0)),
        st.tuples(st.just("boot"), st.just(0)),
        st.tuples(st.just("thaw"), st.just(0)),
    ),
    max_size=14,
)


@given(events)
def test_whatever_happens_the_penalty_is_kept_and_ends_and_the_miner_has_its_entitlement_again(
    history: list[tuple[str, int]],
) -> None:
    at, offences = device(), itertools.count(1)
    for what, value in history:
        match what:
            case "periods":
                for _ in range(value):
                    at.period()
                    under_penalty(at)
            case "offend":
                at.judge(offend(at, value, offence=next(offences)))
                under_penalty(at)
            case "again":
                for known in list(at.retained.values()):
                    at.judge(known)
            case "raise":
                at.quota = Quota(None if value < 0 else value)
            case "refill":
                at.refill = value
            case "crash":
                at.crash_in = value
            case "remake":
                at.remake()
            case "boot":
                at.boot_again()
            case "thaw":
                at.frozen = False
    at.refill, open_still = 1, at.core.open
    at.period()
    cases = at.core.states[MINER].cases if open_still else ()
    # What was taken is given back at half the entitlement a period or faster.
    longest = LONG + max(
        (3 * case.books.excess_ns // ENTITLED_NS for case in cases if not case.books.balanced), default=0
    )
    for _ in range(longest):
        at.period()
        under_penalty(at)
        if not at.core.open:
            break
    assert not at.core.open
    numbers = [receipt.number for receipt in at.disk.receipts]
    assert numbers == sorted(set(numbers))
    assert at.core.states[MINER].settled == len(at.retained)
    for offence in at.retained:
        assert [r.action for r in at.disk.receipts if r.offence == offence].count("restore") == 1
    if open_still:
        assert (at.quota, at.frozen) == (FAIR, False)


def under_penalty(at: Device) -> None:
    """What must hold after every look."""
    state = at.core.states.get(MINER)
    if state is not None and state.cases and state.imposed:
        assert at.quota.quota_us is not None
        assert at.quota.quota_us * FAIR.period_us < (FAIR.quota_us or 0) * at.quota.period_us
        assert at.frozen == state.paused
    before = at.writes
    plan = at.reconcile()
    assert plan is None or at.writes == before, "a second look at the same thing writes nothing"


@given(st.integers(0, 12), st.integers(0, 30))
def test_a_crash_anywhere_changes_nothing_in_the_end(point: int, period: int) -> None:
    calm, unlucky = convicted(), device()
    unlucky.crash_in = point if period == 0 else None
    unlucky.judge(offend(unlucky))
    for n in range(1, 60):
        calm.period()
        if n == period:
            unlucky.crash_in = point
        unlucky.period()
    assert unlucky.quota == calm.quota == FAIR
    assert unlucky.core.states[MINER] == calm.core.states[MINER]
    # At most a period more at the low quota, which the restart took.
    assert 0 <= calm.usage_ns - unlucky.usage_ns <= ENTITLED_NS


@given(st.permutations([1, 2, 3, 5]), st.lists(st.sampled_from([1, 2, 3, 5]), max_size=4))
def test_order_and_number_of_certificates_do_not_matter(order: list[int], repeated: list[int]) -> None:
    offences = {n: proven(KEYS.sealed, (n, 0), (n + 9, 10**6), offence=n, frame=n) for n in (1, 2, 3, 5)}
    core = Core(ENFORCER, KEYS.sealed.charter, 0)
    for number in [*order, *repeated]:
        core.accept(bytes([number]) * 32, offences[number], 0)
    straight = Core(ENFORCER, KEYS.sealed.charter, 0)
    for number, offence in offences.items():
        straight.accept(bytes([number]) * 32, offence, 0)
    assert core.states == straight.states
    assert (core.states[MINER].settled, core.states[MINER].known) == (3, (5,))


# --- rules ------------------------------------------------------------------------------------------------------


def test_under_a_verdict_the_quota_is_low_at_once_and_entitlement_again_when_the_books_balance() -> None:
    at = convicted()
    assert at.quota == LOW
    periods = 0
    while at.core.open and periods < LONG:
        assert at.quota == LOW
        at.period()
        periods += 1
    assert at.quota == FAIR
    assert periods == 8  # 4 periods doubled, given back at half
    assert at.actions() == ["correct", "restore"]
    assert at.writes == 2


def test_the_quota_stays_low_until_the_frame_too() -> None:
    at = device(ladder=(Rung(500_000, 20),))
    offence = offend(at)
    at.judge(proven_with(offence, until=20))
    for _ in range(19):
        at.period()
        assert at.quota == LOW
    at.period()
    assert at.quota == FAIR


def test_when_frames_stop_our_own_clock_counts_them() -> None:
    at = device()
    at.frame = 5
    at.judge(proven_with(offend(at), until=35))
    for _ in range(29):
        at.use()
        at.reconcile()
        assert at.quota == LOW
    at.use()
    at.reconcile()
    assert at.quota == FAIR
    assert PATIENCE_PERIODS < 30, "so that it was the clock"


def test_drift_without_a_verdict_is_told_once_and_left() -> None:
    at = device()
    at.quota = doubled()
    for _ in range(3 * QUIET_PERIODS):
        at.period()
    assert at.quota == doubled()
    assert at.actions() == ["drift"]
    drift = at.disk.receipts[0]
    assert (drift.verdict, drift.quota_before_ppm, drift.quota_after_ppm) == (b"", 2 * CPU_PPM, 2 * CPU_PPM)
    at.restart()
    at.period()
    assert at.actions() == ["drift"], "what was told before a restart is not told again"


def test_a_missing_quota_is_drift() -> None:
    at = device()
    at.quota = Quota(None)
    at.period()
    assert at.disk.receipts[0].quota_before_ppm == -1


def test_who_flips_a_quota_to_and_fro_does_not_fill_the_log() -> None:
    at = device()
    for n in range(10 * QUIET_PERIODS):
        at.quota = Quota(6_000 + n)
        at.period()
    assert len(at.disk.receipts) == 10


def test_always_reconcile_corrects_drift_without_a_verdict() -> None:
    at = device(always_reconcile=True)
    at.quota = Quota(None)
    at.period()
    assert at.quota == FAIR
    assert [(r.action, r.verdict) for r in at.disk.receipts] == [("correct", b"")]


def test_always_reconcile_keeps_hands_off_where_the_mode_is_observe() -> None:
    at = device(always_reconcile=True, mode="observe")
    at.quota = doubled()
    at.period()
    assert at.quota == doubled()
    assert at.actions() == ["drift"]


def test_use_that_does_not_fall_halves_the_quota_then_pauses_until_the_books_balance() -> None:
    at = device()
    at.refill = 20
    at.judge(offend(at))
    quotas = []
    for _ in range(3 * STUCK_PERIODS):
        assert not at.frozen
        quotas.append(at.quota.quota_us)
        at.period()
    assert quotas == [2_500] * STUCK_PERIODS + [1_250] * STUCK_PERIODS + [1_000] * STUCK_PERIODS
    at.refill = 1
    for _ in range(4 * LONG):
        assert at.frozen
        at.period()
        if not at.core.open:
            break
    assert not at.frozen
    assert at.quota == FAIR
    assert at.actions() == ["correct", "lower", "lower", "pause", "resume", "restore"]


def test_who_raises_the_quota_between_looks_is_lowered_too() -> None:
    at = convicted()
    for _ in range(20 * STUCK_PERIODS):
        at.quota = doubled()
        at.period()
        if at.frozen:
            break
    assert at.frozen
    assert "pause" in at.actions()


def test_a_paused_miner_that_was_let_go_is_paused_again() -> None:
    at = device()
    at.refill = 20
    at.judge(offend(at))
    for _ in range(3 * STUCK_PERIODS):
        at.period()
    assert at.frozen
    at.frozen = False
    at.period()
    assert at.frozen


def test_a_second_offence_takes_the_higher_rung_and_both_books_must_balance() -> None:
    at = convicted()
    at.period()
    at.judge(offend(at, 2, offence=2))
    assert at.quota == Quota(1_250)
    for _ in range(LONG):
        at.period()
    assert not at.core.open
    assert [(r.action, r.offence) for r in at.disk.receipts] == [
        ("correct", 1),
        ("correct", 2),
        ("restore", 1),
        ("restore", 2),
    ]


def test_verdicts_on_miners_of_other_devices_are_not_ours() -> None:
    at = device()
    offence = proven(KEYS.sealed, (0, 0), (1, 10**6), miner=ELSEWHERE)
    assert not at.core.accept(bytes(32), offence, at.mono_ns)
    assert at.core.states == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "observe"}, "mode observe"),
        ({"holds": (MINER,)}, "a hold stands against it"),
        ({"pardons": (Pardon(MINER, 1),)}, "pardoned by the charter"),
    ],
)
def test_what_the_charter_withholds_is_told_once_and_not_done(
    changes: dict[str, object], reason: str
) -> None:
    at = convicted(**changes)
    for _ in range(5):
        at.period()
    assert at.quota == doubled()
    withheld = [r for r in at.disk.receipts if r.action == "withheld"]
    assert [(r.offence, r.reason) for r in withheld] == [(1, reason)]
    assert set(at.actions()) <= {"withheld", "drift"}


def test_a_pardon_of_another_offence_changes_nothing() -> None:
    assert convicted(pardons=(Pardon(MINER, 2),)).quota == LOW


@pytest.mark.parametrize(
    "changes", [{"mode": "observe"}, {"holds": (MINER,)}, {"pardons": (Pardon(MINER, 1),)}]
)
def test_a_penalty_that_the_charter_stops_is_undone(changes: dict[str, object]) -> None:
    at = convicted()
    at.period()
    at.charter = KEYS.charter(**changes).charter
    at.core.take_charter(at.charter)
    at.period()
    assert at.quota == FAIR
    assert at.actions() == ["correct", "restore"]
    at.quota = doubled()
    at.period()
    assert at.quota == doubled(), "hands off"


def test_a_hold_that_is_lifted_while_the_books_are_open_lets_the_penalty_go_on() -> None:
    at = convicted(holds=(MINER,))
    at.period()
    at.charter = KEYS.sealed.charter
    at.core.take_charter(at.charter)
    at.period()
    assert at.quota == LOW
    assert at.actions()[-1] == "correct"


def test_what_is_remembered_of_a_miner_is_bounded_and_old_offences_never_come_back() -> None:
    core = Core(ENFORCER, KEYS.sealed.charter, 0)
    last = 6 * MAX_KNOWN
    for offence in range(2, last + 1, 2):  # every other one never comes
        core.accept(bytes(32), proven(KEYS.sealed, (0, 0), (9, 10**6), offence=offence), 0)
    state = core.states[MINER]
    assert len(state.known) == MAX_KNOWN
    assert len(state.cases) == MAX_CASES
    assert state.cases[-1].share_ppm == LADDER[-1].quota_share_ppm
    assert all(core.knows(MINER, offence) for offence in (1, 2, last - 2 * MAX_KNOWN, last))
    assert not core.knows(MINER, last - 1)
    assert not core.knows(MINER, last + 1)
