"""The ledger on disk: every block of the chain, and for a while those beside it, in SQLite (WAL).

What is kept together is one transaction: after kill -9 all of it is there or none. It is not synced at every commit: a
power cut may take the last of it, which others have too, and monotonic clocks and counters begin anew with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from agents.pow.chain.storage import Counted, Grown, Place, Stored
from mint.chain.state import work_bytes
from mint.errors import InputError, Rejected
from mint.wire import Name, Nat, Wire, decode, encode

# Raised whenever the tables change; SQLite keeps it in the file's header.
SCHEMA_VERSION = 1
# Blocks beside the chain that are kept, those with the most work: a network that was in two parts for two days at a
# block in ten seconds still becomes one.
MAX_SIDE = 20_000
# A state is rebuilt from the last snapshot: within seconds for the chain of the last day or so, one in SPARSE before.
RECENT_SNAPSHOTS = 4_096
SPARSE = 4_096

SCHEMA = """
CREATE TABLE IF NOT EXISTS block (
    hash BLOB PRIMARY KEY, parent BLOB NOT NULL, height INTEGER NOT NULL, total_work BLOB NOT NULL,
    next_work INTEGER NOT NULL, miner TEXT NOT NULL, works BLOB NOT NULL, data BLOB NOT NULL,
    on_chain INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS chain ON block (height) WHERE on_chain = 1;
CREATE INDEX IF NOT EXISTS side ON block (total_work) WHERE on_chain = 0;
CREATE TABLE IF NOT EXISTS snapshot (hash BLOB PRIMARY KEY, height INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS snapshot_at ON snapshot (height);
CREATE TABLE IF NOT EXISTS total (miner TEXT PRIMARY KEY, shares INTEGER NOT NULL) STRICT;
"""
_PLACE = "hash, parent, height, total_work, next_work"
_AFTER = (
    f"SELECT {_PLACE}, miner, works, data FROM block "  # noqa: S608 (of ours)
    "WHERE on_chain = 1 AND height > ? ORDER BY height"
)


class _Works(Wire, frozen=True):
    of: tuple[tuple[Name, Nat], ...]


class ChainStore:
    """The ledger on disk: an `agents.pow.chain.storage.Storage`."""

    def __init__(self, path: Path) -> None:
        """Open or make the database; each ledger has one of its own.

        Raises:
            InputError: it cannot be opened, is damaged, or is another version's.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            _check_version(self._db, path)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._db.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                str(path), f"cannot be used as the ledger ({error})", "check the --state folder"
            ) from None

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def keep(self, what: Grown | Counted) -> None:
        """Do what the node asks; on disk, all of it or nothing, when this returns.

        Raises:
            sqlite3.Error: the disk refuses.
        """
        with self._db as db:
            db.execute("BEGIN")
            if isinstance(what, Counted):
                db.executemany("INSERT OR REPLACE INTO total VALUES (?, ?)", what.totals.items())
            else:
                self._grow(what)

    def _grow(self, what: Grown) -> None:
        rows = [_row(stored) for stored in what.blocks]
        self._db.executemany(f"INSERT OR IGNORE INTO block VALUES ({', '.join('?' * 8)}, 0)", rows)  # noqa: S608
        self._db.executemany("INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?)", what.snapshots)
        if not what.chain:
            return
        self._db.execute("UPDATE block SET on_chain = 0 WHERE on_chain = 1 AND height > ?", (what.fork,))
        self._db.executemany("UPDATE block SET on_chain = 1 WHERE hash = ?", [(one,) for one in what.chain])
        if what.snapshots:
            self._prune(what.fork + len(what.chain))

    def _prune(self, height: int) -> None:
        self._db.execute(
            "DELETE FROM snapshot WHERE height < ? AND height % ? <> 0", (height - RECENT_SNAPSHOTS, SPARSE)
        )
        self._db.execute(
            "DELETE FROM block WHERE hash IN (SELECT hash FROM block WHERE on_chain = 0 "
            "ORDER BY total_work DESC LIMIT -1 OFFSET ?)",
            (MAX_SIDE,),
        )

    def tip(self) -> Place | None:
        """The end of the chain; None: there is no block."""
        return self._place("WHERE on_chain = 1 ORDER BY height DESC LIMIT 1")

    def place(self, block: bytes) -> Place | None:
        """Where a block stands, on the chain or beside it; None: it is not here."""
        return self._place("WHERE hash = ?", block)

    def _place(self, where: str, *values: bytes) -> Place | None:
        row = self._db.execute(f"SELECT {_PLACE} FROM block {where}", values).fetchone()  # noqa: S608 (of ours)
        return None if row is None else _place_in(row)

    def data(self, block: bytes) -> bytes:
        """A block that is here, as it came."""
        data: bytes
        (data,) = self._db.execute("SELECT data FROM block WHERE hash = ?", (block,)).fetchone()
        return data

    def on_chain(self, height: int) -> bytes | None:
        """The hash of the chain's block at this height."""
        row = self._db.execute(
            "SELECT hash FROM block WHERE on_chain = 1 AND height = ?", (height,)
        ).fetchone()
        return None if row is None else row[0]

    def after(self, height: int) -> Iterator[Stored]:
        """The chain's blocks above this height, in order, read one by one."""
        rows = self._db.execute(_AFTER, (height,))
        for row in rows:
            yield _stored_in(row)

    def snapshot(self, block: bytes) -> bytes | None:
        """The state after this block, where it was kept."""
        row = self._db.execute("SELECT data FROM snapshot WHERE hash = ?", (block,)).fetchone()
        return None if row is None else row[0]

    def totals(self) -> dict[str, int]:
        """How many shares each miner ever found."""
        return dict(self._db.execute("SELECT miner, shares FROM total"))


def totals_in(folder: Path) -> dict[str, int]:
    """How many shares each miner ever found, by every ledger that was mined with this folder.

    One that cannot be read is left out: it need not be the one that is mined now.
    """
    totals: dict[str, int] = {}
    for path in sorted(folder.glob("ledger-*.sqlite")):
        with suppress(InputError, sqlite3.Error), closing(ChainStore(path)) as store:
            for miner, shares in store.totals().items():
                totals[miner] = max(shares, totals.get(miner, 0))
    return totals


class ChainReader:
    """The chain for who only reads it, beside an agent that may be running or not.

    Nothing is made or locked. Where SQLite has no log of its own lying beside (`-wal`), nobody has it open, and it is
    read as it is: otherwise reading it would make one, which an agent under another user could not write.
    """

    def __init__(self, path: Path) -> None:
        """InputError when there is no such file."""
        if not path.is_file():
            raise InputError(
                str(path), "is no ledger", "name the ledger-*.sqlite in the --state folder of an agent"
            )
        self._path = path

    def blocks(self) -> Iterator[Stored]:
        """The chain's blocks in order, as it was when the first of them is asked for.

        Raises:
            InputError: it is damaged, or another version's.
        """
        quiet = not self._path.with_name(self._path.name + "-wal").exists()
        address = f"{self._path.resolve().as_uri()}?mode=ro{'&immutable=1' if quiet else ''}"
        try:
            with closing(sqlite3.connect(address, uri=True)) as db:
                _check_version(db, self._path)
                for row in db.execute(_AFTER, (0,)):
                    yield _stored_in(row)
        except (sqlite3.Error, Rejected, TypeError, ValueError) as error:
            # A damaged file may hold anything anywhere, whatever its tables say.
            raise InputError(
                str(self._path), f"cannot be read as a ledger ({error})", "read that of another device"
            ) from None


def _stored_in(row: Sequence[Any]) -> Stored:
    *place, miner, works, data = row
    return Stored(_place_in(place), miner, dict(decode(works, _Works).of), data)


def _row(stored: Stored) -> tuple[bytes | int | str, ...]:
    place = stored.place
    works = encode(_Works(tuple(sorted(stored.works.items()))))
    return (
        place.hash,
        place.parent,
        place.height,
        work_bytes(place.total_work),
        place.next_work,
        stored.miner,
        works,
        stored.data,
    )


def _place_in(row: Sequence[Any]) -> Place:
    block, parent, height, total_work, next_work = row
    return Place(block, parent, height, int.from_bytes(total_work, "big"), next_work)


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version != SCHEMA_VERSION and not (version == 0 and tables == 0):
        raise InputError(
            str(path),
            f"is a ledger of another version of MinT (format {version}, this one reads {SCHEMA_VERSION})",
            "move it away: the other devices have the same",
        )
