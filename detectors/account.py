"""One miner's account of CPU time, kept from the frame log alone (the budget law: mint/budget.py)."""

from __future__ import annotations

from typing import Any

from mint.budget import Bucket, BudgetRule, Reading
from mint.errors import Rejected
from mint.messages.frame import MinerEntry
from mint.wire import MOST

# The SSA series is in percent.
PERCENT = 100.0


class Account:
    """What one miner used, against what it was entitled to.

    `share`: use between the last two readings in percent of entitlement, None where there is no such pair.
    `silent`: frames since the last reading. `last`: boot, epoch, reading and frame number of that.
    """

    def __init__(self, rule: BudgetRule) -> None:
        self.rule = rule
        self.bucket = Bucket(rule.entitled_ppm, rule.overrun_ns)
        self.share: float | None = None
        self.silent = 0
        self.last: tuple[bytes, int, Reading, int] | None = None
        # The last reading before the present epoch, as if the counter had been zero then, and its frame number.
        self._born: tuple[Reading, int] | None = None

    def rebaseline(self) -> None:
        """Begin again at the last reading: what was taken before has been decided on."""
        self.bucket.reset(self.rule.entitled_ppm)
        if self.last is not None:
            self.bucket.push(self.last[2], self.last[3])

    def absent(self) -> None:
        """A frame without a reading of this miner: nothing is lost, counters are cumulative."""
        self.share = None
        self.silent += 1

    def read(self, entry: MinerEntry, boot: bytes, steal_ns: int, number: int) -> None:
        """Take in the reading of frame `number`."""
        self.silent = 0
        reading = Reading(entry.before_ns, entry.after_ns, entry.usage_ns, steal_ns)
        before, self.last = self.last, (boot, entry.epoch, reading, number)
        self.share = None
        if before is None or before[0] != boot:
            self.bucket.reset(self.rule.entitled_ppm)  # times of two boots do not compare
            self._born = None
        elif before[1] != entry.epoch:
            # The parent cgroup was made anew: its counter began at zero after the last reading.
            self.bucket.recreate()
            self._born = (before[2]._replace(usage_ns=0), before[3])
        else:
            self.share = _share(before[2], reading, self.rule.entitled_ppm)
        try:
            self.bucket.push(reading, number)
        except Rejected:  # the manager let pass what cannot be: start again rather than believe it
            self.bucket.reset(self.rule.entitled_ppm)
            self.bucket.push(reading, number)

    @property
    def excess_ns(self) -> int:
        """The level in whole ns, as it is told."""
        return min(self.bucket.level // 1_000_000, MOST)

    def origins(self) -> tuple[int, ...]:
        """Frames whose samples an accusation might still need, however long the miner is silent."""
        born = () if self._born is None else (self._born[1],)
        last = () if self.last is None else (self.last[3],)
        return (*self.bucket.origins, *born, *last)

    def began(self) -> int | None:
        """The frame that the offence began at, if the level is one that two samples can prove; None otherwise.

        Where the worst window began before the counter was made anew, what was used since then has to prove it.
        """
        since = self.bucket.since
        if self._born is None or since >= self._born[1]:
            return since
        reading, number = self._born
        proven = self.last is not None and self.rule.proves(reading, self.last[2])
        return number if proven else None

    def state(self) -> dict[str, Any]:
        """Everything but the rule, as plain data."""
        last = None
        if self.last is not None:
            boot, epoch, reading, number = self.last
            last = [boot.hex(), epoch, list(reading), number]
        born = None if self._born is None else [list(self._born[0]), self._born[1]]
        return {"bucket": self.bucket.state(), "silent": self.silent, "last": last, "born": born}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`; under another entitlement the past is forgotten."""
        bucket = Bucket.restore(state["bucket"])
        if (bucket.entitled_ppm, bucket.overrun_ns) == (self.rule.entitled_ppm, self.rule.overrun_ns):
            self.bucket = bucket
        self.silent = state["silent"]
        if state["born"] is not None:
            self._born = (Reading(*state["born"][0]), state["born"][1])
        if state["last"] is not None:
            boot, epoch, reading, number = state["last"]
            self.last = (bytes.fromhex(boot), epoch, Reading(*reading), number)


def _share(before: Reading, now: Reading, entitled_ppm: int) -> float | None:
    """Use between two readings in percent of entitlement, by the middles of their brackets."""
    elapsed_ns = (now.before_ns + now.after_ns - before.before_ns - before.after_ns) / 2
    if elapsed_ns <= 0:
        return None
    return (now.usage_ns - before.usage_ns) * 1e6 / entitled_ppm / elapsed_ns * PERCENT
