"""Faults and lies as plain data: what goes wrong in a run, when, where and how much.

A `Plan` is everything that a run follows from besides the program itself. It is JSON, and any of its faults may be
removed or made smaller: that is how a violation is shrunk (shrink.py). Who carries faults out: carry_out.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mint.errors import InputError

# What the fields of a fault mean for each kind: whom `who` names, what `amount` is. All last for `for_ms`.
Kind = Literal[
    # Links, of nodes.
    "loss",  # amount: ppm of packets lost, each way
    "delay",  # amount: most ms that a message takes longer
    "duplicate",  # amount: ppm of QoS 1 messages that come twice
    "reorder",  # amount: most ms by which messages overtake each other
    "partition",  # these nodes are cut off from the broker
    # The broker (who: nobody).
    "broker-save",  # an instant: everything is on its disk
    "broker-restart",  # it is killed, and is back after for_ms; amount 1: it keeps what it acknowledged, 0: loses
    # Processes of nodes, and devices.
    "crash",  # before its effect number `amount` from now (0: its next) or 3 s on; seed odd: without power
    "stall",  # it stands still
    "reboot",  # of devices, with all that runs on them; back after for_ms
    "backup",  # its state folder is copied now, and put back after for_ms
    # Clocks, of nodes or devices.
    "skew",  # amount: ms that the wall clock is ahead
    "dilate",  # amount: ppm that the monotonic clock runs fast
    # Miners that take more than their share.
    "cheat",  # amount: quota in ppm of entitlement, written again whenever it is found lowered
    "ramp",  # the same, growing to amount over for_ms
    "refill",  # amount: how often a second the unchanged quota is written
    # Lies of detectors.
    "vote-random",  # votes of any content at any time
    "vote-silent",  # none at all
    "vote-twice",  # two different votes on a frame
    "vote-innocent",  # honest miners are accused, all liars of the plan alike
    # Lies of the manager.
    "fork",  # two frames under one number
    "omit",  # the samples of device number `amount` are left out
    "invent",  # counters of miner number `amount` are told that no sample holds
    # Lies of agents, of devices.
    "fabricate",  # counters are told that show no more than entitlement
    "withhold",  # amount: ppm of samples that are not sent
    "sample-twice",  # two samples under one sequence
]

LINKS = frozenset({"loss", "delay", "duplicate", "reorder", "partition"})
CHEATS = frozenset({"cheat", "ramp", "refill"})
DETECTOR_LIES = frozenset({"vote-random", "vote-silent", "vote-twice", "vote-innocent"})
MANAGER_LIES = frozenset({"fork", "omit", "invent"})
AGENT_LIES = frozenset({"fabricate", "withhold", "sample-twice"})
LIES = DETECTOR_LIES | MANAGER_LIES | AGENT_LIES

Nat = Annotated[int, Meta(ge=0)]


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that goes wrong. `seed` is of its own random source."""

    kind: Kind
    at_ms: Nat
    for_ms: Nat = 0
    who: tuple[str, ...] = ()
    amount: int = 0
    seed: Nat = 0

    @property
    def until_ms(self) -> int:
        """When it is over."""
        return self.at_ms + self.for_ms


class Size(msgspec.Struct, frozen=True):
    """How large the network is; nodes are called manager, det1.., edge1.. (devices), enf1.., miners m01.."""

    miners: Annotated[int, Meta(ge=1, le=64)]
    devices: Annotated[int, Meta(ge=1, le=16)]
    detectors: Annotated[int, Meta(ge=1, le=13)]

    @property
    def f_detectors(self) -> int:
        """Detectors that may lie."""
        return (self.detectors - 1) // 3

    @property
    def f_miners(self) -> int:
        """Miners that may collude without Krum's benchmark being theirs (n >= 2f + 3)."""
        return max(0, (self.miners - 3) // 2)

    @property
    def device_names(self) -> tuple[str, ...]:
        """Devices, whose agents have the same names."""
        return tuple(f"edge{n + 1}" for n in range(self.devices))

    @property
    def detector_names(self) -> tuple[str, ...]:
        """Detectors."""
        return tuple(f"det{n + 1}" for n in range(self.detectors))

    @property
    def enforcer_names(self) -> tuple[str, ...]:
        """Enforcers, one a device, in the order of the devices."""
        return tuple(f"enf{n + 1}" for n in range(self.devices))

    @property
    def miner_names(self) -> tuple[str, ...]:
        """Miners, dealt out to the devices in turn."""
        return tuple(f"m{n + 1:02}" for n in range(self.miners))

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node that runs a component."""
        return ("manager", *self.detector_names, *self.enforcer_names, *self.device_names)

    def device_of(self, miner: str) -> str:
        """The device that a miner lives on."""
        return self.device_names[self.miner_names.index(miner) % self.devices]


class Plan(msgspec.Struct, frozen=True):
    """A run to be: its seed, its length, its network, and what goes wrong.

    `stop_ms`: when all faults and lies are over but those that the scenario lets go on; from then on the network has
    to get well.
    """

    scenario: str
    seed: Nat
    end_ms: Nat
    stop_ms: Nat
    size: Size
    faults: tuple[Fault, ...]

    def of(self, kinds: Iterable[str]) -> tuple[Fault, ...]:
        """The faults of these kinds."""
        wanted = frozenset(kinds)
        return tuple(fault for fault in self.faults if fault.kind in wanted)

    def named(self, kinds: Iterable[str]) -> frozenset[str]:
        """Everyone whom faults of these kinds name."""
        return frozenset(name for fault in self.of(kinds) for name in fault.who)

    def with_faults(self, faults: Iterable[Fault]) -> Plan:
        """The same run with other faults."""
        return msgspec.structs.replace(self, faults=tuple(faults))


def to_json(plan: Plan) -> bytes:
    """A plan as JSON."""
    return msgspec.json.encode(plan)


def from_json(data: bytes, where: str) -> Plan:
    """The plan in JSON.

    Raises:
        InputError: it is none; `where` names the file.
    """
    try:
        return msgspec.json.decode(data, type=Plan)
    except msgspec.MsgspecError as error:
        raise InputError(
            where, f"is no plan ({error})", "take one that `mint simulate --json` wrote"
        ) from None
