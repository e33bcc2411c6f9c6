"""Watching the manager: whether frames say what devices said, and leave nothing out.

Every detector checks the samples of some devices, another slice every `SLICE` frames; every device is watched by
f_detectors + 1 detectors at any time, so by an honest one, and by all of them in turn. Of a device that it watches a
detector checks the sample that a frame names (signature, every number), and keeps the first sample that it heard and no
frame has come to yet.

What a frame contradicts is a proof. What is left out can only be claimed: an honest manager may not have heard, or
may have refused what no device can have sent. So before it claims anything a detector goes by the manager's own rules,
and by half of what they bear (mint/stream_rules.py, mint/device_clock.py, twin_broker/core.py). What it heard counts
only where it had judged every frame that there was, and the sample came in good time, no more often than may be, and of
a boot that has not ended. And 2 f_detectors + 1 claims make a Fault.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from detectors.faults import Found
from mint.charter.seal import SealedCharter
from mint.device_clock import SLACK_NS, DeviceClock
from mint.effects import Now
from mint.envelope import Opened, open_envelope
from mint.errors import Rejected
from mint.fault_proofs import contradicts
from mint.frame_rules import check_against
from mint.frames import LogFrame
from mint.merkle import leaf_hash
from mint.messages.fault import FaultKind
from mint.messages.frame import DeviceEntry, MinerEntry
from mint.messages.sample import Sample
from mint.sign_bytes import Stream
from mint.stream_rules import check_next, check_readings

# Frames until the slices change: several of the longest delays that are no fault.
SLICE = 16
# Frames for which a sample may be on its way: an agent sends again after two periods, then after four. Only frames
# that come in good time count, no more than so many behind the newest: where others come in a heap, the manager was
# cut off, and heard no device either.
PATIENCE = 8
IN_TIME = 2
# Frames, and their time on our clock, in which somebody has to show the sample that a frame names; holders are asked
# once a second.
SHOWN_WITHIN = 30
# Between two claims of one thing.
CLAIM_EVERY = 120
# Frames this far behind the newest are of the past: their samples the others have compared.
LATELY = 32
# Half of what a manager bears: samples at once, and as many a frame as it takes.
MAX_PENDING = 32
SAMPLES_A_FRAME = 2
# Samples of a device that are remembered, to know another one of the same place.
REMEMBERED = 8

Place = tuple[int, int]
# The envelope of the sample with a leaf hash; None: it is not at hand.
Envelopes = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class _Heard:
    """A sample that no frame has come to yet: its place, its envelope, and the frames that came in time since."""

    place: Place
    data: bytes
    sample: Sample
    frames: int = 0


@dataclass(frozen=True, slots=True)
class _Unshown:
    """A frame whose sample of a device is not at hand, and since when, on our clock."""

    leaf: bytes
    frame: LogFrame
    since_ns: int


@dataclass(slots=True)
class _Device:
    """What is known of one device.

    `last`: the samples that came last, signed. `boot`: by the newest frame; `ended`: the one before it. `fast`: its
    clock gains. `tokens`: how many samples it may still send; `floods`: it sent more, and has not been quiet since.
    """

    heard: _Heard | None = None
    unshown: _Unshown | None = None
    last: OrderedDict[Place, Opened] = field(default_factory=OrderedDict)
    clock: DeviceClock | None = None
    fast: bool = False
    tokens: int = MAX_PENDING
    floods: bool = False
    boot: bytes = b""
    ended: bytes = b""


class Watch:
    """What one detector knows of the samples beside the frames."""

    def __init__(self, name: str, charter: SealedCharter) -> None:
        self._name = name
        self._devices: dict[str, _Device] = {}
        self._claimed: dict[tuple[FaultKind, str], int] = {}
        self._number = 0
        self.take_charter(charter)

    def take_charter(self, charter: SealedCharter) -> None:
        """Watch the devices of this charter; what was heard under another the manager may refuse."""
        self._sealed, self._charter = charter, charter.charter
        self._period_ns = self._charter.period_ms * 1_000_000
        self._detectors = self._charter.detectors
        names = sorted(device.name for device in self._charter.devices)
        self._places = {name: place for place, name in enumerate(names)}
        self._devices = {name: self._devices.get(name) or _Device() for name in names}
        for device in self._devices.values():
            device.heard = None
            device.last.clear()

    def connected(self, now_ns: int) -> None:
        """What was asked while there was no connection nobody heard."""
        for device in self._devices.values():
            device.heard = None
            if device.unshown is not None:
                device.unshown = replace(device.unshown, since_ns=now_ns)

    def watches(self, device: str, number: int) -> bool:
        """Whether we watch a device at frame `number`."""
        if self._name not in self._detectors or device not in self._places:
            return False
        place = self._places[device] + number // SLICE + self._detectors.index(self._name)
        return place % len(self._detectors) <= self._charter.f_detectors

    def sample(self, name: str, data: bytes, now: Now, *, live: bool) -> list[Found]:
        """A sample envelope came on the topic of device `name`; `live`: we have judged every frame that there is."""
        device = self._devices.get(name)
        if device is None:
            return []
        device.tokens = max(0, device.tokens - 1)
        device.floods |= not device.tokens
        if not self.watches(name, self._number):
            return []
        try:
            opened = open_envelope(data, self._sealed.trust(), expect="sample")
        except Rejected:  # the manager takes none of it either, and counts it
            return []
        body, sample = opened.body, opened.message
        if not isinstance(body, Stream) or not isinstance(sample, Sample) or body.sender != name:
            return []
        self._see_clock(device, sample, now.monotonic_ns)
        place = (body.session, body.sequence)
        timely = abs(body.time_ms - now.wall_ms) <= self._charter.clock_tolerance_ms // 2
        if live and timely and not device.floods and device.heard is None:
            device.heard = _Heard(place, data, sample)
        return self._two(name, device, place, opened)

    def step(self, frame: LogFrame, newest: int, now_ns: int, envelopes: Envelopes) -> list[Found]:
        """Compare the next frame with the samples; `newest` is the highest frame number that was heard of."""
        self._number = number = frame.number
        found: list[Found] = []
        for entry in frame.frame.devices:
            device = self._devices.get(entry.device)
            if device is None:
                continue
            device.tokens = min(device.tokens + SAMPLES_A_FRAME, MAX_PENDING)
            device.floods &= device.tokens < MAX_PENDING
            if entry.boot != device.boot:
                device.boot, device.ended = entry.boot, device.boot
            if device.heard is not None:
                found += self._left_out(frame, entry, device, device.heard, newest)
            if device.unshown is not None:
                found += self._shown(entry.device, device, device.unshown, now_ns, envelopes)
            if entry.leaf and newest - number < LATELY and self.watches(entry.device, number):
                found += self._compare(frame, entry, device, now_ns, envelopes)
        return found

    def lacking(self) -> set[int]:
        """The numbers of frames whose samples somebody should show us."""
        return {one.unshown.frame.number for one in self._devices.values() if one.unshown is not None}

    def _compare(
        self, frame: LogFrame, entry: DeviceEntry, device: _Device, now_ns: int, envelopes: Envelopes
    ) -> list[Found]:
        opened = device.last.get((entry.session, entry.sequence))
        if opened is not None and leaf_hash(opened.data) == entry.leaf and frame.charter is self._sealed:
            return _compared(frame, entry, opened)
        data = envelopes(entry.leaf)
        if data is not None:
            return _contradicted(frame, entry.device, data)
        if device.unshown is None:
            device.unshown = _Unshown(entry.leaf, frame, now_ns)
        return []

    def _shown(
        self, name: str, device: _Device, unshown: _Unshown, now_ns: int, envelopes: Envelopes
    ) -> list[Found]:
        """Whether the sample that was not at hand is by now, or never will be."""
        frame, data = unshown.frame, envelopes(unshown.leaf)
        if data is not None:
            device.unshown = None
            return _contradicted(frame, name, data)
        waited_ns = now_ns - unshown.since_ns
        if self._number - frame.number < SHOWN_WITHIN or waited_ns < SHOWN_WITHIN * self._period_ns:
            return []
        device.unshown = None
        return self._claim(Found("unseen", frame.sender, frame.number, name, (frame.data,)))

    def _left_out(
        self, frame: LogFrame, entry: DeviceEntry, device: _Device, heard: _Heard, newest: int
    ) -> list[Found]:
        """Whether a frame should have come to the sample that was heard."""
        behind = heard.place > (entry.session, entry.sequence)
        frames = heard.frames + (newest - frame.number <= IN_TIME)
        if behind and frames < PATIENCE:
            device.heard = replace(heard, frames=frames)
            return []
        device.heard = None
        if not behind or device.fast or not _possible(frame, entry, device, heard):
            return []
        return self._claim(
            Found("unheard", frame.sender, frame.number, entry.device, (heard.data, frame.data))
        )

    def _two(self, name: str, device: _Device, place: Place, opened: Opened) -> list[Found]:
        """Whether a sample is another one than that which came of this place."""
        other = device.last.setdefault(place, opened)
        while len(device.last) > REMEMBERED:
            device.last.popitem(last=False)
        if other.data == opened.data:
            return []
        return self._claim(Found("two_samples", name, 0, "", (other.data, opened.data)))

    def _claim(self, found: Found) -> list[Found]:
        """Say one thing once in a while."""
        about = found.about or found.accused
        last = self._claimed.get((found.kind, about))
        if last is not None and 0 <= self._number - last < CLAIM_EVERY:
            return []
        self._claimed[found.kind, about] = self._number
        return [found]

    def _see_clock(self, device: _Device, sample: Sample, now_ns: int) -> None:
        """Whether the device's clock runs fast: half the slack, so that the manager surely still bears with it."""
        newest_ns = max((reading.after_ns for reading in sample.miners), default=0)
        if not newest_ns:
            return
        clock = device.clock
        if clock is None or clock.boot != sample.boot:
            device.clock = DeviceClock.begin(sample.boot, newest_ns, now_ns)
            return
        try:
            device.clock = clock.check(newest_ns, now_ns, self._period_ns, SLACK_NS // 2)
            device.fast = False
        except Rejected:
            device.fast = True


def _compared(frame: LogFrame, entry: DeviceEntry, opened: Opened) -> list[Found]:
    """As `_contradicted`, of a sample that was opened under the charter that the frame names."""
    try:
        check_against(frame.frame, entry, opened.data, opened, frame.charter.charter)
    except Rejected:
        return [Found("false_frame", frame.sender, frame.number, entry.device, (frame.data, opened.data))]
    return []


def _contradicted(frame: LogFrame, device: str, data: bytes) -> list[Found]:
    if not contradicts(frame, data):
        return []
    return [Found("false_frame", frame.sender, frame.number, device, (frame.data, data))]


def _possible(frame: LogFrame, entry: DeviceEntry, device: _Device, heard: _Heard) -> bool:
    """Whether the manager had to take in a sample after what its frame says of the device."""
    sample, charter = heard.sample, frame.charter
    try:
        open_envelope(heard.data, charter.trust(), expect="sample")
        check_readings(entry.device, sample, charter.charter.miners_by_name())
        if sample.boot != entry.boot:
            return sample.boot != device.ended
        if sample.steal_ns < entry.steal_ns:
            return False
        entries: dict[str, MinerEntry] = {one.miner: one for one in frame.frame.miners}
        for reading in sample.miners:
            if reading.miner in entries:
                check_next(entry.device, entries[reading.miner], reading)
    except Rejected:
        return False
    return True
