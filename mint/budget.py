"""The budget law: cumulative CPU use may not exceed entitlement x time + burst, over any window.

Where the kernel enforces a quota this is physics, so it is decided in integers, the same on every machine,
and two signed samples of the accused device prove a breach. Detectors keep books by it (detectors/budget.py),
enforcers and whoever verifies a verdict check with it.

**The excess** of a window from one reading to a later one is what was used beyond entitlement. The counter
was read somewhere between the two times that bracket each read, so the window is taken as long as it can
have been: a wide bracket can hide an excess, never invent one.

**Steal.** Time that the hypervisor takes from a virtual CPU is charged to whoever was running on it. It
excuses an excess up to `overrun_ns`, and no further: steal is the accused device's own word.

**The burst** is what honest containers exceed entitlement by: when in its period the quota is spent moves the
counter by one period's quota (100 ms of entitlement at the kernel's default period), and CFS notices the end
of a quota up to two clock ticks late. Over ten quiet minutes the most was 8.5 ms of CPU time at 0.05 CPU, 10.5
at 0.1, 14 at 0.2, 21 at 0.3, each read at nearly one phase of its periods; bursts are 13, 18, 28 and 38 ms.

Here amounts of CPU time are in ns x 1e6 ("micro-ns", the product of ns and ppm), so that nothing is rounded.
Times are the device's CLOCK_MONOTONIC; readings of two boots or epochs may not be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# One CPU in ppm, and so also one ns of CPU time in micro-ns.
PPM = 1_000_000
# The end of a quota is noticed at a clock tick (CONFIG_HZ=250), in 3 % of recorded periods at the one after.
CLOCK_TICK_NS = 4_000_000
SLACK_NS = 2 * CLOCK_TICK_NS
# Below 0.04 CPU the quota is finer than the slices (5 ms) it is taken in: 9 ms were measured at 0.02 CPU.
LEAST_BURST_NS = 12_000_000
# An honest lump is as long as a virtual CPU is away at a stretch: 0.08 s was the longest measured, 1.65 periods
# of a container at 0.05 CPU.
HARD_NS = 200_000_000
HARD_PERIODS = 3


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


@dataclass(frozen=True)
class BudgetRule:
    """How much above entitlement is still the kernel's own doing.

    `burst_ns`: CPU time that the quota's period explains; `overrun_ns`: CPU time that steal may excuse;
    `period_ns`: the sampling period. When an excess above the burst is a cheat's: detectors/budget.py.
    """

    entitled_ppm: int
    burst_ns: int
    overrun_ns: int
    period_ns: int = 1_000_000_000

    @property
    def allowed_ns(self) -> int:
        """CPU time by which an honest miner may be above entitlement over any window: the burst and slack."""
        return max(self.burst_ns + SLACK_NS, LEAST_BURST_NS)

    @property
    def share_ns(self) -> int:
        """CPU time that entitlement grants in one sampling period."""
        return self.entitled_ppm * self.period_ns // PPM

    @property
    def hard_ns(self) -> int:
        """CPU time above entitlement that no honest lump reaches, however busy the host."""
        return self.allowed_ns + max(HARD_PERIODS * self.share_ns, HARD_NS)

    def proves(self, first: Reading, last: Reading) -> bool:
        """Whether two readings alone show net excess above the burst, as those of a conviction always do.

        What a third party can check without the frames between: no liar can make it true of a miner that was
        never above. That it did not fall again takes the readings between, which the frame log has.
        """
        return (
            first.before_ns <= first.after_ns <= last.before_ns <= last.after_ns
            and first.usage_ns <= last.usage_ns
            and first.steal_ns <= last.steal_ns
            and net_excess(first, last, self.entitled_ppm, self.overrun_ns) > self.allowed_ns * PPM
        )
