"""The logical object LO_k of one miner (section 4.2): what it was last read as, and that in percent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mint.charter.model import Miner
from mint.messages.frame import MinerEntry
from mint.messages.sample import Condition, MinerReading, Twin
from mint.wire import MOST

# Thousandths of a percent in a whole.
FULL = 100_000
# A miner that uses less than this of its entitlement is idle: it mines for nobody, itself included.
IDLE = FULL // 10
# The boot of a reading whose boot is not known: it compares with no other.
UNKNOWN_BOOT = b""


@dataclass(frozen=True, slots=True)
class MinerTwin:
    """What the fog knows of one miner: its newest reading and the one before, and since when it is silent."""

    reading: MinerReading
    boot: bytes
    before: MinerReading | None = None
    silent_frames: int = 0
    # False: made again from a frame, which does not hold memory and I/O.
    whole: bool = True

    def next(self, reading: MinerReading, boot: bytes) -> MinerTwin:
        """The twin after a new reading; readings of another boot or epoch do not compare."""
        same = boot == self.boot and reading.epoch == self.reading.epoch
        return MinerTwin(reading, boot, self.reading if same and self.whole else None)

    def silent(self) -> MinerTwin:
        """The twin after a frame that brought nothing new."""
        return replace(self, silent_frames=self.silent_frames + 1)

    def moved(self) -> MinerTwin:
        """The twin of a miner that the charter has put on another device: what was read there compares with nothing."""
        return replace(self, boot=UNKNOWN_BOOT)

    def entry(self, miner: Miner, offences: int, decided: int) -> MinerEntry:
        """The miner in the frame that is being closed.

        `offences`: those that the log has taken note of by then; `decided`: the frame that did so last.
        """
        reading = self.reading
        return MinerEntry(
            miner=miner.name,
            present=self.silent_frames == 0,
            epoch=reading.epoch,
            before_ns=reading.before_ns,
            after_ns=reading.after_ns,
            usage_ns=reading.usage_ns,
            nr_periods=reading.nr_periods,
            nr_throttled=reading.nr_throttled,
            throttled_ns=reading.throttled_ns,
            gpu_ppm=reading.gpu_ppm,
            entitled_ppm=miner.entitlement.cpu_ppm,
            offences=offences,
            decided=decided,
            shares=reading.shares,
        )

    def message(self, miner: Miner, frame: int, *, convicted: bool, dark_frames: int) -> Twin:
        """The twin for people: c, g, m, b normalised by what the miner is entitled to."""
        c, b = self._rates(miner)
        granted, reading = miner.entitlement, self.reading
        return Twin(
            miner=miner.name,
            frame=frame,
            c=min(c, MOST),
            g=_share(reading.gpu_ppm, granted.gpu_ppm),
            m=_share(reading.memory_bytes, granted.memory_bytes) if self.whole else -1,
            b=min(b, MOST),
            quota_ppm=reading.quota_ppm,
            entitled_ppm=granted.cpu_ppm,
            condition=self._condition(c, convicted=convicted, dark_frames=dark_frames),
        )

    def _rates(self, miner: Miner) -> tuple[int, int]:
        """The paper's c and b between the last two readings, in thousandths of a percent; -1 where not known."""
        if self.before is None:
            return -1, -1
        now, then = self.reading, self.before
        # The middle of a bracket is the best guess of when the counter was read.
        elapsed_ns = (now.before_ns + now.after_ns - then.before_ns - then.after_ns) // 2
        if elapsed_ns <= 0:
            return -1, -1
        granted = miner.entitlement
        c = (now.usage_ns - then.usage_ns) * 1_000_000 * FULL // (elapsed_ns * granted.cpu_ppm)
        if not granted.io_bytes_per_s:
            return c, -1
        b = (now.io_bytes - then.io_bytes) * 1_000_000_000 * FULL // (elapsed_ns * granted.io_bytes_per_s)
        return c, max(b, 0)

    def _condition(self, c: int, *, convicted: bool, dark_frames: int) -> Condition:
        if self.silent_frames >= dark_frames:
            return "dark"
        if not self.reading.running:
            return "stopped"
        if convicted:
            return "convicted"
        return "idle" if 0 <= c < IDLE else "fair"


def _share(used: int, granted: int) -> int:
    """Thousandths of a percent; -1 where nothing is granted or known."""
    return min(used * FULL // granted, MOST) if granted and used >= 0 else -1
