"""The enforcer's memory: one SQLite file (WAL, every commit synced), which survives kill -9 and power loss.

A change and the receipts that tell of it are one transaction, so a receipt's number belongs to one content for
ever, and a receipt waits here until the broker has acknowledged it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from enforcer.state import Change, MinerState, Saved
from mint.errors import InputError

# 1 named offences by the frame they began at, which no number of an offence follows from.
VERSION = 2
# Receipts that wait for a broker: days of an ordinary device. Then the oldest go; their numbers show the gap.
MAX_OUTBOX = 4096

_TABLES = """
CREATE TABLE miner (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, frame INTEGER NOT NULL);
CREATE TABLE outbox (number INTEGER PRIMARY KEY, data BLOB NOT NULL);
INSERT INTO mark VALUES (1, 0, 0);
"""


class Store:
    """The file; for one process and thread.

    Raises:
        InputError: it cannot be opened, or is of another version, or not ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            elif version != VERSION:
                raise self._unusable(f"is of version {version}, this program's is {VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(f"cannot be opened ({error})") from None

    def load(self) -> Saved:
        """Everything but the outbox.

        Raises:
            InputError: what is there is damaged.
        """
        try:
            states = {
                name: msgspec.msgpack.decode(state, type=MinerState)
                for name, state in self._db.execute("SELECT name, state FROM miner")
            }
            number, frame = self._db.execute("SELECT number, frame FROM mark").fetchone()
        except (sqlite3.Error, msgspec.MsgspecError, TypeError) as error:
            raise self._unusable(f"is damaged ({error})") from None
        return Saved(states, number, frame)

    def commit(self, change: Change, receipts: Iterable[bytes]) -> None:
        """Store a change with its signed receipts, in the order of `change.receipts`; synced on return.

        Raises:
            sqlite3.Error: the disk is full or broken; nothing was stored.
        """
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO miner VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET state = excluded.state",
                [(name, msgspec.msgpack.encode(state)) for name, state in change.states.items()],
            )
            self._db.executemany("DELETE FROM miner WHERE name = ?", [(name,) for name in change.forgotten])
            self._db.execute("UPDATE mark SET number = ?, frame = ?", (change.number, change.frame))
            numbered = zip((receipt.number for receipt in change.receipts), receipts, strict=True)
            self._db.executemany("INSERT INTO outbox VALUES (?, ?)", numbered)
            self._db.execute("DELETE FROM outbox WHERE number <= ? - ?", (change.number, MAX_OUTBOX))

    def waiting(self) -> tuple[int, bytes] | None:
        """The oldest receipt that the broker has not acknowledged, with its number."""
        row: tuple[int, bytes] | None = self._db.execute(
            "SELECT number, data FROM outbox ORDER BY number LIMIT 1"
        ).fetchone()
        return row

    def acknowledged(self, number: int) -> None:
        """The broker has this receipt."""
        self._db.execute("DELETE FROM outbox WHERE number = ?", (number,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _unusable(self, wrong: str) -> InputError:
        mend = "restore it, or move it away to begin anew (penalties in progress are then forgotten)"
        return InputError(str(self._path), wrong, mend)
