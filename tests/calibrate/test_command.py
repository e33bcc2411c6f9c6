"""`mint calibrate` as people type it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mint.charter import toml
from network import commands
from network.calibrate import report
from network.calibrate.charter_edit import NETWORK
from network.calibrate.clean import simulated
from network.founding import Plan, found, new_operator
from network.layout import Layout
from network.trace import Counters, Trace
from network.trace_file import write_trace
from tests.calibrate.plain import noise, trace

Mint = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mint(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mint:
    """Runs the command line; its exit code, and what it said on stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mint", "calibrate", *arguments])
        code = commands.main()
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture(autouse=True)
def soon_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """W takes hours to learn a miner's noise, and these traces a quarter of one."""
    monkeypatch.setattr(report, "LEARNS", 0.2)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten hours of forty miners."""
    path = tmp_path_factory.mktemp("traces") / "clean.csv"
    write_trace(path, trace(noise(1, miners=40, ticks=900)))
    return path


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network's folder."""
    layout = Layout(tmp_path_factory.mktemp("founded") / "fleet")
    found(layout, Plan("", miners=3, cpu=0.1), new_operator(layout))
    return layout.root


@pytest.fixture
def charter(founded: Path, tmp_path: Path) -> Path:
    return Layout(shutil.copytree(founded, tmp_path / "fleet")).charter_toml


def test_a_threshold_from_a_recorded_trace(mint: Mint, recorded: Path, charter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    options = ("--rate", "1", "--out", str(folder), "--write", str(charter))
    code, said, _ = mint(str(recorded), *options)
    assert code == 0, said
    assert "EXTRAPOLATED" not in said
    assert "with 16 miners one in 0.1 hours" in said
    line = next(line for line in said.splitlines() if line.startswith("ssa_threshold"))
    threshold = float(line.partition("= ")[2])
    assert toml.read(charter, NETWORK).detection.ssa_threshold_milli == round(threshold * 1000)
    assert "mint charter sign" in said
    assert (folder / "calibration.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "calibration.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if float(row["threshold"]) <= threshold]
    assert float(rows[-1]["threshold"]) == threshold
    assert float(rows[-1]["high"]) <= 1 < float(rows[-2]["high"])
    assert float(rows[-1]["rate"]) == pytest.approx(int(rows[-1]["alarms"]) / 10)


def test_json_says_the_same_and_the_same_again(mint: Mint, recorded: Path) -> None:
    code, said, _ = mint(str(recorded), "--rate", "1", "--json")
    assert code == 0
    found = json.loads(said)
    assert said.count("\n") == 1
    assert (found["type"], found["extrapolated"], found["written"]) == ("calibration", False, None)
    assert found["seen"]["low"] <= found["seen"]["rate"] <= found["seen"]["high"] <= 1
    assert found["miner_hours"] == pytest.approx(10)
    assert mint(str(recorded), "--rate", "1", "--json")[1] == said


def test_too_short_a_trace_is_said_and_strictly_refused(mint: Mint, recorded: Path, charter: Path) -> None:
    before = charter.read_bytes()
    code, said, _ = mint(str(recorded), "--rate", "0.001", "--strict", "--write", str(charter))
    assert code == 1
    assert "EXTRAPOLATED" in said
    assert "miner-hours without an alarm vouch for this rate; here are 10.0" in said
    assert charter.read_bytes() == before
    code, said, _ = mint(str(recorded), "--rate", "0.001", "--json", "--write", str(charter))
    assert code == 0
    found = json.loads(said)
    assert found["extrapolated"]
    assert found["miner_hours_needed"] >= 3689
    assert found["extrapolation"]["low"] <= found["extrapolation"]["estimate"] <= found["threshold"]
    assert toml.read(charter, NETWORK).detection.ssa_threshold_milli == round(found["threshold"] * 1000)


def test_a_few_seconds_give_no_threshold(mint: Mint, tmp_path: Path, charter: Path) -> None:
    before = charter.read_bytes()
    write_trace(tmp_path / "short.csv", trace(noise(1, miners=2, ticks=20)))
    code, said, _ = mint(str(tmp_path / "short.csv"), "--write", str(charter))
    assert code == 1
    assert "no threshold" in said
    assert charter.read_bytes() == before


def test_counters_and_simulation_side_by_side(mint: Mint, tmp_path: Path) -> None:
    clean = simulated("quiet", hours=0.5, cpu=0.1, seed=3)
    seen = list(clean.observations)
    counters = Counters(
        usage_ns=np.array([one.usage_ns for one in seen]),
        before_ns=np.array([one.before_ns for one in seen]),
        after_ns=np.array([one.after_ns for one in seen]),
        entitled_ppm=np.full((len(seen), 2), 100_000),
        steal_ns=np.array([one.steal_ns for one in seen]),
        epoch=np.zeros((len(seen), 2), np.int64),
        boot=np.zeros((len(seen), 2), np.int64),
    )
    present = np.ones((len(seen), 2), bool)
    path = tmp_path / "quiet.csv"
    write_trace(path, Trace(("a", "b"), np.arange(len(seen)), present, counters, None))
    options = (
        "--simulate",
        "0.5",
        "--kind",
        "quiet",
        "--cpu",
        "0.1",
        "--seed",
        "3",
        "--rate",
        "10",
        "--json",
    )
    code, said, _ = mint(str(path), *options)
    found = json.loads(said)
    assert code in {0, 1}
    # The recording of a simulation is that simulation.
    one, other = found["telemetry"]
    assert (one.pop("name"), other.pop("name")) == (str(path), "quiet, 0.1 CPU")
    for said_of in (one, other):
        said_of.pop("extrapolation", None)  # drawn by name
        said_of.pop("threshold")
    assert one == other
    assert found["miner_hours"] == pytest.approx(2 * one["miner_hours"], rel=1e-3)


def test_an_entitlement_that_changes_is_not_clean(mint: Mint, tmp_path: Path) -> None:
    grid = np.ones((5, 1), np.int64) * np.arange(5)[:, None] * 1_000_000_000
    entitled = np.array([[100_000]] * 3 + [[50_000]] * 2)
    none = np.zeros_like(grid)
    counters = Counters(grid // 10, grid, grid, entitled, none, none, none)
    path = tmp_path / "changes.csv"
    write_trace(path, Trace(("m01",), np.arange(5), np.ones((5, 1), bool), counters, None))
    code, _, said = mint(str(path))
    assert (code, said.count("\n")) == (2, 1)
    assert "tick 3, miner m01" in said


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--rate", "0"], "--rate"),
        (["--rate", "nan"], "--rate"),
        (["--preset", "best"], "--preset"),
        (["--simulate", "-1"], "--simulate"),
        (["--simulate", "1e9"], "--simulate"),
        (["--kind", "loud"], "--kind"),
        (["--cpu", "2"], "--cpu"),
        (["--seed", "-1"], "--seed"),
        (["trace.csv", "--kind", "quiet"], "--simulate"),
        (["no such.csv"], "no such.csv"),
        (["--write", "no such.toml"], "no such.toml"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    mint: Mint, tmp_path: Path, arguments: list[str], names: str
) -> None:
    code, out, said = mint(*arguments, "--out", str(tmp_path / "out"))
    assert (code, out, said.count("\n")) == (2, "", 1), said
    assert names in said


def test_a_folder_that_cannot_be_written(mint: Mint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        code, _, said = mint("--out", str(folder))
        assert (code, said.count("\n")) == (2, 1)
        assert "--out" in said


def test_help_has_an_example(mint: Mint) -> None:
    code, said, _ = mint("--help")
    assert code == 0
    assert "example: mint calibrate" in said
