"""Watching the manager: whether frames say what devices said, and leave nothing out.

Every detector checks the samples of some devices, another slice every `SLICE` frames; every device is watched by
f_detectors + 1 detectors at any time, so by an honest one, and by all of them in turn. Of a device that it watches a
detector checks the sample that a frame names (signature, every number), and keeps the first sample that it heard and no
frame has come to yet.

What a frame contradicts is a proof. What is left out can only be claimed: an honest manager may not have heard, or
may have refused what no device can have read. So before it claims anything a detector goes by the manager's own rules
(mint/stream_rules.py, mint/device_clock.py), and 2 f_detectors + 1 claims make a Fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mint.charter.seal import SealedCharter
from mint.device_clock import SLACK_NS, DeviceClock
from mint.envelope import Envelope, open_envelope
from mint.errors import Rejected
from mint.fault_proofs import contradicts
from mint.frames import LogFrame
from mint.messages.fault import FaultKind
from mint.messages.frame import DeviceEntry, MinerEntry
from mint.messages.sample import Sample
from mint.sign_bytes import Stream
from mint.stream_rules import check_next, check_readings
from mint.wire import decode

# Frames until the slices change: several of the longest delays that are no fault.
SLICE = 16
# Frames for which a sample may be on its way: an agent sends again after two periods, then after four.
PATIENCE = 8
# Frames in which a sample that a frame names has to be shown by somebody.
SHOWN_WITHIN = 30
# Between two claims of one thing.
CLAIM_EVERY = 120


@dataclass(frozen=True, slots=True)
class Found:
    """Misconduct that was seen: the kind of fault, the device concerned, and the envelopes that show it."""

    kind: FaultKind
    about: str
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Heard:
    """A sample that no frame has come to yet: its place, its envelope, and the frame after which it was heard."""

    place: tuple[int, int]
    data: bytes
    sample: Sample
    frame: int


@dataclass(frozen=True, slots=True)
class _Unshown:
    """A frame whose sample of a device is not at hand."""

    leaf: bytes
    frame: LogFrame


class Watch:
    """What one detector knows of the samples beside the frames; one entry a device of the charter in each table."""

    def __init__(self, name: str, charter: SealedCharter) -> None:
        self._name = name
        self._heard: dict[str, _Heard] = {}
        self._unshown: dict[str, _Unshown] = {}
        self._last: dict[str, tuple[tuple[int, int], bytes]] = {}
        self._clocks: dict[str, DeviceClock] = {}
        self._fast: set[str] = set()
        self._claimed: dict[tuple[FaultKind, str], int] = {}
        self._number = 0
        self.take_charter(charter)

    def take_charter(self, charter: SealedCharter) -> None:
        """Watch the devices of this charter."""
        self._sealed, self._trust = charter, charter.trust()
        self._miners = charter.charter.miners_by_name()
        self._period_ns = charter.charter.period_ms * 1_000_000
        self._devices = tuple(sorted(device.name for device in charter.charter.devices))
        self._detectors = charter.charter.detectors
        self._heard = {device: heard for device, heard in self._heard.items() if device in self._devices}
        self._unshown = {device: one for device, one in self._unshown.items() if device in self._devices}
        self._last = {device: last for device, last in self._last.items() if device in self._devices}
        self._clocks = {device: clock for device, clock in self._clocks.items() if device in self._devices}

    def watches(self, device: str, number: int) -> bool:
        """Whether we watch a device at frame `number`."""
        if self._name not in self._detectors or device not in self._devices:
            return False
        place = self._devices.index(device) + number // SLICE + self._detectors.index(self._name)
        return place % len(self._detectors) <= self._sealed.charter.f_detectors

    def sample(self, device: str, data: bytes, now_ns: int) -> list[Found]:
        """A sample envelope came on the topic of `device`, at `now_ns` of our monotonic clock."""
        try:
            body = decode(decode(data, Envelope).body, Stream)
            sample = decode(body.payload, Sample)
            if body.sender != device or device not in self._devices:
                return []
            self._see_clock(device, sample, now_ns)
            place = (body.session, body.sequence)
            last = self._last.get(device)
            self._last[device] = (place, data)
            if last is not None and last[0] == place and last[1] != data:
                return self._two(device, last[1], data)
            if device not in self._heard and self.watches(device, self._number):
                # Only a signed one may take the place; the next ones wait until a frame has come to it.
                open_envelope(data, self._trust, topic=body.topic, expect="sample")
                check_readings(device, sample, self._miners)
                self._heard[device] = _Heard(place, data, sample, self._number)
        except Rejected:
            pass  # the manager takes none of it either, and counts it
        return []

    def step(self, frame: LogFrame, envelope: Callable[[bytes], bytes | None]) -> list[Found]:
        """Compare the next frame with the samples; `envelope` gives that with a leaf hash, if it is at hand."""
        self._number = number = frame.number
        found: list[Found] = []
        entries: dict[str, MinerEntry] = {}
        for device in frame.frame.devices:
            heard = self._heard.get(device.device)
            if heard is not None:
                entries = entries or {entry.miner: entry for entry in frame.frame.miners}
                found += self._left_out(frame, device, heard, entries)
            if device.leaf and self.watches(device.device, number):
                data = envelope(device.leaf)
                if data is None:
                    self._unshown.setdefault(device.device, _Unshown(device.leaf, frame))
                elif contradicts(frame, data):
                    found.append(Found("false_frame", device.device, (frame.data, data)))
        return found + self._never_shown(envelope)

    def lacking(self) -> int | None:
        """The number of a frame whose samples somebody should show us; None: none."""
        return min((unshown.frame.number for unshown in self._unshown.values()), default=None)

    def _left_out(
        self, frame: LogFrame, device: DeviceEntry, heard: _Heard, entries: dict[str, MinerEntry]
    ) -> list[Found]:
        if heard.place <= (device.session, device.sequence):
            del self._heard[device.device]
            return []
        if frame.number - heard.frame < PATIENCE:
            return []
        del self._heard[device.device]
        if device.device in self._fast or not self._possible(device, heard.sample, entries):
            return []
        return self._claim(Found("unheard", device.device, (heard.data, frame.data)))

    def _never_shown(self, envelope: Callable[[bytes], bytes | None]) -> list[Found]:
        found: list[Found] = []
        for device, unshown in list(self._unshown.items()):
            data = envelope(unshown.leaf)
            if data is not None:
                del self._unshown[device]
                if contradicts(unshown.frame, data):
                    found.append(Found("false_frame", device, (unshown.frame.data, data)))
            elif self._number - unshown.frame.number >= SHOWN_WITHIN:
                del self._unshown[device]
                found += self._claim(Found("unseen", device, (unshown.frame.data,)))
        return found

    def _two(self, device: str, one: bytes, other: bytes) -> list[Found]:
        """Two samples at one place, where both are signed.

        Raises:
            Rejected: one of them is not.
        """
        for data in (one, other):
            open_envelope(data, self._trust, expect="sample")
        return self._claim(Found("two_samples", device, (one, other)))

    def _claim(self, found: Found) -> list[Found]:
        last = self._claimed.get((found.kind, found.about))
        if last is not None and self._number - last < CLAIM_EVERY:
            return []
        self._claimed[found.kind, found.about] = self._number
        return [found]

    def _possible(self, device: DeviceEntry, sample: Sample, entries: dict[str, MinerEntry]) -> bool:
        """Whether the sample can come after what the frame says of its device."""
        if sample.boot != device.boot:
            return True
        if sample.steal_ns < device.steal_ns:
            return False
        try:
            for reading in sample.miners:
                entry = entries.get(reading.miner)
                if entry is not None:
                    check_next(device.device, entry, reading)
        except Rejected:
            return False
        return True

    def _see_clock(self, device: str, sample: Sample, now_ns: int) -> None:
        """Whether the device's clock runs fast: half the slack, so that the manager surely still bears with it."""
        newest_ns = max((reading.after_ns for reading in sample.miners), default=0)
        clock = self._clocks.get(device)
        if not newest_ns or device not in self._devices:
            return
        if clock is None or clock.boot != sample.boot:
            self._clocks[device] = DeviceClock.begin(sample.boot, newest_ns, now_ns)
            return
        try:
            self._clocks[device] = clock.check(newest_ns, now_ns, self._period_ns, SLACK_NS // 2)
            self._fast.discard(device)
        except Rejected:
            self._fast.add(device)
