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

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mint.errors import Reason, Rejected

# Readings a bucket keeps: an excess is kept from the first of them over the second to the third.
MEMORY = 3
# One CPU in ppm, and so also one ns of CPU time in micro-ns.
PPM = 1_000_000
# The kernel's slack whatever the quota: CFS hands quota to each CPU in slices of 5 ms and notices their end at
# the clock tick, up to 4 ms late. Measured: 9 ms at 0.02, 0.05 and 0.1 CPU alike.
SLACK_NS = 10_000_000
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


class Bucket:
    """One miner's level, in O(1) a reading.

    `level` is the newest level in micro-ns. `since` is the tag (frame number) of the reading that the worst
    window begins at, the latest one where several are as bad: where the offence began, if it is one.
    `levels` and `readings` are the newest MEMORY of each, newest first: what the rule looks back at.

    `reset()` forgets the past. It is due when entitlement changes, when the device boots or the counter's
    epoch changes, and when a penalty has ended, so that what was paid for is not counted again and a new
    offence gets a beginning of its own.
    """

    __slots__ = (
        "_capped",
        "_excused",
        "entitled_ppm",
        "level",
        "levels",
        "overrun_ns",
        "readings",
        "since",
    )

    def __init__(self, entitled_ppm: int, overrun_ns: int) -> None:
        self.overrun_ns = overrun_ns
        self.reset(entitled_ppm)

    def reset(self, entitled_ppm: int) -> None:
        """Forget every reading; the next one is the first, under this entitlement."""
        self.entitled_ppm = entitled_ppm
        self.level = 0
        self.since = -1
        self.levels: deque[int] = deque(maxlen=MEMORY)
        self.readings: deque[Reading] = deque(maxlen=MEMORY)
        # Running minima of use less entitlement, without and with steal taken off, each with its tag.
        self._capped = (0, -1)
        self._excused = (0, -1)

    @property
    def origins(self) -> tuple[int, int]:
        """Tags of the readings that the worst window may begin at: what has to be kept as evidence."""
        return self._capped[1], self._excused[1]

    def push(self, reading: Reading, tag: int) -> int:
        """Take in the next reading and return the level.

        Rejected (impossible) when time or a counter runs backwards; the state is then as before.
        """
        before, after, usage, steal = reading
        start = usage * PPM - self.entitled_ppm * before
        start_excused = start - steal * PPM
        last = self.readings[0] if self.readings else None
        if before > after:
            raise Rejected(Reason.IMPOSSIBLE, f"{reading} ends before it begins")
        if last is None:
            self._capped, self._excused = (start, tag), (start_excused, tag)
        elif before < last[1] or usage < last[2] or steal < last[3]:
            raise Rejected(Reason.IMPOSSIBLE, f"{reading} cannot follow {last}")
        else:
            if start <= self._capped[0]:
                self._capped = (start, tag)
            if start_excused <= self._excused[0]:
                self._excused = (start_excused, tag)
        width = self.entitled_ppm * (after - before)
        capped = start - width - self._capped[0] - self.overrun_ns * PPM
        excused = start_excused - width - self._excused[0]
        if excused >= capped:
            self.level, self.since = excused, self._excused[1]
        else:
            self.level, self.since = capped, self._capped[1]
        self.levels.appendleft(self.level)
        self.readings.appendleft(reading)
        return self.level

    def recreate(self) -> None:
        """The counter began again at zero after the newest reading: go on without forgetting the level.

        A cgroup that is made anew would otherwise be a way to wipe it.
        """
        if self.readings:
            gone = self.readings[0].usage_ns
            self._capped = (self._capped[0] - gone * PPM, self._capped[1])
            self._excused = (self._excused[0] - gone * PPM, self._excused[1])
            older = [reading._replace(usage_ns=reading.usage_ns - gone) for reading in self.readings]
            self.readings.clear()
            self.readings.extend(older)

    def state(self) -> list[int]:
        """Everything, as plain integers."""
        return [
            self.entitled_ppm,
            self.overrun_ns,
            self.since,
            *self._capped,
            *self._excused,
            *self.levels,
            *(number for reading in self.readings for number in reading),
        ]

    @classmethod
    def restore(cls, state: Sequence[int]) -> Bucket:
        """The bucket that `state()` came from."""
        bucket = cls(state[0], state[1])
        bucket.since = state[2]
        bucket._capped, bucket._excused = (state[3], state[4]), (state[5], state[6])
        count = (len(state) - 7) // 5  # a level and the four numbers of a reading
        bucket.levels.extend(state[7 : 7 + count])
        bucket.level = bucket.levels[0] if count else 0
        bucket.readings.extend(Reading(*state[at : at + 4]) for at in range(7 + count, len(state), 4))
        return bucket


