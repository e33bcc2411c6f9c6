"""The checks bite: each deliberate mistake in the components is found by the scenario and seed that go with it."""

from __future__ import annotations

import os

import pytest

from network.simulate.run import run
from network.simulate.scenarios import draw_plan
from network.simulate.seeds import examined
from tests.simulate.mutations import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mistake_is_found(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation.patch(monkeypatch)
    result = run(draw_plan(mutation.scenario, mutation.seed, mutation.minutes))
    assert result.rule in mutation.breaks, result.text


def test_there_are_enough_of_them_and_they_break_all_kinds_of_guarantees() -> None:
    assert len(MUTATIONS) >= 12
    assert {rule for mutation in MUTATIONS for rule in mutation.breaks} >= {
        "S1", "S2", "S3", "S4", "S5", "S6", "S7", "L1", "L3"
    }  # fmt: skip


def test_without_a_mistake_nothing_is_found() -> None:
    """What the mistakes are found in holds by itself."""
    drawn = sorted({(mutation.scenario, mutation.seed, mutation.minutes) for mutation in MUTATIONS})
    plans = [draw_plan(*which) for which in drawn]
    outcomes = examined(plans, os.cpu_count() or 1)
    assert [(one.plan.scenario, one.plan.seed, one.text) for one in outcomes if one.rule is not None] == []
