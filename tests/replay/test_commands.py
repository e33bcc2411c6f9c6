"""`mint replay` and `mint export` as people and programs run them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from mint.charter.toml import setting
from network import commands, progress, replay_plot
from network.layout import Layout
from network.replay import replay
from network.trace import Trace
from network.trace_file import write_trace
from tests.builders import Net, World
from tests.replay.traces import as_percent, honest
from twin_broker.service import DATABASE
from twin_broker.store import FrameStore

TICKS, BEGINS = 90, 60
DOUBLE = {1: np.where(np.arange(TICKS) >= BEGINS, 1.0, 0.0)}

Mint = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def trace() -> Trace:
    return honest(5, TICKS, gains=DOUBLE)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, trace: Trace) -> Path:
    path = tmp_path_factory.mktemp("trace") / "t.csv"
    write_trace(path, trace)
    return path


@pytest.fixture
def mint(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mint:
    """Runs the command line here; its exit code, what it said on stdout and on stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mint", *map(str, arguments)])
        code = commands.main()
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def process(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "network.main", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_findings_for_programs(file: Path, trace: Trace) -> None:
    with process("replay", file, "--json") as run:
        out, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (0, "")
    expected = [
        {
            "type": "accusation" if one.decides else "alarm",
            "tick": step.findings.number,
            "miner": one.miner,
            "detector": one.detector,
            "reason": one.reason,
        }
        for step in replay(trace, setting({}, ""))
        for one in step.findings.found
    ]
    assert [json.loads(line) for line in out.splitlines()] == expected
    first = expected[0]
    assert (first["type"], first["miner"], first["detector"]) == ("accusation", "m02", "budget")
    assert first["tick"] in (BEGINS, BEGINS + 1, BEGINS + 2)


def test_a_malformed_row_ends_with_two_and_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("tick,miner,cpu\n1,m01,99\n2,m01,9o\n")
    with process("replay", path, "--json") as run:
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (2, "")
    assert err == f"mint: {path}: line 3, column cpu: '9o' is not a number; correct or remove the line\n"


def test_nobody_reads_on(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_trace(path, honest(5, 400))
    with process("replay", path, "--preset", "paper", "--json") as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert json.loads(run.stdout.readline())["type"] == "alarm"
        run.stdout.close()
        assert run.wait(timeout=60) == 0
        assert run.stderr.read() == ""


def test_findings_for_people(mint: Mint, file: Path) -> None:
    code, out, err = mint("replay", file)
    assert (code, err) == (0, "")
    *lines, summary = out.splitlines()
    assert any("m02  accusation  budget: " in line for line in lines)
    assert summary.startswith("90 ticks, 5 miners, 0.12 miner-hours; ")
    assert " of 1 miner, " in summary
    assert summary.endswith(" miner-ticks/s")


def test_statistics_have_every_digit(mint: Mint, file: Path, trace: Trace, tmp_path: Path) -> None:
    to = tmp_path / "s.csv"
    code, _, _ = mint("replay", file, "--preset", "paper", "--statistics", to)
    assert code == 0
    header, *rows = csv.reader(io.StringIO(to.read_text()))
    assert header == ["tick", "miner", "D", "S", "W", "h"]
    told = {(int(row[0]), row[1]): tuple(map(float, row[2:])) for row in rows}
    expected = {}
    for step in replay(trace, setting({"preset": "paper"}, "")):
        statistics = step.findings.statistics
        for row, miner in enumerate(trace.miners):
            if np.isfinite(statistics.D[row]):
                values = (statistics.D[row], statistics.S[row], statistics.W[row], statistics.h[row])
                expected[step.findings.number, miner] = tuple(map(float, values))
    assert told == expected
    # The window is full with the 35th use, which takes 36 readings.
    assert min(tick for tick, _ in told) == 35


def test_parameters(mint: Mint, file: Path, tmp_path: Path) -> None:
    to = tmp_path / "s.csv"
    sets = ("N=40", "L=10", "p=20", "q=30", "ssa_threshold=1.5", "period_s=0.5", "f_miners=1")
    code, out, _ = mint(
        "replay", file, "--statistics", to, *(word for one in sets for word in ("--set", one))
    )
    assert code == 0
    assert ", 0.06 miner-hours;" in out
    rows = list(csv.DictReader(to.read_text().splitlines()))
    assert {row["h"] for row in rows} == {"1.5"}
    assert min(int(row["tick"]) for row in rows) == 40  # q + L - 1 is 39


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--set", "colour=red"],
            "mint: --set colour=red: no such key; the keys are preset, N, L, p, q, l, ",
        ),
        (["--set", "N"], "mint: --set: 'N' sets nothing; write KEY=VALUE"),
        (["--set", "N=many"], "mint: --set N=many: Expected `int`, got `str`; the keys are "),
        (["--set", "N=3"], "mint: --set N=3: Expected `int` >= 4; the keys are "),
        (["--set", "q=12"], "mint: --set: p is not below q; choose q above p"),
        (["--set", "period_s=0"], "mint: --set period_s=0: Expected `float` >= 0.1; the keys are "),
        (["--set", "f_miners=2"], "mint: f_miners = 2: Krum over 5 miners cannot bear"),
        (["--preset", "best"], "mint: --preset: 'best' is no preset; use calibrated or paper"),
        (["--statistics", "/none/s.csv"], "mint: --statistics: /none/s.csv cannot be written"),
        (["--plot", "/"], "mint: --plot: / cannot be written"),
    ],
)
def test_an_option_that_cannot_be(mint: Mint, file: Path, arguments: list[str], said: str) -> None:
    code, out, err = mint("replay", file, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(said)


def test_ticks_that_are_no_numbers_of_ticks_are_pointed_out(mint: Mint, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{1_700_000_000_000 + 1000 * number},m01,99.5" for number in range(4)]
    path.write_text("\n".join(["tick,miner,cpu", *rows]))
    code, _, err = mint("replay", path, "--json")
    assert code == 0
    assert err == (
        f"mint replay: {path}: its ticks are 1000 apart, and those between count as lost; number them one by one\n"
    )


def test_a_picture_of_everyone_accused(mint: Mint, file: Path, tmp_path: Path) -> None:
    to = tmp_path / "p.png"
    code, out, _ = mint("replay", file, "--plot", to)
    assert code == 0
    assert f"{to}: 1 of 5 miners\n" in out
    height, width = image.imread(to).shape[:2]
    assert (height, width) == pytest.approx((462, 726), abs=3)


@pytest.mark.parametrize("points", [4000, 7])
def test_a_picture_leaves_out_some_and_says_so(
    mint: Mint, trace: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    monkeypatch.setattr(replay_plot, "MOST_PANELS", 2)
    monkeypatch.setattr(replay_plot, "MOST_POINTS", points)
    path = tmp_path / "t.parquet"
    write_trace(path, as_percent(trace))
    code, out, _ = mint("replay", path, "--preset", "paper", "--plot", tmp_path / "p.png")
    assert code == 0
    assert "p.png: 2 of 5 miners; 3 more are left out\n" in out
    assert image.imread(tmp_path / "p.png").std() > 0.05


def test_a_picture_of_nobody(mint: Mint, tmp_path: Path) -> None:
    write_trace(tmp_path / "t.csv", honest(3, 20))
    code, out, _ = mint("replay", tmp_path / "t.csv", "--plot", tmp_path / "p.png")
    assert code == 0
    assert "p.png: nobody was accused or alarmed\n" in out
    assert (tmp_path / "p.png").exists()


def test_progress_is_for_a_terminal_and_keeps_off_what_programs_read(
    mint: Mint, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, quiet, none = mint("replay", file, "--json")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # rich then takes stderr for a terminal
    monkeypatch.setattr(progress, "AFTER_S", 0.0)
    code, out, err = mint("replay", file, "--json")
    assert (code, out, none) == (0, quiet, "")
    assert "detecting" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "mint: --state, --dir: one of the two is needed"),
        (["--state", "a", "--dir", "b"], "mint: --state, --dir: one of the two is needed"),
        (["--dir", "none"], "mint: none: holds no MinT network"),
        (["--state", "none"], "mint: none/frames.sqlite: is no frame log"),
    ],
)
def test_an_export_of_nothing(mint: Mint, tmp_path: Path, arguments: list[str], said: str) -> None:
    code, out, err = mint("export", "-o", tmp_path / "t.csv", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(said)


def test_an_export_is_replayed(mint: Mint, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "net")
    with layout.locked():
        layout.mark.touch()
    world = World(Net(miners=3, devices=1, detectors=1))
    with closing(FrameStore(layout.state("manager") / DATABASE, b"host")) as store:
        for _ in range(4):
            store.keep(world.tick().append)
    to = tmp_path / "t.parquet"
    assert mint("export", "--dir", layout.root, "-o", to, "--from", 2) == (0, f"{to}: 3 frames, 9 rows\n", "")
    code, out, _ = mint("replay", to)
    assert (code, out.count("\n")) == (0, 1)
    assert out.startswith(
        "3 ticks, 3 miners, 0.00 miner-hours; 0 accusations of 0 miners, 0 alarms on 0 miners; "
    )
    code, out, _ = mint("export", "--state", layout.state("manager"), "-o", tmp_path / "t.csv")
    assert (code, out) == (0, f"{tmp_path / 't.csv'}: 4 frames, 12 rows\n")