@dataclass(frozen=True)
class BudgetRule:
    """When an excess is a cheat's rather than the kernel's own.

    `burst_ns`: CPU time that the kernel's slack explains (at least SLACK_NS); `overrun_ns`: CPU time that
    steal may excuse; `period_ns`: the sampling period. `burst`, `hard`: the two levels that decide, in micro-ns.

    Honest excess has two sources. Where in its period the quota is spent moves the counter by a period's
    quota; the burst covers that. And a virtual CPU that was taken away charges all of its absence in one
    lump: the container is then throttled until the debt is collected, and until then cannot be charged again.
    So an honest level above the burst falls in the very next period, and a cheat's is **kept**: above the
    burst at the reading before and now, without use having stayed behind entitlement in between by a quarter
    of a period (collecting takes nearly all of one). What convicts is

    - a level kept once, where no new lump can have come instead: the level is above the burst by more than a
      period of entitlement, for which collecting the last one left no time, or there was no steal; or
    - a level kept twice; or
    - a level above `hard`, which no lump reaches.

    To escape all that, a cheat has to give back as the kernel's debts are given back; the level counts every
    nanosecond since the worst beginning, so all that it ever keeps is at most `hard`, what steal may excuse,
    and the width of the brackets.

    Measured (bench/bench_budget.py; burst 200 ms of entitlement, overrun 20 ms of CPU; median readings after
    the beginning): quiet at 0.05 CPU: doubling 2, +50 % 2, +20 % 3, +10 % 4, +5 % 5; contended, simulated and
    real with 16 % of the host's time stolen: 3, 4, 6, 8, 14. Convicted honest miners: none in 320 simulated
    hours, none in 1.5 real ones, none in 300 with five times the lumps (without `overrun_ns`: 7); but 16 in
    400 where the hypervisor steals and does not tell: there the burst has to be larger.
    """

    entitled_ppm: int
    burst_ns: int
    overrun_ns: int
    period_ns: int = 1_000_000_000

    burst: int = field(init=False)
    hard: int = field(init=False)

    def __post_init__(self) -> None:
        burst = max(self.burst_ns, SLACK_NS) * PPM
        object.__setattr__(self, "burst", burst)
        lump = max(HARD_PERIODS * self.entitled_ppm * self.period_ns, HARD_NS * PPM)
        object.__setattr__(self, "hard", burst + lump)

    def convicts(self, bucket: Bucket) -> bool:
        """Whether what the bucket has seen up to its newest reading convicts."""
        if bucket.level <= self.burst:
            return False
        if bucket.level > self.hard:
            return True
        if not self._kept(bucket, 1):
            return False
        stolen = bucket.readings[0].steal_ns - bucket.readings[-1].steal_ns
        period = self.entitled_ppm * self.period_ns
        return stolen == 0 or bucket.level > self.burst + period or self._kept(bucket, 2)

    def _kept(self, bucket: Bucket, back: int) -> bool:
        """Whether the level was above the burst `back` readings ago and was not collected at the next one."""
        if len(bucket.levels) <= back or bucket.levels[back] <= self.burst:
            return False
        step = excess(bucket.readings[back], bucket.readings[back - 1], self.entitled_ppm)
        return step >= -self.entitled_ppm * self.period_ns // 4

    def proves(self, first: Reading, last: Reading) -> bool:
        """Whether two readings alone show net excess above the burst, as those of a conviction always do.

        What a third party can check without the frames between: no liar can make it true of a miner that was
        never above. That it did not fall again takes the readings between, which the frame log has.
        """
        return (
            first.before_ns <= first.after_ns <= last.before_ns <= last.after_ns
            and first.usage_ns <= last.usage_ns
            and first.steal_ns <= last.steal_ns
            and net_excess(first, last, self.entitled_ppm, self.overrun_ns) > self.burst
        )
