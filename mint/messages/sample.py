"""What an agent says: its birth, its samples; and what the manager answers."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mint.wire import Int, Name, Nat, Text, Wire

# One device carries a few miners; 256 is the size at which a device should be two.
MAX_MINERS_PER_DEVICE = 256

Boot = Annotated[bytes, Meta(min_length=16, max_length=16)]


class MinerReading(Wire, frozen=True):
    """One miner's cumulative counters, read between two monotonic times.

    The times are the device's CLOCK_MONOTONIC in ns right before and right after the CPU counter was read;
    every counter is cumulative over `epoch`, which changes when the miner's parent cgroup was made anew.
    `quota_ppm` is what the kernel's file says (ppm of one CPU, -1 without limit): a claim, for people.
    `gpu_ppm` is the share of a GPU in ppm, sampled, -1 where there is none. `shares` counts the
    shares of the ledger that the miner has told its agent, 0 where it mines none: all that it told before the CPU
    counter was read are in it, whether they were published since or not.
    """

    miner: Name
    epoch: Nat
    before_ns: Nat
    after_ns: Nat
    usage_ns: Nat
    nr_periods: Nat
    nr_throttled: Nat
    throttled_ns: Nat
    memory_bytes: Nat
    io_bytes: Nat
    gpu_ppm: Int
    quota_ppm: Int
    running: bool
    shares: Nat


class Sample(Wire, frozen=True):
    """Every miner of one device, once a period.

    `boot` tells one uptime of the device from the next (monotonic times compare only within one), `steal_ns`
    is the time the hypervisor took from this host since boot, over all its `cpus`.
    """

    boot: Boot
    cpus: Nat
    steal_ns: Nat
    miners: Annotated[tuple[MinerReading, ...], Meta(max_length=MAX_MINERS_PER_DEVICE)]


class State(Wire, frozen=True):
    """An agent's birth or death (retained; the death is its last will: a hint for people, never evidence)."""

    alive: bool
    runtime: Text
    miners: Annotated[tuple[Name, ...], Meta(max_length=MAX_MINERS_PER_DEVICE)]


class Ack(Wire, frozen=True):
    """Everything of the device up to this session and sequence is on the manager's disk."""

    device: Name
    session: Nat
    sequence: Nat


Condition = Literal["fair", "convicted", "idle", "stopped", "dark"]


class Twin(Wire, frozen=True):
    """A miner's logical object LO_k (section 4.2), for people.

    c, g, m, b: use of CPU, GPU, memory and I/O bandwidth in thousandths of a percent of entitlement, -1 where
    not known; `condition` what the twin knows of it.
    """

    miner: Name
    frame: Nat
    c: Int
    g: Int
    m: Int
    b: Int
    quota_ppm: Int
    entitled_ppm: Nat
    condition: Condition
