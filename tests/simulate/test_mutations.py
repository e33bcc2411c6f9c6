"""The checks bite: each deliberate mistake in the components is found by the scenario and seed that go with it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from network.simulate.run import run
from network.simulate.scenarios import draw_plan
from network.simulate.seeds import examined
from tests.simulate.mutations import MUTATIONS


def broken(number: int) -> tuple[str | None, str]:
    """What the mistake of this number breaks, and how."""
    mutation = MUTATIONS[number]
    with pytest.MonkeyPatch.context() as patch:
        mutation.patch(patch)
        result = run(draw_plan(mutation.scenario, mutation.seed, mutation.minutes))
    return result.rule, result.text


@pytest.fixture(scope="module")
def runs() -> Iterator[list[Future[tuple[str | None, str]]]]:
    """A run with each mistake, on every processor there is."""
    pool = ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("forkserver"))
    yield [pool.submit(broken, number) for number in range(len(MUTATIONS))]
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("number", range(len(MUTATIONS)), ids=lambda number: MUTATIONS[number].name)
def test_a_mistake_is_found(number: int, runs: list[Future[tuple[str | None, str]]]) -> None:
    rule, text = runs[number].result()
    assert rule in MUTATIONS[number].breaks, text


def test_there_are_enough_of_them_and_they_break_all_kinds_of_guarantees() -> None:
    assert len(MUTATIONS) >= 12
    assert {rule for mutation in MUTATIONS for rule in mutation.breaks} >= {
        "S1", "S2", "S3", "S4", "S5", "S6", "S7", "L1", "L3"
    }  # fmt: skip


@pytest.mark.timeout(300)
def test_without_a_mistake_nothing_is_found() -> None:
    """What the mistakes are found in holds by itself."""
    drawn = sorted({(mutation.scenario, mutation.seed, mutation.minutes) for mutation in MUTATIONS})
    plans = [draw_plan(*which) for which in drawn]
    outcomes = examined(plans, os.cpu_count() or 1)
    assert [(one.plan.scenario, one.plan.seed, one.text) for one in outcomes if one.rule is not None] == []
