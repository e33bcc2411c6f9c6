"""Miners whose owner takes more than their share, by writing the quota of their own container.

- **cheat**: a quota above entitlement, written again whenever it is found to be another, and thawed when paused.
- **ramp**: the same, from entitlement up to it bit by bit: no edge to see.
- **refill**: the quota is left as it is and written again and again, which fills the kernel's bucket each time.
"""

from __future__ import annotations

import random

from mint.containers.model import Quota
from network.simulate.device import Device, SimHold
from network.simulate.faults import Fault
from network.simulate.schedule import MS, S, Schedule

PPM = 1_000_000
# How often a cheat looks after its quota: one that hurries, one that takes its time.
LOOKS_MS = (250, 1_000, 3_000, 7_000)


class Cheat:
    """One miner's cheat for as long as its fault lasts."""

    def __init__(self, fault: Fault, miner: str, device: Device, schedule: Schedule) -> None:
        self._fault, self._device, self._schedule = fault, device, schedule
        self._hold: SimHold = device.hold(miner, "cheat")
        self._granted_ppm = device.granted[miner].ppm or PPM
        self._begin_ns, self._end_ns = fault.at_ms * MS, fault.until_ms * MS
        rng = random.Random(fault.seed)  # noqa: S311 (no secret)
        # Never in step with the kernel's periods, in which the place of a refill decides what it brings.
        jitter_ns = rng.randrange(1, MS)
        if fault.kind == "refill":
            self._every_ns = S // max(1, fault.amount) + jitter_ns
        else:
            self._every_ns = rng.choice(LOOKS_MS) * MS + jitter_ns

    def act(self) -> None:
        """Do it once, and come again until it is over."""
        now_ns = self._schedule.now_ns
        if now_ns >= self._end_ns:
            return
        if self._device.up:
            self._take(now_ns)
        self._schedule.at(now_ns + self._every_ns, self.act)

    def _take(self, now_ns: int) -> None:
        hold, fault = self._hold, self._fault
        if fault.kind == "refill":
            hold.write(hold.quota())
            return
        factor_ppm = fault.amount
        if fault.kind == "ramp":
            grown = (now_ns - self._begin_ns) * (fault.amount - PPM) // (self._end_ns - self._begin_ns)
            factor_ppm = PPM + grown
        hold.set_quota(Quota.of_ppm(self._granted_ppm * factor_ppm // PPM))
        hold.thaw()
