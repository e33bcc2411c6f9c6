"""Carries the faults of a plan out: each begins and ends at its time, whatever has become of the others."""

from __future__ import annotations

import random
from collections.abc import Callable

from network.simulate.cheats import Cheat
from network.simulate.disks import Disk
from network.simulate.faults import CHEATS, LIES, LINKS, Fault, Plan
from network.simulate.ground import Ground
from network.simulate.link import Disturbance
from network.simulate.schedule import MS, S

# A component that asks for nothing crashes all the same: after this long, whatever it has done by then.
CRASH_WITHIN_NS = 3 * S


def carry_out(plan: Plan, ground: Ground) -> None:
    """Schedule every fault of the plan."""
    for fault in plan.faults:
        ground.schedule.at(fault.at_ms * MS, _begin, fault, ground)


def _begin(fault: Fault, ground: Ground) -> None:
    ground.history.note(
        ground.schedule.now_ns, ", ".join(fault.who) or "broker", fault.kind, fault.amount, fault.for_ms
    )
    if fault.kind in LINKS:
        _links(fault, ground)
    elif fault.kind in CHEATS:
        for miner in fault.who:
            Cheat(fault, miner, ground.device_of(miner), ground.schedule).act()
    elif fault.kind in LIES:
        _lies(fault, ground)
    else:
        _OTHERS[fault.kind](fault, ground)


def _later(fault: Fault, ground: Ground, call: Callable[..., None], *args: object) -> None:
    """When the fault is over."""
    ground.schedule.at(fault.until_ms * MS, call, *args)


def _links(fault: Fault, ground: Ground) -> None:
    for name in fault.who:
        client = ground.hosts[name].client
        if fault.kind == "partition":
            client.part()
            _later(fault, ground, client.heal)
            continue
        for direction, way in (("up", client.link.up), ("down", client.link.down)):
            disturbance = _disturbance(fault, random.Random(f"{fault.seed}/{name}/{direction}"))  # noqa: S311 (no secret)
            way.disturb(disturbance)
            _later(fault, ground, way.calm, disturbance)


def _disturbance(fault: Fault, rng: random.Random) -> Disturbance:
    if fault.kind == "loss":
        return Disturbance(rng, loss_ppm=fault.amount)
    if fault.kind == "duplicate":
        return Disturbance(rng, duplicate_ppm=fault.amount)
    return Disturbance(rng, delay_ns=max(1, fault.amount) * MS, reorder=fault.kind == "reorder")


def _lies(fault: Fault, ground: Ground) -> None:
    def told(name: str, *, now: bool) -> None:
        others = tuple(one for one in ground.lies.get(name, ()) if one is not fault)
        ground.lies[name] = (*others, fault) if now else others

    def over() -> None:
        for name in fault.who:
            told(name, now=False)

    for name in fault.who:
        told(name, now=True)
    _later(fault, ground, over)


def _broker_save(_: Fault, ground: Ground) -> None:
    if ground.broker.up:
        ground.broker.save()


def _broker_restart(fault: Fault, ground: Ground) -> None:
    if ground.broker.up:
        ground.broker.stop(keeps=fault.amount == 1)
        _later(fault, ground, ground.broker.start)


def _crash(fault: Fault, ground: Ground) -> None:
    for name in fault.who:
        host = ground.hosts[name]
        host.crash_after(fault.amount, fault.for_ms * MS, flushes=fault.seed % 2 == 0)
        ground.schedule.at(ground.schedule.now_ns + CRASH_WITHIN_NS, host.crash_at_last)


def _stall(fault: Fault, ground: Ground) -> None:
    for name in fault.who:
        host = ground.hosts[name]
        host.freeze()
        _later(fault, ground, host.thaw)


def _reboot(fault: Fault, ground: Ground) -> None:
    for name in fault.who:
        device = ground.devices[name]
        if not device.up:
            continue
        device.up = False
        _later(fault, ground, device.reboot)  # before its hosts, which start at the same time
        for host in ground.hosts_at(device.clock):
            host.crash(fault.for_ms * MS, flushes=False)


def _backup(fault: Fault, ground: Ground) -> None:
    def put_back(name: str, backup: Disk) -> None:
        ground.history.note(ground.schedule.now_ns, name, "restored", fault.for_ms)
        ground.hosts[name].restore(backup, MS)

    for name in fault.who:
        _later(fault, ground, put_back, name, ground.hosts[name].disk.copy())


def _skew(fault: Fault, ground: Ground) -> None:
    for name in fault.who:
        ground.clock(name).skew(fault.amount)
        _later(fault, ground, ground.clock(name).skew, 0)


def _dilate(fault: Fault, ground: Ground) -> None:
    def run_at(name: str, ppm: int) -> None:
        clock = ground.clock(name)
        clock.dilate(ground.schedule.now_ns, ppm)
        for host in ground.hosts_at(clock):
            host.clock_changed()

    for name in fault.who:
        run_at(name, fault.amount)
        _later(fault, ground, run_at, name, 0)


_OTHERS: dict[str, Callable[[Fault, Ground], None]] = {
    "broker-save": _broker_save,
    "broker-restart": _broker_restart,
    "crash": _crash,
    "stall": _stall,
    "reboot": _reboot,
    "backup": _backup,
    "skew": _skew,
    "dilate": _dilate,
}
