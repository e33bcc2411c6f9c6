"""An edge device: its clock, its miners' containers, and the holds through which its agent and enforcer reach them.

A hold here is what mint/containers/ gives on a real machine (mint.containers.model.Hold): the same reads, bracketed
by the device's monotonic clock, and the same writes. Whoever writes a quota is told to the simulation's observers.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from mint.charter.model import Miner
from mint.containers.model import Counters, Quota
from mint.messages.sample import MinerReading, Sample
from network.simulate.clock import HostClock
from network.simulate.miner import CfsMiner
from network.simulate.schedule import MS, US, Schedule

# How long a read takes: cgroup files take some ten us; one in a hundred readers is descheduled while it reads.
BRACKET_NS = 20 * US
SPREAD_NS = 40 * US
PREEMPTED = 0.01
AWAY_NS = 6 * MS
MEMORY_BYTES = 1 << 25
PID = 1000
CPUS = 4
NO_GPU = NO_LIMIT = -1

# Called with every write of a quota and every pause: the miner, who did it, what holds now.
Wrote = Callable[[str, str, CfsMiner], None]
# How many shares of a ledger a miner has told when its CPU counter stands at so many ns.
Told = Callable[[str, int], int]


class SimHold:
    """One user's handle on one miner's parent cgroup; `by` is who has it."""

    __slots__ = ("_container", "_device", "by", "miner")

    law = "kernel"

    def __init__(self, device: Device, miner: str, by: str) -> None:
        self._device, self.miner, self.by = device, miner, by
        self._container = device.containers[miner]

    @property
    def epoch(self) -> int:
        """Changes when the parent cgroup was made anew."""
        return self._container.epoch

    def counters(self) -> Counters:
        """One bracketed read."""
        return self._device.counters(self._container)

    def quota(self) -> Quota:
        """What the files say."""
        return self._container.quota

    def set_quota(self, quota: Quota) -> bool:
        """Write it where it differs."""
        if not quota.drift(self._container.quota):
            return False
        self.write(quota)
        return True

    def write(self, quota: Quota) -> None:
        """Write it, whatever is there."""
        self._container.write(quota, self._device.now_ns)
        self._device.wrote(self.miner, self.by, self._container)

    def pids(self) -> tuple[int, ...]:
        """Its processes."""
        return (PID,)

    def running(self) -> bool:
        """Whether there are any."""
        return True

    def freeze(self) -> None:
        """Pause it."""
        self._pause(frozen=True)

    def thaw(self) -> None:
        """Let it go on."""
        self._pause(frozen=False)

    def frozen(self) -> bool:
        """Whether it is paused."""
        return self._container.frozen

    def close(self) -> None:
        """Nothing is held open."""

    def _pause(self, *, frozen: bool) -> None:
        if self._container.frozen != frozen:
            self._container.freeze(self._device.now_ns, frozen=frozen)
            self._device.wrote(self.miner, self.by, self._container)


class Device:
    """A device and its miners; `clock` is that of every host on it, `up` is False while it boots.

    `told`: what its miners have mined; as long as nobody says, there is no ledger.
    """

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        miners: tuple[Miner, ...],
        rng: random.Random,
        wrote: Wrote,
    ) -> None:
        self.name, self.clock, self.up = name, HostClock(name), True
        self.wrote = wrote
        self.told: Told = lambda _miner, _usage_ns: 0
        self._schedule, self._random = schedule, rng.random
        self.granted = {
            miner.name: Quota.of_ppm(miner.entitlement.cpu_ppm)
            for miner in sorted(miners, key=lambda m: m.name)
        }
        begun_ns = self.now_ns
        self.containers = {
            name: CfsMiner(quota, begun_ns - rng.randrange(quota.period_us * US), rng.getrandbits(48))
            for name, quota in self.granted.items()
        }

    @property
    def now_ns(self) -> int:
        """This device's CLOCK_MONOTONIC."""
        return self.clock.monotonic_ns(self._schedule.now_ns)

    def hold(self, miner: str, by: str) -> SimHold:
        """A handle for `by` on a miner of this device."""
        return SimHold(self, miner, by)

    def counters(self, container: CfsMiner) -> Counters:
        """One read: the counter held its value at some instant between the two times."""
        after_ns = self.now_ns
        draw = self._random()
        wide_ns = BRACKET_NS + int(draw * SPREAD_NS)
        if draw < PREEMPTED:
            wide_ns += int(draw / PREEMPTED * AWAY_NS)
        usage_ns = container.usage_ns(after_ns - (wide_ns >> 1))
        periods = container.periods
        return Counters(
            after_ns - wide_ns, after_ns, usage_ns, periods, periods, 0, MEMORY_BYTES, MEMORY_BYTES, 0
        )

    def reading(self, miner: str) -> MinerReading:
        """One miner as an agent reads it (agents/reading.py)."""
        container = self.containers[miner]
        read = self.counters(container)
        return MinerReading(
            miner, container.epoch, read.before_ns, read.after_ns, read.usage_ns, read.nr_periods,
            read.nr_throttled, 0, read.memory_bytes, 0, NO_GPU, container.quota.ppm or NO_LIMIT, True,
            self.told(miner, read.usage_ns),
        )  # fmt: skip

    def sample(self) -> Sample:
        """Every miner, as an agent reads them once a period."""
        return Sample(self.clock.boot, CPUS, 0, tuple(self.reading(miner) for miner in self.containers))

    def reboot(self) -> None:
        """It is up again after a boot: time and counters begin anew, containers under their entitlement."""
        self.up = True
        self.clock.reboot(self._schedule.now_ns)
        now_ns = self.now_ns
        for miner, container in self.containers.items():
            granted = self.granted[miner]
            container.recreate(granted, now_ns - int(self._random() * granted.period_us) * US)
            self.wrote(miner, self.name, container)
