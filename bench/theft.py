"""A cheat's hour against the budget law: what it does tick by tick, what is seen of it, what it has when convicted.

Everything is an array over (ticks, n): n plays at once, for the search of the best one. A cheat is sure of
itself: no noise of the kernel's disturbs it, and it reads its own counter whenever it likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.law import DEFAULT
from detectors.budget import DIP, Ledger
from detectors.observation import Bools, Floats, Ints, Observation
from detectors.offences import GRACE
from enforcer.ledger import PPM, Books, Count
from mint.budget import BudgetRule

S = 1_000_000_000  # a tick, ns
HOUR = 3600
# A clock after a boot, and the shortest that a boot takes, in ticks.
BOOTED_NS, BOOT_TICKS = 20 * S, 10


@dataclass(frozen=True)
class Play:
    """What n cheats do in each tick, (ticks, n).

    `used`: CPU ns. `silent`: no reading comes. `wide`: the share of the tick that the read's bracket spans; the
    counter is read where the bracket begins, what is used within it shows at the next reading. `steal`: ns of
    steal that is told. `renewed`, `rebooted`: the counter, or the device, begins anew right before the reading,
    so that what was used in the tick is never seen.
    """

    used: Floats
    silent: Bools
    wide: Floats
    steal: Floats
    renewed: Bools
    rebooted: Bools

    @classmethod
    def of(
        cls,
        used: Floats,
        *,
        silent: Bools | None = None,
        wide: Floats | None = None,
        steal: Floats | None = None,
        renewed: Bools | None = None,
        rebooted: Bools | None = None,
    ) -> Play:
        """A play in which nothing happens but what is said."""
        no, zero = np.zeros(used.shape, bool), np.zeros(used.shape)
        return cls(
            used,
            no if silent is None else silent,
            zero if wide is None else wide,
            zero if steal is None else steal,
            no if renewed is None else renewed,
            no if rebooted is None else rebooted,
        )

    def observations(self) -> Iterator[Observation]:
        """What a detector sees: a first honest reading at 0, then one a tick."""
        ticks, n = self.used.shape
        total = np.cumsum(self.used, axis=0)
        shown = total - self.used * self.wide
        steal = np.cumsum(self.steal, axis=0)
        anew = self.renewed | self.rebooted
        gone = np.maximum.accumulate(np.where(anew, total, 0.0), axis=0)
        stolen = np.maximum.accumulate(np.where(self.rebooted, steal, 0.0), axis=0)
        time = (np.arange(ticks) + 1.0)[:, None] * S
        clock = np.maximum.accumulate(np.where(self.rebooted, time - BOOTED_NS, 0.0), axis=0)
        epoch, boot = np.cumsum(anew, axis=0), np.cumsum(self.rebooted, axis=0)
        zero = np.zeros(n, np.int64)
        yield Observation(0, np.ones(n, bool), zero, zero, zero, zero, zero, zero)
        after = time - clock
        before = after - self.wide * S
        usage = np.maximum(shown - gone, 0.0)
        columns = [values.astype(np.int64) for values in (before, after, usage, steal - stolen, boot, epoch)]
        for tick in range(ticks):
            yield Observation(tick + 1, ~self.silent[tick], *(column[tick] for column in columns))


@dataclass(frozen=True)
class Result:
    """How n plays ended: the tick of conviction, and ns of CPU time above entitlement by then.

    `ended` is -1 for who comes through. `dark`: it ended because the miner's blocks do not count any more, for its
    silence or for beginning again too often; else by conviction. `taken` is over the worst window that ends
    there; `since`: where the ledger says that the offence began.
    """

    ended: Ints
    dark: Bools
    taken: Floats
    since: Ints


def judge(play: Play, rule: BudgetRule) -> Result:
    """Let the law judge plays of miners under one rule."""
    ticks, n = play.used.shape
    ledger = Ledger([rule] * n)
    ended, since, dark = np.full(n, -1), np.full(n, -1), np.zeros(n, bool)
    for seen in play.observations():
        ledger.push(seen)
        unseen = (ledger.silent >= DEFAULT.dark_frames) | ledger.restless(seen.number)
        proven = ledger.convicted & (ended < 0)
        for row in np.flatnonzero(proven):
            began = ledger.began(
                int(row)
            )  # None: two samples of one counter cannot show it, and nobody is accused
            proven[row], since[row] = began is not None, -1 if began is None else began
        new = (proven | unseen) & (ended < 0)
        ended[new] = seen.number
        dark |= new & ~proven
    z = np.vstack([np.zeros(n), np.cumsum(play.used - rule.share_ns, axis=0)])
    excess = z - np.minimum.accumulate(z, axis=0)
    end = np.where(ended < 0, ticks, ended)
    return Result(ended, dark, excess[end, np.arange(n)], since)


def bound_ns(rule: BudgetRule, cores: int) -> float:
    """What a cheat may gain: 1 % of an hour's entitlement, or two periods at full tilt."""
    return max(0.01 * HOUR * rule.share_ns, 2.0 * (cores * S - rule.share_ns))


def proven_ns(rule: BudgetRule, cores: int, unseen: int = 0) -> float:
    """What docs/theft-bound.md proves of a miner of one boot and one counter, over any window.

    `unseen`: ticks in a row of which nothing is seen before the reading that convicts: samples lost, and one more
    where brackets are as wide as a tick.
    """
    hidden = rule.hard_ns + rule.overrun_ns + DIP * rule.share_ns
    return float(hidden + (1 + unseen) * cores * S - rule.share_ns)


def after_penalty(play: Play, row: int, result: Result, rule: BudgetRule, share_ppm: int) -> float:
    """CPU time above entitlement that a convicted play has left when its penalty ends, all in all, ns.

    The cheat runs at full tilt until the verdict has become a quota, GRACE ticks later, and then as much as that
    quota, `share_ppm` of entitlement, lets it, until the enforcer's books are even. They begin at the sample that
    the ledger names.
    """
    used = np.concatenate([[0.0], np.cumsum(play.used[:, row])])
    wide = np.concatenate([[0.0], play.wide[:, row]])

    def read(tick: int) -> tuple[int, int]:
        """When the counter was read of sample `tick`, and what it showed."""
        shown = used[tick] - wide[tick] * (used[tick] - used[max(0, tick - 1)])
        return round((tick - wide[tick]) * S), round(shown)

    convicted = int(result.ended[row])
    first, last = read(int(result.since[row])), read(convicted)
    books = Books(rule.entitled_ppm, b"", 0, *first, *last)
    full, low = float(play.used[:, row].max()), rule.share_ns * share_ppm / PPM
    total, now = float(used[convicted]), convicted
    while not books.balanced or now < convicted + GRACE:
        total += full if now < convicted + GRACE else low
        now += 1
        books = books.at(Count(b"", 0, now * S, round(total)), rule.entitled_ppm)
    return total - now * float(rule.share_ns)
