"""The twin manager's state machine: samples in, one frame a tick out. No clock, socket, file or random source.

A frame closes as soon as every device that spoke lately has spoken again, and at the latest a quarter of a
period late: waiting longer would delay every verdict for the sake of one that is silent. Frames never come
closer together than half a period, however fast a device sends.

What the manager (twin_broker/manager.py) is asked to do comes back as a `Closed`: keep it, then tell of it. Everything
here but the clocks of the devices can be made again from the newest frame (`resume`).

Every frame satisfies mint/frame_rules.py, whatever devices send: a sample is refused where it would not fit after the
sample before it, or after what the newest frame says of its device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mint.charter.model import Charter, Miner
from mint.charter.seal import SealedCharter
from mint.device_clock import DeviceClock
from mint.effects import Post, Say
from mint.envelope import Opened, Signer, object_hash
from mint.errors import Reason, Rejected
from mint.frame_log import Kept
from mint.frame_rules import least_ms
from mint.frames import NO_HASH
from mint.merkle import root
from mint.messages.frame import MAX_DECISIONS, Decision, DeviceEntry, Frame, MinerEntry
from mint.messages.sample import Ack, MinerReading, Sample
from mint.sign_bytes import Stream
from mint.stream_rules import check_next, check_readings
from mint.verdict import Proven
from twin_broker.device import MAX_PENDING, PATIENCE_FRAMES, SAMPLES_A_FRAME, Device, device_in
from twin_broker.storage import Append, Stored
from twin_broker.twin import UNKNOWN_BOOT, MinerTwin

MS = 1_000_000
# Verdicts and receipts that wait for a frame; two in three would have to be new each second to fill it.
MAX_WAITING = 1024
# Frames are worth nothing to who was away longer; detectors ask for what they missed.
FRAME_EXPIRY_S = 60
ACK_EXPIRY_S = 60


@dataclass(frozen=True, slots=True)
class Closed:
    """A frame that was closed: what to keep in one piece, and what to say once it is kept."""

    number: int
    hash: bytes
    data: bytes
    samples: tuple[bytes, ...]
    verdicts: tuple[bytes, ...]
    clocks: Mapping[str, DeviceClock]
    effects: tuple[Post | Say, ...]

    @property
    def append(self) -> Append:
        """What to keep."""
        stored = Stored(Kept(self.number, self.hash, self.data), self.samples, self.verdicts)
        return Append((stored,), self.clocks)


class _Waiting(NamedTuple):
    """A decision that no frame has taken note of yet, and the verdict's envelope."""

    decision: Decision
    data: bytes


