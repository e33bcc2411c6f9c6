"""The disks of components in memory: what was kept is there after a restart, as plain data where it is a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from detectors.store import Cut, Memory
from enforcer.state import Change, MinerState, Saved
from mint.frame_log import Kept


class FrameCopy:
    """A detector's copy of the log."""

    def __init__(self) -> None:
        self._frames: dict[int, Kept] = {}

    def append(self, kept: Kept) -> None:
        self._frames.setdefault(kept.number, kept)

    def cut(self, after: int) -> None:
        self._frames = {number: kept for number, kept in self._frames.items() if number <= after}

    def newest(self) -> Kept | None:
        return self._frames[max(self._frames)] if self._frames else None

    def frames(self, first: int, count: int) -> list[Kept]:
        return [self._frames[number] for number in sorted(self._frames) if number >= first][:count]


class DetectorDisk:
    """A `detectors.store.Storage`."""

    def __init__(self) -> None:
        self.log = FrameCopy()
        self._memory: tuple[Memory, str] | None = None

    def keep(self, what: Memory | Kept | Cut) -> None:
        match what:
            case Memory():
                # Copied now, as a file is: what the detector goes on changing is not what was kept.
                self._memory = (what, json.dumps(what.state))
            case Kept():
                self.log.append(what)
            case Cut():
                self.log.cut(what.after)

    def memory(self) -> Memory | None:
        if self._memory is None:
            return None
        memory, state = self._memory
        return Memory(memory.number, memory.head, json.loads(state), memory.vote, memory.fault)


class EnforcerDisk:
    """What an `enforcer.state.Memory` keeps, without its outbox."""

    def __init__(self) -> None:
        self._states: dict[str, bytes] = {}
        self._number = self._frame = 0

    def load(self) -> Saved:
        states = {name: msgspec.msgpack.decode(data, type=MinerState) for name, data in self._states.items()}
        return Saved(states, self._number, self._frame)

    def commit(self, change: Change, receipts: Iterable[bytes]) -> None:
        self._states |= {name: msgspec.msgpack.encode(state) for name, state in change.states.items()}
        for name in change.forgotten:
            self._states.pop(name, None)
        self._number, self._frame = change.number, change.frame


Disk = Any  # each component's own
