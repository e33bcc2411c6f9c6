"""`mint reproduce` as people type it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from network import commands
from network.reproduce import experiment, fig3, fig4, sources
from network.reproduce.script import Script
from network.reproduce.simulated import simulated
from network.trace_file import write_trace

Mint = Callable[..., tuple[int, str]]


@pytest.fixture
def mint(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mint:
    """Runs the command line; its exit code and all that it said."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["mint", "reproduce", *arguments])
        code = commands.main()
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


def test_a_figure_and_its_table(mint: Mint, tmp_path: Path) -> None:
    code, said = mint("fig3", "--out", str(tmp_path / "new" / "folder"), "--repetitions", "2")
    assert code == 0, said
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["fig3.csv", "fig3.png"]
    assert (folder / "fig3.png").read_bytes().startswith(b"\x89PNG")
    assert "the miner alone" in said
    # Both runs, and they differ.
    rows = (folder / "fig3.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * len(fig3.PANELS) * fig3.SCRIPT.seconds
    assert len(set(rows)) == len(rows)


def test_the_same_seed_gives_the_same_bytes(mint: Mint, tmp_path: Path) -> None:
    def table(seed: int) -> bytes:
        trace = sources.Simulation(seed)(fig4.SCRIPT, 1, lambda _: None)
        return experiment.csv(fig4.tables([fig4.measure(trace)])["fig4.csv"])

    code, said = mint("fig4", "--out", str(tmp_path), "--repetitions", "1", "--seed", "5")
    assert code == 0, said
    assert (tmp_path / "fig4.csv").read_bytes() == table(5)
    assert table(5) != table(6)


def test_a_recording_is_drawn_again(mint: Mint, tmp_path: Path) -> None:
    trace = simulated(fig3.SCRIPT, np.random.default_rng(1))
    write_trace(sources.recorded(tmp_path, fig3.SCRIPT, 1), trace)
    code, said = mint("fig3", "--out", str(tmp_path / "out"), "--from-recording", str(tmp_path))
    assert code == 0, said
    with (tmp_path / "out" / "fig3.csv").open() as file:
        use = [float(row["use_percent"]) for row in csv.DictReader(file)]
    single = [panel.key for panel in fig3.PANELS].index("single") * fig3.SCRIPT.seconds
    assert use[single : single + fig3.SCRIPT.seconds] == pytest.approx(trace.use()[1:, fig3.CHEAT], rel=1e-5)


def test_a_recording_of_something_else_is_said(mint: Mint, tmp_path: Path) -> None:
    write_trace(
        sources.recorded(tmp_path, fig3.SCRIPT, 1),
        simulated(Script("x", 30, ()), np.random.default_rng(1)),
    )
    code, said = mint("fig3", "--out", str(tmp_path / "out"), "--from-recording", str(tmp_path))
    assert (code, said.count("\n")) == (2, 1)
    assert "recording_doubling_1.csv" in said
    code, said = mint("fig4", "--out", str(tmp_path / "out"), "--from-recording", str(tmp_path))
    assert code == 2
    assert "recording_steps_1.csv" in said


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["fig2"], "FIGURE"),
        (["fig3", "--repetitions", "0"], "--repetitions"),
        (["fig3", "--repetitions", "51"], "--repetitions"),
        (["fig3", "--seed", "-1"], "--seed"),
        (["fig3", "--real", "--from-recording", "."], "--from-recording"),
        (["fig3", "--seed", "x"], "--seed"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    mint: Mint, tmp_path: Path, arguments: list[str], names: str
) -> None:
    code, said = mint(*arguments, "--out", str(tmp_path / "out"))
    assert (code, said.count("\n")) == (2, 1), said
    assert names in said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(mint: Mint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        code, said = mint("fig3", "--out", str(folder))
        assert (code, said.count("\n")) == (2, 1)
        assert "--out" in said


def test_help_has_an_example(mint: Mint) -> None:
    code, said = mint("--help")
    assert code == 0
    assert "example: mint reproduce all" in said
