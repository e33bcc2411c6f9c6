"""`mint verify` of a log where it lies: what a manager's disk holds is proven, and what is damaged on it is said."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mint.errors import InputError
from mint.node import CHARTERS
from network import commands
from network.verify import stored
from network.verify.stored import StoredLog
from tests.verify.cases import CHEAT, NET, TICKS, broken, flipped, log, report, told, whole
from twin_broker.service import DATABASE
from twin_broker.storage import Cut
from twin_broker.store import FrameStore

BOOT = b"host"


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manager's state folder with the whole log."""
    state = tmp_path_factory.mktemp("manager")
    (state / CHARTERS).mkdir()
    (state / CHARTERS / "1.signed").write_bytes(NET.sealed.data)
    store = FrameStore(state / DATABASE, BOOT)
    for closed in log():
        store.keep(closed.append)
    store.close()
    return state


@pytest.fixture
def state(tmp_path: Path, laid: Path) -> Path:
    return shutil.copytree(laid, tmp_path / "state")


def edit(state: Path, *statements: str) -> None:
    with closing(sqlite3.connect(state / DATABASE)) as db, db:
        for statement in statements:
            db.execute(statement)


def test_a_stored_log_says_what_the_same_log_as_a_case_says(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PAGE", 7)  # so that there is more than one, and the last is not full
    expected = report(whole(), recompute=True)
    found = report(StoredLog(state), recompute=True)
    assert found.proven
    assert (found.json(), len(StoredLog(state))) == (expected.json(), TICKS)


def test_it_is_read_beside_the_manager_that_writes_it(state: Path) -> None:
    manager = FrameStore(state / DATABASE, BOOT)
    manager.keep(Cut(TICKS - 3))
    before = StoredLog(state)
    for closed in log()[-3:]:
        manager.keep(closed.append)
    assert [len(before), len(list(before.pages()))] == [TICKS - 3] * 2, "as far as it went when it was opened"
    assert report(StoredLog(state)).json() == report(whole()).json()
    manager.close()


def test_where_there_is_no_frame_nothing_is_proven(state: Path) -> None:
    edit(state, "DELETE FROM frame", "DELETE FROM verdict")
    found = report(StoredLog(state))
    assert (found.proven, found.head, len(StoredLog(state))) == (False, None, 0)
    assert found.conclusion() == "NOT PROVEN: there is nothing in it"


def test_what_was_lost_is_missing_and_breaks_nothing(state: Path) -> None:
    edit(state, "DELETE FROM frame WHERE number = 20", "DELETE FROM samples WHERE number = 30")
    found = report(StoredLog(state))
    assert found.proven, found.lines()
    said = "\n".join(found.lines())
    assert f"frames 1 to 19, 21 to {TICKS} in 2 stretches" in said
    assert "; 2 are not here" in said


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            "UPDATE frame SET data = (SELECT data FROM frame WHERE number = 21) WHERE number = 20",
            "does not follow",
        ),
        (
            "UPDATE frame SET data = CAST(substr(data, 1, length(data) - 1) || x'00' AS BLOB) WHERE number = 20",
            "bad_signature",
        ),
        ("UPDATE frame SET data = x'90' WHERE number = 20", "log: after frame 19: malformed"),
        ("UPDATE verdict SET data = x'90'", "verdict: cannot be read: malformed"),
    ],
)
def test_what_was_changed_breaks_a_link_that_is_named(state: Path, damage: str, says: str) -> None:
    edit(state, damage)
    assert says in broken(StoredLog(state))


OTHER_TYPES = "CREATE TABLE frame (number INTEGER PRIMARY KEY, hash, data)"


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: (state / DATABASE).write_bytes(bytes(range(256)) * 99),
        lambda state: (state / DATABASE).write_bytes((state / DATABASE).read_bytes()[:4096]),
        lambda state: (state / DATABASE).unlink(),
        lambda state: edit(state, "UPDATE samples SET data = x'90' WHERE number = 20"),
        lambda state: edit(
            state, "DROP TABLE frame", OTHER_TYPES, "INSERT INTO frame VALUES (1, x'00', NULL)"
        ),
        lambda state: edit(
            state, "DROP TABLE frame", OTHER_TYPES, "INSERT INTO frame VALUES (1, x'00', 'frame')"
        ),
        lambda state: edit(state, "PRAGMA user_version = 1"),
        lambda state: (state / DATABASE).write_bytes(
            (state / DATABASE).read_bytes().replace(b"CREATE TABLE samples", b"CREATE TABL\xc5 samples")
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    state: Path,
    damage: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(state)
    code, said = verify(monkeypatch, capsys, state)
    assert (code, said.count("\n")) == (2, 1), said
    assert str(state / DATABASE) in said


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_byte_of_the_disk_is_changed_nothing_else_is_proven(laid: Path, data: st.DataObject) -> None:
    state = laid.with_name("flipped")
    before = (laid / DATABASE).read_bytes()
    shutil.copytree(laid, state, dirs_exist_ok=True)
    at, bits = data.draw(st.integers(0, len(before) - 1)), data.draw(st.integers(1, 255))
    (state / DATABASE).write_bytes(flipped(before, at, bits))
    try:
        found = report(StoredLog(state))
    except InputError:
        return
    if found.proven:  # in a place where nothing lies, or where what lies there is lost by it
        (ours,), theirs = told(report(whole())), told(found)
        assert all(verdict | {"noted_in_frame": ours["noted_in_frame"]} == ours for verdict in theirs)


def test_verify_of_a_folder_as_a_command(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = tmp_path / "case.mint"
    code, said = verify(monkeypatch, capsys, state, "--save", str(case))
    assert code == 0, said
    assert f"{CHEAT} took " in said
    assert (verify(monkeypatch, capsys, case), case.exists()) == ((0, said), True)
    edit(state, "UPDATE verdict SET data = CAST(substr(data, 1, 40) || x'00' || substr(data, 42) AS BLOB)")
    code, said = verify(monkeypatch, capsys, state)
    assert (code, "NOT PROVEN" in said) == (1, True), said


def verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: Path, *options: str
) -> tuple[int, str]:
    """Runs `mint verify`; its exit code and what it said."""
    operator = source.parent / "operator.pub"
    operator.write_text(NET.operator.public.hex())
    monkeypatch.setattr("sys.argv", ["mint", "verify", str(source), "--operator", str(operator), *options])
    code = commands.main()
    said = capsys.readouterr()
    return code, said.out + said.err
