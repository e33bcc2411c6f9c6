"""The books of an offence: what was taken, what has been given back, and when the account is even.

The account opens at the first of the two signed samples that prove the offence, so that it holds all that was
taken and no more. It is even when the use since then is at entitlement again:

    excess = carried + (usage - base usage) - entitled x (time - base time)  <=  0

What was given back before anybody looked counts as well, so an enforcer that has forgotten a penalty it carried out
(its disk was put back to an older state) takes nothing a second time when the verdict comes again: the books are even
at once. Only where the device booted in between can they not tell, and the whole amount is due again.

The counter and the clock may begin again while an account is open:

- **The parent cgroup was made anew** (another epoch, or a counter that ran backwards): the new counter is
  counted from zero, and time goes on. What was used between the last look and the end of the old cgroup was
  never seen: at most a period at the low quota.
- **The device booted:** use and time are counted from zero likewise, as the device's own clock does; the time that
  it was off earns nothing.
- **The entitlement changed** (a new charter): what was used until then is judged by the old one.

In all three the excess so far is carried over. Amounts are ns of CPU time, rounded up where ppm divide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mint.verdict import Proven

PPM = 1_000_000
# A share of entitlement above this would take nothing back from a miner that never rests, and never end.
MOST_SHARE_PPM = 900_000


@dataclass(frozen=True, slots=True)
class Count:
    """One read of a miner's counter on this device: CLOCK_MONOTONIC right before it, and cumulative use, in ns."""

    boot: bytes
    epoch: int
    mono_ns: int
    usage_ns: int


class Books(msgspec.Struct, frozen=True, array_like=True):
    """An account: its open segment (from the base reading to the one last seen), and the excess before it."""

    entitled_ppm: int
    boot: bytes
    epoch: int
    base_ns: int
    base_usage_ns: int
    seen_ns: int
    seen_usage_ns: int
    carried_ns: int = 0

    @classmethod
    def opened(cls, proven: Proven) -> Books:
        """The account of an offence, as its verdict proves it."""
        first, last = proven.first, proven.last
        return cls(
            entitled_ppm=proven.miner.entitlement.cpu_ppm,
            boot=proven.boot,
            epoch=proven.epoch,
            base_ns=first.before_ns,
            base_usage_ns=first.usage_ns,
            seen_ns=last.before_ns,
            seen_usage_ns=last.usage_ns,
        )

    @property
    def excess_ns(self) -> int:
        """CPU ns taken and not given back yet when last seen; negative when less than entitled was used."""
        used = self.seen_usage_ns - self.base_usage_ns
        earned = self.entitled_ppm * (self.seen_ns - self.base_ns) // PPM
        return self.carried_ns + used - earned

    @property
    def balanced(self) -> bool:
        """Whether use is at entitlement again."""
        return self.excess_ns <= 0

    @property
    def segment(self) -> tuple[bytes, int, int]:
        """What stays as it is until something is carried over."""
        return self.boot, self.epoch, self.entitled_ppm

    def at(self, count: Count, entitled_ppm: int) -> Books:
        """The books after one more look, made under an entitlement of `entitled_ppm`."""
        if count.boot != self.boot:
            return self._carry(count, entitled_ppm, base_ns=0, base_usage_ns=0)
        if count.mono_ns < self.seen_ns:  # older than what we know: nothing new
            return self
        if count.epoch != self.epoch or count.usage_ns < self.seen_usage_ns:
            return self._carry(count, entitled_ppm, base_ns=self.seen_ns, base_usage_ns=0)
        now = msgspec.structs.replace(self, seen_ns=count.mono_ns, seen_usage_ns=count.usage_ns)
        if entitled_ppm == self.entitled_ppm:
            return now
        return now._carry(count, entitled_ppm, base_ns=count.mono_ns, base_usage_ns=count.usage_ns)

    def _carry(self, count: Count, entitled_ppm: int, *, base_ns: int, base_usage_ns: int) -> Books:
        """A new segment up to `count`, with the excess so far carried over."""
        return Books(
            entitled_ppm=entitled_ppm,
            boot=count.boot,
            epoch=count.epoch,
            base_ns=base_ns,
            base_usage_ns=base_usage_ns,
            seen_ns=count.mono_ns,
            seen_usage_ns=count.usage_ns,
            carried_ns=self.excess_ns,
        )


class Case(msgspec.Struct, frozen=True, array_like=True):
    """One offence under penalty: the how-many-eth of its miner, its verdict, its terms, its books.

    `share_ppm` of entitlement is the quota until the books balance and frame `until` is reached. `told` is
    which receipt said last how we stand to it.
    """

    offence: int
    verdict: bytes
    share_ppm: Annotated[int, Meta(le=MOST_SHARE_PPM)]
    until: int
    books: Books
    told: Literal["", "correct", "withheld"] = ""

    @classmethod
    def opened(cls, verdict: bytes, proven: Proven) -> Case:
        """The case that a verified verdict (with this hash) opens, on the terms of the charter it names."""
        share_ppm = proven.charter.charter.rung(proven.offence).quota_share_ppm
        return cls(
            offence=proven.offence,
            verdict=verdict,
            share_ppm=min(share_ppm, MOST_SHARE_PPM),
            until=proven.until,
            books=Books.opened(proven),
        )

    def over(self, frame: int) -> bool:
        """Whether the penalty has ended at `frame`."""
        return self.books.balanced and frame >= self.until

    def at(self, count: Count, entitled_ppm: int) -> Case:
        """The case after one more look at its miner."""
        return msgspec.structs.replace(self, books=self.books.at(count, entitled_ppm))
