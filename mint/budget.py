"""The budget law: cumulative CPU use may not exceed entitlement x time + burst, over any window.

Where the kernel enforces a quota this is physics, so it is decided in integers, the same on every machine,
and two signed samples of the accused device prove a breach. Detectors decide with it, enforcers and whoever
verifies a verdict check with it.

**The excess** of a window from one reading to a later one is what was used beyond entitlement. The counter
was read somewhere between the two times that bracket each read, so the window is taken as long as it can
have been: a wide bracket can hide an excess, never invent one.

**Steal.** Time that the hypervisor takes from a virtual CPU is charged to whoever was running on it. It
excuses an excess up to `overrun_ns`, and no further: steal is the accused device's own word.

**The level** is the largest net excess over all windows that end now:

    net(s, t) = excess(s, t) - min(steal(s, t), overrun)
    level(t)  = max over s <= t of net(s, t)

As -min(a, b) = max(-a, -b), it is the larger of two plain maxima, each a running minimum: O(1) a reading.

Amounts of CPU time are in ns x 1e6 ("micro-ns", the product of ns and ppm), so that nothing is ever rounded.
Times are the device's CLOCK_MONOTONIC; readings of two boots or epochs may not be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mint.errors import Reason, Rejected

# One CPU in ppm, and so also one ns of CPU time in micro-ns.
PPM = 1_000_000
# Levels a bucket keeps: what the rule looks back at.
MEMORY = 3


class Reading(NamedTuple):
    """One read of a cumulative CPU counter, in ns: the times around it, the counter, the host's steal."""

    before_ns: int
    after_ns: int
    usage_ns: int
    steal_ns: int = 0


def excess(first: Reading, last: Reading, entitled_ppm: int) -> int:
    """CPU time used beyond entitlement from `first` to `last`, in micro-ns; negative when less was used."""
    return (last.usage_ns - first.usage_ns) * PPM - entitled_ppm * (last.after_ns - first.before_ns)


def net_excess(first: Reading, last: Reading, entitled_ppm: int, overrun_ns: int) -> int:
    """The excess that steal does not excuse, in micro-ns."""
    return excess(first, last, entitled_ppm) - min(last.steal_ns - first.steal_ns, overrun_ns) * PPM


class Bucket:
    """One miner's level, in O(1) a reading.

    `level` is the newest level in micro-ns, `levels` the newest ones, oldest first; `since` is the tag (frame
    number) of the reading that the worst window begins at, the latest one where several are as bad: where
    the offence began, if it is one. `reset()` forgets the past; it is due when entitlement changes, when the
    device boots or the counter's epoch changes, and when a penalty has ended, so that what was paid for is
    not counted again and a new offence gets a beginning of its own.
    """

    __slots__ = ("_capped", "_excused", "_last", "entitled_ppm", "levels", "overrun_ns", "since")

    def __init__(self, entitled_ppm: int, overrun_ns: int) -> None:
        self.overrun_ns = overrun_ns
        self.reset(entitled_ppm)

    def reset(self, entitled_ppm: int) -> None:
        """Forget every reading; the next one is the first, under this entitlement."""
        self.entitled_ppm = entitled_ppm
        self.levels: tuple[int, ...] = ()
        self.since = -1
        self._last: Reading | None = None
        # Running minima of use less entitlement, without and with steal taken off, each with its tag.
        self._capped = (0, -1)
        self._excused = (0, -1)

    @property
    def level(self) -> int:
        """The newest level in micro-ns; 0 before the first reading."""
        return self.levels[-1] if self.levels else 0

    def push(self, reading: Reading, tag: int) -> int:
        """Take in the next reading and return the level.

        Rejected (impossible) when time or a counter runs backwards; the state is then as before.
        """
        before, after, usage, steal = reading
        last = self._last
        if before > after or (
            last is not None and (before < last.after_ns or usage < last.usage_ns or steal < last.steal_ns)
        ):
            raise Rejected(Reason.IMPOSSIBLE, f"reading {reading} cannot follow {last}")
        start = usage * PPM - self.entitled_ppm * before
        if last is None or start <= self._capped[0]:
            self._capped = (start, tag)
        if last is None or start - steal * PPM <= self._excused[0]:
            self._excused = (start - steal * PPM, tag)
        end = usage * PPM - self.entitled_ppm * after
        capped = end - self._capped[0] - self.overrun_ns * PPM
        excused = end - steal * PPM - self._excused[0]
        level, self.since = (excused, self._excused[1]) if excused >= capped else (capped, self._capped[1])
        self._last = reading
        self.levels = (*self.levels[1 - MEMORY :], level)
        return level

    def state(self) -> list[int]:
        """Everything, as plain integers."""
        last = self._last or ()
        return [
            self.entitled_ppm,
            self.overrun_ns,
            self.since,
            *self._capped,
            *self._excused,
            *last,
            *self.levels,
        ]

    @classmethod
    def restore(cls, state: Sequence[int]) -> Bucket:
        """The bucket that `state()` came from."""
        bucket = cls(state[0], state[1])
        if len(state) > 7:
            bucket.since = state[2]
            bucket._capped = (state[3], state[4])
            bucket._excused = (state[5], state[6])
            bucket._last = Reading(*state[7:11])
            bucket.levels = tuple(state[11:])
        return bucket


@dataclass(frozen=True)
class BudgetRule:
    """When a level is a cheat's rather than the kernel's own overrun.

    `burst_ns`: CPU time above entitlement that the kernel's slack explains; `overrun_ns`: CPU time that a
    single overrun may reach; `period_ns`: the sampling period. A level above the burst convicts when the one
    before was above it too and the kernel has not collected since (`tolerance`), or at once above `hard`.
    """

    entitled_ppm: int
    burst_ns: int
    overrun_ns: int
    period_ns: int = 1_000_000_000

    @property
    def burst(self) -> int:
        """The burst in micro-ns."""
        return self.burst_ns * PPM

    @property
    def hard(self) -> int:
        """The level in micro-ns that convicts at once: no honest overrun reaches it."""
        return self.burst + self.overrun_ns * PPM + 2 * self.entitled_ppm * self.period_ns

    def convicts(self, levels: Sequence[int]) -> bool:
        """Whether the newest of `levels` (Bucket.levels: micro-ns, oldest first) convicts."""
        if not levels or levels[-1] <= self.burst:
            return False
        if levels[-1] > self.hard:
            return True
        tolerance = self.entitled_ppm * self.period_ns // 4
        return len(levels) > 1 and levels[-2] > self.burst and levels[-1] >= levels[-2] - tolerance

    def proves(self, first: Reading, last: Reading) -> bool:
        """Whether two readings alone show a breach: net excess above the burst, whatever else is claimed."""
        return (
            first.before_ns <= first.after_ns <= last.before_ns <= last.after_ns
            and first.usage_ns <= last.usage_ns
            and first.steal_ns <= last.steal_ns
            and net_excess(first, last, self.entitled_ppm, self.overrun_ns) > self.burst
        )
