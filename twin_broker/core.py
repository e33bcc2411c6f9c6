"""The twin manager's state machine: samples in, one frame a tick out. No clock, socket, file or random source.

A frame closes as soon as every device that spoke lately has spoken again, and at the latest a quarter of a
period late: waiting longer would delay every verdict for the sake of one that is silent. Frames never come
closer together than half a period, however fast a device sends.

What the service is asked to do comes back as a `Closed`: store it, then tell of it. Everything here but the
clocks of the devices can be made again from the newest stored frame (`resume`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mint.charter.model import Charter, Miner
from mint.charter.seal import SealedCharter
from mint.effects import Post, Say
from mint.envelope import Opened, Signer, object_hash
from mint.sign_bytes import Stream
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash, root
from mint.messages.frame import MAX_DECISIONS, NOTHING, Decision, DeviceEntry, Frame, MinerEntry
from mint.messages.sample import Ack, MinerReading, Sample
from mint.verdict import Proven
from mint.device_clock import DeviceClock
from twin_broker.twin import MinerTwin

MS = 1_000_000
NO_HASH = bytes(32)
# A device that missed this many frames is no longer waited for.
PATIENCE_FRAMES = 3
# Samples of one device between two frames: a ring's worth (agents resend at most 60).
MAX_PENDING = 64
# Verdicts and receipts that wait for a frame; two in three would have to be new each second to fill it.
MAX_WAITING = 1024
# Frames are worth nothing to who was away longer; detectors ask for what they missed.
FRAME_EXPIRY_S = 60
ACK_EXPIRY_S = 60


@dataclass(frozen=True, slots=True)
class Closed:
    """A frame that was closed: what to store in one transaction, and what to say once it is stored."""

    number: int
    hash: bytes
    data: bytes
    time_ms: int
    samples: tuple[bytes, ...]
    clocks: Mapping[str, DeviceClock]
    decided: tuple[Decision, ...]
    effects: tuple[Post | Say, ...]


@dataclass(slots=True)
class _Device:
    """One device between frames: its place in its stream, its newest sample, its clock."""

    session: int = 0
    sequence: int = 0
    boot: bytes = bytes(16)
    steal_ns: int = 0
    clock: DeviceClock | None = None
    pending: list[bytes] = field(default_factory=list)
    missed: int = PATIENCE_FRAMES

    def entry(self, name: str) -> DeviceEntry:
        leaf = leaf_hash(self.pending[-1]) if self.pending else NOTHING
        return DeviceEntry(name, self.session, self.sequence, self.boot, self.steal_ns, leaf)


class TwinManager:
    """The state of one fog's manager; times are the manager's own, monotonic ns unless named `_ms` (Unix)."""

    def __init__(self, charter: SealedCharter, signer: Signer, now_ns: int) -> None:
        self._signer = signer
        self.number, self.head = 0, NO_HASH
        self.twins: dict[str, MinerTwin] = {}
        self._devices: dict[str, _Device] = {}
        # Miners in the newest sample of each device since the last frame.
        self._fresh: dict[str, frozenset[str]] = {}
        # Devices whose last sample claimed more time than has passed.
        self._gained: set[str] = set()
        self._decided: dict[tuple[str, int], Decision] = {}
        self._decisions: deque[Decision] = deque()
        self._receipts: deque[bytes] = deque()
        self._seen_receipts: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._convicted: dict[str, int] = {}
        self._closed_ns = now_ns
        self.take_charter(charter)

    def take_charter(self, charter: SealedCharter) -> None:
        """Go by this charter from the next frame on, which will name it."""
        self._sealed = charter
        self._charter: Charter = charter.charter
        self._topics = charter.topics()
        self._miners: dict[str, Miner] = dict(sorted(charter.charter.miners_by_name().items()))
        known = self._devices
        names = sorted(device.name for device in self._charter.devices)
        self._devices = {name: known.get(name) or _Device() for name in names}
        self.twins = {name: twin for name, twin in self.twins.items() if name in self._miners}

    def resume(
        self,
        frame: Frame,
        frame_hash: bytes,
        clocks: Mapping[str, DeviceClock],
        decided: Iterable[Decision],
    ) -> None:
        """Continue after the newest stored frame."""
        self.number, self.head = frame.number, frame_hash
        boots = {}
        for entry in frame.devices:
            boots[entry.device] = entry.boot
            if entry.device in self._devices:
                device = self._devices[entry.device]
                device.session, device.sequence = entry.session, entry.sequence
                device.boot, device.steal_ns = entry.boot, entry.steal_ns
                device.clock = clocks.get(entry.device)
        for miner in frame.miners:
            if miner.miner in self._miners:
                boot = boots.get(self._miners[miner.miner].device, bytes(16))
                self.twins[miner.miner] = MinerTwin(_reading(miner), boot, whole=False)
        self._decided = {(decision.miner, decision.began): decision for decision in decided}

    def sample(self, opened: Opened, now_ns: int) -> Say | None:
        """Take in a sample whose envelope is valid; an acknowledgement when it is stored already.

        Raises:
            Rejected: out of order, or what it says cannot be.
        """
        body, sample = opened.body, opened.message
        if not isinstance(body, Stream) or not isinstance(sample, Sample):
            raise Rejected(Reason.WRONG_KIND, "not a sample")
        device = self._devices.get(body.sender)
        if device is None:
            raise Rejected(Reason.UNKNOWN_SENDER, f"{body.sender} is no device of this charter")
        place = (device.session, device.sequence)
        if (body.session, body.sequence) <= place:
            if not device.pending:  # the agent has not heard that it is stored
                return self._ack(body.sender, device)
            raise Rejected(
                Reason.REPLAYED, f"{body.sender} {body.session}/{body.sequence}, already at {place}"
            )
        if len(device.pending) >= MAX_PENDING:
            raise Rejected(Reason.REPLAYED, f"{body.sender} sends more than {MAX_PENDING} samples a frame")
        readings = self._readings(body.sender, sample)
        if sample.boot == device.boot and sample.steal_ns < device.steal_ns:
            raise Rejected(Reason.IMPOSSIBLE, f"{body.sender}: steal time runs backwards")
        newest_ns = max((reading.after_ns for reading in readings), default=0)
        if newest_ns:
            device.clock = self._checked_clock(body.sender, device, sample.boot, newest_ns, now_ns)
        device.session, device.sequence = body.session, body.sequence
        device.boot, device.steal_ns = sample.boot, sample.steal_ns
        device.pending.append(opened.data)
        for reading in readings:
            twin = self.twins.get(reading.miner)
            self.twins[reading.miner] = (
                twin.next(reading, sample.boot) if twin else MinerTwin(reading, sample.boot)
            )
        self._fresh[body.sender] = frozenset(reading.miner for reading in readings)
        return None

    def verdict(self, verdict_hash: bytes, proven: Proven) -> None:
        """Take note of a valid verdict; several of one offence are one."""
        key = (proven.miner.name, proven.began)
        if key in self._decided:
            return
        if len(self._decisions) >= MAX_WAITING:
            raise Rejected(Reason.OVERSIZE, f"{MAX_WAITING} verdicts wait for a frame already")
        decision = Decision(verdict_hash, proven.miner.name, proven.began, proven.rung)
        self._decided[key] = decision
        self._decisions.append(decision)
        self._convicted[proven.miner.name] = max(
            proven.until + self._charter.detection.d, self._convicted.get(proven.miner.name, 0)
        )

    def receipt(self, receipt_hash: bytes, miner: str, *, restored: bool) -> None:
        """Take note of an enforcer's receipt."""
        if receipt_hash in self._seen_receipts:
            return
        if len(self._receipts) >= MAX_WAITING:
            raise Rejected(Reason.OVERSIZE, f"{MAX_WAITING} receipts wait for a frame already")
        self._seen_receipts.append(receipt_hash)
        self._receipts.append(receipt_hash)
        if restored:
            self._convicted.pop(miner, None)

    def due_ns(self) -> int:
        """When the next frame closes if nothing more comes in."""
        period_ns = self._charter.period_ms * MS
        awaited = [device for device in self._devices.values() if device.missed < PATIENCE_FRAMES]
        if awaited and all(device.pending for device in awaited):
            return self._closed_ns + period_ns // 2
        return self._closed_ns + (period_ns * 5 // 4 if awaited else period_ns)

    def close(self, now_ns: int, time_ms: int) -> Closed:
        """Close the next frame."""
        charter = self._charter
        devices = tuple(device.entry(name) for name, device in self._devices.items())
        decisions = tuple(self._decisions.popleft() for _ in range(min(len(self._decisions), MAX_DECISIONS)))
        receipts = tuple(self._receipts.popleft() for _ in range(min(len(self._receipts), MAX_DECISIONS)))
        for name, twin in self.twins.items():
            seen = name in self._fresh.get(self._miners[name].device, ())
            self.twins[name] = twin if seen else twin.silent()
        frame = Frame(
            fog=charter.fog,
            number=self.number + 1,
            previous=self.head,
            charter=self._sealed.hash,
            time_ms=time_ms,
            root=root([entry.leaf for entry in devices if entry.leaf]),
            devices=devices,
            miners=tuple(
                self.twins[name].entry(miner) for name, miner in self._miners.items() if name in self.twins
            ),
            decisions=decisions,
            receipts=receipts,
        )
        data = self._signer.object(frame)
        samples = tuple(sample for device in self._devices.values() for sample in device.pending)
        acked = [(name, device) for name, device in self._devices.items() if device.pending]
        self.number, self.head, self._closed_ns = frame.number, object_hash(data), now_ns
        for device in self._devices.values():
            device.missed = 0 if device.pending else device.missed + 1
            device.pending = []
        self._fresh.clear()
        return Closed(
            number=frame.number,
            hash=self.head,
            data=data,
            time_ms=time_ms,
            samples=samples,
            clocks={name: device.clock for name, device in self._devices.items() if device.clock},
            decided=decisions,
            effects=(
                self.frame_post(data),
                *(self._ack(name, device) for name, device in acked),
                *self._twin_messages(),
            ),
        )

    def frame_post(self, data: bytes) -> Post:
        """Publish a stored frame (again: after a restart the newest may not have been told)."""
        return Post(self._topics.frame(), data, expiry_s=FRAME_EXPIRY_S)

    def _ack(self, name: str, device: _Device) -> Say:
        message = Ack(name, device.session, device.sequence)
        return Say(self._topics.ack(name), message, qos=1, expiry_s=ACK_EXPIRY_S)

    def _twin_messages(self) -> list[Say]:
        dark = self._charter.detection.dark_frames
        said = []
        for name, twin in self.twins.items():
            until = self._convicted.get(name, -1)
            if 0 <= until < self.number:
                del self._convicted[name]
            message = twin.message(
                self._miners[name], self.number, convicted=name in self._convicted, dark_frames=dark
            )
            said.append(Say(self._topics.twin(name), message))
        return said

    def _checked_clock(
        self, name: str, device: _Device, boot: bytes, device_ns: int, now_ns: int
    ) -> DeviceClock:
        if device.clock is None or device.clock.boot != boot:
            return DeviceClock.begin(boot, device_ns, now_ns)
        try:
            clock = device.clock.check(device_ns, now_ns, self._charter.period_ms * MS)
        except Rejected:
            self._gained.add(name)
            speaking = {other for other, known in self._devices.items() if known.missed < PATIENCE_FRAMES}
            if len(speaking) > 1 and speaking <= self._gained:
                # All gained alike: it is our clock that stood still (a paused virtual machine, say).
                self._gained.clear()
                for known in self._devices.values():
                    known.clock = None
            raise
        self._gained.discard(name)
        return clock

    def _readings(self, sender: str, sample: Sample) -> list[MinerReading]:
        """The readings of `sample`, every one possible after the one before."""
        names = [reading.miner for reading in sample.miners]
        if len(set(names)) != len(names):
            raise Rejected(Reason.MALFORMED, f"{sender} reports a miner twice")
        for reading in sample.miners:
            miner = self._miners.get(reading.miner)
            if miner is None or miner.device != sender:
                raise Rejected(Reason.IMPOSSIBLE, f"{sender} reports {reading.miner}, which is not its miner")
            if reading.before_ns > reading.after_ns:
                raise Rejected(
                    Reason.IMPOSSIBLE, f"{sender}: a read of {reading.miner} ends before it begins"
                )
            twin = self.twins.get(reading.miner)
            if twin is None or twin.boot != sample.boot:
                continue
            if reading.before_ns < twin.reading.after_ns:
                raise Rejected(Reason.IMPOSSIBLE, f"{sender}: time of {reading.miner} runs backwards")
            if reading.epoch == twin.reading.epoch and reading.usage_ns < twin.reading.usage_ns:
                raise Rejected(Reason.IMPOSSIBLE, f"{sender}: use of {reading.miner} runs backwards")
        return list(sample.miners)


def _reading(entry: MinerEntry) -> MinerReading:
    """The reading behind a frame's entry, as far as the frame holds it."""
    return MinerReading(
        miner=entry.miner,
        epoch=entry.epoch,
        before_ns=entry.before_ns,
        after_ns=entry.after_ns,
        usage_ns=entry.usage_ns,
        nr_periods=entry.nr_periods,
        nr_throttled=entry.nr_throttled,
        throttled_ns=entry.throttled_ns,
        memory_bytes=0,
        io_bytes=0,
        gpu_ppm=entry.gpu_ppm,
        quota_ppm=-1,
        running=entry.present,
    )
