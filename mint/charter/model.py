"""What a charter says; every number with its unit."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mint.budget import BudgetRule
from mint.keys import PUBLIC_KEY_SIZE
from mint.messages.frame import MAX_DEVICES, MAX_MINERS
from mint.names import Role
from mint.wire import MOST, Hash, Name, Nat, Wire

PPM = 1_000_000
# A sample costs some ten microseconds a miner, and a frame some milliseconds.
MIN_PERIOD_MS = 100

Key = Annotated[bytes, Meta(min_length=PUBLIC_KEY_SIZE, max_length=PUBLIC_KEY_SIZE)]
Share = Annotated[int, Meta(ge=0, le=PPM)]
Mode = Literal["observe", "enforce"]


class Node(Wire, frozen=True):
    """One process of the network: its name, its one role, its public key.

    `devices` are those whose containers an enforcer has its hands on (empty for every other role).
    """

    name: Name
    role: Role
    key: Key
    devices: tuple[Name, ...] = ()


class Device(Wire, frozen=True):
    """An edge device; its name is its agent's. `kind` names its device class."""

    name: Name
    kind: Name


class DeviceClass(Wire, frozen=True):
    """Devices that hash alike: hashes a CPU-second, measured by the operator; 0: not measured."""

    name: Name
    hashes_per_cpu_second: Nat


class Entitlement(Wire, frozen=True):
    """What a miner may use: CPU and GPU in ppm of one, memory, I/O bandwidth (0: none is granted)."""

    cpu_ppm: Annotated[int, Meta(ge=1_000, le=1024 * PPM)]
    gpu_ppm: Share
    memory_bytes: Nat
    io_bytes_per_s: Nat


class Miner(Wire, frozen=True):
    """A miner, the device it lives on, what it may use, and the image it must run (empty: not pinned).

    `law`: "kernel" where a CFS quota limits it, so that cumulative use above entitlement is proof; "soft"
    where something weaker does (a duty cycle), so that the budget needs more room.
    """

    name: Name
    device: Name
    entitlement: Entitlement
    law: Literal["kernel", "soft"]
    mode: Mode
    image: Annotated[str, Meta(max_length=128)]


class Detection(Wire, frozen=True):
    """Parameters of detection; the paper's symbols where its equations are.

    N, L, p, q, eigentriples (the paper's l): equations 3 to 6; t_alpha: equation 9. `d`: frames between
    Proof-of-Behavior rounds. `ssa_threshold_milli`: h, the threshold of the preset's W, in thousandths; 0: the
    preset's own (`paper`: h of equation 9). `burst_ms`: excess over entitlement that the quota's own period
    explains, in ms of entitled time; `soft_burst_ms` the same where the law is soft. `overrun_ms`: CPU time up
    to which steal time may excuse an excess. `dark_frames`: silence after which a miner is dark.
    """

    preset: Literal["paper", "calibrated"]
    N: Annotated[int, Meta(ge=4, le=4096)]
    L: Annotated[int, Meta(ge=2, le=2048)]
    p: Annotated[int, Meta(ge=0, le=4096)]
    q: Annotated[int, Meta(ge=1, le=8192)]
    eigentriples: Annotated[int, Meta(ge=1, le=2047)]
    t_alpha_micro: Annotated[int, Meta(ge=0, le=10_000_000)]
    d: Annotated[int, Meta(ge=2, le=3600)]
    ssa_threshold_milli: Annotated[int, Meta(ge=0, le=1_000_000_000)]
    burst_ms: Annotated[int, Meta(ge=1, le=3_600_000)]
    soft_burst_ms: Annotated[int, Meta(ge=1, le=3_600_000)]
    overrun_ms: Annotated[int, Meta(ge=0, le=60_000)]
    dark_frames: Annotated[int, Meta(ge=2, le=86_400)]


class Rung(Wire, frozen=True):
    """A step of the penalty ladder: the quota as a share of entitlement, and for how many frames at least.

    Whatever the rung, the quota stays low until cumulative use is back at entitlement.
    """

    quota_share_ppm: Annotated[int, Meta(ge=10_000, le=PPM)]
    frames: Annotated[int, Meta(ge=0, le=10_000_000)]


class Pardon(Wire, frozen=True):
    """The operator's word that a miner's offence of this number is not to be punished."""

    miner: Name
    offence: Annotated[int, Meta(ge=1, le=MOST)]


class Resume(Wire, frozen=True):
    """Where the frame log goes on under this charter: after frame `frame`, which has this hash.

    The operator names it where a manager's key is replaced, or where a manager was shown to have forked the log: what
    it signed after that frame is void. It is done once, however many later charters still say it; `again` counts how
    often the log was resumed after this frame before, so that it can be once more.
    """

    frame: Nat
    hash: Hash
    again: Nat = 0


