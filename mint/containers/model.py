"""What a miner's container is to the rest of MinT: counters to read, a quota to keep, a switch to pause it.

A `Hold` is the handle on one miner's *parent* cgroup: the container lives in a child of it, so use is counted
and limited where restarting or replacing the container resets nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MILLION = 1_000_000
DEFAULT_PERIOD_US = 100_000  # the kernel's own default CFS period
MIN_QUOTA_US = 1_000  # the kernel refuses a CFS quota or period below 1 ms
MAX_PERIOD_US = 1_000_000  # and a period above 1 s


@dataclass(frozen=True, slots=True)
class Counters:
    """One bracketed read of a miner's cumulative counters.

    `before_ns` and `after_ns` are `time.monotonic_ns()` right before and right after the CPU counter was
    read, and nothing else: the counter held `usage_ns` at some instant between them. The others are read
    outside of it.

    Units: `usage_ns` CPU nanoseconds of all processors together; `throttled_ns` nanoseconds throttled, in
    `nr_throttled` of `nr_periods` enforcement periods; memory in bytes (`memory_limit_bytes` 0: no limit);
    `io_bytes` cumulative bytes read and written. What this machine does not count is 0 (`hierarchy.lacks`).
    """

    before_ns: int
    after_ns: int
    usage_ns: int
    nr_periods: int
    nr_throttled: int
    throttled_ns: int
    memory_bytes: int
    memory_limit_bytes: int
    io_bytes: int


@dataclass(frozen=True, slots=True)
class Quota:
    """CPU bandwidth: `quota_us` of CPU time in every `period_us` (None: no limit), and which processors.

    `burst_us` is unused quota that may be carried over. `cpuset` is the kernel's list format ("0-3,5"); in a
    wish, "" means that the processors are not prescribed, in a reading, that there is no cpuset to read.
    """

    quota_us: int | None
    period_us: int = DEFAULT_PERIOD_US
    burst_us: int = 0
    cpuset: str = ""

    @classmethod
    def of_ppm(cls, ppm: int, period_us: int = DEFAULT_PERIOD_US, cpuset: str = "") -> Quota:
        """The quota for `ppm` millionths of one CPU, rounded down, but at least the kernel's least (1 ms)."""
        return cls(max(MIN_QUOTA_US, ppm * period_us // MILLION), period_us, 0, cpuset)

    @property
    def ppm(self) -> int | None:
        """Millionths of one CPU, rounded to the nearest; None: no limit."""
        if self.quota_us is None:
            return None
        return (self.quota_us * MILLION + self.period_us // 2) // self.period_us

    def drift(self, actual: Quota) -> tuple[str, ...]:
        """The fields in which `actual` is not as this quota wishes (a cpuset of "" wishes nothing)."""
        differing = [
            name
            for name in ("quota_us", "period_us", "burst_us")
            if getattr(self, name) != getattr(actual, name)
        ]
        if self.cpuset and self.cpuset != actual.cpuset:
            differing.append("cpuset")
        return tuple(differing)


class Hold(Protocol):
    """A miner's parent cgroup, or what stands in for it. Every method may raise ContainerError.

    Blocking, but short: file reads of some ten microseconds (Docker's API: up to a second).
    """

    @property
    def miner(self) -> str:
        """The miner's name."""

    @property
    def epoch(self) -> int:
        """Identity of the counters last read: another number once they began again from zero (63 bits)."""

    @property
    def law(self) -> str:
        """The word "kernel" where the kernel enforces the quota, "soft" where a duty cycle does."""

    def counters(self) -> Counters:
        """One bracketed read."""

    def quota(self) -> Quota:
        """What really holds now, as the kernel's files say it."""

    def set_quota(self, quota: Quota) -> bool:
        """Make it hold; True if anything was written.

        Writes only the files whose value differs: rewriting the same quota refills the kernel's bucket, which
        is itself a way to cheat.
        """

    def pids(self) -> tuple[int, ...]:
        """The processes in it and below."""

    def running(self) -> bool:
        """Whether there is any process in it or below."""

    def freeze(self) -> None:
        """Pause every process in it and below."""

    def thaw(self) -> None:
        """Let them go on."""

    def frozen(self) -> bool:
        """Whether it is paused."""

    def close(self) -> None:
        """Let go of open files; a later read opens them again."""
