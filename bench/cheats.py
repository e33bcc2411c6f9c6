"""What a cheat may try: families of plays, each a few numbers in [0, 1] that a search turns.

Amounts that span orders of magnitude are turned on a logarithmic scale, from LEAST of a share upwards. A share
is what entitlement grants in a tick; full tilt is all cores. Whoever has not been convicted when the hour ends
runs its last tick at full tilt: it has nothing to lose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.law import DEFAULT
from bench.theft import BOOT_TICKS, Play, S
from detectors.observation import Floats, Ints
from mint.budget import BudgetRule

LEAST = 1e-3
# The longest that a cheat plans ahead before it repeats itself, ticks.
PLAN = 64
# Steps of a free pattern.
STEPS = 12
# Boots or new counters in ten minutes.
FEW = 8
SEED = 2021


@dataclass(frozen=True)
class Stage:
    """Where it is played: the rule, the cores of the host, ticks."""

    rule: BudgetRule
    cores: int
    ticks: int

    @property
    def share(self) -> float:
        """Entitlement in a tick, ns."""
        return float(self.rule.share_ns)

    @property
    def most(self) -> float:
        """The largest gain above entitlement in a tick, ns."""
        return self.cores * S - self.share

    @property
    def clock(self) -> Floats:
        """Ticks, (ticks, 1)."""
        return np.arange(self.ticks, dtype=np.float64)[:, None]

    def amount(self, u: Floats) -> Floats:
        """[0, 1] to a gain in a tick: LEAST of a share to full tilt, logarithmic."""
        low = LEAST * self.share
        return np.asarray(low * (self.most / low) ** u)

    def step(self, u: Floats) -> Floats:
        """[0, 1] to what a tick brings: below a half it gives back, up to a share; above it takes."""
        return np.where(u < 0.5, (2 * u - 1) * self.share, self.amount(np.maximum(2 * u - 1, 0)))

    def used(self, gains: Floats) -> Floats:
        """CPU time used for these gains above entitlement, and the last tick at full tilt."""
        used: Floats = np.clip(self.share + gains, 0, self.cores * S)
        used[-1] = self.cores * S
        return used


@dataclass(frozen=True)
class Family:
    """Plays of one kind, of `turns` numbers.

    `lawful`: the device does not boot, its counter is not made anew, brackets are narrow and no sample is
    missing: what the bound is proven for.
    """

    name: str
    turns: int
    plays: Callable[[Stage, Floats], Play]
    lawful: bool = True


def _count(u: Floats, most: int) -> Ints:
    """[0, 1] to 1 .. most."""
    return np.minimum((u * most).astype(np.int64), most - 1) + 1


def steady(stage: Stage, u: Floats) -> Play:
    """A constant gain."""
    return Play.of(stage.used(np.broadcast_to(stage.amount(u[0]), (stage.ticks, u.shape[1]))))


def ramp(stage: Stage, u: Floats) -> Play:
    """A gain that grows by as much every tick."""
    return Play.of(stage.used(stage.amount(u[0]) * stage.clock / PLAN))


def _banked(stage: Stage, u: Floats) -> Floats:
    idle, burst = _count(u[0], PLAN), _count(u[1], PLAN)
    gains = np.where(stage.clock < idle, -u[2] * stage.share, stage.amount(u[3]))
    return np.where(stage.clock < idle + burst, gains, 0.0)


def bank(stage: Stage, u: Floats) -> Play:
    """Idle first, to have credit; then a burst, then honest."""
    return Play.of(stage.used(_banked(stage, u)))


def below(stage: Stage, u: Floats) -> Play:
    """Once up to a level, and there it stays."""
    gains = np.zeros((stage.ticks, u.shape[1]))
    gains[1] = stage.amount(u[0])
    return Play.of(stage.used(gains))


def _tooth(stage: Stage, u: Floats) -> Floats:
    """Gains that rise for some ticks, fall for some as a debtor's do, and leave a little more each time."""
    rise, fall = _count(u[0], 8), _count(u[1], 8)
    back, kept = u[2] * stage.share, np.where(u[3] < 0.1, 0, stage.amount(u[3]) / 10)
    up = (back * fall + kept) / rise
    return np.asarray(np.where(stage.clock % (rise + fall) < rise, up, -back))


