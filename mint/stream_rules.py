"""Whether a sample can be what comes next of its device: times and counters that no device can have are nobody's.

The twin manager takes in by these rules, and detectors that watch it know by them what it should have taken in.
"""

from __future__ import annotations

from collections.abc import Mapping

from mint.charter.model import Miner
from mint.errors import Reason, Rejected
from mint.messages.frame import MinerEntry
from mint.messages.sample import MinerReading, Sample


def check_readings(sender: str, sample: Sample, miners: Mapping[str, Miner]) -> None:
    """Check a sample of device `sender` by itself; `miners` are the charter's, by name.

    Raises:
        Rejected: it reports a miner twice, or one that is not on this device, or a read that ends before it begins.
    """
    names = [reading.miner for reading in sample.miners]
    if len(set(names)) != len(names):
        raise Rejected(Reason.MALFORMED, f"{sender} reports a miner twice")
    for reading in sample.miners:
        miner = miners.get(reading.miner)
        if miner is None or miner.device != sender:
            raise Rejected(Reason.IMPOSSIBLE, f"{sender} reports {reading.miner}, which is not its miner")
        if reading.before_ns > reading.after_ns:
            raise Rejected(Reason.IMPOSSIBLE, f"{sender}: a read of {reading.miner} ends before it begins")


def check_next(sender: str, before: MinerReading | MinerEntry, reading: MinerReading) -> None:
    """Check a reading against the one before it (or what a frame says of that), of one boot of the device.

    Raises:
        Rejected: IMPOSSIBLE, its time, its use or its shares run backwards.
    """
    if reading.before_ns < before.after_ns:
        raise Rejected(Reason.IMPOSSIBLE, f"{sender}: time of {reading.miner} runs backwards")
    if reading.epoch == before.epoch and reading.usage_ns < before.usage_ns:
        raise Rejected(Reason.IMPOSSIBLE, f"{sender}: use of {reading.miner} runs backwards")
    if reading.epoch == before.epoch and reading.shares < before.shares:
        raise Rejected(Reason.IMPOSSIBLE, f"{sender}: {reading.miner} has fewer shares than before")
