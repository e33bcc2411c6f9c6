"""Simulated counters of miners held by a CFS quota, for benchmarks and calibration.

    quiet      each 100 ms period's quota is spent early in it, and read at any phase of it
    contended  and besides: every period ends up to a clock tick late; now and then the virtual CPU is away,
               and its absence is charged in one lump, which the kernel collects by throttling (debt); some
               periods are starved; some reads are descheduled halfway

Sizes are those measured on containers at 0.02 to 0.1 CPU, on a host from which 16 % of its time was stolen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

PERIOD = 100_000_000  # CFS's default period, ns
PERIODS = 10  # a tick of one second
CLOCK_TICK = 4_000_000  # CONFIG_HZ=250: quota is checked this often, ns
LUMP_RATE = 0.02  # lumps a second and miner
LUMP_MEAN, LUMP_MAX = 12_000_000, 100_000_000  # their size, ns
STARVED = 0.02  # share of periods in which another took the processor
STEAL_RATE = 0.02  # steal that hits others on the host, CPUs
DESCHEDULED = 0.001  # share of reads interrupted between the clock and the counter
BRACKET = 30_000  # an undisturbed read, ns


@dataclass(frozen=True)
class Counters:
    """Readings of `miners` over `ticks`: before, after, usage, steal, each (ticks, miners), ns."""

    before: Ints
    after: Ints
    usage: Ints
    steal: Ints

    def percent(self, entitled_ppm: int) -> NDArray[np.float64]:
        """Use from reading to reading in percent of entitlement, (ticks - 1, miners)."""
        middle = (self.before + self.after) / 2
        return np.diff(self.usage, axis=0) / np.diff(middle, axis=0) * (1e8 / entitled_ppm)


def simulate(
    rng: np.random.Generator, *, miners: int, ticks: int, entitled_ppm: int, contended: bool
) -> Counters:
    """Honest miners that always want to run."""
    quota = entitled_ppm * PERIOD // 1_000_000
    total, debt, steal = (np.zeros(miners) for _ in range(3))
    before, after, usage, stolen = (np.zeros((ticks, miners), np.int64) for _ in range(4))
    free_from = np.zeros(miners)
    for tick in range(ticks):
        phase = rng.random(miners)
        for period in range(PERIODS):
            budget = quota - debt
            running = budget > 0
            use = np.maximum(budget, 0.0)
            if contended:
                starved = rng.random(miners) < STARVED
                use = np.where(starved, use * rng.random(miners), use)
                lump = np.minimum(rng.exponential(LUMP_MEAN, miners), LUMP_MAX)
                lump = np.where(running & (rng.random(miners) < LUMP_RATE / PERIODS), lump, 0.0)
                use += np.where(running, lump + rng.random(miners) * CLOCK_TICK, 0.0)
                steal += lump + rng.random(miners) * 2 * STEAL_RATE * PERIOD
            debt = np.maximum(use - budget, 0.0)
            if period == 0:  # the reading falls into the first period of the tick
                now = tick * PERIODS * PERIOD + phase * PERIOD
                usage[tick] = total + np.minimum(use, phase * PERIOD)
                stolen[tick] = steal
                width = np.full(miners, float(BRACKET))
                if contended:
                    wide = rng.random(miners) < DESCHEDULED
                    width = np.where(wide, rng.random(miners) * 8 * PERIOD, width)
                share = rng.random(miners)
                before[tick] = np.maximum(now - share * width, free_from)
                after[tick] = now + (1 - share) * width
                free_from = after[tick]
            total += use
    return Counters(before, after, usage, stolen)
