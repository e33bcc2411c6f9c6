"""What befalls honest telemetry besides noise: pauses, restarts, reboots, lost samples, readers that were held up.

`Disturbances` applies them to simulated counters block by block. Each comes to each miner at its rate, and
none of them lets a miner use more than it would have without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detectors.observation import Bools, Ints, Observation
from network.telemetry import Counters

# A second of simulated time is a tick.
HOUR = 3600
# How often each comes to one miner, an hour.
PAUSES = 2.0  # it does not run, for up to LONGEST ticks
RESTARTS = 1.0  # its parent cgroup is made anew: another epoch, and the counter begins at zero
REBOOTS = 1 / 24  # its device: another boot, times and counters begin at zero
OUTAGES = 1.0  # no sample comes for up to LONGEST ticks
STALE = 1.0  # its counter stands still for up to STALE_TICKS readings, then catches up
LATE = 10.0  # it is read so late that the next reading follows within LATE_NS
STALLS = 1.0  # its reader is held up between the clock and the counter for up to STALL_TICKS
LOST = 0.005  # share of samples that are lost one by one
LONGEST, STALE_TICKS, STALL_TICKS = 60, 5, 5
LATE_NS = 2_000_000  # as recorded where a reader wanted the processor
# After a boot the clock does not begin at zero quite.
BOOTED_NS = 20_000_000_000


@dataclass(frozen=True)
class Seen:
    """A block of readings as a detector gets them, (ticks, miners) each."""

    present: Bools
    before: Ints
    after: Ints
    usage: Ints
    steal: Ints
    boot: Ints
    epoch: Ints

    def observations(self, first: int) -> Iterator[Observation]:
        """Tick by tick, numbered from `first`."""
        rows = zip(
            self.present, self.before, self.after, self.usage, self.steal, self.boot, self.epoch, strict=True
        )
        for number, (present, before, after, usage, steal, boot, epoch) in enumerate(rows, first):
            yield Observation(number, present, before, after, usage, steal, boot, epoch)


class Disturbances:
    """What befell each of n miners so far."""

    def __init__(self, rng: np.random.Generator, miners: int) -> None:
        self._rng, self._miners = rng, miners
        self._boot, self._epoch = np.zeros((2, miners), np.int64)
        # What was taken off each miner's counter, clock and steal by pauses, restarts and boots.
        self._usage, self._clock, self._steal = np.zeros((3, miners), np.int64)

    def apply(self, block: Counters) -> Seen:
        """The block as it is seen; what lasts beyond its end is over with it."""
        ticks = len(block.usage)
        present = self._rng.random((ticks, self._miners), dtype=np.float32) >= LOST
        usage = block.usage - self._usage
        before, after = block.before - self._clock, block.after - self._clock
        steal = block.steal - self._steal
        boot, epoch = np.tile(self._boot, (ticks, 1)), np.tile(self._epoch, (ticks, 1))
        seen = Seen(present, before, after, usage, steal, boot, epoch)
        for tick, row, length in self._events(PAUSES, ticks, LONGEST):
            self._usage[row] += _take(usage[tick:, row], length)
        anew = {(tick, row): self._restart for tick, row, _ in self._events(RESTARTS, ticks, 1)}
        anew |= {(tick, row): self._reboot for tick, row, _ in self._events(REBOOTS, ticks, 1)}
        # A counter that stands still when it is new is one of a miner that has not begun.
        new = {row for _, row in anew}
        for tick, row, length in self._events(STALE, ticks, STALE_TICKS):
            if row not in new:
                usage[tick : tick + length, row] = usage[tick, row]
        for tick, row, _ in self._events(LATE, ticks - 1, 1):
            if after[tick + 1, row] - before[tick + 1, row] < LATE_NS:
                # In so short a time the counter hardly moves.
                usage[tick, row] = usage[tick + 1, row]
                before[tick, row] = after[tick, row] = before[tick + 1, row] - LATE_NS
        for tick, row, length in self._events(STALLS, ticks, STALL_TICKS):
            start = max(0, tick - length)
            present[start + 1 : tick, row] = False
            before[tick, row] = min(before[tick, row], after[start, row] + 1_000_000)
        for (tick, row), begin_anew in sorted(anew.items(), key=lambda event: event[0]):
            begin_anew(seen, tick, row)
        for tick, row, length in self._events(OUTAGES, ticks, LONGEST):
            present[tick : tick + length, row] = False
        return seen

    def _events(self, an_hour: float, ticks: int, longest: int) -> list[tuple[int, int, int]]:
        """Tick (never the block's first), miner and length of each event of a kind."""
        count = self._rng.poisson(an_hour / HOUR * ticks * self._miners)
        at = self._rng.integers(1, ticks, count).tolist()
        rows = self._rng.integers(0, self._miners, count).tolist()
        return list(zip(at, rows, self._rng.integers(1, longest + 1, count).tolist(), strict=True))

    def _restart(self, seen: Seen, tick: int, row: int) -> None:
        """Between two readings the old counter ends and a new one begins."""
        last, now = (int(seen.usage[at, row]) for at in (tick - 1, tick))
        ended = last + int(self._rng.random() * (now - last))
        seen.usage[tick:, row] -= ended
        seen.epoch[tick:, row] += 1
        self._usage[row] += ended
        self._epoch[row] += 1

    def _reboot(self, seen: Seen, tick: int, row: int) -> None:
        """The device's clock, counters and steal begin anew."""
        self._restart(seen, tick, row)
        clock = int(seen.before[tick, row]) - BOOTED_NS
        steal = int(seen.steal[tick, row])
        seen.before[tick:, row] -= clock
        seen.after[tick:, row] -= clock
        seen.steal[tick:, row] -= steal
        seen.boot[tick:, row] += 1
        self._clock[row] += clock
        self._steal[row] += steal
        self._boot[row] += 1


def _take(usage: Ints, length: int) -> int:
    """Let a counter stand still for `length` ticks and go on from there; what it would have used by then."""
    end = min(length, len(usage) - 1)
    gone = int(usage[end] - usage[0])
    usage[:end] = usage[0]
    usage[end:] -= gone
    return gone
