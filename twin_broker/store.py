"""The manager's disk: the frame log and what it rests on, in SQLite (WAL, synced at every commit).

A frame is stored before anyone is told of it, with the samples that are acknowledged because of it, in one
transaction: after kill -9 either all of it is there or none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from mint.device_clock import DeviceClock
from mint.envelope import Envelope, object_hash
from mint.errors import InputError, Rejected
from mint.frame_log import FrameTable, Kept
from mint.frames import frame_in
from mint.messages.frame import Frame
from mint.messages.sample import Sample
from mint.sign_bytes import Stream
from mint.wire import Int, Name, Wire, decode, encode
from twin_broker.storage import Append, Cut, Stored

# A day at one frame a second, some 400 MiB for sixteen miners: time to export what happened, then it goes.
KEEP_FRAMES = 86_400
# Pruning every frame would double the writes.
PRUNE_EVERY = 600
# Raised whenever the tables change; SQLite keeps it in the file's header. The first version wrote none (0).
SCHEMA_VERSION = 4

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS samples (number INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS verdict (hash BLOB PRIMARY KEY, number INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS verdict_of ON verdict (number);
CREATE TABLE IF NOT EXISTS clocks (one INTEGER PRIMARY KEY CHECK (one = 1), data BLOB NOT NULL) STRICT;
"""


class _Clock(Wire, frozen=True):
    device: Name
    boot: bytes
    device_ns: Int
    offset_ns: Int
    begun_ns: Int
    settled: bool


class _Clocks(Wire, frozen=True):
    manager_boot: bytes
    clocks: tuple[_Clock, ...]


class _Samples(Wire, frozen=True):
    samples: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=1 << 20)]


class Sampled(NamedTuple):
    """A sample and the device it is of."""

    device: str
    sample: Sample


class FrameStore:
    """The frame log on disk: a `twin_broker.storage.Storage`."""

    def __init__(self, path: Path, manager_boot: bytes) -> None:
        """Open or make the database; `manager_boot` tells one uptime of this host from the next.

        Raises:
            InputError: it cannot be opened, is damaged, or is another version's.
        """
        self._boot = manager_boot
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            check_version(self._db, path)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._log = FrameTable(self._db)
            self._db.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                str(path), f"cannot be used as the frame log ({error})", "check the --state folder"
            ) from None

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def keep(self, what: Append | Cut) -> None:
        """Do what the manager asks; on disk, all of it or nothing, when this returns.

        Raises:
            sqlite3.Error: the disk refuses, or a frame of that number is there already.
        """
        with self._db as db:
            db.execute("BEGIN")
            if isinstance(what, Cut):
                self._log.cut(what.after)
                for table in ("samples", "verdict"):
                    db.execute(f"DELETE FROM {table} WHERE number > ?", (what.after,))  # noqa: S608 (of ours)
                return
            for stored in what.frames:
                self._append(stored)
            clocks = tuple(_clock(name, clock) for name, clock in what.clocks.items())
            db.execute("INSERT OR REPLACE INTO clocks VALUES (1, ?)", (encode(_Clocks(self._boot, clocks)),))

    def _append(self, stored: Stored) -> None:
        number = stored.kept.number
        # Its number is the key: what is there already is not written over.
        self._db.execute("INSERT INTO samples VALUES (?, ?)", (number, encode(_Samples(stored.samples))))
        self._log.append(stored.kept)
        for data in stored.verdicts:
            row = (object_hash(data), number, data)
            self._db.execute("INSERT OR REPLACE INTO verdict VALUES (?, ?, ?)", row)
        if number % PRUNE_EVERY == 0:
            oldest = number - KEEP_FRAMES + 1
            self._log.prune(oldest)
            for table in ("samples", "verdict"):
                self._db.execute(f"DELETE FROM {table} WHERE number < ?", (oldest,))  # noqa: S608 (of ours)

    def newest(self) -> Kept | None:
        """The head of the log; None when there is none."""
        return self._log.newest()

    def frames(self, first: int, count: int) -> list[Kept]:
        """The `count` oldest frames from number `first` on, in order."""
        return self._log.frames(first, count)

    def samples(self, number: int) -> tuple[bytes, ...]:
        """The envelopes of samples that came with frame `number`."""
        row = self._db.execute("SELECT data FROM samples WHERE number = ?", (number,)).fetchone()
        return () if row is None else decode(row[0], _Samples).samples

    def verdicts(self, number: int) -> tuple[bytes, ...]:
        """The envelopes of the verdicts that frame `number` takes note of."""
        rows = self._db.execute("SELECT data FROM verdict WHERE number = ? ORDER BY hash", (number,))
        return tuple(data for (data,) in rows)

    def clocks(self) -> Mapping[str, DeviceClock]:
        """The devices' clocks as of the newest frame; none after a reboot, for our own time began again."""
        row = self._db.execute("SELECT data FROM clocks").fetchone()
        stored = _Clocks(self._boot, ()) if row is None else decode(row[0], _Clocks)
        if stored.manager_boot != self._boot:
            return {}
        return {
            clock.device: DeviceClock(
                clock.boot, clock.device_ns, clock.offset_ns, clock.begun_ns, clock.settled
            )
            for clock in stored.clocks
        }


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """Check that a database is empty or holds the tables that this version of MinT writes.

    Raises:
        InputError: it is another version's.
        sqlite3.Error: it is damaged.
    """
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except UnicodeDecodeError:  # SQLite names what is damaged by the damaged name
        raise sqlite3.DatabaseError("the list of its tables is damaged") from None
    if version == SCHEMA_VERSION or (version == 0 and tables == 0):
        return
    age = "an older" if version < SCHEMA_VERSION else "a newer"
    raise InputError(
        str(path),
        f"is the frame log of {age} version of MinT (format {version}, this one reads {SCHEMA_VERSION})",
        "read it with that version (mint export), or move it away and start anew",
    )


