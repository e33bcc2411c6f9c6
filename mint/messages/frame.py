"""The frame log: the one ordered history that every detector replays."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from mint.messages.sample import Boot
from mint.wire import Hash, Int, Name, Nat, Wire

# What one fog may carry; above that: more fogs (docs/architecture.md). Two frames of that size, which a proof that
# the manager signed both holds, fit into one message (mint/kinds.py).
MAX_DEVICES = 1024
MAX_MINERS = 4096
# Decisions and receipts a frame may name; the next frame takes what is left over.
MAX_DECISIONS = 64
# Frames one reply may carry: some 100 KiB for sixteen miners, below the broker's packet limit with samples.
MAX_REPLY_FRAMES = 32

# `leaf` of a device from which nothing new came since the last frame.
NOTHING = b""


class DeviceEntry(Wire, frozen=True):
    """Which sample of a device a frame rests on: the newest, by session and sequence.

    `leaf` is the RFC 6962 leaf hash of its envelope as it came, empty when nothing new came since the last
    frame; the other fields then repeat what was known.
    """

    device: Name
    session: Nat
    sequence: Nat
    boot: Boot
    steal_ns: Nat
    leaf: Annotated[bytes, Meta(max_length=32)]


class MinerEntry(Wire, frozen=True):
    """One miner in a frame: what conclusions rest on, integers only.

    `present` is false when no new reading of it came since the last frame (the counters then repeat the last
    known ones). `entitled_ppm` is the entitlement in force, in ppm of one CPU. `offences` counts the decisions on
    this miner that the log has taken note of, those of this frame included: its next offence is that number and one.
    `decided` is the number of the frame that took note of the last of them (0: none), so that whoever lacks the
    verdict knows which frame names it, and finds the one before it from there.
    """

    miner: Name
    present: bool
    epoch: Nat
    before_ns: Nat
    after_ns: Nat
    usage_ns: Nat
    nr_periods: Nat
    nr_throttled: Nat
    throttled_ns: Nat
    gpu_ppm: Int
    entitled_ppm: Nat
    offences: Nat
    decided: Nat
    shares: Nat


class Decision(Wire, frozen=True):
    """A verdict that this frame takes note of, by its hash as an object; `offence`: the how-many-eth of the miner."""

    verdict: Hash
    miner: Name
    offence: Nat


class Frame(Wire, frozen=True):
    """One tick of one fog.

    `previous` is the hash of frame number - 1 (zeros before the first), `root` the Merkle tree hash over the
    leaves of `devices` that brought something new, in their order (RFC 6962). Devices and miners are sorted
    by name. `decisions` name at most one verdict a miner.
    """

    fog: Name
    number: Nat
    previous: Hash
    charter: Hash
    time_ms: Nat
    root: Hash
    devices: Annotated[tuple[DeviceEntry, ...], Meta(max_length=MAX_DEVICES)]
    miners: Annotated[tuple[MinerEntry, ...], Meta(max_length=MAX_MINERS)]
    decisions: Annotated[tuple[Decision, ...], Meta(max_length=MAX_DECISIONS)]
    receipts: Annotated[tuple[Hash, ...], Meta(max_length=MAX_DECISIONS)]


class FrameRequest(Wire, frozen=True):
    """`client` asks `holder` for `count` frames from number `first` on, and the holder's newest one.

    `proofs`: the samples that those frames rest on and the verdicts that they name as well.
    """

    client: Name
    holder: Name
    first: Nat
    count: Annotated[int, Meta(ge=1, le=MAX_REPLY_FRAMES)]
    proofs: bool


class FrameReply(Wire, frozen=True):
    """Signed frames as they were published, in order, and what they rest on: envelopes of samples and verdicts.

    `asked` is the number that the request began at: the sender has nothing of what lies between it and the first
    frame. `newest` is the last frame that the sender has, signed as it came (empty: none), so that nobody can claim
    a log that is not there.
    """

    asked: Nat
    newest: bytes
    frames: Annotated[tuple[bytes, ...], Meta(max_length=MAX_REPLY_FRAMES)]
    proofs: Annotated[tuple[bytes, ...], Meta(max_length=MAX_REPLY_FRAMES * MAX_DEVICES)]
