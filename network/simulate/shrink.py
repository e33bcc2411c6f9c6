"""From a plan that violates to the smallest one that still does: faults removed, then made smaller.

Delta debugging (Zeller and Hildebrandt 2002) over the plan's faults: chunks are left out, halves first, then
quarters, down to single faults, as long as what is left violates. Then each fault that is left is simplified: fewer
of those it names, half its time, half its amount. Every try is a run, so their number is bounded; what is returned
has always been seen to violate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from network.simulate.faults import Fault, Plan

# Two minutes at two seconds a run of ten minutes.
MAX_RUNS = 60

Violates = Callable[[Plan], bool]


class _Out(Exception):
    """All runs are used up."""


def shrink(plan: Plan, violates: Violates, max_runs: int = MAX_RUNS) -> Plan:
    """The smallest plan found that violates, `plan` itself if none is smaller.

    `violates` is called `max_runs` times at most.
    """
    runs = 0

    def holds(candidate: Plan) -> bool:
        nonlocal runs
        if runs >= max_runs:
            raise _Out
        runs += 1
        return violates(candidate)

    best = plan
    try:
        for smaller in _fewer(plan, holds):
            best = smaller
        for smaller in _simpler(best, holds):
            best = smaller
    except _Out:
        pass
    return best


def _fewer(plan: Plan, holds: Violates) -> Iterator[Plan]:
    """Ever fewer faults."""
    parts = 1
    while plan.faults:
        size = -(-len(plan.faults) // parts)
        for begin in range(0, len(plan.faults), size):
            smaller = plan.with_faults((*plan.faults[:begin], *plan.faults[begin + size :]))
            if holds(smaller):
                plan = smaller
                yield plan
                parts = max(parts - 1, 1)
                break
        else:
            if size == 1:
                return
            parts = min(2 * parts, len(plan.faults))


def _simpler(plan: Plan, holds: Violates) -> Iterator[Plan]:
    """Ever smaller faults."""
    for index in range(len(plan.faults)):
        again = True
        while again:
            again = False
            for fault in _smaller(plan.faults[index]):
                smaller = plan.with_faults((*plan.faults[:index], fault, *plan.faults[index + 1 :]))
                if holds(smaller):
                    plan, again = smaller, True
                    yield plan
                    break


def _smaller(fault: Fault) -> Iterator[Fault]:
    """What a fault may become."""
    if len(fault.who) > 1:
        half = len(fault.who) // 2
        yield replace(fault, who=fault.who[:half])
        yield replace(fault, who=fault.who[half:])
    if fault.for_ms > 1:
        yield replace(fault, for_ms=fault.for_ms // 2)
    if abs(fault.amount) > 1:
        yield replace(fault, amount=int(fault.amount / 2))
