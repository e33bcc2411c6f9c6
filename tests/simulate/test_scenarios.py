"""The components themselves under every scenario: nothing that they promise breaks. `make soak` runs 2,000 seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from network.simulate.faults import Size
from network.simulate.run import run
from network.simulate.scenarios import SCENARIOS, draw_plan, turn
from network.simulate.seeds import Outcome, examined

ROOT = Path(__file__).parents[2]
MINUTES = 10.0
SEEDS = 2_000


@pytest.mark.timeout(300)
def test_ten_minutes_of_every_scenario() -> None:
    """On every processor there is: this is what CI has time for."""
    plans = [draw_plan(scenario, 1, MINUTES) for scenario in SCENARIOS]
    outcomes = list(examined(plans, os.cpu_count() or 1))
    assert [(one.plan.scenario, one.rule, one.text) for one in outcomes if one.rule is not None] == []
    assert len(outcomes) == len(SCENARIOS)
    assert min(one.events for one in outcomes) > 1_000


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_two_thousand_seeds_over_all_scenarios() -> None:
    plans = [draw_plan(turn(seed), seed, MINUTES) for seed in range(SEEDS)]
    broken: list[Outcome] = [
        outcome for outcome in examined(plans, os.cpu_count() or 1) if outcome.rule is not None
    ]
    assert not broken, [(one.plan.scenario, one.plan.seed, one.rule, one.text) for one in broken]


def digest(scenario: str, seed: int) -> int:
    """The whole history of a run, as one number."""
    return run(draw_plan(scenario, seed, 8.0, Size(5, 2, 4))).digest


def test_one_seed_is_one_history_in_any_process_and_another_is_another() -> None:
    program = "from tests.simulate.test_scenarios import digest; print(digest('mixed', 3))"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    ]
    here, another = digest("mixed", 3), digest("mixed", 4)
    assert {process.communicate()[0] for process in others} == {f"{here}\n"}
    assert another != here
