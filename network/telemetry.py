"""Simulated counters of honest miners held by a CFS quota: what calibration, figures and benchmarks run on.

    quiet      each 100 ms period's quota is spent as soon as it is there; the kernel notices its end at the next
               clock tick, sometimes at the one after, and the overrun is a debt that the next period pays
    contended  and besides: now and then the virtual CPU is away, and its absence is charged in one lump, which
               the kernel collects by throttling; in some periods another has the processor, and the quota is
               lost; some reads are descheduled between the clock and the counter

Nothing is stepped through period by period. A miner that always wants to run has used, at the end of period k,

    U_k = max(A_k + o_k, M_k)

with A_k the quota granted until then less what was lost, o_k the overrun and M_k the largest A + lump of any
period before: while A is below M the kernel collects. A reading at `phase` of a period shows
min(U_k, U_{k-1} + the time since the period began). Whole blocks of ticks x miners are computed at once; what is
rare is drawn where it happens.

A reader's phase is `random` (each reading at any moment of its period: the most noise), or `drifting`: it stays
nearly where it is, as an agent's does that wakes once a second, creeps, and jumps a few times an hour.

**Against reality.** Twelve containers on a quiet host with two CPUs (Linux 6.18), 600 s, beside the median of a
hundred simulated miners, quiet and drifting:

                                                 0.05 CPU             0.1                  0.2           0.3
    standard deviation of a second's use, %      2.9 to 3.8 (3.7)     1.8 to 2.6 (1.9)     0.8, 1.9 (0.9)  1.4 (0.6)
    its lag-1 autocorrelation                    -0.38 to -0.53 (-0.50), at every size
    largest excess over any window, ms           5.5 to 8.5 (7.9)     8.5 to 11.5 (7.9)    7.8, 14 (8.0)   21 (8.2)

so that the excess is two clock ticks whatever the quota, and up to a period's quota more where a reading falls into
the time in which it is spent: what random phases show of every miner. The miner at 0.3 CPU had lost 37 ms of
quota to others in the end, which quiet ones here never do. The sizes of lumps, losses and steal are those of
containers at 0.02 to 0.1 CPU on a host from which 16 % of its time was stolen. Not simulated: twelve containers that
wanted twice what a busy host had (those of 0.25 to 1 CPU got 87 to 22 % of their quotas, so were far from the law), and
readers that come late and then read twice (bench/disturbances.py has them).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Phase = Literal["random", "drifting"]
Kind = Literal["independent", "autocorrelated", "heavy-tailed"]

PPM = 1_000_000
PERIOD = 100_000_000  # CFS's default period, ns
PERIODS = 10  # a tick of one second
SECOND = PERIODS * PERIOD
CLOCK_TICK = 4_000_000  # CONFIG_HZ=250: quota is checked this often, ns
LATE = 0.03  # share of periods that end at the clock tick after the next
LUMP_RATE = 0.02  # lumps a second and miner
LUMP_MEAN, LUMP_MAX = 12_000_000, 100_000_000  # their size, ns
STARVED = 0.02  # share of periods in which another took the processor
STEAL_RATE = 0.02  # steal that hits others on the host, CPUs
STEAL_UNIT = 10_000_000  # /proc/stat tells steal in USER_HZ = 100 a second, ns
DESCHEDULED = 0.001  # share of reads interrupted between the clock and the counter
DESCHEDULED_MAX = 800_000_000  # for how long at most, ns
BRACKET = 30_000  # an undisturbed read, ns
CREEP = 20e-6  # a drifting phase moves by at most this much of a second a second: what crystals differ by
JITTER = 1_000_000  # how late an agent wakes up, ns
JUMPS = 5 / 3600  # jumps of a drifting phase a second: an agent that was late or began anew

# Ticks that are computed at once: with some hundred miners, all arrays of a block stay in the cache.
BLOCK = 128

# Correlation of a second's percentage with the next: beyond the +0.1 to +0.3 of real contended hosts.
RHO = 0.5
# Degrees of freedom of heavy tails: the fewest that leave a variance.
TAIL = 3


@dataclass(frozen=True)
class Counters:
    """Readings of `miners` over `ticks`: before, after, usage, steal, each (ticks, miners), ns."""

    before: Ints
    after: Ints
    usage: Ints
    steal: Ints

    def percent(self, entitled_ppm: int | Ints) -> Floats:
        """Use from reading to reading in percent of entitlement, (ticks - 1, miners)."""
        middle = (self.before + self.after) / 2
        return np.diff(self.usage, axis=0) / np.diff(middle, axis=0) * (1e8 / entitled_ppm)


def simulate(
    rng: np.random.Generator,
    *,
    miners: int,
    ticks: int,
    entitled_ppm: int | Ints,
    contended: bool,
    phase: Phase = "random",
    bracketed: bool = True,
    steal_told: bool = True,
) -> Counters:
    """The first `ticks` readings of `stream`."""
    blocks = stream(
        rng,
        miners=miners,
        entitled_ppm=entitled_ppm,
        contended=contended,
        phase=phase,
        bracketed=bracketed,
        steal_told=steal_told,
    )
    parts = []
    for done in range(0, ticks, BLOCK):
        block = next(blocks)
        parts.append([getattr(block, field.name)[: ticks - done] for field in fields(Counters)])
    return Counters(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def stream(
    rng: np.random.Generator,
    *,
    miners: int,
    entitled_ppm: int | Ints,
    contended: bool,
    phase: Phase = "random",
    bracketed: bool = True,
    steal_told: bool = True,
) -> Iterator[Counters]:
    """Readings of honest miners that always want to run, BLOCK ticks at a time, without end.

    Args:
        rng: numpy.random.SFC64 is the quickest.
        miners: each on a host of its own.
        entitled_ppm: of all, or of each, (miners,); up to one CPU.
        contended: whether others want the hosts' processors.
        phase: where in their periods readings fall.
        bracketed: False: a reading tells one time, that before it; `after` is the same.
        steal_told: False: the hypervisor steals and does not say so; steal is 0.
    """
    hosts = _Hosts(rng, miners, entitled_ppm, contended, phase)
    while True:
        counters = hosts.block()
        after = counters.after if bracketed else counters.before
        steal = counters.steal if steal_told else np.zeros_like(counters.steal)
        yield Counters(counters.before, after, counters.usage, steal)


def percentages(rng: np.random.Generator, kind: Kind, miners: int, ticks: int, sd: float) -> Floats:
    """Use in percent of entitlement where there are no counters, (ticks, miners): mean 100, deviation `sd`.

    `independent`: normal; `autocorrelated`: AR(1), X_t = RHO X_{t-1} + noise; `heavy-tailed`: Student's t with TAIL
    degrees of freedom. Use below 0 there is none; what is as far above 200 is cut too, so that the mean stays.
    """
    shape = (ticks, miners)
    if kind == "heavy-tailed":
        noise = rng.standard_t(TAIL, shape) * np.sqrt((TAIL - 2) / TAIL)
    elif kind == "autocorrelated":
        fresh = rng.standard_normal(shape)
        fresh[1:] *= np.sqrt(1 - RHO**2)
        noise = lfilter([1.0], [1.0, -RHO], fresh, axis=0)
    else:
        noise = rng.standard_normal(shape)
    clipped: Floats = np.clip(100 + sd * noise, 0, 200)
    return clipped


class _Hosts:
    """Where each miner stands between two blocks. Times and use in ns, exact in float64 for 100 days."""

    def __init__(
        self,
        rng: np.random.Generator,
        miners: int,
        entitled_ppm: int | Ints,
        contended: bool,
        phase: Phase,
    ) -> None:
        self._rng, self._miners, self._contended, self._phase = rng, miners, contended, phase
        self._quota = np.broadcast_to(np.asarray(entitled_ppm) * PERIOD // PPM, miners).astype(np.float64)
        # One thread: however late the kernel is, a period's use is not longer than the period.
        self._room = PERIOD - self._quota
        self._tick = 0
        self._lost, self._collected, self._usage, self._steal, self._after = np.zeros((5, miners))
        self._at = rng.random(miners)
        self._creep = (2 * rng.random(miners) - 1) * CREEP * SECOND / PERIOD

    def block(self) -> Counters:
        """The next BLOCK readings of all."""
        tick = self._tick + np.arange(BLOCK, dtype=np.float64)[:, None]
        phase = self._phases()
        # What was granted until the period before the one that the reading falls into, and lumps until then.
        granted = tick * PERIODS * self._quota
        marks: Floats | float = -np.inf
        steal = np.zeros((BLOCK, self._miners))
        if self._contended:
            lost = self._losses()
            granted -= lost
            marks, steal = self._lumps(granted)
        first, second = self._overruns(), self._overruns()
        # An overrun of more than the next period's quota takes all of that, and there is no other.
        second = np.where(first < self._quota, second, first - self._quota)
        spent = np.maximum(granted + first, marks)
        due = np.maximum(granted + self._quota + second, marks)
        usage = np.minimum(due, spent + phase)
        usage[0] = np.maximum(usage[0], self._usage)
        np.maximum.accumulate(usage, axis=0, out=usage)
        before, after = self._brackets(tick * SECOND + phase)
        self._usage, self._after = usage[-1].copy(), after[-1].copy()
        self._tick += BLOCK
        return Counters(*(values.astype(np.int64) for values in (before, after, usage, steal)))

    def _uniform(self) -> Floats:
        return self._rng.random((BLOCK, self._miners), dtype=np.float32).astype(np.float64)

    def _some(self, rate: float) -> Ints:
        """Flat indices of readings, each with probability `rate`, as good as independent."""
        size = BLOCK * self._miners
        return self._rng.integers(0, size, self._rng.poisson(rate * size))

    def _phases(self) -> Floats:
        """Time from the beginning of its period to each reading."""
        if self._phase == "random":
            return self._uniform() * PERIOD
        steps = np.zeros((BLOCK, self._miners))
        jumps = self._some(JUMPS)
        steps.flat[jumps] = self._rng.random(len(jumps))
        steps[0] += self._at
        at = np.cumsum(steps + self._creep, axis=0)
        self._at = at[-1] % 1
        phase: Floats = (at * PERIOD + self._uniform() * JITTER) % PERIOD
        return phase

    def _overruns(self) -> Floats:
        """How far beyond its quota a period's use went: to the next clock tick, or LATE to the one after."""
        u = self._uniform() / (1 - LATE)
        late = 1 + (u - 1) * ((1 - LATE) / LATE)
        overrun: Floats = np.minimum(np.where(u < 1, u, late) * CLOCK_TICK, self._room)
        return overrun

    def _losses(self) -> Floats:
        """Quota that was lost before each reading, since ever."""
        starved = self._some(STARVED * PERIODS)
        shares = np.bincount(starved, self._rng.random(len(starved)), BLOCK * self._miners)
        lost = np.cumsum(shares.reshape(BLOCK, -1) * self._quota, axis=0)
        lost += self._lost
        self._lost = lost[-1].copy()
        return lost

    def _lumps(self, granted: Floats) -> tuple[Floats, Floats]:
        """The largest grant and lump before each reading, and the host's steal until then.

        A lump hits a miner that runs: none while another is being collected. What is drawn for a tick comes
        somewhere in the second before its reading.
        """
        rng, where = self._rng, self._some(LUMP_RATE)
        miner = where % self._miners
        size = np.minimum(rng.exponential(LUMP_MEAN, len(where)), LUMP_MAX)
        size = np.minimum(size, self._room[miner])
        begun = granted.flat[where] - rng.random(len(where)) * (PERIODS - 1) * self._quota[miner]
        marks = np.zeros_like(granted)
        marks.flat[where] = begun + size
        marks[0] = np.maximum(marks[0], self._collected)
        earlier = np.vstack([self._collected, np.maximum.accumulate(marks, axis=0)[:-1]])
        collecting = where[begun <= earlier.flat[where]]
        marks.flat[collecting] = 0
        marks[0] = np.maximum(marks[0], self._collected)
        np.maximum.accumulate(marks, axis=0, out=marks)
        self._collected = marks[-1].copy()
        stolen = self._uniform() * (2 * STEAL_RATE * SECOND)
        stolen.flat[where] += size
        stolen[0] += self._steal
        np.cumsum(stolen, axis=0, out=stolen)
        self._steal = stolen[-1].copy()
        return marks, np.floor(stolen / STEAL_UNIT) * STEAL_UNIT

    def _brackets(self, now: Floats) -> tuple[Floats, Floats]:
        """The times around readings made `now`: none begins before the last has ended."""
        before, after = now - BRACKET / 2, now + BRACKET / 2
        if self._contended:
            wide = self._some(DESCHEDULED)
            width, share = self._rng.random(len(wide)) * DESCHEDULED_MAX, self._rng.random(len(wide))
            before.flat[wide] -= width * share
            after.flat[wide] += width * (1 - share)
        before[0] = np.maximum(before[0], self._after)
        before[1:] = np.maximum(before[1:], after[:-1])
        return before, after
