"""A hold on cgroup version 2 files: one folder for all controllers, CPU use in microseconds."""

from __future__ import annotations

import time
from pathlib import Path

from mint.containers import files
from mint.containers.model import Counters, Quota

NS_PER_US = 1000


class HoldV2:
    """One miner's cgroup at `folder`. For one thread at a time. What this machine does not count is 0."""

    law = "kernel"

    def __init__(self, miner: str, folder: Path) -> None:
        self.miner = miner
        self.folder = folder
        self._names = {
            "stat": folder / "cpu.stat",
            "memory": folder / "memory.current",
            "limit": folder / "memory.max",
            "io": folder / "io.stat",
        }
        self._files = files.Files(miner, self._names)

    @property
    def epoch(self) -> int:
        """Identity of the counters last read: the inode of cpu.stat."""
        if not self._files.epoch:
            self._files.ready()
        return self._files.epoch

    def counters(self) -> Counters:
        """One bracketed read of cpu.stat, the other counters after it."""
        read, miner = self._files, self.miner
        read.ready()
        before = time.monotonic_ns()
        text = read.read("stat")
        after = time.monotonic_ns()
        stat = files.keyed(text)
        limit = read.read("limit").strip()
        return Counters(
            before_ns=before,
            after_ns=after,
            usage_ns=stat.get(b"usage_usec", 0) * NS_PER_US,
            nr_periods=stat.get(b"nr_periods", 0),
            nr_throttled=stat.get(b"nr_throttled", 0),
            throttled_ns=stat.get(b"throttled_usec", 0) * NS_PER_US,
            memory_bytes=files.number(read.read("memory") or b"0", self._names["memory"], miner),
            memory_limit_bytes=0
            if limit in {b"", b"max"}
            else files.number(limit, self._names["limit"], miner),
            io_bytes=_io_bytes(read.read("io")),
        )

    def quota(self) -> Quota:
        """What the files hold now."""
        file = self.folder / "cpu.max"
        limit, _, period = files.read_text(file, self.miner).partition(" ")
        burst = files.read_text_or(self.folder / "cpu.max.burst", "0")  # kernels before 5.14 have none
        return Quota(
            quota_us=None if limit == "max" else files.number(limit, file, self.miner),
            period_us=files.number(period, file, self.miner),
            burst_us=files.number(burst, self.folder / "cpu.max.burst", self.miner),
            cpuset=files.read_text_or(self.folder / "cpuset.cpus", ""),
        )

    def set_quota(self, quota: Quota) -> bool:
        """Write what differs; cpu.max takes quota and period in one write.

        A child's own quota is lifted first: one that is smaller would hold the miner below what it is given.
        """
        actual = self.quota()
        drift = quota.drift(actual)
        if not drift:
            return False
        limit = "max" if quota.quota_us is None else str(quota.quota_us)
        writes = []
        if "quota_us" in drift or "period_us" in drift:
            self._lift_children()
            writes.append(("cpu.max", f"{limit} {quota.period_us}"))
        if "burst_us" in drift:  # a burst must never exceed the quota: lowered before it, raised after it
            writes.insert(
                0 if quota.burst_us < actual.burst_us else 1, ("cpu.max.burst", str(quota.burst_us))
            )
        if "cpuset" in drift:
            writes.append(("cpuset.cpus", quota.cpuset))
        for name, text in writes:
            files.write_text(self.folder / name, text, self.miner)
        return True

    def pids(self) -> tuple[int, ...]:
        """The processes in it and below."""
        return files.processes(self.folder)

    def running(self) -> bool:
        """Whether there is any, as the kernel keeps it in cgroup.events."""
        return "populated 1" in files.read_text_or(self.folder / "cgroup.events", "")

    def freeze(self) -> None:
        """Pause all."""
        files.write_text(self.folder / "cgroup.freeze", "1", self.miner)

    def thaw(self) -> None:
        """Let them go on."""
        files.write_text(self.folder / "cgroup.freeze", "0", self.miner)

    def frozen(self) -> bool:
        """Whether it is paused, or about to be."""
        return files.read_text_or(self.folder / "cgroup.freeze", "0") == "1"

    def close(self) -> None:
        """Close the counter files."""
        self._files.close()

    def _lift_children(self) -> None:
        for file in sorted(self.folder.glob("**/cpu.max")):
            limit, _, period = files.read_text_or(file, "max 100000").partition(" ")
            if file.parent != self.folder and limit != "max":
                files.write_text(file, f"max {period}", self.miner)


def _io_bytes(text: bytes) -> int:
    """Bytes read and written on all disks: `8:0 rbytes=4096 wbytes=0 rios=1 ...`."""
    words = (word.partition(b"=") for word in text.split())
    return sum(int(value) for name, _, value in words if name in {b"rbytes", b"wbytes"} and value.isdigit())
