"""Many runs, on as many processors as there are: each seed by itself, what breaks shrunk and told where it broke."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from mint.errors import MachineError
from network.simulate.faults import Plan
from network.simulate.run import Result, run
from network.simulate.shrink import shrink
from network.simulate.words import lines

# Events told before a violation, and as many of those before them that are worth keeping.
LINES = 40


@dataclass(frozen=True, slots=True)
class Broken:
    """A violation: the smallest plan found that leads to it, and the history of that."""

    plan: Plan
    text: str
    at_ms: int
    history: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan; `rule` and `text`: what it broke (None: nothing), `cpu_s`: CPU seconds of its run."""

    plan: Plan
    rule: str | None
    text: str
    at_ms: int
    digest: int
    events: int
    cpu_s: float
    broken: Broken | None

    @property
    def json(self) -> dict[str, object]:
        """For programs; a whole violation, plan and history, where there is one."""
        told: dict[str, object] = {
            "scenario": self.plan.scenario,
            "seed": self.plan.seed,
            "minutes": self.plan.end_ms / 60_000,
            "rule": self.rule,
            "events": self.events,
            "digest": f"{self.digest & (1 << 64) - 1:016x}",
            "cpu_s": round(self.cpu_s, 3),
        }
        if self.broken is not None:
            told |= {
                "text": self.text,
                "at_ms": self.at_ms,
                "plan": self.broken.plan,
                "plan_text": self.broken.text,
                "plan_at_ms": self.broken.at_ms,
                "history": self.broken.history,
            }
        return told


def examine(plan: Plan) -> Outcome:
    """Run a plan; if it violates, find the smallest one that still breaks the same rule."""
    result = run(plan)
    broken = _shrunk(result) if result.violates else None
    return Outcome(
        plan, result.rule, result.text, result.at_ms, result.digest, result.events, result.cpu_s, broken
    )


def _shrunk(first: Result) -> Broken:
    last = first

    def violates(plan: Plan) -> bool:
        nonlocal last
        result = run(plan)
        if result.rule != first.rule:
            return False
        last = result
        return True

    shrink(first.plan, violates)
    return Broken(last.plan, last.text, last.at_ms, tuple(lines(last.history, LINES)))


def examined(
    plans: Sequence[Plan], jobs: int, tell: Callable[[float], None] = lambda _: None
) -> Iterator[Outcome]:
    """The outcome of every plan, in their order, `jobs` of them at a time.

    Raises:
        MachineError: a process that ran one was killed.
    """
    if jobs == 1 or len(plans) == 1:
        yield from _telling(map(examine, plans), len(plans), tell)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("forkserver"))
    try:
        yield from _telling(pool.map(examine, plans), len(plans), tell)
    except BrokenProcessPool:
        raise MachineError(
            "a process that ran a seed was killed", "see whether memory ran out, and try fewer --jobs"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _telling(outcomes: Iterator[Outcome], count: int, tell: Callable[[float], None]) -> Iterator[Outcome]:
    for done, outcome in enumerate(outcomes, 1):
        tell(done / count)
        yield outcome
