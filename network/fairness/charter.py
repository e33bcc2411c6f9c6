"""The charters of the simulated hours: sixteen miners on four devices, of one class or of two that hash unlike fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from mint.chain.shares import share_works
from mint.charter.model import PPM, Chain, Charter, Device, DeviceClass, replaced
from mint.charter.rules import check
from mint.charter.seal import SealedCharter
from network.simulate.charter import found, sealed
from network.simulate.faults import Size

# One detector: honest ones say the same (docs/agreement.md), and four take twice the time. A test holds it.
SIZE = Size(miners=16, devices=4, detectors=1)
# A block every ten seconds; each pays the shares of a minute, 2,400 of them.
BLOCK_MS, SHARE_MS, WINDOW_BLOCKS = 10_000, 400, 6


@dataclass(frozen=True, slots=True)
class Kind:
    """A device class, and what a miner on such a device is entitled to (ppm of one CPU)."""

    name: str
    hashes_per_cpu_second: int
    cpu_ppm: int


# One core with SHA-256 instructions, as measured, and one that hashes a quarter as fast.
FAST, SLOW = 21_600_000, 5_400_000
CLASSES: dict[str, tuple[Kind, ...]] = {
    "one": (Kind("edge", FAST, 100_000),),
    # Equal in hashing: what is slower has more CPU.
    "two": (Kind("fast", FAST, 100_000), Kind("slow", SLOW, 400_000)),
    # Equal in CPU, and so unlike in hashing.
    "two-same-cpu": (Kind("fast", FAST, 100_000), Kind("slow", SLOW, 100_000)),
}


def charter_of(kinds: Sequence[Kind], size: Size = SIZE) -> SealedCharter:
    """The charter of a simulated network whose devices are of these classes in turn."""
    plain = found(size).charter
    devices = tuple(
        Device(device.name, kinds[number % len(kinds)].name) for number, device in enumerate(plain.devices)
    )
    granted = {device.name: kinds[number % len(kinds)].cpu_ppm for number, device in enumerate(devices)}
    miners = tuple(
        replace(miner, entitlement=replace(miner.entitlement, cpu_ppm=granted[miner.device]))
        for miner in plain.miners
    )
    classes = tuple(DeviceClass(kind.name, kind.hashes_per_cpu_second) for kind in kinds)
    charter = replaced(plain, classes=classes, devices=devices, miners=miners)
    hashes_s = sum(entitled(charter).values())
    chain = Chain(BLOCK_MS, SHARE_MS, WINDOW_BLOCKS, first_work=hashes_s * BLOCK_MS // 1000)
    charter = replaced(charter, chain=chain)
    check(charter, "charter")
    return sealed(charter)


def entitled(charter: Charter) -> dict[str, int]:
    """Hashes a second that each miner is entitled to compute, by name in the order of names."""
    rates = rates_of(charter)
    return {
        name: rates[name] * miner.entitlement.cpu_ppm // PPM
        for name, miner in sorted(charter.miners_by_name().items())
    }


def rates_of(charter: Charter) -> dict[str, int]:
    """Hashes a CPU-second of each miner, by its device's class."""
    of_class = {kind.name: kind.hashes_per_cpu_second for kind in charter.classes}
    of_device = {device.name: of_class[device.kind] for device in charter.devices}
    return {miner.name: of_device[miner.device] for miner in charter.miners}


def fair_shares(charter: Charter) -> dict[str, float]:
    """The part of all entitled hashing that each miner's is: what it may expect of all rewards."""
    hashes = entitled(charter)
    total = sum(hashes.values())
    return {name: one / total for name, one in hashes.items()}


def fair_counts(charter: Charter) -> dict[str, float]:
    """The part of all shares found that each miner's may be expected to be: a share of some may take more hashes."""
    hashes, works = entitled(charter), share_works(charter)
    rates = {name: one / works[name] for name, one in hashes.items()}
    total = sum(rates.values())
    return {name: one / total for name, one in rates.items()}