class Chain(Wire, frozen=True):
    """The ledger that the miners mine; whoever changes it begins another one (mint/chain/header.py: genesis).

    `block_interval_ms`: what difficulty adjusts to. `share_interval_ms`: the expected time between two shares of a
    miner that uses its whole entitlement. `window_blocks`: a block's reward is split over the shares in so many blocks,
    itself the last. `first_work`: expected hashes of block 1.
    """

    block_interval_ms: Annotated[int, Meta(ge=1_000, le=3_600_000)]
    share_interval_ms: Annotated[int, Meta(ge=50, le=60_000)]
    window_blocks: Annotated[int, Meta(ge=1, le=10_000)]
    first_work: Annotated[int, Meta(ge=1, le=MOST)]


class Charter(Wire, frozen=True, dict=True):
    """All that the parts of one fog agree on beforehand.

    `network` is SHA-256 of the operator's key (mint/keys.py), `version` grows with every charter of a
    network, times are Unix ms. `period_ms` is the sampling period, `clock_tolerance_ms` how far a stream's
    time may lie from the receiver's. `holds`: miners that enforcers leave alone for now. `resume`: where a new
    manager continues the frame log, None where it simply goes on. `chain`: the miners' ledger, None where none is
    mined.
    """

    network: Hash
    title: Annotated[str, Meta(max_length=120)]
    fog: Name
    version: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    issued_ms: Nat
    expires_ms: Nat
    period_ms: Annotated[int, Meta(ge=MIN_PERIOD_MS, le=3_600_000)]
    clock_tolerance_ms: Annotated[int, Meta(ge=1_000, le=86_400_000)]
    key_parameter: Literal["cpu", "gpu"]
    f_detectors: Annotated[int, Meta(ge=0, le=40)]
    f_miners: Annotated[int, Meta(ge=0, le=MAX_MINERS)]
    always_reconcile: bool
    mode: Mode
    nodes: Annotated[tuple[Node, ...], Meta(max_length=2 * MAX_DEVICES)]
    classes: Annotated[tuple[DeviceClass, ...], Meta(max_length=256)]
    devices: Annotated[tuple[Device, ...], Meta(max_length=MAX_DEVICES)]
    miners: Annotated[tuple[Miner, ...], Meta(min_length=1, max_length=MAX_MINERS)]
    detection: Detection
    ladder: Annotated[tuple[Rung, ...], Meta(min_length=1, max_length=16)]
    holds: Annotated[tuple[Name, ...], Meta(max_length=MAX_MINERS)]
    pardons: Annotated[tuple[Pardon, ...], Meta(max_length=1024)]
    resume: Resume | None = None
    chain: Chain | None = None

    def nodes_of(self, role: Role) -> tuple[Node, ...]:
        """The nodes of one role, in the charter's order."""
        return tuple(node for node in self.nodes if node.role is role)

    def miners_by_name(self) -> dict[str, Miner]:
        """Miners by name: one dict, for reading."""
        return self._miners_by_name

    @cached_property
    def _miners_by_name(self) -> dict[str, Miner]:
        return {miner.name: miner for miner in self.miners}

    def miners_on(self, device: str) -> tuple[Miner, ...]:
        """The miners of one device."""
        return tuple(miner for miner in self.miners if miner.device == device)

    def enforces(self, miner: Miner) -> bool:
        """Whether a verdict on `miner` is carried out: both modes say so and no hold stands against it."""
        return self.mode == "enforce" and miner.mode == "enforce" and miner.name not in self.holds

    @property
    def manager(self) -> Node:
        """The fog's one manager (mint/charter/rules.py)."""
        return self.nodes_of(Role.MANAGER)[0]

    @property
    def detectors(self) -> tuple[str, ...]:
        """The detectors' names, sorted."""
        return tuple(sorted(node.name for node in self.nodes_of(Role.DETECTOR)))

    @property
    def quorum(self) -> int:
        """Votes that make a verdict: 2 f_detectors + 1."""
        return 2 * self.f_detectors + 1

    def rule(self, miner: Miner) -> BudgetRule:
        """How much above entitlement the budget law lets `miner` be."""
        return budget_rule(self.detection, miner.entitlement.cpu_ppm, miner.law, self.period_ms * 1_000_000)

    def rung(self, rung: int) -> Rung:
        """The step of the ladder that offence number `rung` (from 1) has earned; the last one serves all beyond."""
        return self.ladder[min(rung, len(self.ladder)) - 1]


def budget_rule(detection: Detection, entitled_ppm: int, law: str, period_ns: int) -> BudgetRule:
    """The budget law for a miner of this entitlement, sampled once in `period_ns`."""
    burst_ms = detection.soft_burst_ms if law == "soft" else detection.burst_ms
    return BudgetRule(
        entitled_ppm=entitled_ppm,
        burst_ns=burst_ms * entitled_ppm,  # ms * 1e6 ns/ms * ppm / 1e6
        overrun_ns=detection.overrun_ms * 1_000_000,
        period_ns=period_ns,
    )


def replaced(charter: Charter, **changes: object) -> Charter:
    """A copy of `charter` with some fields changed (a new version, say)."""
    return msgspec.structs.replace(charter, **changes)