class TwinManager:
    """The state of one fog's manager; times are the manager's own, monotonic ns unless named `_ms` (Unix).

    `number` and `head` are those of the newest frame, `frame` is that itself (None before the first).
    """

    def __init__(self, charter: SealedCharter, signer: Signer, now_ns: int) -> None:
        self._signer = signer
        self._sealed = charter
        self._miners: dict[str, Miner] = {}
        self.twins: dict[str, MinerTwin] = {}
        self._devices: dict[str, Device] = {}
        # Miners in the newest sample of each device since the last frame.
        self._fresh: dict[str, frozenset[str]] = {}
        # Devices whose last sample claimed more time than has passed.
        self._gained: set[str] = set()
        self._decisions: deque[_Waiting] = deque()
        self._receipts: deque[bytes] = deque()
        self._seen_receipts: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._convicted: dict[str, int] = {}
        # When we closed a frame last, and whether the newest frame is that one.
        self._closed_ns, self._closed = now_ns, False
        self._set_head(None, NO_HASH)
        self.take_charter(charter)

    def take_charter(self, charter: SealedCharter) -> None:
        """Go by this charter from the next frame on, which will name it.

        Samples that wait for that frame came under the old one: they are forgotten, and their agents send them again.
        """
        if any(device.pending for device in self._devices.values()):
            self.resume(self.frame, self.head, self.clocks)
        before = self._miners
        self._sealed = charter
        self._framed: dict[str, MinerEntry] = {}
        self._charter: Charter = charter.charter
        self._topics = charter.topics()
        self._miners = dict(sorted(charter.charter.miners_by_name().items()))
        known = self._devices
        names = sorted(device.name for device in self._charter.devices)
        entries = self._entries()
        self._devices = {name: known.get(name) or device_in(entries.get(name)) for name in names}
        kept = {name: twin for name, twin in self.twins.items() if name in self._miners}
        self.twins = {
            name: twin if before[name].device == self._miners[name].device else twin.moved()
            for name, twin in kept.items()
        } | {name: twin for name, twin in self._twins().items() if name not in kept}
        self._decisions = deque(one for one in self._decisions if one.decision.miner in self._miners)

    def resume(self, frame: Frame | None, frame_hash: bytes, clocks: Mapping[str, DeviceClock]) -> None:
        """Continue after this frame of the log (None: from its very beginning); what waits is forgotten."""
        self._set_head(frame, frame_hash)
        self._closed = False
        entries = self._entries()
        self._devices = {name: device_in(entries.get(name), clocks.get(name)) for name in self._devices}
        self.twins = self._twins()
        self._fresh.clear()
        self._decisions.clear()

    def _entries(self) -> dict[str, DeviceEntry]:
        return {entry.device: entry for entry in self.frame.devices} if self.frame else {}

    def _twins(self) -> dict[str, MinerTwin]:
        """The charter's miners as the newest frame has them."""
        entries = self.frame.miners if self.frame else ()
        twins = {}
        for entry in entries:
            if entry.miner in self._miners:
                # Of which boot a reading of the past is, and under another charter of which device, nobody knows.
                comparable = entry.miner in self._framed
                boot = self._devices[self._miners[entry.miner].device].framed_boot
                twins[entry.miner] = MinerTwin(
                    _reading(entry), boot if comparable else UNKNOWN_BOOT, whole=False
                )
        return twins

    @property
    def clocks(self) -> dict[str, DeviceClock]:
        """The devices' clocks, where one is known."""
        return {name: device.clock for name, device in self._devices.items() if device.clock}

    def _set_head(self, frame: Frame | None, frame_hash: bytes) -> None:
        self.frame, self.head = frame, frame_hash
        self.number = frame.number if frame else 0
        entries = frame.miners if frame else ()
        # How many decisions on each miner there are, and in which frame the last.
        self._offences = {entry.miner: (entry.offences, entry.decided) for entry in entries}
        # What the next frame is compared with (mint/frame_rules.py).
        comparable = frame is not None and frame.charter == self._sealed.hash
        self._framed = {entry.miner: entry for entry in entries if entry.present and comparable}

    def sample(self, opened: Opened, now_ns: int) -> Say | None:
        """Take in a sample whose envelope is valid; an acknowledgement when it is stored already.

        Raises:
            Rejected: out of order, too many, or what it says cannot be.
        """
        body, sample = opened.body, opened.message
        if not isinstance(body, Stream) or not isinstance(sample, Sample):
            raise Rejected(Reason.WRONG_KIND, "not a sample")
        device = self._devices.get(body.sender)
        if device is None:
            raise Rejected(Reason.UNKNOWN_SENDER, f"{body.sender} is no device of this charter")
        if not device.tokens:
            raise Rejected(
                Reason.TOO_OFTEN,
                f"{body.sender} sends more than {MAX_PENDING} samples at once or {SAMPLES_A_FRAME} a frame",
            )
        device.tokens -= 1
        place = (device.session, device.sequence)
        if (body.session, body.sequence) <= place:
            if not device.pending:  # the agent has not heard that it is stored
                return self._ack(body.sender, device)
            raise Rejected(
                Reason.REPLAYED, f"{body.sender} {body.session}/{body.sequence}, already at {place}"
            )
        self._check(body.sender, device, sample)
        newest_ns = max((reading.after_ns for reading in sample.miners), default=0)
        if newest_ns:
            device.clock = self._checked_clock(body.sender, device, sample.boot, newest_ns, now_ns)
        device.session, device.sequence = body.session, body.sequence
        device.boot, device.steal_ns = sample.boot, sample.steal_ns
        device.pending.append(opened.data)
        for reading in sample.miners:
            twin = self.twins.get(reading.miner)
            self.twins[reading.miner] = (
                twin.next(reading, sample.boot) if twin else MinerTwin(reading, sample.boot)
            )
        self._fresh[body.sender] = frozenset(reading.miner for reading in sample.miners)
        return None

    def next_offence(self, miner: str) -> int | None:
        """The number of the next offence of a miner, decided and waiting ones counted; None: it is not in the log."""
        if miner not in self._offences:
            return None
        waiting = sum(one.decision.miner == miner for one in self._decisions)
        return self._offences[miner][0] + waiting + 1

    def verdict(self, verdict_hash: bytes, data: bytes, proven: Proven) -> None:
        """Take note of a valid verdict; several of one offence are one.

        Raises:
            Rejected: it does not come next, or is on a frame that there is not.
        """
        miner = proven.miner.name
        expected = self.next_offence(miner)
        if expected is None or miner not in self._miners:
            raise Rejected(Reason.IMPOSSIBLE, f"a verdict on {miner}, which is in no frame yet")
        if proven.offence < expected:
            return
        if proven.offence > expected:
            raise Rejected(
                Reason.BAD_CHAIN, f"offence {proven.offence} of {miner}, where {expected} comes next"
            )
        if proven.frame > self.number:
            raise Rejected(Reason.NOT_PROVEN, f"a verdict on frame {proven.frame}, we are at {self.number}")
        if len(self._decisions) >= MAX_WAITING:
            raise Rejected(Reason.OVERSIZE, f"{MAX_WAITING} verdicts wait for a frame already")
        self._decisions.append(_Waiting(Decision(verdict_hash, miner, proven.offence), data))
        self._convicted[miner] = max(proven.until + self._charter.detection.d, self._convicted.get(miner, 0))

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

    def close(self, now_ns: int, wall_ms: int) -> Closed:
        """Close the next frame; `wall_ms`: Unix time by our clock."""
        charter = self._charter
        time_ms = self._time_ms(now_ns, wall_ms)
        devices = tuple(device.entry(name) for name, device in self._devices.items())
        noted = self._take_decisions()
        receipts = tuple(self._receipts.popleft() for _ in range(min(len(self._receipts), MAX_DECISIONS)))
        for name, twin in self.twins.items():
            seen = name in self._fresh.get(self._miners[name].device, ())
            self.twins[name] = twin if seen else twin.silent()
        number = self.number + 1
        offences = self._offences | {one.decision.miner: (one.decision.offence, number) for one in noted}
        frame = Frame(
            fog=charter.fog,
            number=number,
            previous=self.head,
            charter=self._sealed.hash,
            time_ms=time_ms,
            root=root([entry.leaf for entry in devices if entry.leaf]),
            devices=devices,
            miners=tuple(
                self.twins[name].entry(miner, *offences.get(name, (0, 0)))
                for name, miner in self._miners.items()
                if name in self.twins
            ),
            decisions=tuple(one.decision for one in noted),
            receipts=receipts,
        )
        data = self._signer.object(frame)
        samples = tuple(sample for device in self._devices.values() for sample in device.pending)
        acked = [(name, device) for name, device in self._devices.items() if device.pending]
        self._set_head(frame, object_hash(data))
        self._closed_ns, self._closed = now_ns, True
        for device in self._devices.values():
            device.closed()
        self._fresh.clear()
        return Closed(
            number=frame.number,
            hash=self.head,
            data=data,
            samples=samples,
            verdicts=tuple(one.data for one in noted),
            clocks=self.clocks,
            effects=(
                self.frame_post(data),
                *(self._ack(name, device) for name, device in acked),
                *self._twin_messages(),
            ),
        )

    def _time_ms(self, now_ns: int, wall_ms: int) -> int:
        """The time of the frame that is being closed, Unix ms.

        Later than that of the last one by half a period at least (mint/frame_rules.py), so it does not run backwards
        with our clock. Where that leaps ahead, and may leap back, the log follows it by a period a frame at most.
        """
        if self.frame is None:
            return wall_ms
        period_ms, then_ms = self._charter.period_ms, self.frame.time_ms
        if self._closed:
            wall_ms = min(wall_ms, then_ms + (now_ns - self._closed_ns) // MS + period_ms)
        return max(wall_ms, then_ms + least_ms(period_ms))

    def _take_decisions(self) -> list[_Waiting]:
        """Those that the next frame takes note of: in their order, one a miner, as many as a frame holds."""
        taken: dict[str, _Waiting] = {}
        left: deque[_Waiting] = deque()
        for one in self._decisions:
            if one.decision.miner in taken or len(taken) == MAX_DECISIONS:
                left.append(one)
            else:
                taken[one.decision.miner] = one
        self._decisions = left
        return list(taken.values())

    def frame_post(self, data: bytes) -> Post:
        """Publish a stored frame (again: after a restart the newest may not have been told)."""
        return Post(self._topics.frame(), data, expiry_s=FRAME_EXPIRY_S)

    def _ack(self, name: str, device: Device) -> Say:
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
        self, name: str, device: Device, boot: bytes, device_ns: int, now_ns: int
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

    def _check(self, sender: str, device: Device, sample: Sample) -> None:
        """Whether `sample` can come after the one before it, and in a frame after the newest one."""
        check_readings(sender, sample, self._miners)
        device.check(sender, sample)
        for reading in sample.miners:
            twin = self.twins.get(reading.miner)
            if twin is not None and twin.boot == sample.boot:
                check_next(sender, twin.reading, reading)
            framed = self._framed.get(reading.miner)
            if framed is not None and sample.boot == device.framed_boot:
                check_next(sender, framed, reading)


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
        shares=entry.shares,
    )