def debtor(stage: Stage, u: Floats) -> Play:
    """A sawtooth whose falls look like the kernel's debt collection."""
    return Play.of(stage.used(_tooth(stage, u)))


def noisy(stage: Stage, u: Floats) -> Play:
    """A small gain under noise that should look like anybody's."""
    noise = np.random.default_rng(SEED).standard_normal((stage.ticks, u.shape[1]))
    z = noise * stage.amount(u[0]) + stage.amount(u[1]) * stage.clock / PLAN
    return Play.of(stage.used(np.diff(z, axis=0, prepend=0.0)))


def _stealing(stage: Stage, u: Floats) -> Floats:
    """Steal told: up to ten times what it may excuse, every tick."""
    return np.tile(u * 10.0 * stage.rule.overrun_ns, (stage.ticks, 1))


def stealing(stage: Stage, u: Floats) -> Play:
    """The debtor, telling steal all the while."""
    return Play.of(stage.used(_tooth(stage, u)), steal=_stealing(stage, u[-1]))


def once(stage: Stage, u: Floats) -> Play:
    """Any steps once, then honest, with any steal told."""
    gains = np.zeros((stage.ticks, u.shape[1]))
    gains[:STEPS] = stage.step(u[:STEPS])
    return Play.of(stage.used(gains), steal=_stealing(stage, u[-1]))


def again(stage: Stage, u: Floats) -> Play:
    """Any steps again and again, with any steal told."""
    gains = stage.step(u[:STEPS])[np.resize(np.arange(STEPS), stage.ticks)]
    return Play.of(stage.used(gains), steal=_stealing(stage, u[-1]))


def wide(stage: Stage, u: Floats) -> Play:
    """The bank, on a host so loaded that every read takes a share of the tick, up to all of it."""
    brackets = np.broadcast_to(u[-1], (stage.ticks, u.shape[1]))
    return Play.of(stage.used(_banked(stage, u)), wide=brackets)


def silent(stage: Stage, u: Floats) -> Play:
    """Full tilt while samples are lost, until it would be dark, then the first reading."""
    dash, start = _count(u[0], DEFAULT.dark_frames), _count(u[1], PLAN)
    dashing = (stage.clock >= start) & (stage.clock <= start + dash)
    gains = np.where(dashing, stage.most, 0.0)
    return Play.of(stage.used(gains), silent=dashing & (stage.clock < start + dash))


def renewing(stage: Stage, u: Floats) -> Play:
    """A few times a gain that is seen, then a tick at full tilt whose counter is made anew before it is read."""
    phase, going = stage.clock % PLAN, stage.clock < PLAN * _count(u[0], FEW)
    gains = np.where(phase == 0, stage.amount(u[1]), np.where(phase == 1, stage.most, 0.0))
    return Play.of(stage.used(np.where(going, gains, 0.0)), renewed=going & (phase == 1))


def rebooting(stage: Stage, u: Floats) -> Play:
    """A few times some ticks at full tilt without samples, then a boot, which takes its time."""
    dash, times = _count(u[0], DEFAULT.dark_frames), _count(u[1], FEW)
    phase = stage.clock % PLAN
    up, going = phase == dash + BOOT_TICKS - 1, stage.clock < PLAN * times
    down = going & (phase < dash + BOOT_TICKS)
    gains = np.where(down & (phase < dash), stage.most, np.where(down, -stage.share, 0.0))
    return Play.of(stage.used(gains), silent=down & ~up, rebooted=down & up)


FAMILIES = (
    Family("steady", 1, steady),
    Family("ramp", 1, ramp),
    Family("bank", 4, bank),
    Family("below", 1, below),
    Family("debtor", 4, debtor),
    Family("noisy", 2, noisy),
    Family("stealing", 5, stealing),
    Family("any, once", STEPS + 1, once),
    Family("any, again", STEPS + 1, again),
    Family("wide brackets", 5, wide, lawful=False),
    Family("lost samples", 2, silent, lawful=False),
    Family("counter made anew", 2, renewing, lawful=False),
    Family("reboots", 2, rebooting, lawful=False),
)
