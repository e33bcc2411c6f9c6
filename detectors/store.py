"""A detector's disk: its memory in one file, its copy of the frame log in a database.

The memory is the last vote and everything later votes depend on, on disk before it votes. The copy lets a detector
go on where it was, and answer whoever misses frames while the manager cannot; what a power failure takes of its end is
asked for again.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from mint.errors import InputError
from mint.files import write_atomic
from mint.frame_log import FrameLog, FrameTable, Kept

FILE = "memory.json"
LOG = "frames.sqlite"
FORMAT = 5
# Two hours at one frame a second, some 30 MiB for sixteen miners: time to replace a manager that lost its disk.
KEEP_FRAMES = 7_200
# Pruning with every frame would double the writes.
PRUNE_EVERY = 600


@dataclass(frozen=True, slots=True)
class Memory:
    """`number` and `head`: the frame that `state` (DetectorCore.state) is of; `vote`: the last one cast, if any.

    `fault`: the proof for which the manager is done, if there is one.
    """

    number: int
    head: bytes
    state: dict[str, Any]
    vote: bytes
    fault: bytes = b""


@dataclass(frozen=True, slots=True)
class Cut:
    """The log after frame `after` is void: the operator has it go on from there."""

    after: int


class Storage(Protocol):
    """What a detector reads of its disk; what it has kept are `Memory`, `Kept` and `Cut`."""

    @property
    def log(self) -> FrameLog:
        """Our copy of the frame log."""

    def memory(self) -> Memory | None:
        """What was kept last; None when nothing was."""


class MemoryLog:
    """A copy of the frame log that is gone when the process is: a `mint.frame_log.FrameLog`."""

    def __init__(self) -> None:
        self.by_number: dict[int, Kept] = {}

    def newest(self) -> Kept | None:
        """The last frame."""
        return self.by_number[max(self.by_number)] if self.by_number else None

    def frames(self, first: int, count: int) -> list[Kept]:
        """The `count` oldest frames from number `first` on."""
        return [self.by_number[number] for number in sorted(self.by_number) if number >= first][:count]


class MemoryStorage:
    """A storage without a disk, for the simulator and tests."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self._memory: tuple[Memory, str] | None = None

    def keep(self, what: Memory | Kept | Cut) -> None:
        """Do what was asked; the state is copied now, as a file is."""
        frames = self.log.by_number
        match what:
            case Memory():
                self._memory = (what, json.dumps(what.state))
            case Kept():
                frames.setdefault(what.number, what)
            case Cut():
                self.log.by_number = {n: kept for n, kept in frames.items() if n <= what.after}

    def memory(self) -> Memory | None:
        """What was saved last."""
        if self._memory is None:
            return None
        memory, state = self._memory
        return replace(memory, state=json.loads(state))


class Store:
    """The files; for one process and thread.

    Raises:
        InputError: the log cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._memory = folder / FILE
        path = folder / LOG
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # Not synced at every frame: the memory is, and the manager's log; the end can be asked for again.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._table = FrameTable(self._db)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                str(path),
                f"cannot be used as a copy of the frame log ({error})",
                "remove it: it is asked for again",
            ) from None
        self.log: FrameLog = self._table

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def keep(self, what: Memory | Kept | Cut) -> None:
        """On disk when this returns (frames: as far as a crash of the process goes)."""
        match what:
            case Memory():
                self._save(what)
            case Kept():
                self._table.append(what)
                if what.number % PRUNE_EVERY == 0:
                    self._table.prune(what.number - KEEP_FRAMES)
            case Cut():
                self._table.cut(what.after)

    def memory(self) -> Memory | None:
        """What was saved last; None when nothing was.

        Raises:
            InputError: the file is damaged. Voting on without it could contradict an earlier vote.
        """
        try:
            data = json.loads(self._memory.read_bytes())
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']}")
            head, vote, fault = (bytes.fromhex(data[field]) for field in ("head", "vote", "fault"))
            return Memory(data["number"], head, data["state"], vote, fault)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                str(self._memory),
                f"cannot be read ({error})",
                "restore it, or give this detector a new key and remove it",
            ) from None

    def _save(self, memory: Memory) -> None:
        """Integers of any size and floats are exact in JSON as Python writes it."""
        data = {
            "format": FORMAT,
            "number": memory.number,
            "head": memory.head.hex(),
            "vote": memory.vote.hex(),
            "fault": memory.fault.hex(),
            "state": memory.state,
        }
        write_atomic(self._memory, json.dumps(data, separators=(",", ":")).encode())
