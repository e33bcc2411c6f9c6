"""`mint simulate` as people and programs use it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from detectors.core import DetectorCore
from mint.errors import InputError, MachineError
from network import commands
from network.simulate import seeds
from network.simulate.command import drawn
from network.simulate.faults import Fault, Plan, Size, to_json
from network.simulate.scenarios import SCENARIOS

QUICK = Plan("calm", 7, 30_000, 20_000, Size(3, 1, 4), (Fault("cheat", 5_000, 5_000, ("m01",), 2_000_000),))


def mint(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["mint", "simulate", *arguments])
    return commands.main()


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_bytes(to_json(QUICK))
    return path


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectors that fail at frame 7."""
    honest = DetectorCore.step

    def step(self: DetectorCore, frame: object, *args: object, **kwargs: object) -> object:
        if getattr(frame, "number", 0) == 7:
            raise ArithmeticError("seven")
        return honest(self, frame, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(DetectorCore, "step", step)


def test_a_run_that_holds_ends_with_zero_and_one_line(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mint("--plan", str(plan), monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out.startswith("1 seeds: no violation; 0.0 simulated hours, ")


def test_json_is_one_object_a_seed(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for _ in range(2):
        assert mint("--plan", str(plan), "--json", monkeypatch=monkeypatch) == 0
        (line,) = capsys.readouterr().out.splitlines()
        told.append(json.loads(line))
    assert (told[0]["scenario"], told[0]["seed"], told[0]["rule"]) == ("calm", 7, None)
    assert told[0]["digest"] == told[1]["digest"]


@pytest.mark.usefixtures("broken")
def test_a_violation_is_told_shrunk_with_its_history_and_its_plan_runs_again(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mint("--plan", str(plan), monkeypatch=monkeypatch) == 1
    out = capsys.readouterr().out
    assert "seed 7 of calm breaks crash at 7." in out
    assert "ArithmeticError: seven" in out
    assert "it takes 0 of 1 faults, among 3 miners, 1 devices, 4 detectors" in out
    assert "manager    frame: 7 after" in out
    assert mint("--plan", str(plan), "--json", monkeypatch=monkeypatch) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["plan"]["faults"] == []
    again = tmp_path / "again.json"
    again.write_text(json.dumps(told["plan"]))
    assert mint("--plan", str(again), "--json", monkeypatch=monkeypatch) == 1
    assert json.loads(capsys.readouterr().out)["at_ms"] == told["plan_at_ms"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seeds", "x"), "--seeds: 'x' is no number"),
        (("--seeds", "5..3"), "--seeds: 5..3 is empty"),
        (("--scenario", "storm"), "--scenario: there is no 'storm'"),
        (("--minutes", "1"), "--minutes: 1 is too short"),
        (("--plan", "/nowhere/plan.json"), "--plan: /nowhere/plan.json cannot be read"),
    ],
)
def test_what_is_wrong_with_an_option_is_said_in_one_line(
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mint(*arguments, monkeypatch=monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_seeds_run_every_scenario_in_turn_or_the_one_that_is_named() -> None:
    plans = drawn("1..40", "all", 8.0)
    assert [plan.seed for plan in plans] == list(range(1, 41))
    assert {plan.scenario for plan in plans} == set(SCENARIOS)
    assert {plan.scenario for plan in drawn("4", "crash", 8.0)} == {"crash"}
    with pytest.raises(InputError):
        drawn("0..2000000", "all", 8.0)


def test_several_at_a_time_come_in_order_and_say_the_same() -> None:
    plans = [QUICK, QUICK.with_faults(()), QUICK]
    shares: list[float] = []
    one = [outcome.digest for outcome in seeds.examined(plans, 1)]
    two = [outcome.digest for outcome in seeds.examined(plans, 2, shares.append)]
    assert one == two
    assert one[0] == one[2] != one[1]
    assert shares == [1 / 3, 2 / 3, 1]


def killed(plan: Plan) -> seeds.Outcome:
    """What the kernel does where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError(plan)


def test_a_run_that_is_killed_is_said_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "examine", killed)
    with pytest.raises(MachineError, match="was killed"):
        list(seeds.examined([QUICK, QUICK], 2))
