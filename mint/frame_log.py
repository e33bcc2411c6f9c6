"""The frames that a node keeps: one table, so that whoever misses some can be answered by any holder.

The manager's log (twin_broker/store.py) and a detector's copy of it (detectors/store.py) are both this, each in a
database of its own.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple, Protocol

SCHEMA = """
CREATE TABLE IF NOT EXISTS frame (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, data BLOB NOT NULL) STRICT;
"""


class Kept(NamedTuple):
    """A frame as it is kept: its number, its hash, its envelope as it came."""

    number: int
    hash: bytes
    data: bytes


class FrameLog(Protocol):
    """What a component reads of the frames that it had kept."""

    def newest(self) -> Kept | None:
        """The last frame; None when there is none."""

    def frames(self, first: int, count: int) -> list[Kept]:
        """The `count` oldest frames from number `first` on, in order."""


class FrameTable:
    """The table; whoever owns the database commits."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute(SCHEMA)

    def append(self, kept: Kept) -> None:
        """Keep a frame; kept twice it is kept once."""
        self._db.execute("INSERT OR IGNORE INTO frame VALUES (?, ?, ?)", kept)

    def cut(self, after: int) -> None:
        """Forget what comes after number `after`: the operator has the log go on from there."""
        self._db.execute("DELETE FROM frame WHERE number > ?", (after,))

    def prune(self, oldest: int) -> None:
        """Forget what comes before number `oldest`."""
        self._db.execute("DELETE FROM frame WHERE number < ?", (oldest,))

    def newest(self) -> Kept | None:
        """The last frame; None when there is none."""
        row = self._db.execute("SELECT number, hash, data FROM frame ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else Kept(*row)

    def frames(self, first: int, count: int) -> list[Kept]:
        """The `count` oldest frames from number `first` on, in order."""
        rows = self._db.execute(
            "SELECT number, hash, data FROM frame WHERE number >= ? ORDER BY number LIMIT ?", (first, count)
        )
        return [Kept(*row) for row in rows]
