"""One device between two frames: its place in its stream, its newest sample, its clock, and what it may still send."""

from __future__ import annotations

from dataclasses import dataclass, field

from mint.device_clock import DeviceClock
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash
from mint.messages.frame import NOTHING, DeviceEntry
from mint.messages.sample import Sample

# A device that missed this many frames is no longer waited for.
PATIENCE_FRAMES = 3
# Samples that a device may send at once: a ring's worth (agents resend at most 60).
MAX_PENDING = 64
# And for each frame: one is what an honest device sends, the other makes up for a burst.
SAMPLES_A_FRAME = 2


@dataclass(slots=True)
class Device:
    """One device between frames: its place in its stream, its newest sample, its clock.

    `framed_boot` is its boot as the newest frame has it; `tokens` how many samples it may still send.
    """

    session: int = 0
    sequence: int = 0
    boot: bytes = bytes(16)
    steal_ns: int = 0
    framed_boot: bytes = bytes(16)
    clock: DeviceClock | None = None
    pending: list[bytes] = field(default_factory=list)
    missed: int = PATIENCE_FRAMES
    tokens: int = MAX_PENDING

    def entry(self, name: str) -> DeviceEntry:
        """The device in the frame that is being closed."""
        leaf = leaf_hash(self.pending[-1]) if self.pending else NOTHING
        return DeviceEntry(name, self.session, self.sequence, self.boot, self.steal_ns, leaf)

    def check(self, name: str, sample: Sample) -> None:
        """Whether the sample's boot and steal time can come next.

        Raises:
            Rejected: IMPOSSIBLE.
        """
        if sample.boot == self.boot:
            if sample.steal_ns < self.steal_ns:
                raise Rejected(Reason.IMPOSSIBLE, f"{name}: steal time runs backwards")
        elif sample.boot == self.framed_boot:
            raise Rejected(Reason.IMPOSSIBLE, f"{name} is back in a boot that had ended")

    def closed(self) -> None:
        """A frame has closed."""
        self.missed = 0 if self.pending else self.missed + 1
        self.pending = []
        self.framed_boot = self.boot
        self.tokens = min(self.tokens + SAMPLES_A_FRAME, MAX_PENDING)


def device_in(entry: DeviceEntry | None, clock: DeviceClock | None = None) -> Device:
    """A device as a frame has it; None: no frame has."""
    if entry is None:
        return Device(clock=clock)
    return Device(entry.session, entry.sequence, entry.boot, entry.steal_ns, entry.boot, clock)
