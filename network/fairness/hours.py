"""One simulated hour of sixteen miners that hash under the kernel's quotas, with MinT around them or without.

With MinT it is the simulator's fog (network/simulate/): the agents, the twin manager, the detectors and the enforcers
themselves, so that when a cheat is convicted, how low its quota goes, for how long, and what its verdict says is the
code's own doing. Without MinT there are the devices and the kernel, and nobody looks. Everything starts afresh with
every hour; one seed is one hour.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mint.chain.shares import share_works
from mint.charter.seal import SealedCharter
from mint.effects import Effect, Post
from mint.messages.judgement import Verdict
from mint.topics import Topics
from mint.verdict import Proven, verify_verdict
from network.fairness.attacks import CHEAT, double, faults_of
from network.fairness.charter import CLASSES, SIZE, charter_of, rates_of
from network.fairness.hashing import Found, Hashing
from network.simulate.charter import FOG
from network.simulate.device import Device
from network.simulate.faults import Plan, Size
from network.simulate.fog import Fog
from network.simulate.host import Do, Host
from network.simulate.miner import CfsMiner
from network.simulate.safety import message_in
from network.simulate.schedule import MS, S, Schedule
from network.simulate.streams import stream


@dataclass(frozen=True, slots=True)
class Setting:
    """What an hour is of: how a miner cheats and from when on, whether MinT is there, of which devices."""

    attack: str
    minted: bool
    classes: str
    begins_ms: int = 600_000
    ends_ms: int = 3_600_000
    size: Size = SIZE


@dataclass(frozen=True, slots=True)
class Convicted:
    """A verdict as it came on the bus: when (true ns), and what it proves."""

    at_ns: int
    proven: Proven


@dataclass
class Mined:
    """What an hour led to: the shares found, the verdicts in their order.

    `put_back_ns`: when an enforcer last put the cheat's quota right (true ns).
    """

    setting: Setting
    charter: SealedCharter
    found: Found
    verdicts: list[Convicted] = field(default_factory=list)
    put_back_ns: int | None = None


def mine(setting: Setting, seed: int) -> Mined:
    """Have an hour pass."""
    charter = charter_of(CLASSES[setting.classes], setting.size)
    hashing = Hashing(rates_of(charter.charter), share_works(charter.charter), seed)
    with _without_collector():
        return (
            _with_mint(setting, seed, charter, hashing)
            if setting.minted
            else _alone(setting, seed, charter, hashing)
        )


def _alone(setting: Setting, seed: int, charter: SealedCharter, hashing: Hashing) -> Mined:
    """Devices, and nothing else."""
    schedule = Schedule()
    devices = {
        name: Device(
            name, schedule, charter.charter.miners_on(name), stream(seed, name, "device"), lambda *_: None
        )
        for name in setting.size.device_names
    }
    if setting.attack != "none":
        double(_of_cheat(devices), schedule, setting.begins_ms)
    _hash(devices, schedule, hashing)
    schedule.run(setting.ends_ms * MS)
    return Mined(setting, charter, hashing.found())


def _with_mint(setting: Setting, seed: int, charter: SealedCharter, hashing: Hashing) -> Mined:
    """The whole fog."""
    topics, known = Topics(FOG), {charter.hash: charter}
    size = setting.size
    heard = {topics.verdict(name, miner) for name in size.detector_names for miner in size.miner_names}
    verdicts: dict[tuple[str, int], Convicted] = {}
    put_back: list[int] = []

    def observe(_: Host, effect: Effect | Do, data: bytes | None) -> None:
        if data is not None and isinstance(effect, Post) and effect.topic in heard:
            verdict = message_in(data, Verdict)
            if (verdict.miner, verdict.offence) not in verdicts:
                proven = verify_verdict(verdict, known)
                verdicts[verdict.miner, verdict.offence] = Convicted(fog.ground.schedule.now_ns, proven)

    def wrote(miner: str, by: str, container: CfsMiner) -> None:
        now_ns = fog.ground.schedule.now_ns
        granted = fog.ground.device_of(miner).granted[miner]
        if miner == CHEAT and by in size.enforcer_names and container.quota == granted:
            put_back.append(now_ns)

    faults = faults_of(setting.attack, setting.begins_ms, setting.ends_ms, seed)
    plan = Plan("fairness", seed, setting.ends_ms, setting.ends_ms, size, faults)
    fog = Fog(plan, observe, wrote, charter)
    devices, schedule = fog.ground.devices, fog.ground.schedule
    if setting.attack not in ("none", "stubborn"):
        double(_of_cheat(devices), schedule, setting.begins_ms)
    for device in devices.values():
        device.told = lambda miner, usage_ns: hashing.advance(miner, schedule.now_ns, usage_ns)
    _hash(devices, schedule, hashing)
    fog.run(setting.ends_ms)
    return Mined(
        setting, charter, hashing.found(), list(verdicts.values()), put_back[-1] if put_back else None
    )


def _of_cheat(devices: dict[str, Device]) -> Device:
    return next(device for device in devices.values() if CHEAT in device.containers)


def _hash(devices: dict[str, Device], schedule: Schedule, hashing: Hashing) -> None:
    """Have every miner hash with the CPU time that its container is given, looked at once a second."""

    def look() -> None:
        for device in devices.values():
            for name, container in device.containers.items():
                hashing.advance(name, schedule.now_ns, container.usage_ns(device.now_ns))
        schedule.at(schedule.now_ns + S, look)

    for device in devices.values():
        for name, container in device.containers.items():
            hashing.begin(name, schedule.now_ns, container.usage_ns(device.now_ns))
    schedule.at(S, look)


@contextmanager
def _without_collector() -> Iterator[None]:
    """An hour makes few cycles until it ends (network/simulate/run.py)."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
