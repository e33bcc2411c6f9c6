"""A hold on cgroup version 1 files: one folder a controller, CPU use in nanoseconds."""

from __future__ import annotations

import time
from pathlib import Path

from mint.containers import files
from mint.containers.model import Counters, Quota
from mint.errors import ContainerError

UNLIMITED = -1
# "No memory limit" is shown as the largest multiple of a page in 63 bits; no machine has half of that.
NO_MEMORY_LIMIT = 1 << 62


class HoldV1:
    """One miner's cgroup; `folders` maps each controller to its folder. For one thread at a time.

    Needs "cpu" and "cpuacct"; what other controllers are missing counts as 0.
    """

    law = "kernel"

    def __init__(self, miner: str, folders: dict[str, Path]) -> None:
        self.miner = miner
        self.folders = folders
        self._cpu = folders["cpu"]
        names = {"usage": folders.get("cpuacct", self._cpu) / "cpuacct.usage", "stat": self._cpu / "cpu.stat"}
        if "memory" in folders:
            names["memory"] = folders["memory"] / "memory.usage_in_bytes"
            names["limit"] = folders["memory"] / "memory.limit_in_bytes"
        if "blkio" in folders:
            names["io"] = folders["blkio"] / "blkio.throttle.io_service_bytes_recursive"
        self._names = names
        self._files = files.Files(miner, names)

    @property
    def epoch(self) -> int:
        """Identity of the counters last read: the inode of cpuacct.usage."""
        if not self._files.epoch:
            self._files.ready()
        return self._files.epoch

    def counters(self) -> Counters:
        """One bracketed read of cpuacct.usage, the other counters after it."""
        read, miner = self._files, self.miner
        read.ready()
        before = time.monotonic_ns()
        usage = read.read("usage")
        after = time.monotonic_ns()
        stat = files.keyed(read.read("stat"))
        limit = files.number(read.read("limit") or b"0", self._names.get("limit", self._cpu), miner)
        return Counters(
            before_ns=before,
            after_ns=after,
            usage_ns=files.number(usage, self._names["usage"], miner),
            nr_periods=stat.get(b"nr_periods", 0),
            nr_throttled=stat.get(b"nr_throttled", 0),
            throttled_ns=stat.get(b"throttled_time", 0),
            memory_bytes=files.number(
                read.read("memory") or b"0", self._names.get("memory", self._cpu), miner
            ),
            memory_limit_bytes=limit if limit < NO_MEMORY_LIMIT else 0,
            io_bytes=_io_bytes(read.read("io")),
        )

    def quota(self) -> Quota:
        """What the files hold now."""
        quota_us = self._number("cpu.cfs_quota_us")
        burst = files.read_text_or(self._cpu / "cpu.cfs_burst_us", "0")  # kernels before 5.14 have none
        cpuset = self.folders.get("cpuset")
        return Quota(
            quota_us=None if quota_us < 0 else quota_us,
            period_us=self._number("cpu.cfs_period_us"),
            burst_us=files.number(burst, self._cpu / "cpu.cfs_burst_us", self.miner),
            cpuset=files.read_text_or(cpuset / "cpuset.cpus", "") if cpuset else "",
        )

    def set_quota(self, quota: Quota) -> bool:
        """Write what differs, in an order that never allows more than the larger of old and new.

        A child's own quota is lifted first: the kernel refuses a parent's that is below it, and one that is
        smaller would hold the miner below what it is given.
        """
        actual = self.quota()
        drift = quota.drift(actual)
        if not drift:
            return False
        if "quota_us" in drift or "period_us" in drift:
            self._lift_children()
        steps = {
            "quota_us": ("cpu.cfs_quota_us", UNLIMITED if quota.quota_us is None else quota.quota_us),
            "period_us": ("cpu.cfs_period_us", quota.period_us),
            "burst_us": ("cpu.cfs_burst_us", quota.burst_us),
        }
        # A longer period lowers the share, a shorter one raises it; a burst must never exceed the quota.
        order = ["period_us", "quota_us"] if quota.period_us > actual.period_us else ["quota_us", "period_us"]
        order.insert(0 if quota.burst_us < actual.burst_us else 2, "burst_us")
        for field in order:
            if field in drift:
                file, value = steps[field]
                files.write_text(self._cpu / file, str(value), self.miner)
        if "cpuset" in drift:
            if "cpuset" not in self.folders:
                raise ContainerError(
                    f"miner {self.miner}: this machine has no cpuset controller for {quota.cpuset!r}"
                )
            files.write_text(self.folders["cpuset"] / "cpuset.cpus", quota.cpuset, self.miner)
        return True

    def pids(self) -> tuple[int, ...]:
        """The processes in it and below."""
        return files.processes(self._cpu)

    def running(self) -> bool:
        """Whether there is any."""
        return bool(self.pids())

    def freeze(self) -> None:
        """Pause all, through the freezer controller."""
        files.write_text(self._freezer(), "FROZEN", self.miner)

    def thaw(self) -> None:
        """Let them go on."""
        files.write_text(self._freezer(), "THAWED", self.miner)

    def frozen(self) -> bool:
        """Whether it is frozen, or about to be."""
        return "freezer" in self.folders and files.read_text_or(self._freezer(), "THAWED") != "THAWED"

    def close(self) -> None:
        """Close the counter files."""
        self._files.close()

    def _number(self, name: str) -> int:
        return files.number(files.read_text(self._cpu / name, self.miner), self._cpu / name, self.miner)

    def _freezer(self) -> Path:
        if "freezer" not in self.folders:
            raise ContainerError(f"miner {self.miner}: this machine has no freezer controller")
        return self.folders["freezer"] / "freezer.state"

    def _lift_children(self) -> None:
        for file in sorted(self._cpu.glob("**/cpu.cfs_quota_us")):
            if file.parent != self._cpu and files.read_text_or(file, "-1") != "-1":
                files.write_text(file, "-1", self.miner)


def _io_bytes(text: bytes) -> int:
    """Read and Write lines of all disks: `8:0 Read 4096`."""
    words = (line.split() for line in text.splitlines())
    return sum(int(line[2]) for line in words if len(line) == 3 and line[1] in {b"Read", b"Write"})
