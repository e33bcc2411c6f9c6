"""A miner's container under the kernel's CFS quota, as far as its counters can tell.

It always wants to run, on one CPU. In every period it uses its quota from the period's beginning on, and a little
more, for the kernel notices the end of a quota at a clock tick; that is taken off the next period (a debt that the
kernel collects). Writing a quota fills the bucket anew, the same value too (facts: rewriting an unchanged quota ten
times a second more than doubles what a container gets). Closed forms in integers: a read costs a microsecond,
however long ago the last one was.
"""

from __future__ import annotations

from mint.budget import SLACK_NS
from mint.containers.model import Quota

NS_PER_US = 1_000
MASK = (1 << 64) - 1


class CfsMiner:
    """One miner; times are its device's CLOCK_MONOTONIC in ns.

    `phase_ns`: where in time its periods begin. `seed` tells its overruns from another's.
    """

    __slots__ = (
        "_base_ns", "_begin_ns", "_carry_ns", "_debt_ns", "_granted_ns", "_index", "_last_ns", "_passed",
        "_period_ns", "_seed", "_since_ns", "epoch", "frozen", "quota",
    )  # fmt: skip

    def __init__(self, quota: Quota, phase_ns: int, seed: int) -> None:
        self.epoch, self.frozen, self.quota = 1, False, quota
        self._seed = seed
        self._restart(phase_ns)

    def _restart(self, now_ns: int) -> None:
        self._another()
        self._begin_ns = self._since_ns = self._last_ns = now_ns
        self._base_ns = self._carry_ns = self._debt_ns = self._index = self._passed = 0
        self._grant()

    def _another(self) -> None:
        """Periods are counted anew: their overruns are others than those before."""
        self._seed = (self._seed * 0x9E3779B97F4A7C15 + 1) & MASK

    def _grant(self) -> None:
        period_us, quota_us = self.quota.period_us, self.quota.quota_us
        self._period_ns = period_us * NS_PER_US
        granted_us = period_us if quota_us is None else min(quota_us, period_us)
        self._granted_ns = 0 if self.frozen else granted_us * NS_PER_US

    def usage_ns(self, now_ns: int) -> int:
        """CPU time used up to now; time that runs backwards is taken to stand still."""
        now_ns = self._last_ns = max(now_ns, self._last_ns)
        index = (now_ns - self._begin_ns) // self._period_ns
        if index > self._index:
            self._pass_to(index)
        left = self._granted_ns - self._debt_ns + self._overrun(index)
        return self._base_ns + self._carry_ns + min(now_ns - self._since_ns, left)

    def _pass_to(self, index: int) -> None:
        """Account for the periods before this one."""
        last, self._index = self._index, index
        end_ns = self._begin_ns + (last + 1) * self._period_ns
        over = self._overrun(last)
        self._base_ns += self._carry_ns + min(
            end_ns - self._since_ns, self._granted_ns - self._debt_ns + over
        )
        self._debt_ns = self._overrun(index - 1)
        # Every one of those between used its quota, less the debt of the one before, plus its own overrun.
        self._base_ns += (index - last - 1) * self._granted_ns - over + self._debt_ns
        self._carry_ns = 0
        self._since_ns = self._begin_ns + index * self._period_ns

    def _overrun(self, index: int) -> int:
        """By how much the quota of this period is overrun: at most what the kernel's clock tick explains."""
        granted = self._granted_ns
        most = min(SLACK_NS, granted // 2, self._period_ns - granted)
        if most <= 0:
            return 0
        # SplitMix64's finaliser, cut short: neighbours must have nothing in common, or noise would repeat itself.
        mixed = (index * 0x9E3779B97F4A7C15 + self._seed) & MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        return (mixed >> 32) % most

    @property
    def periods(self) -> int:
        """Enforcement periods since its counters began, when last read."""
        return self._passed + self._index

    def write(self, quota: Quota, now_ns: int) -> None:
        """Write its quota: the bucket is full again, whether it is another quota or the same."""
        self._settle(now_ns)
        self.quota = quota
        old_ns = self._period_ns
        self._grant()
        self._debt_ns = 0
        if self._period_ns != old_ns:
            self._base_ns += self._carry_ns
            self._passed += self._index
            self._another()
            self._carry_ns = self._index = 0
            self._begin_ns = now_ns

    def freeze(self, now_ns: int, *, frozen: bool) -> None:
        """Pause it, or let it go on."""
        self._settle(now_ns)
        self.frozen = frozen
        self._debt_ns = 0
        self._grant()

    def _settle(self, now_ns: int) -> None:
        """Account for what was used until now, for what follows is under other terms."""
        used = self.usage_ns(now_ns)
        self._carry_ns = used - self._base_ns
        self._since_ns = self._last_ns

    def recreate(self, quota: Quota, now_ns: int) -> None:
        """Its parent cgroup is made anew: its counters begin at zero, under this quota."""
        self.epoch += 1
        self.quota, self.frozen = quota, False
        self._restart(now_ns)
