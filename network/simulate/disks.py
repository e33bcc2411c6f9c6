"""What components find again on their disks, in memory: each keeps what the component's real store keeps, as copies.

A copy is what a disk holds: what a component changes later in what it had kept changes nothing here.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from detectors.store import Cut, Memory
from enforcer.enforcer import Batch
from enforcer.state import Change, MinerState, Saved
from mint.charter.seal import SealedCharter
from mint.frame_log import FrameLog, Kept
from twin_broker.storage import MemoryStorage

# A detector's copy of the log is not synced with every frame: a host without power loses up to this many.
UNSYNCED_FRAMES = 32


class Storage(Protocol):
    """A component's disk: the interpretation of its `Keep` effects."""

    def keep(self, what: Any) -> None:  # noqa: ANN401 (each component keeps things of its own types)
        """`what` is on disk from now on."""

    def copy(self) -> Storage:
        """The same, apart: a backup."""

    def power_lost(self) -> None:
        """The host lost its power: what was not synced is gone."""

    def booted(self) -> None:
        """The host has booted since."""


@dataclass(slots=True)
class Disk:
    """A node's state folder: its session, the charters it knows, its component's storage."""

    charters: dict[bytes, SealedCharter]
    storage: Storage
    session: int = 0

    def copy(self) -> Disk:
        """A backup."""
        return Disk(dict(self.charters), self.storage.copy(), self.session)


class Nothing:
    """The disk of a component that keeps nothing."""

    def keep(self, what: object) -> None:
        """Nobody asks for it."""
        raise TypeError(f"nothing is kept here, least of all {what!r}")

    def copy(self) -> Nothing:
        """Another empty one."""
        return Nothing()

    def power_lost(self) -> None:
        """Nothing is lost."""

    def booted(self) -> None:
        """Nothing changes."""


@dataclass
class ManagerDisk(MemoryStorage):
    """The manager's: every commit is synced."""

    def copy(self) -> ManagerDisk:
        """The same, apart."""
        return ManagerDisk(dict(self._frames), dict(self._clocks))

    def power_lost(self) -> None:
        """Nothing is lost."""

    def booted(self) -> None:
        """The clocks of devices were told in this host's time, which began again."""
        self._clocks = {}


@dataclass
class FrameCopy:
    """A detector's copy of the frame log."""

    kept: dict[int, Kept] = field(default_factory=dict)

    def newest(self) -> Kept | None:
        """The last frame."""
        return self.kept[max(self.kept)] if self.kept else None

    def frames(self, first: int, count: int) -> list[Kept]:
        """The `count` oldest frames from number `first` on."""
        numbers = sorted(number for number in self.kept if number >= first)
        return [self.kept[number] for number in numbers[:count]]

    def cut(self, after: int) -> None:
        """Forget what comes after this number."""
        self.kept = {number: kept for number, kept in self.kept.items() if number <= after}


class DetectorDisk:
    """A detector's: its memory, synced, and its copy of the log."""

    def __init__(self, kept: dict[int, Kept] | None = None) -> None:
        self._copy = FrameCopy({} if kept is None else kept)
        self.log: FrameLog = self._copy
        self._memory: Memory | None = None
        self._state = b""

    def keep(self, what: Memory | Kept | Cut) -> None:
        """As detectors/store.py does."""
        match what:
            case Kept():
                self._copy.kept.setdefault(what.number, what)
            case Memory():
                self._memory = what
                self._state = marshal.dumps(what.state)
            case Cut():
                self._copy.cut(what.after)

    @property
    def kept_vote(self) -> bytes:
        """The last vote kept, empty where there is none."""
        return b"" if self._memory is None else self._memory.vote

    def memory(self) -> Memory | None:
        """What was kept last, as it comes back from JSON."""
        if self._memory is None:
            return None
        state = json.loads(json.dumps(marshal.loads(self._state)))  # noqa: S302 (we have written it)
        return Memory(self._memory.number, self._memory.head, state, self._memory.vote, self._memory.fault)

    def copy(self) -> DetectorDisk:
        """The same, apart."""
        disk = DetectorDisk(dict(self._copy.kept))
        disk._memory, disk._state = self._memory, self._state
        return disk

    def power_lost(self) -> None:
        """The end of the log is gone."""
        newest = self._copy.newest()
        if newest is not None:
            self._copy.cut(newest.number - newest.number % UNSYNCED_FRAMES)

    def booted(self) -> None:
        """Nothing of it is of a boot."""


@dataclass
class EnforcerDisk:
    """An enforcer's (enforcer.state.Memory): every commit is synced."""

    states: dict[str, MinerState] = field(default_factory=dict)
    number: int = 0
    frame: int = 0
    outbox: dict[int, bytes] = field(default_factory=dict)

    def keep(self, what: Batch) -> None:
        """A change with its receipts, all or nothing."""
        self.commit(what.change, what.receipts)

    def commit(self, change: Change, receipts: Iterable[bytes]) -> None:
        """As enforcer/store.py does."""
        self.states |= change.states
        for name in change.forgotten:
            self.states.pop(name, None)
        self.number, self.frame = change.number, change.frame
        self.outbox |= zip((receipt.number for receipt in change.receipts), receipts, strict=True)

    def load(self) -> Saved:
        """Everything but the receipts that wait."""
        return Saved(dict(self.states), self.number, self.frame)

    def waiting(self) -> tuple[int, bytes] | None:
        """The oldest receipt that waits."""
        return next(iter(self.outbox.items()), None)

    def acknowledged(self, number: int) -> None:
        """The broker has it."""
        self.outbox.pop(number, None)

    def copy(self) -> EnforcerDisk:
        """The same, apart."""
        return EnforcerDisk(dict(self.states), self.number, self.frame, dict(self.outbox))

    def power_lost(self) -> None:
        """Nothing is lost."""

    def booted(self) -> None:
        """Books are of a boot, and say so themselves."""
