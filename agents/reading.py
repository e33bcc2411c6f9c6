"""One miner's hold, or this host, read into the message's terms."""

from __future__ import annotations

import os

import psutil

from mint.containers.model import Hold
from mint.errors import ContainerError
from mint.messages.sample import MinerReading

NS_PER_S = 1_000_000_000
NONE = -1  # "no limit", "no GPU"

# A duty cycle's files may be in the miner's own hands: they may hold numbers of any kind, or none.
UNREADABLE = (ContainerError, ValueError, TypeError, OverflowError)


def read_miner(hold: Hold) -> tuple[MinerReading, tuple[int, ...]]:
    """Read a miner once, GPU aside; the reading and the miner's processes.

    Every number is cut to the message's range: a kernel's oddity must not stop the agent.

    Raises:
        UNREADABLE: the miner is gone, or cannot be read.
    """
    counters = hold.counters()
    epoch = hold.epoch
    quota_ppm = hold.quota().ppm
    pids = hold.pids()
    reading = MinerReading(
        miner=hold.miner,
        epoch=natural(epoch),
        before_ns=natural(counters.before_ns),
        after_ns=natural(counters.after_ns),
        usage_ns=natural(counters.usage_ns),
        nr_periods=natural(counters.nr_periods),
        nr_throttled=natural(counters.nr_throttled),
        throttled_ns=natural(counters.throttled_ns),
        memory_bytes=natural(counters.memory_bytes),
        io_bytes=natural(counters.io_bytes),
        gpu_ppm=NONE,
        quota_ppm=NONE if quota_ppm is None else natural(quota_ppm),
        running=bool(pids),
        shares=0,
    )
    return reading, pids


def host_cpus() -> int:
    """Processors of this host."""
    return os.cpu_count() or 0


def steal_ns() -> int:
    """Time that the hypervisor took from this host since boot, over all its CPUs."""
    return natural(round(psutil.cpu_times().steal * NS_PER_S))


def natural(value: int) -> int:
    """`value` cut to 0 .. 2^63 - 1, as the wire has it."""
    return min(max(int(value), 0), 2**63 - 1)
