"""What the manager asks of its disk: to keep frames with what they rest on, and to have them at hand.

On a disk it is twin_broker/store.py; the simulator and tests keep it in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mint.device_clock import DeviceClock
from mint.frame_log import FrameLog, Kept


@dataclass(frozen=True, slots=True)
class Stored:
    """A frame with the envelopes of the samples that came with it, and of the verdicts that it takes note of."""

    kept: Kept
    samples: tuple[bytes, ...]
    verdicts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """Keep: frames that follow what is kept, in order, and the devices' clocks after the last one."""

    frames: tuple[Stored, ...]
    clocks: Mapping[str, DeviceClock]


@dataclass(frozen=True, slots=True)
class Cut:
    """Keep: nothing that comes after frame number `after`; the operator has the log go on from there."""

    after: int


class Storage(FrameLog, Protocol):
    """What the manager reads of what it had kept."""

    def samples(self, number: int) -> tuple[bytes, ...]:
        """The envelopes of samples that came with frame `number`."""

    def verdicts(self, number: int) -> tuple[bytes, ...]:
        """The envelopes of the verdicts that frame `number` takes note of."""

    def clocks(self) -> Mapping[str, DeviceClock]:
        """The devices' clocks as of the newest frame; none after a reboot, for our own time began again."""


@dataclass
class MemoryStorage:
    """A storage that is gone when the process is."""

    _frames: dict[int, Stored] = field(default_factory=dict)
    _clocks: Mapping[str, DeviceClock] = field(default_factory=dict)

    def keep(self, what: Append | Cut) -> None:
        """Do what was asked."""
        if isinstance(what, Cut):
            self._frames = {number: one for number, one in self._frames.items() if number <= what.after}
            return
        self._frames |= {stored.kept.number: stored for stored in what.frames}
        self._clocks = what.clocks

    def newest(self) -> Kept | None:
        """The last frame."""
        return self._frames[max(self._frames)].kept if self._frames else None

    def frames(self, first: int, count: int) -> list[Kept]:
        """The `count` oldest frames from number `first` on."""
        numbers = sorted(number for number in self._frames if number >= first)
        return [self._frames[number].kept for number in numbers[:count]]

    def samples(self, number: int) -> tuple[bytes, ...]:
        """The samples of a frame."""
        return self._frames[number].samples if number in self._frames else ()

    def verdicts(self, number: int) -> tuple[bytes, ...]:
        """The verdicts of a frame."""
        return self._frames[number].verdicts if number in self._frames else ()

    def clocks(self) -> Mapping[str, DeviceClock]:
        """The devices' clocks."""
        return self._clocks
