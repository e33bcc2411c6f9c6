"""A host's two clocks as functions of true time: a monotonic one that may run fast, a wall clock that may be off.

Both are plain arithmetic in integers. A boot begins the monotonic clock anew and has a name of its own, as
/proc/sys/kernel/random/boot_id has.
"""

from __future__ import annotations

import hashlib

from mint.effects import Now
from network.simulate.schedule import MS, S

PPM = 1_000_000
# Unix ms at true time 0; far from 0, so that nothing works by accident.
T0_MS = 1_800_000_000_000
# A host has been up for a while when we look first; what runs right after a boot sees small times.
FIRST_UPTIME_NS = 1_000 * S
UPTIME_NS = 20 * S


class HostClock:
    """The clocks of one host."""

    __slots__ = ("_mono_ns", "_ppm", "_since_ns", "_wall_ms", "boot", "boots", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.boots = 0
        self._wall_ms = T0_MS
        self._ppm = 0
        self._begin(0, FIRST_UPTIME_NS)

    def _begin(self, true_ns: int, uptime_ns: int) -> None:
        self.boots += 1
        self.boot = hashlib.blake2b(f"{self.name} boot {self.boots}".encode(), digest_size=16).digest()
        self._since_ns, self._mono_ns = true_ns, uptime_ns

    def monotonic_ns(self, true_ns: int) -> int:
        """CLOCK_MONOTONIC of this host."""
        passed = true_ns - self._since_ns
        return self._mono_ns + passed + passed * self._ppm // PPM

    def wall_ms(self, true_ns: int) -> int:
        """Unix time in ms as this host has it."""
        return self._wall_ms + true_ns // MS

    def now(self, true_ns: int) -> Now:
        """Both clocks: what a component is told with everything it is told."""
        passed = true_ns - self._since_ns
        return Now(self._mono_ns + passed + passed * self._ppm // PPM, self._wall_ms + true_ns // MS)

    def true_ns(self, monotonic_ns: int) -> int:
        """The first true time at which this host's monotonic clock shows `monotonic_ns` or more."""
        wanted = monotonic_ns - self._mono_ns
        true_ns = self._since_ns + -(-wanted * PPM // (PPM + self._ppm))
        while self.monotonic_ns(true_ns) < monotonic_ns:
            true_ns += 1
        return true_ns

    def dilate(self, true_ns: int, ppm: int) -> None:
        """From now on the monotonic clock runs `ppm` faster than time (slower below zero)."""
        self._since_ns, self._mono_ns = true_ns, self.monotonic_ns(true_ns)
        self._ppm = ppm

    def skew(self, ms: int) -> None:
        """From now on the wall clock is `ms` ahead (behind below zero)."""
        self._wall_ms = T0_MS + ms

    def reboot(self, true_ns: int) -> None:
        """The host is up again after a boot: the monotonic clock began anew."""
        self._begin(true_ns, UPTIME_NS)
