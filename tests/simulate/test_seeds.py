"""The components themselves under faults and liars: nothing that docs/agreement.md promises breaks, in any scenario.

In CI every scenario runs for ten simulated minutes with the seeds below; `make soak` takes two thousand others. What
breaks is printed with its seed, so that `mint simulate --seeds N` shows it again.
"""

from __future__ import annotations

import json
import os

import pytest
from msgspec.structs import replace

from network import commands
from network.simulate.command import drawn
from network.simulate.run import run
from network.simulate.scenarios import SCENARIOS, draw_plan
from network.simulate.seeds import Outcome, examined

# What fits into half a minute of two processors: every scenario once.
CI_SEEDS = f"1..{len(SCENARIOS)}"
SOAK_SEEDS = "1000..2999"
MINUTES = 10.0


def broken(seeds: str, minutes: float) -> list[str]:
    outcomes: list[Outcome] = list(examined(drawn(seeds, "all", minutes), os.cpu_count() or 1))
    return [
        f"{outcome.plan.scenario}, seed {outcome.plan.seed}: {outcome.rule}: {outcome.text}"
        for outcome in outcomes
        if outcome.rule is not None
    ]


@pytest.mark.timeout(300)
def test_nothing_breaks_in_any_scenario() -> None:
    assert broken(CI_SEEDS, MINUTES) == []


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_nothing_breaks_in_two_thousand_runs() -> None:
    assert broken(SOAK_SEEDS, MINUTES) == []


@pytest.mark.parametrize("scenario", ["mixed", "crash"])
def test_a_seed_is_a_history_and_another_seed_another(scenario: str) -> None:
    plan = draw_plan(scenario, 3, 4.0)
    first, again, other = run(plan), run(plan), run(draw_plan(scenario, 4, 4.0))
    assert (first.digest, first.events) == (again.digest, again.events)
    assert first.digest != other.digest


def test_a_run_without_faults_is_another_history_than_one_with_them() -> None:
    plan = draw_plan("loss", 3, 4.0)
    assert run(plan).digest != run(replace(plan, faults=())).digest


def test_simulate_as_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def mint(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["mint", "simulate", *arguments])
        code = commands.main()
        said = capsys.readouterr()
        return code, said.out + said.err

    code, said = mint("--seeds", "5", "--scenario", "calm", "--minutes", "4", "--jobs", "1", "--json")
    assert code == 0, said
    told = json.loads(said)
    assert (told["scenario"], told["seed"], told["rule"]) == ("calm", 5, None)
    for wrong in (("--seeds", "x"), ("--seeds", "9..1"), ("--scenario", "peace"), ("--minutes", "1")):
        code, said = mint(*wrong)
        assert (code, said.count("\n")) == (2, 1), said
