"""Desired against actual: no write without a difference, never more than the entitlement."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from enforcer.reconcile import Seen, Step, Wish, described, entitled, least, lowered, steps
from mint.containers.model import MAX_PERIOD_US, MIN_QUOTA_US, Quota

quotas = st.builds(
    Quota,
    quota_us=st.none() | st.integers(1_000, 100_000),
    period_us=st.sampled_from([50_000, 100_000, 1_000_000]),
    burst_us=st.sampled_from([0, 500]),
)
ppm = st.integers(1_000, 64_000_000)


@given(quotas, st.booleans(), quotas, st.none() | st.booleans())
def test_steps_are_taken_exactly_where_something_differs(
    have: Quota, frozen: bool, want: Quota, freeze: bool | None
) -> None:
    wish, seen = Wish(want, freeze), Seen("m", have, frozen)
    todo = steps(wish, seen)
    assert (Step.QUOTA in todo) == (have != want)
    assert (Step.FREEZE in todo) == (freeze is True and not frozen)
    assert (Step.THAW in todo) == (freeze is False and frozen)
    assert bool(described(wish, seen)) == bool(todo)
    after = Seen("m", want, frozen if freeze is None else freeze)
    assert steps(wish, after) == ()


@given(ppm)
def test_an_entitlement_is_never_exceeded(cpu_ppm: int) -> None:
    quota = entitled(cpu_ppm)
    assert quota.quota_us is not None
    assert quota.quota_us * 1_000_000 <= cpu_ppm * quota.period_us
    assert quota.period_us <= MAX_PERIOD_US


@given(ppm, st.integers(10_000, 900_000), st.integers(0, 40))
def test_a_penalty_is_never_above_entitlement_and_halves_down_to_the_least(
    cpu_ppm: int, share_ppm: int, halvings: int
) -> None:
    quota, next_one = lowered(cpu_ppm, share_ppm, halvings), lowered(cpu_ppm, share_ppm, halvings + 1)
    assert quota.quota_us is not None
    assert next_one.quota_us is not None
    assert MIN_QUOTA_US <= next_one.quota_us <= quota.quota_us
    assert quota.quota_us * 1_000_000 <= max(cpu_ppm, 1_000) * quota.period_us
    assert (next_one == quota) == least(quota)


def test_a_miner_is_let_go_only_under_its_new_quota() -> None:
    seen = Seen("m", Quota(None), frozen=True)
    assert steps(Wish(Quota(5_000), frozen=False), seen) == (Step.QUOTA, Step.THAW)
