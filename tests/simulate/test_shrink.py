"""Shrinking: what comes out violates, is no larger, and cannot be made smaller by leaving one fault out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from network.simulate.faults import Fault, Plan, Size
from network.simulate.shrink import shrink

SIZE = Size(8, 2, 4)
FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["loss", "delay", "crash"]),
    at_ms=st.integers(0, 600_000),
    for_ms=st.integers(0, 100_000),
    who=st.lists(st.sampled_from(SIZE.nodes), min_size=1, max_size=4, unique=True).map(tuple),
    amount=st.integers(0, 1_000),
)
PLANS = st.lists(FAULTS, max_size=24, unique_by=lambda fault: fault.at_ms).map(
    lambda faults: Plan("mixed", 1, 600_000, 300_000, SIZE, tuple(faults))
)


@given(PLANS, st.data())
def test_it_finds_the_faults_that_are_needed_and_no_others(plan: Plan, draw: st.DataObject) -> None:
    needed = frozenset(draw.draw(st.lists(st.sampled_from(plan.faults), max_size=3)) if plan.faults else ())

    def violates(candidate: Plan) -> bool:
        return {fault.at_ms for fault in needed} <= {fault.at_ms for fault in candidate.faults}

    small = shrink(plan, violates, max_runs=10_000)
    assert {fault.at_ms for fault in small.faults} == {fault.at_ms for fault in needed}
    assert all(fault.for_ms <= 1 and abs(fault.amount) <= 1 and len(fault.who) == 1 for fault in small.faults)


@given(PLANS, st.integers(0, 30), st.randoms(use_true_random=False))
def test_it_keeps_to_its_runs_and_returns_only_what_was_seen_to_violate(
    plan: Plan, runs: int, rng: object
) -> None:
    seen = [plan]
    tried = 0

    def violates(candidate: Plan) -> bool:
        nonlocal tried
        tried += 1
        if hash(candidate) % 3:
            seen.append(candidate)
            return True
        return False

    assert shrink(plan, violates, max_runs=runs) == seen[-1]
    assert tried <= runs


@given(PLANS)
def test_what_violates_without_any_fault_is_shrunk_to_none(plan: Plan) -> None:
    tries = []

    def violates(candidate: Plan) -> bool:
        tries.append(candidate)
        return True

    assert shrink(plan, violates).faults == ()
    assert len(tries) <= 1


@given(PLANS.filter(lambda plan: bool(plan.faults)))
def test_amounts_shrink_to_the_least_that_is_needed(plan: Plan) -> None:
    least = plan.faults[0].amount // 3
    at = plan.faults[0].at_ms

    def violates(candidate: Plan) -> bool:
        return any(fault.at_ms == at and fault.amount >= least for fault in candidate.faults)

    (small,) = shrink(plan, violates, max_runs=10_000).faults
    assert least <= small.amount <= max(2 * least + 1, 1)
