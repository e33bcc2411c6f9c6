"""What an enforcer says it saw and did."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mint.wire import Int, Name, Nat, Text, Wire

Action = Literal["drift", "correct", "lower", "pause", "resume", "restore", "withheld"]


class Receipt(Wire, frozen=True):
    """One thing an enforcer saw (`drift`, `withheld`) or did to one miner.

    `number` counts this enforcer's receipts; `verdict` is the hash of the verdict it acts on, empty without
    one, and `offence` the how-many-eth of the miner it is on (0 without one). Quotas are ppm of one CPU as the
    kernel's file held them before and after (-1 without limit); `usage_ns` and `mono_ns` the miner's counter and the
    device's monotonic time then.
    """

    number: Nat
    time_ms: Nat
    miner: Name
    action: Action
    verdict: Annotated[bytes, Meta(max_length=32)]
    offence: Nat
    quota_before_ppm: Int
    quota_after_ppm: Int
    usage_ns: Nat
    mono_ns: Nat
    reason: Text
