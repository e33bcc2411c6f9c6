"""What cheats really took, by the counters themselves: which of them there is something to convict for."""

from __future__ import annotations

from dataclasses import dataclass

from mint.charter.model import Charter
from network.simulate.faults import CHEATS, Fault, Plan
from network.simulate.ground import Ground
from network.simulate.schedule import MS

PPM = 1_000_000
# A cheat that took this many times what the law lets an honest miner be above is no border case.
CLEARLY = 2


@dataclass(frozen=True, slots=True)
class _Read:
    """A miner's true use at a time, both by its device."""

    boot: bytes
    mono_ns: int
    usage_ns: int


class Takings:
    """What each cheat of a plan took, from its beginning to its end (CPU ns above entitlement)."""

    def __init__(self, plan: Plan, ground: Ground, charter: Charter) -> None:
        self._ground = ground
        self._miners = charter.miners_by_name()
        self._allowed = {name: charter.rule(miner).allowed_ns for name, miner in self._miners.items()}
        self._begun: dict[tuple[Fault, str], _Read] = {}
        self._taken: dict[tuple[Fault, str], int] = {}
        for fault in plan.of(CHEATS):
            for miner in fault.who:
                ground.schedule.at(fault.at_ms * MS, self._begin, fault, miner)
                ground.schedule.at(min(fault.until_ms, plan.end_ms) * MS, self._end, fault, miner)

    def clear(self, fault: Fault, miner: str) -> bool:
        """Whether this cheat took clearly more than the law lets anyone."""
        return self._taken.get((fault, miner), 0) > CLEARLY * self._allowed[miner]

    def _read(self, miner: str) -> _Read:
        device = self._ground.device_of(miner)
        now_ns = device.now_ns
        return _Read(device.clock.boot, now_ns, device.containers[miner].usage_ns(now_ns))

    def _begin(self, fault: Fault, miner: str) -> None:
        self._begun[fault, miner] = self._read(miner)

    def _end(self, fault: Fault, miner: str) -> None:
        first, last = self._begun[fault, miner], self._read(miner)
        if first.boot == last.boot:
            entitled_ppm = self._miners[miner].entitlement.cpu_ppm
            fair_ns = entitled_ppm * (last.mono_ns - first.mono_ns) // PPM
            self._taken[fault, miner] = last.usage_ns - first.usage_ns - fair_ns
