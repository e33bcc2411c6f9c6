"""A device in a few lines: a miner of one thread that never rests, its kernel files, an enforcer with a disk."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from enforcer.core import Core
from enforcer.ledger import Count
from enforcer.reconcile import Seen, Step, Wish, entitled, steps
from enforcer.state import Change, MinerState, Plan
from mint.charter.model import Charter
from mint.containers.model import Quota
from mint.messages.receipt import Receipt
from mint.verdict import Proven
from tests.enforcer.offences import CPU_PPM, ENFORCER, MINERS, PERIOD_NS, Keys, proven

KEYS = Keys()
MINER = MINERS[0]
FAIR = entitled(CPU_PPM)
LOW = Quota(2_500)  # half of 5 % of a CPU
# Longer than a penalty for a doubling of some periods takes.
LONG = 60


class Crash(Exception):
    """The enforcer dies here."""


@dataclass
class Disk:
    """What was committed, as bytes."""

    states: dict[str, bytes] = field(default_factory=dict)
    number: int = 0
    frame: int = 0
    receipts: list[Receipt] = field(default_factory=list)

    def commit(self, change: Change) -> None:
        self.states |= {name: msgspec.msgpack.encode(state) for name, state in change.states.items()}
        for name in change.forgotten:
            self.states.pop(name, None)
        self.number, self.frame = change.number, change.frame
        self.receipts += change.receipts


class Device:
    """Time goes by `period`; `refill`: how many times the quota a cheat really gets."""

    def __init__(self, charter: Charter) -> None:
        self.charter = charter
        self.mono_ns, self.usage_ns, self.epoch, self.boot = 1_000 * PERIOD_NS, 0, 1, 0
        self.quota, self.frozen, self.refill = FAIR, False, 1
        self.disk = Disk()
        self.retained: dict[int, Proven] = {}
        self.frame = 0
        self.crash_in: int | None = None
        self.writes = 0
        self.core = self._started()

    def _started(self) -> Core:
        states = {n: msgspec.msgpack.decode(s, type=MinerState) for n, s in self.disk.states.items()}
        return Core(ENFORCER, self.charter, self.mono_ns, states, self.disk.number, self.disk.frame)

    def restart(self) -> None:
        """Start again from the disk, and look; the broker hands out what it retains, and we look again."""
        self.crash_in = None
        self.core = self._started()
        self._reconcile()
        for offence, known in self.retained.items():
            self.core.accept(bytes([offence % 256]) * 32, known, self.mono_ns)
        self._reconcile()

    def use(self, periods: int = 1) -> None:
        """Time passes, nobody looks."""
        for _ in range(periods):
            self.mono_ns += PERIOD_NS
            if not self.frozen:
                quota, whole = self.quota.quota_us, self.quota.period_us
                used_us = whole if quota is None else min(self.refill * quota, whole)
                self.usage_ns += used_us * PERIOD_NS // whole

    def boot_again(self) -> None:
        """A new uptime: clock and counters from zero, the container started as it should be."""
        self.boot, self.epoch = self.boot + 1, self.epoch + 1
        self.mono_ns, self.usage_ns = 10 * PERIOD_NS, 0
        self.quota, self.frozen = FAIR, False
        self.restart()

    def remake(self) -> None:
        """The parent cgroup was made anew, as it should be."""
        self.epoch, self.usage_ns, self.quota, self.frozen = self.epoch + 1, 0, FAIR, False

    def see(self) -> Seen:
        boot = bytes([self.boot]) * 16
        return Seen(MINER, self.quota, self.frozen, Count(boot, self.epoch, self.mono_ns, self.usage_ns))

    def judge(self, proven: Proven) -> None:
        """A verdict arrives, and stays at the broker."""
        self.retained[proven.offence] = proven
        if self.core.accept(bytes([proven.offence % 256]) * 32, proven, self.mono_ns):
            self.reconcile()

    def reconcile(self) -> Plan | None:
        """One look and what follows; after a crash anywhere in it, the enforcer has started again."""
        try:
            return self._reconcile()
        except Crash:
            self.restart()
            return None

    def period(self) -> None:
        """The manager closes a frame, the enforcer looks."""
        self.use()
        self.frame += 1
        self.core.see_frame(self.frame, self.mono_ns)
        self.reconcile()

    def _reconcile(self) -> Plan:
        plan = self.core.look(self.see(), self.mono_ns)
        self._effect()
        for step in plan.steps:
            assert plan.wish is not None
            self._take(step, plan.wish)
            self._effect()
        self.core.done(plan, self.see(), self.mono_ns, 0)
        self._effect()
        if (change := self.core.pending()) is not None:
            self.disk.commit(change)
            self._effect()
            self.core.stored()
        return plan

    def _take(self, step: Step, wish: Wish) -> None:
        assert step in steps(wish, self.see()), "a step without a difference"
        self.writes += 1
        match step:
            case Step.QUOTA:
                self.quota = wish.quota
            case Step.FREEZE:
                self.frozen = True
            case Step.THAW:
                self.frozen = False

    def _effect(self) -> None:
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                raise Crash

    def actions(self) -> list[str]:
        return [receipt.action for receipt in self.disk.receipts]


def doubled() -> Quota:
    assert FAIR.quota_us is not None
    return Quota(2 * FAIR.quota_us, FAIR.period_us)


def device(**changes: object) -> Device:
    return Device((KEYS.charter(**changes) if changes else KEYS.sealed).charter)


def offend(at: Device, periods: int = 4, *, offence: int = 1) -> Proven:
    """The miner doubles its quota for some periods; what a verdict will prove of it."""
    first = (at.mono_ns, at.usage_ns)
    at.quota = doubled()
    at.use(periods)
    last = (at.mono_ns, at.usage_ns)
    return proven(
        KEYS.sealed,
        first,
        last,
        boot=bytes([at.boot]) * 16,
        epoch=at.epoch,
        offence=offence,
        frame=at.frame,
    )


def convicted(**changes: object) -> Device:
    at = device(**changes)
    at.judge(offend(at))
    return at


def proven_with(offence: Proven, *, until: int) -> Proven:
    return type(offence)(**{name: getattr(offence, name) for name in offence.__slots__} | {"until": until})


def served(at: Device) -> None:
    for _ in range(LONG):
        at.period()
    assert not at.core.open
