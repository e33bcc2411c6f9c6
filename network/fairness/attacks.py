"""How a miner of the simulated hours takes double, and whom it has in its hand.

| attack | the miner | its device's agent | its device's enforcer |
|---|---|---|---|
| double | doubles its quota once, and gives up when it is put back | honest | honest |
| stubborn | doubles its quota whenever it finds it lowered | honest | honest |
| liar | as double | tells no more use than the entitlement | honest |
| rogue-host | as double | honest | does not run |
"""

from __future__ import annotations

from mint.containers.model import Quota
from mint.errors import InputError
from network.simulate.device import Device
from network.simulate.faults import Fault
from network.simulate.schedule import MS, Schedule

ATTACKS = ("none", "double", "stubborn", "liar", "rogue-host")
CHEAT, DEVICE, ENFORCER = "m01", "edge1", "enf1"
FACTOR_PPM = 2_000_000
PPM = 1_000_000
# Its enforcer is stopped once it has begun, and never starts again.
STOPPED_MS = 5_000


def attack_named(name: str) -> str:
    """The attack called `name`.

    Raises:
        InputError: there is none.
    """
    if name not in ATTACKS:
        raise InputError("--attack", f"{name!r} is no attack", f"use one of {', '.join(ATTACKS)}")
    return name


def faults_of(attack: str, begins_ms: int, ends_ms: int, seed: int) -> tuple[Fault, ...]:
    """What goes wrong in a fog besides the quota that `double` writes."""
    match attack:
        case "stubborn":
            return (Fault("cheat", begins_ms, ends_ms - begins_ms, (CHEAT,), FACTOR_PPM, seed),)
        case "liar":
            return (Fault("fabricate", begins_ms, ends_ms - begins_ms, (DEVICE,)),)
        case "rogue-host":
            return (Fault("crash", STOPPED_MS, ends_ms, (ENFORCER,)),)
    return ()


def double(device: Device, schedule: Schedule, at_ms: int) -> None:
    """Have the cheat's quota doubled at this time."""
    granted_ppm = device.granted[CHEAT].ppm or PPM
    quota = Quota.of_ppm(granted_ppm * FACTOR_PPM // PPM)
    schedule.at(at_ms * MS, device.hold(CHEAT, "cheat").write, quota)
