"""`mint fairness` as people and programs use it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from network import commands
from network.fairness.hours import Setting
from network.fairness.outcome import hour
from network.fairness.plot import png
from network.fairness.report import data, text
from network.fairness.summary import Summary

MINUTE_MS = 60_000
PNG = b"\x89PNG\r\n\x1a\n"


def mint(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["mint", "fairness", *arguments])
    return commands.main()


@pytest.fixture(scope="module")
def both() -> list[Summary]:
    """Three minutes of double from the first on, without MinT and with it."""
    settings = [Setting("double", minted, "one", MINUTE_MS, 3 * MINUTE_MS) for minted in (False, True)]
    return [Summary(setting, [hour(setting, seed) for seed in (1, 2)]) for setting in settings]


def test_without_mint_it_says_how_much_a_cheat_is_paid_and_draws_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "fairness.png"
    arguments = ("--hours", "3", "--without-mint", "--jobs", "1", "--plot", str(picture))
    assert mint(*arguments, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "3 hours of 16 miners, attack double, classes one, seed 2021" in said
    (cheat,) = [line for line in said.splitlines() if line.startswith("m01 *")]
    assert 1.6 < float(cheat.split()[3]) < 1.85
    assert picture.read_bytes().startswith(PNG)


def test_json_says_the_same_for_programs_and_the_same_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for _ in range(2):
        arguments = ("--hours", "2", "--attack", "none", "--without-mint", "--classes", "two", "--json")
        assert mint(*arguments, monkeypatch=monkeypatch) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    (alone,) = told[0]["settings"]
    assert (told[0]["hours"], alone["mint"], alone["cheat"]) == (2, False, None)
    assert sum(told[0]["fair"].values()) == pytest.approx(1)
    for value, low, high in alone["rewards_times_fair"].values():
        assert low < value < high
    for tests in alone["chi_square"].values():
        assert all(0 <= p <= 1 for p in (*tests["p"], tests["pooled_p"], tests["uniform_p"]))


def test_both_settings_stand_side_by_side(both: list[Summary]) -> None:
    said = text(both, 7)
    assert "without MinT" in said
    assert said.count("attack double") == 1
    (convicted,) = [line for line in said.splitlines() if line.startswith("  convicted after")]
    assert convicted.split()[2] == "never"
    assert " s (at most " in convicted
    plain = json.loads(data(both, 7))
    alone, minted = (one["cheat"]["convicted_s"] for one in plain["settings"])
    assert alone == [None, None]
    assert all(0 < after < 10 for after in minted)
    assert png(both).startswith(PNG)


def test_honest_hours_are_drawn_too() -> None:
    setting = Setting("none", False, "two", ends_ms=20 * MINUTE_MS)
    summary = Summary(setting, [hour(setting, seed) for seed in (1, 2, 3)])
    assert png([summary]).startswith(PNG)
    assert "m01 *" not in text([summary], 1)


def test_what_too_few_blocks_cannot_tell_is_null_for_programs(both: list[Summary]) -> None:
    # Three minutes are eighteen blocks, one of each miner.
    plain = json.loads(data(both, 7), parse_constant=pytest.fail)
    assert plain["settings"][0]["chi_square"]["blocks"]["p"] == [None, None]
    assert all(math.isnan(one.p) for one in both[0].blocks.each)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--attack", "nonsense"), "mint: --attack: 'nonsense' is none; use one of none, double"),
        (("--classes", "three"), "mint: --classes: 'three' is none; use one of one, two"),
        (("--plot", "/nowhere/at/all.png"), "mint: --plot: /nowhere/at/all.png cannot be written"),
        (("--hours", "0"), "fairness: Invalid value for '--hours'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mint(*arguments, monkeypatch=monkeypatch) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1
