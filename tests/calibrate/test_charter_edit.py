"""One value in a charter.toml changes, and not another byte."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mint.charter import toml
from mint.errors import InputError
from network.calibrate.charter_edit import NETWORK, checked, lines, with_threshold, write
from network.founding import Plan, found, new_operator
from network.layout import Layout

BEFORE = st.sampled_from(
    [
        "",
        "# a charter\n",
        '[network]\ntitle = """\n[detection]\nssa_threshold = 3\n"""\n',
        "[entitlement]\ncpu = 0.1 # [detection]\n\n",
        "f = 'ssa_threshold = 1'\n",
    ]
)
HEADERS = st.sampled_from(["[detection]", " [ detection ]  # by hand", '["detection"]', "['detection']"])
KEYS = st.sampled_from(["ssa_threshold", '"ssa_threshold"', "  ssa_threshold"])
VALUES = st.sampled_from(["6", "6.5", "1_000", "1e1", "+7.25"])
COMMENTS = st.sampled_from(["", " # raised after the storm: ssa_threshold = 9", "\t#"])
OTHERS = st.lists(st.sampled_from(["d = 10", "# ssa_threshold = 4", "", "burst_ms = 100 # ms"]), unique=True)
AFTER = st.sampled_from(["", "[[ladder]]\nquota_percent = 50\n", "\n\n# the end"])
THRESHOLD = st.integers(1, 1_000_000).map(lambda milli: milli / 1000)


@settings(max_examples=50)
@given(BEFORE, HEADERS, KEYS, VALUES, COMMENTS, OTHERS, OTHERS, AFTER, THRESHOLD, st.booleans())
def test_a_value_that_is_there_is_replaced(
    before: str,
    header: str,
    key: str,
    value: str,
    comment: str,
    some: list[str],
    more: list[str],
    after: str,
    h: float,
    windows: bool,
) -> None:
    assume(not {"d = 10", "burst_ms = 100 # ms"} & set(some) & set(more))
    begin = before + "\n".join([header, *some, f"{key} = "])
    end = comment + "\n" + "".join(line + "\n" for line in more) + after
    if windows:
        begin, end = begin.replace("\n", "\r\n"), end.replace("\n", "\r\n")
    edited = with_threshold(begin + value + end, h, "charter.toml")
    assert edited.startswith(begin)
    assert edited.endswith(end)
    assert float(edited[len(begin) : len(edited) - len(end)]) == h


@settings(max_examples=50)
@given(BEFORE, st.none() | HEADERS, OTHERS, AFTER, THRESHOLD, st.booleans())
def test_a_value_that_is_missing_is_added_in_lines_of_its_own(
    before: str, header: str | None, others: list[str], after: str, h: float, windows: bool
) -> None:
    text = before + ("" if header is None else "\n".join([header, *others]) + "\n") + after
    if windows:
        text = text.replace("\n", "\r\n")
    edited = with_threshold(text, h, "charter.toml")
    at = next(at for at in range(len(edited)) if text[at : at + 1] != edited[at])
    added = len(edited) - len(text)
    assert edited[:at] + edited[at + added :] == text
    assert with_threshold(edited, h, "charter.toml") == edited
    if "\r\n" in text:
        assert "\n" not in edited.replace("\r\n", "")


@pytest.mark.parametrize("text", ["detection = {d = 10}\n", "detection.d = 10\n"])
def test_what_this_editor_does_not_know_is_said(text: str) -> None:
    with pytest.raises(InputError, match=r"ssa_threshold = 6\.5 by hand"):
        with_threshold(text, 6.5, "charter.toml")


def test_a_dotted_key_and_what_is_to_be_pasted() -> None:
    assert with_threshold("detection.ssa_threshold=5#\n", 6.5, "") == "detection.ssa_threshold=6.5#\n"
    assert lines(7.0) == "[detection]\nssa_threshold = 7.0\n"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network's folder."""
    layout = Layout(tmp_path_factory.mktemp("founded") / "fleet")
    found(layout, Plan("Zürich \\ north", miners=3, cpu=0.1), new_operator(layout))
    return layout.root


@pytest.fixture
def charter(founded: Path, tmp_path: Path) -> Path:
    return Layout(shutil.copytree(founded, tmp_path / "fleet")).charter_toml


def test_a_charter_is_written_and_read(charter: Path) -> None:
    before = charter.read_bytes()
    charter.chmod(0o640)
    write(charter, "calibrated", 6.543)
    assert toml.read(charter, NETWORK).detection.ssa_threshold_milli == 6543
    assert charter.read_bytes() == before + b"\n[detection]\nssa_threshold = 6.543\n"
    assert stat.S_IMODE(charter.stat().st_mode) == 0o640
    write(charter, "calibrated", 7.0)
    assert charter.read_bytes() == before + b"\n[detection]\nssa_threshold = 7.0\n"
    assert sorted(path.name for path in charter.parent.iterdir() if "charter" in path.name) == [
        "charter.signed",
        "charter.toml",
    ]


def test_a_link_stays_one(charter: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(charter)
    write(link, "calibrated", 8.0)
    assert link.is_symlink()
    assert toml.read(charter, NETWORK).detection.ssa_threshold_milli == 8000


@pytest.mark.parametrize(
    ("table", "preset", "names"),
    [
        ('[detection]\npreset = "paper"\n', "calibrated", "detection.preset"),
        ("", "paper", "detection.preset"),
        ('[detection]\npreset = "paper"\nN = 30\n', "paper", "detection.N"),
        ("[detection]\nd = 0\n", "calibrated", "detection.d"),
        ("[detection\n", "calibrated", "TOML"),
    ],
)
def test_a_charter_that_a_threshold_does_not_fit(charter: Path, table: str, preset: str, names: str) -> None:
    charter.write_text(charter.read_text() + table)
    before = charter.read_bytes()
    with pytest.raises(InputError, match=names):
        write(charter, preset, 6.5)
    assert charter.read_bytes() == before


def test_a_charter_of_another_period(charter: Path) -> None:
    charter.write_text(charter.read_text().replace("period_s = 1.0", "period_s = 2.0"))
    with pytest.raises(InputError, match="period_s"):
        checked(charter, "calibrated")
