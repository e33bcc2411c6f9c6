"""The manager's disk: the frame log and the samples it rests on, in SQLite (WAL, synced at every commit).

A frame is stored before anyone is told of it, with the samples that are acknowledged because of it, in one
transaction: after kill -9 either all of it is there or none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from mint.envelope import Envelope
from mint.sign_bytes import Object, Stream
from mint.errors import InputError, Rejected
from mint.messages.frame import Decision, Frame
from mint.messages.sample import Sample
from mint.wire import Int, Name, Wire, decode, encode
from mint.device_clock import DeviceClock
from twin_broker.core import Closed

# A day at one frame a second, some 400 MiB for sixteen miners: time to export what happened, then it goes.
KEEP_FRAMES = 86_400
# Pruning every frame would double the writes.
PRUNE_EVERY = 600
# Offences remembered, so that a verdict that comes again is known: thousands of times any fleet's number.
KEEP_DECISIONS = 100_000

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS frame (
  number INTEGER PRIMARY KEY, hash BLOB NOT NULL, data BLOB NOT NULL, samples BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS decision (
  id INTEGER PRIMARY KEY, miner TEXT NOT NULL, began INTEGER NOT NULL, data BLOB NOT NULL,
  UNIQUE (miner, began)
) STRICT;
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


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame as stored: its envelope, hash, and the sample envelopes that came with it."""

    number: int
    hash: bytes
    data: bytes
    samples: tuple[bytes, ...]


class Sampled(NamedTuple):
    """A sample and the device it is of."""

    device: str
    sample: Sample


class FrameStore:
    """The frame log on disk."""

    def __init__(self, path: Path, manager_boot: bytes) -> None:
        """Open or make the database; `manager_boot` tells one uptime of this host from the next.

        Raises:
            InputError: it cannot be opened, or is damaged.
        """
        self._boot = manager_boot
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                str(path), f"cannot be used as the frame log ({error})", "check the --state folder"
            ) from None

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def append(self, closed: Closed) -> None:
        """Store a closed frame with everything that goes with it; on disk when this returns."""
        db = self._db
        clocks = _Clocks(self._boot, tuple(_clock(name, clock) for name, clock in closed.clocks.items()))
        with db:
            db.execute("BEGIN")
            db.execute(
                "INSERT INTO frame VALUES (?, ?, ?, ?)",
                (closed.number, closed.hash, closed.data, encode(_Samples(closed.samples))),
            )
            for decision in closed.decided:
                db.execute(
                    "INSERT OR IGNORE INTO decision (miner, began, data) VALUES (?, ?, ?)",
                    (decision.miner, decision.began, encode(decision)),
                )
            db.execute("INSERT OR REPLACE INTO clocks VALUES (1, ?)", (encode(clocks),))
            if closed.number % PRUNE_EVERY == 0:
                db.execute("DELETE FROM frame WHERE number <= ?", (closed.number - KEEP_FRAMES,))
                db.execute(
                    "DELETE FROM decision WHERE id <= (SELECT max(id) FROM decision) - ?", (KEEP_DECISIONS,)
                )

    def newest(self) -> StoredFrame | None:
        """The head of the log; None when there is none."""
        row = self._db.execute("SELECT * FROM frame ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else _stored(row)

    def range(self, first: int, count: int) -> list[StoredFrame]:
        """The `count` oldest frames from number `first` on, in order."""
        rows = self._db.execute(
            "SELECT * FROM frame WHERE number >= ? ORDER BY number LIMIT ?", (first, count)
        )
        return [_stored(row) for row in rows]

    def decisions(self) -> list[Decision]:
        """Every decision remembered."""
        return [decode(data, Decision) for (data,) in self._db.execute("SELECT data FROM decision")]

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
        first, last = self._rows("SELECT min(number), max(number) FROM frame")[0]
        return None if first is None else (first, last)

    def page(self, first: int, last: int, count: int) -> list[Frame]:
        """The `count` oldest frames from number `first` to `last`, in order."""
        query = "SELECT data FROM frame WHERE number BETWEEN ? AND ? ORDER BY number LIMIT ?"
        return [self._decoded(frame_in, data) for (data,) in self._rows(query, first, last, count)]

    def samples(self, number: int) -> tuple[Sampled, ...]:
        """The samples that came with frame `number`, with their devices."""
        rows = self._rows("SELECT samples FROM frame WHERE number = ?", number)
        return tuple(sample for (data,) in rows for sample in self._decoded(_sampled, data))

    def _decoded(self, decoder: Callable[[bytes], T], data: bytes) -> T:
        try:
            return decoder(data)
        except Rejected as error:
            raise self._wrong(error) from None

    def _rows(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        quiet = not self._path.with_name(self._path.name + "-wal").exists()
        address = f"{self._path.resolve().as_uri()}?mode=ro{'&immutable=1' if quiet else ''}"
        try:
            with closing(sqlite3.connect(address, uri=True)) as db:
                return db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._wrong(error) from None

    def _wrong(self, error: Exception) -> InputError:
        return InputError(str(self._path), f"cannot be read as a frame log ({error})", "check the folder")


def _sampled(data: bytes) -> tuple[Sampled, ...]:
    """The samples in envelopes that were checked when they came."""
    streams = [decode(decode(sample, Envelope).body, Stream) for sample in decode(data, _Samples).samples]
    return tuple(Sampled(stream.sender, decode(stream.payload, Sample)) for stream in streams)


def frame_in(data: bytes) -> Frame:
    """The frame in an envelope of our own disk, signed by us: only decoded."""
    return decode(decode(decode(data, Envelope).body, Object).payload, Frame)


def _clock(name: str, clock: DeviceClock) -> _Clock:
    return _Clock(name, clock.boot, clock.device_ns, clock.offset_ns, clock.begun_ns, clock.settled)


def _stored(row: tuple[int, bytes, bytes, bytes]) -> StoredFrame:
    number, frame_hash, data, samples = row
    return StoredFrame(number, frame_hash, data, decode(samples, _Samples).samples)
