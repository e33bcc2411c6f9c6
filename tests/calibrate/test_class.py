"""`mint calibrate --class`: a class's rate, measured here and written into a charter and nowhere else."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint.errors import InputError
from network import commands
from network.calibrate import class_rate
from network.calibrate.class_edit import with_rate
from network.calibrate.class_rate import Measured

Mint = Callable[..., tuple[int, str, str]]
TEXT = """# ours
[network]
fog = "fog1"  # hashes_per_cpu_second = 3

[[classes]]
name = "pi"
entitlement = { cpu = 0.1 }

[[classes]] # the fast ones
name = "server"
hashes_per_cpu_second = 5e6   # measured in spring

[[devices]]
name = "hashes_per_cpu_second = 7"
"""


@pytest.fixture
def mint(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mint:
    """Runs the command line; its exit code, and what it said on stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mint", "calibrate", *arguments])
        code = commands.main()
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_rate, "RUNS", 2)
    monkeypatch.setattr(class_rate, "SECONDS", 1)


@pytest.fixture
def charter(tmp_path: Path) -> Path:
    path = tmp_path / "charter.toml"
    path.write_text(TEXT)
    return path


def classes(text: str) -> dict[str, float]:
    return {kind["name"]: kind.get("hashes_per_cpu_second", 0) for kind in tomllib.loads(text)["classes"]}


@pytest.mark.usefixtures("short")
def test_what_was_measured_is_said_and_written(mint: Mint, charter: Path) -> None:
    code, out, err = mint("--class", "pi", "--write", str(charter), "--json")
    assert code == 0, err
    said = json.loads(out)
    assert out.count("\n") == 1
    assert (said["type"], said["class"], said["written"]) == ("class", "pi", str(charter))
    assert said["hashes_per_cpu_second"] == max(said["runs"]) > 100_000
    assert len(said["runs"]) == 2
    assert classes(charter.read_text()) == {"pi": said["hashes_per_cpu_second"], "server": 5e6}


@pytest.mark.usefixtures("short")
def test_without_a_charter_it_is_said_what_to_write(mint: Mint) -> None:
    code, out, _ = mint("--class", "pi")
    assert code == 0
    assert "class pi: " in out
    assert out.splitlines()[-1].startswith("hashes_per_cpu_second = ")


def test_a_class_that_is_not_there_and_what_is_no_charter_are_said_before_anything_is_measured(
    mint: Mint, charter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_rate, "measure", lambda _: pytest.fail("it measures"))
    for arguments, what in (
        (("--class", "pie", "--write", str(charter)), "has no class 'pie'; its classes are: pi, server"),
        (("--class", "pi", "--write", str(tmp_path / "none.toml")), "cannot be read"),
        (("--class", "pi", "--cpu", "0.1"), "takes no telemetry"),
    ):
        code, _, err = mint(*arguments)
        assert code != 0
        assert what.partition(";")[0] in " ".join(err.split())
    charter.write_text("[[classes")
    assert "is not TOML" in mint("--class", "pi", "--write", str(charter))[2]
    charter.write_bytes(b"\xff")
    assert "is not UTF-8" in mint("--class", "pi", "--write", str(charter))[2]


@given(st.sampled_from(["pi", "server"]), st.integers(1, 10**15), st.booleans())
def test_one_value_changes_and_no_other_byte(name: str, rate: int, windows: bool) -> None:
    text = TEXT.replace("\n", "\r\n") if windows else TEXT
    edited = with_rate(text, name, rate, "charter.toml")
    assert classes(edited) == classes(text) | {name: rate}
    newline = "\r\n" if windows else "\n"
    if name == "server":
        assert edited == text.replace("5e6", str(rate))
    else:
        assert edited == text.replace(
            f"[[classes]]{newline}", f"[[classes]]{newline}hashes_per_cpu_second = {rate}{newline}", 1
        )


def test_what_cannot_be_edited_is_said() -> None:
    with pytest.raises(InputError, match="set hashes_per_cpu_second = 9 by hand"):
        with_rate('classes = [{ name = "pi" }]\n', "pi", 9, "charter.toml")


def test_runs_that_differ_by_more_than_work_evidence_bears_are_said() -> None:
    assert Measured("pi", (100, 99, 98)).steady
    assert "NOT STEADY" not in class_rate.text(Measured("pi", (1000, 990, 985)))
    shaky = Measured("pi", (1000, 970, 960))
    assert (shaky.best, shaky.median, shaky.steady) == (1000, 970, False)
    assert "NOT STEADY" in class_rate.text(shaky)
