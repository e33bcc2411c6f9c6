"""The enforcer's disk: all or nothing, and a receipt's number for one content for ever."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from enforcer.ledger import Case
from enforcer.state import Change, MinerState
from enforcer.store import MAX_OUTBOX, Store
from mint.errors import InputError
from mint.messages.receipt import Receipt
from tests.enforcer.offences import MINERS, Keys, proven

S = 1_000_000_000


def receipt(number: int) -> Receipt:
    return Receipt(number, 0, MINERS[0], "drift", b"", 0, -1, -1, 0, 0, "")


def change(*numbers: int, state: MinerState | None = None, frame: int = 0) -> Change:
    states = {MINERS[0]: state} if state else {}
    return Change(states, (), tuple(map(receipt, numbers)), max(numbers, default=0), frame)


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    case = Case.opened(b"v" * 32, proven(Keys().sealed, (S, 0), (3 * S, S)))
    state = MinerState(known=(7,), settled=3, cases=(case,), imposed=True, halvings=1, drift="x")
    store = Store(tmp_path / "state" / "e.sqlite")
    store.commit(change(1, 2, state=state, frame=44), [b"one", b"two"])
    store.close()
    again = Store(tmp_path / "state" / "e.sqlite")
    saved = again.load()
    assert saved.states == {MINERS[0]: state}
    assert (saved.number, saved.frame) == (2, 44)
    assert again.waiting() == (1, b"one")
    again.acknowledged(1)
    assert again.waiting() == (2, b"two")
    again.acknowledged(2)
    assert again.waiting() is None
    assert again.load().number == 2, "a number that was told is never used again"
    again.close()


def test_a_miner_that_is_to_be_forgotten_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path / "e.sqlite")
    store.commit(change(state=MinerState(settled=3)), [])
    store.commit(Change({}, (MINERS[0],), (), 0, 0), [])
    assert store.load().states == {}
    store.close()


def test_a_commit_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    store = Store(tmp_path / "e.sqlite")
    store.commit(change(1), [b"one"])
    with pytest.raises(sqlite3.IntegrityError):
        store.commit(change(1, 2, state=MinerState(known=(1,))), [b"other", b"two"])
    assert store.load().states == {}
    assert store.load().number == 1
    assert store.waiting() == (1, b"one")
    store.commit(change(2), [b"two"])
    store.close()


def test_the_outbox_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    store = Store(tmp_path / "e.sqlite")
    numbers = range(1, MAX_OUTBOX + 11)
    store.commit(change(*numbers), [b"r"] * len(numbers))
    assert store.waiting() == (11, b"r")
    store.close()


def test_what_is_no_state_is_said_in_one_line(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"not a database, but long enough to look" * 100)
    with pytest.raises(InputError, match=r"damaged: cannot be opened .*; restore it"):
        Store(damaged)
    for version in (1, 9):
        other = tmp_path / f"of version {version}"
        with sqlite3.connect(other) as db:
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        with pytest.raises(InputError, match=rf"is of version {version}, this program's is 2; .*begin anew"):
            Store(other)
    with pytest.raises(InputError, match="cannot be opened"):
        Store(damaged / "below" / "a_file")


def test_a_damaged_state_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "e.sqlite")
    store.commit(change(state=MinerState(known=(1,))), [])
    store.close()
    with sqlite3.connect(tmp_path / "e.sqlite") as db:
        db.execute("UPDATE miner SET state = x'00'")
    db.close()
    store = Store(tmp_path / "e.sqlite")
    with pytest.raises(InputError, match="is damaged"):
        store.load()
    store.close()