class FrameReader:
    """The frame log for who only reads it, beside a manager that may be running or not.

    Nothing is made, locked or kept open: every call opens the database anew. Where SQLite has no log of its own
    lying beside (`-wal`), nobody has it open, and it is read as it is: otherwise reading it would make one,
    which a manager under another user could not write.
    """

    def __init__(self, path: Path) -> None:
        """InputError when there is no such file."""
        if not path.is_file():
            raise InputError(
                str(path), "is no frame log", "name the --state folder of a manager, or a network's --dir"
            )
        self._path = path

    def numbers(self) -> tuple[int, int] | None:
        """The first and the last frame there are; None when there are none."""
        ((first, last),) = self._read("SELECT min(number), max(number) FROM frame")
        return None if first is None else (first, last)

    def page(self, first: int, last: int, count: int) -> list[Frame]:
        """The `count` oldest frames from number `first` to `last`, in order."""
        query = "SELECT data FROM frame WHERE number BETWEEN ? AND ? ORDER BY number LIMIT ?"
        return [self._decoded(frame_in, data) for (data,) in self._rows(query, first, last, count)]

    def kept(self, first: int, last: int, count: int) -> list[Kept]:
        """The same as they came, signed."""
        query = "SELECT number, hash, data FROM frame WHERE number BETWEEN ? AND ? ORDER BY number LIMIT ?"
        rows = self._rows(query, first, last, count, types=(int, bytes, bytes))
        return [Kept(*row) for row in rows]

    def envelopes(self, number: int) -> tuple[bytes, ...]:
        """The samples that came with frame `number`, signed as they came."""
        rows = self._rows("SELECT data FROM samples WHERE number = ?", number)
        return tuple(sample for (data,) in rows for sample in self._decoded(_envelopes, data))

    def verdicts(self) -> tuple[bytes, ...]:
        """Every verdict that a frame takes note of, as it came, in the log's order."""
        return tuple(data for (data,) in self._rows("SELECT data FROM verdict ORDER BY number"))

    def samples(self, number: int) -> tuple[Sampled, ...]:
        """The samples that came with frame `number`, with their devices."""
        rows = self._rows("SELECT data FROM samples WHERE number = ?", number)
        return tuple(sample for (data,) in rows for sample in self._decoded(_sampled, data))

    def _decoded(self, decoder: Callable[[bytes], T], data: bytes) -> T:
        try:
            return decoder(data)
        except Rejected as error:
            raise self._wrong(error) from None

    def _rows(self, query: str, *values: int, types: tuple[type, ...] = (bytes,)) -> list[tuple[Any, ...]]:
        """What is read, of these types: a damaged file may hold anything anywhere, whatever its tables say."""
        rows = self._read(query, *values)
        if any(tuple(map(type, row)) != types for row in rows):
            raise self._wrong("values of other types in it")
        return rows

    def _read(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        quiet = not self._path.with_name(self._path.name + "-wal").exists()
        address = f"{self._path.resolve().as_uri()}?mode=ro{'&immutable=1' if quiet else ''}"
        try:
            with closing(sqlite3.connect(address, uri=True)) as db:
                check_version(db, self._path)
                return db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._wrong(error) from None

    def _wrong(self, error: Exception | str) -> InputError:
        return InputError(str(self._path), f"cannot be read as a frame log ({error})", "check the folder")


def _envelopes(data: bytes) -> tuple[bytes, ...]:
    return decode(data, _Samples).samples


def _sampled(data: bytes) -> tuple[Sampled, ...]:
    """The samples in envelopes that were checked when they came."""
    streams = [decode(decode(sample, Envelope).body, Stream) for sample in decode(data, _Samples).samples]
    return tuple(Sampled(stream.sender, decode(stream.payload, Sample)) for stream in streams)


def _clock(name: str, clock: DeviceClock) -> _Clock:
    return _Clock(name, clock.boot, clock.device_ns, clock.offset_ns, clock.begun_ns, clock.settled)
