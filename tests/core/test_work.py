"""The law of work: what two counts prove, and that its constants are what its theory says."""

from __future__ import annotations

from math import e, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint.work import DESIGNS, HOURLY, NS_PER_S, PPM, TOLERANCE_PPM, Count, WorkRule

HASHES = 2_000_000
RULE = WorkRule(HASHES, HASHES * 50_000 * 334 // 10**9, 50_000)
# False proofs in a miner-hour that each design may give.
FALSE = (0.8e-6, 0.2e-6)


def llr(rule: WorkRule, shares: int, used_ns: int) -> list[float]:
    """The log-likelihood ratios, as the docstring writes them."""
    rate = 1.02 * rule.hashes / rule.share_work
    return [
        log(1 + one.gain / PPM) * shares - one.gain / PPM * rate * (used_ns / NS_PER_S) for one in DESIGNS
    ]


@pytest.mark.parametrize(("design", "false"), [*zip(DESIGNS, FALSE, strict=True)])
def test_each_bound_is_that_of_its_false_rate(design: tuple[int, int, int], false: float) -> None:
    gain, ln, bound = design
    r = 1 + gain / PPM
    assert ln == int(log(r) * PPM)
    assert 0 <= bound / PPM - log(e * (r - 1 - log(r)) * HOURLY / false) < 0.01


def test_all_that_may_be_proven_falsely_is_one_in_a_million_hours() -> None:
    assert sum(FALSE) == pytest.approx(1e-6)


def test_the_default_pace_of_shares_needs_no_higher_bound() -> None:
    """One in 334 ms: 11,000 an hour, tolerance included."""
    slack = [cost * RULE.cpu_ppm // PPM for cost in RULE.costs]
    for bound, design, more in zip(RULE.bounds, DESIGNS, slack, strict=True):
        assert bound == pytest.approx(design.bound + more, abs=1)


@given(st.integers(50, 333))
def test_more_shares_an_hour_need_a_bound_that_keeps_the_false_rate(interval_ms: int) -> None:
    rule = WorkRule(10**9, 10**9 * 50_000 * interval_ms // 10**9, 50_000)
    hourly = 1.02 * 3_600_000 / interval_ms
    for design, cost, bound, false in zip(DESIGNS, rule.costs, rule.bounds, FALSE, strict=True):
        r = 1 + design.gain / PPM
        without_slack = bound - cost * rule.cpu_ppm / PPM
        assert without_slack / PPM >= log(e * (r - 1 - log(r)) * hourly / false)


@given(st.integers(0, 10**6), st.integers(0, 10**15), st.integers(0, 10**6), st.integers(0, 10**15))
def test_two_counts_prove_what_the_likelihood_ratio_says(
    shares: int, used_ns: int, before: int, usage_ns: int
) -> None:
    first, last = Count(usage_ns, before), Count(usage_ns + used_ns, before + shares)
    ratios = llr(RULE, shares, used_ns)
    # Rounding is in favour of the accused: a micro-nat a share.
    margin = (shares + 4) / PPM + 1e-9 * sum(map(abs, ratios))
    bounds = [bound / PPM for bound in RULE.bounds]
    if any(ratio >= bound + margin for ratio, bound in zip(ratios, bounds, strict=True)):
        assert RULE.proves(first, last)
    if all(ratio < bound - margin for ratio, bound in zip(ratios, bounds, strict=True)):
        assert not RULE.proves(first, last)


def test_counters_that_run_backwards_prove_nothing() -> None:
    assert not RULE.proves(Count(NS_PER_S, 0), Count(0, 10**6))
    assert not RULE.proves(Count(0, 10**6), Count(0, 0))


def test_what_was_taken_is_the_cpu_time_of_the_shares_less_what_was_reported() -> None:
    reported_ns = 5 * NS_PER_S
    shares = 2 * reported_ns * HASHES // RULE.share_work // NS_PER_S
    excess = RULE.excess_ns(Count(0, 0), Count(reported_ns, shares))
    a_share_ns = RULE.share_work * NS_PER_S // HASHES
    taken_ns = 2 * reported_ns / (1 + TOLERANCE_PPM / PPM) - reported_ns
    assert excess == pytest.approx(taken_ns, abs=a_share_ns)
    assert RULE.excess_ns(Count(0, 0), Count(reported_ns, 10)) == 0
