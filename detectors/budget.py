"""The books of all miners by the budget law (mint/budget.py), and when an excess is a cheat's.

**The level** of a miner is the largest net excess over all windows that end now:

    net(s, t) = excess(s, t) - min(steal(s, t), overrun)
    level(t)  = max over s <= t of net(s, t)

As -min(a, b) = max(-a, -b), it is the larger of two plain maxima, each a running minimum: O(1) a reading. With

    z(t) = use up to t - entitlement x time up to t,  and the same less steal,

the first is z(now) - min z - overrun, the second (z - steal)(now) - min (z - steal).

**A dip proves nothing.** A reader that was held up sees a counter stand still and then catch up; measured from
the bottom of the dip, that looks like double use. So where z is more than half a burst below its highest of the last
DIP readings, that highest counts instead: who rests for longer has really rested, and begins anew from there.

**What convicts.** Honest excess above the burst has one source: a virtual CPU that was taken away charges all of
its absence in one lump. The container is then throttled until the debt is collected, and until then cannot
be charged again: an honest level above the burst falls in the very next period, and a cheat's is **kept** (it was
above before, and use did not stay behind entitlement in between by a quarter of a period). It convicts when

- the level is kept once, and was above the burst by more than a period of entitlement before: collecting that left
  no time for another lump; or
- it is kept once, and nothing speaks of lumps: no steal during the last readings, no fall of more than a burst
  during the last hour, nor has the miner just begun. Here it is enough if it was above the burst less one
  clock tick before, where a quiet host's own noise is once in thousands of readings; or
- the level is kept three times in a row; or
- the level is above `hard`, which no lump reaches.

**What nobody saw.** A counter that is made anew, or a clock after a boot, ends what can be told: use since the last
reading is lost. Once is an accident, twice in an hour a way to hide: `restless`.

Readings that bunch, for a late one is followed by the next too soon, count once in half a period: in a few ms no lump
is collected.

To escape the law, a cheat has to give back as the kernel's debts are given back; the level counts every
nanosecond since the worst beginning, so all that it ever keeps is bounded: `hard`, what steal may excuse, what it did
not use in a dip, and a period at full tilt until the next reading (docs/theft-bound.md has the proof).

Amounts are whole ns of CPU time. Where ppm divide, entitlement is rounded up, so that the level is never
more than what `BudgetRule.proves` finds between the same two readings.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from detectors.native import columns, exact, places
from detectors.observation import Bools, Floats, Ints, Observation
from mint.budget import CLOCK_TICK_NS, PPM, BudgetRule, Reading

# Readings for which the bottom of a dip is no beginning: the longest that a reader was held up, ten times over.
DIP = 10
# Readings in a row that a level is kept where lumps are about: two lumps in two readings came by chance in a
# thousand simulated hours, four in four never.
KEPT = 3
# Readings for which a fall is remembered: an hour at 1 Hz, in which a contended host shows itself many times.
UNQUIET = 3600
# Readings for which a miner that has just begun is taken as on a contended host: a minute shows several lumps there.
BEGINNING = 60
# Times that the counter or the clock may begin again within as many observations (an hour at 1 Hz): each hides at
# most what all cores do in the period before.
RESTARTS, RESTART_WITHIN = 1, 3600
# Times and counters within one step: 13 days, 36 CPU-years. More is no telemetry; and no product overflows.
MOST_STEP_NS = 1 << 50
MOST_USE_NS = 1 << 60
FAR = np.int64(1) << 61
SOURCE = Path(__file__).with_name("budget.c")
# Two ways to reckon: without and with steal taken off.
PLAIN, LESS_STEAL = 0, 1


class Ledger:
    """The books of n miners, by row.

    After a `push`, (n,) each:

    - `level` in ns, and `since`, the number of the observation that the worst window begins at (-1: none yet);
    - `convicted`, of miners read just now; `begun`, whether that reading was the first of a past;
    - `silent`, observations since the last reading;
    - `used` and `elapsed` since the reading before, ns, 0 where there is no such pair, what was `gained` by it beyond
      entitlement, and their `share` in percent of entitlement, nan where there is none;
    - `width`, entitlement over the last reading's bracket, ns.

    `allowed_ns` and `share_ns` are the rules' by row. The next `push` writes into the same arrays. budget.c does what
    `_push` does, where it can be compiled.
    """

    # Rows of each of the books, for all miners.
    _ROWS: ClassVar[dict[str, int]] = {
        "silent": 1,
        "level": 1,
        "since": 1,
        "z": 2,
        "low": 2,
        "low_at": 2,
        "past": DIP,  # z of the last observations, the next in place `turn`
        "width": 1,
        "levels": KEPT + 1,  # newest first, as `steps` and `stolen`
        "steps": KEPT,  # excess from each reading to the next
        "stolen": KEPT,
        "unquiet": 1,
        "mark": 3,  # z, time and steal at the last reading that counts in these
        "last": 6,  # before, after, usage, steal, boot, epoch of the last reading,
        "read_at": 1,  # and its number (-1: none yet)
        # The same four of the last reading before the present epoch, as if the counter had been zero then.
        "born": 4,
        "born_at": 1,
        "restarts": RESTARTS + 1,  # numbers of the last restarts, newest first
        "used": 1,
        "elapsed": 1,
        "gained": 1,
    }
    # What goes on from one observation to the next.
    _STATE = tuple(_ROWS)[:-3]
    silent: Ints
    level: Ints
    since: Ints
    z: Ints
    low: Ints
    low_at: Ints
    past: Ints
    width: Ints
    levels: Ints
    steps: Ints
    stolen: Ints
    unquiet: Ints
    mark: Ints
    last: Ints
    read_at: Ints
    born: Ints
    born_at: Ints
    restarts: Ints
    used: Ints
    elapsed: Ints
    gained: Ints

    def __init__(self, rules: Sequence[BudgetRule]) -> None:
        n = len(rules)
        self._rule(rules)
        # All books are rows of one array, so that budget.c needs to be told one place.
        self._books = columns(sum(self._ROWS.values()), n, np.int64)
        for name, first in places(self._ROWS).items():
            rows = self._ROWS[name]
            setattr(self, name, self._books[first : first + rows] if rows > 1 else self._books[first])
        for none_yet in (self.since, self.low_at, self.read_at, self.born_at):
            none_yet[:] = -1
        self.past[:] = -FAR
        self.restarts[:] = -RESTART_WITHIN - 1
        self.turn = 0
        self._told = np.zeros((2, n), bool)
        self.begun, self.convicted = self._told
        self.share = np.full(n, np.nan)
        self._seen = columns(7, n, np.int64)
        arrays = (self._rules, self._seen, self._books, self._told, self.share)
        self._places = tuple(array.ctypes.data for array in arrays)
        self._stride = self._books.strides[0] // self._books.itemsize
        self._compiled = _compiled()

    def _rule(self, rules: Sequence[BudgetRule]) -> None:
        self.rules = tuple(rules)
        self._rules = columns(6, len(rules), np.int64)
        self._rules[:] = np.array(
            [
                (
                    rule.entitled_ppm,
                    rule.allowed_ns,
                    rule.hard_ns,
                    rule.overrun_ns,
                    rule.share_ns,
                    rule.period_ns,
                )
                for rule in rules
            ],
            np.int64,
        ).T.reshape(6, len(rules))
        self._entitled, self.allowed_ns, self._hard, self._overrun, self.share_ns, self._period = self._rules

    @property
    def miners(self) -> int:
        """How many rows there are."""
        return len(self.rules)

    def push(self, seen: Observation, present: Bools | None = None) -> None:
        """Take in one observation of all miners; `present`, if given, says instead whose readings count."""
        now = self._seen
        now[0] = seen.present if present is None else present
        now[1], now[2], now[3] = seen.before_ns, seen.after_ns, seen.usage_ns
        now[4], now[5], now[6] = seen.steal_ns, seen.boot, seen.epoch
        if self._compiled is None:
            self._push(seen.number)
        else:
            self._compiled(self.miners, self._stride, seen.number, self.turn, *self._places)
        self.turn = (self.turn + 1) % DIP

    def _push(self, number: int) -> None:
        now = self._seen[1:]
        before, after, usage, steal, boot, epoch = now
        was_before, was_after, was_usage, was_steal, was_boot, was_epoch = self.last
        here = (self._seen[0] != 0) & (before <= after)
        # A counter that runs backwards began again at zero, whatever its epoch says, if one processor can have counted
        # that much since. Steal is an estimate of the hypervisor's, and may waver.
        anew = (epoch != was_epoch) | (usage < was_usage)
        used_from = np.where(anew, 0, was_usage)
        possible = (epoch != was_epoch) | ~anew | (usage <= after - was_before)
        np.maximum(steal, was_steal, out=steal, where=boot == was_boot)
        # Times of two boots do not compare, and a time that runs backwards with none.
        continues = (
            here
            & (self.read_at >= 0)
            & (boot == was_boot)
            & (before >= was_after)
            & possible
            & (after - was_before < MOST_STEP_NS)
            & (usage - used_from < MOST_USE_NS)
        )
        self.begun[:] = here & ~continues
        self._count_restarts(here & (self.read_at >= 0) & (anew | ~continues), number)
        self.silent[:] = np.where(here, 0, self.silent + 1)
        # What is computed for rows that do not continue is thrown away; it is kept from overflowing.
        self._begin(self.begun)
        self._renew(continues & anew)
        self.elapsed[:] = np.where(continues, before - was_before, 0)
        self.used[:] = np.where(continues, usage - used_from, 0)
        self.gained[:] = self.used - self._earned(self.elapsed)
        self.share[:] = _percent(self.used, now, self.last, self._entitled, continues)
        self._shift(here, np.where(continues, steal - was_steal, 0))
        self._lows(here, number)
        np.copyto(self.width, self._earned(np.where(here, after - before, 0)), where=here)
        counts = here & (self.begun | (before - self.mark[1] >= self._period // 2))
        self._levels(here, counts, steal)
        np.copyto(self.mark, np.stack([self.z[PLAIN], before, steal]), where=counts)
        np.copyto(self.last, now, where=here)
        np.copyto(self.read_at, number, where=here)
        self.convicted[:] = counts & self._convicts()

    def _earned(self, elapsed_ns: Ints) -> Ints:
        """CPU time that entitlement grants in this time, rounded up."""
        whole, part = np.divmod(elapsed_ns, PPM)
        return np.asarray(self._entitled * whole - (-self._entitled * part // PPM))

    def _begin(self, rows: Bools) -> None:
        """Forget the past of these rows; their next reading is the first."""
        if not rows.any():
            return
        for state, value in (
            (self.z, 0), (self.low, FAR), (self.low_at, -1), (self.past, -FAR), (self.levels, 0), (self.steps, 0),
            (self.stolen, 0), (self.level, 0), (self.since, -1), (self.born_at, -1),
        ):  # fmt: skip
            state[..., rows] = value
        self.unquiet[rows] = np.maximum(self.unquiet[rows], BEGINNING)

    def _renew(self, rows: Bools) -> None:
        """The counters of these rows began again at zero after their last reading; nothing is forgotten."""
        if not rows.any():
            return
        self.born[:, rows] = self.last[:4, rows]
        self.born[2, rows] = 0
        self.born_at[rows] = self.read_at[rows]

    def _count_restarts(self, rows: Bools, number: int) -> None:
        self.restarts[1:, rows] = self.restarts[:-1, rows]
        self.restarts[0, rows] = number

    def _shift(self, here: Bools, stolen: Ints) -> None:
        moved = self.z + np.stack([self.gained, self.gained - stolen])
        np.copyto(self.z, np.clip(moved, -FAR, FAR), where=here)

    def _lows(self, here: Bools, number: int) -> None:
        """The running minima, with beginnings in a dip lifted."""
        depth = self.past.max(axis=0) - self.z[PLAIN]
        start = self.z + np.where(depth > self.allowed_ns // 2, depth, 0)
        lower = here & (start <= self.low)
        np.copyto(self.low, start, where=lower)
        np.copyto(self.low_at, number, where=lower)
        # A miner that was not read stays where it was.
        known = here | (self.read_at >= 0)
        self.past[self.turn] = np.where(known, self.z[PLAIN], -FAR)

    def _levels(self, here: Bools, counts: Bools, steal: Ints) -> None:
        both = self.z - self.width - self.low
        plain = both[PLAIN] - self._overrun
        less = both[LESS_STEAL] >= plain
        np.copyto(self.level, np.where(less, both[LESS_STEAL], plain), where=here)
        np.copyto(self.since, np.where(less, self.low_at[LESS_STEAL], self.low_at[PLAIN]), where=here)
        step = np.where(self.begun, 0, self.z[PLAIN] - self.width - self.mark[0])
        stolen = np.where(self.begun, 0, steal - self.mark[2])
        for ring, newest in ((self.levels, self.level), (self.steps, step), (self.stolen, stolen)):
            ring[1:, counts] = ring[:-1, counts]
            ring[0, counts] = newest[counts]
        fell = counts & (step < -self.allowed_ns)
        self.unquiet[:] = np.where(fell, UNQUIET, self.unquiet - (counts & (self.unquiet > 0)))

    def _convicts(self) -> Bools:
        above = self.levels > self.allowed_ns
        held = self.steps >= -self.share_ns // 4
        kept = above[1:] & held
        lumps = (self.unquiet > 0) | (self.stolen > 0).any(axis=0)
        quietly = ~lumps & held[0] & (self.levels[1] > self.allowed_ns - CLOCK_TICK_NS)
        greatly = kept[0] & (self.levels[1] > self.allowed_ns + self.share_ns)
        beyond = self.levels[0] > self._hard
        return np.asarray(above[0] & (quietly | greatly | kept.all(axis=0) | beyond))

    @property
    def gain(self) -> Floats:
        """What was used beyond entitlement since the reading before, in percent of a period's entitlement, (n,)."""
        return np.asarray(self.gained * 100.0 / self.share_ns)

    def restless(self, number: int) -> Bools:
        """Whose counter or clock began again too often, lately, for its books to say what it used, (n,)."""
        return np.asarray(self.restarts[RESTARTS] > number - RESTART_WITHIN)

    @property
    def above(self) -> Bools:
        """Whose level is above the burst, whether that convicts or not."""
        return np.asarray(self.level > self.allowed_ns)

    def origins(self, row: int) -> tuple[int, ...]:
        """Numbers of the readings that an accusation of `row` might still need, however long it is silent."""
        numbers = (*self.low_at[:, row], self.read_at[row], self.born_at[row])
        return tuple(int(number) for number in numbers if number >= 0)

    def began(self, row: int) -> int | None:
        """The number at which the offence of `row` began, if two readings can prove it; None otherwise.

        Where the worst window began before the counter was made anew, what was used since then has to prove it.
        """
        since, born_at, rule = int(self.since[row]), int(self.born_at[row]), self.rules[row]
        if born_at < 0 or since >= born_at:
            return since
        before, after, usage, steal = (int(number) for number in self.born[:, row])
        last_before, last_after, last_usage, last_steal = (int(number) for number in self.last[:4, row])
        first = Reading(before, after, usage, steal)
        last = Reading(last_before, last_after, last_usage, last_steal)
        return born_at if rule.proves(first, last) else None

    def rebaseline(self, *rows: int) -> None:
        """Begin again at the last reading: what these miners took before has been decided on."""
        chosen = np.zeros(self.miners, bool)
        chosen[list(rows)] = True
        chosen &= self.read_at >= 0
        self._begin(chosen)
        self.low[:, chosen] = 0
        self.low_at[:, chosen] = self.read_at[chosen]
        self.past[self.turn - 1, chosen] = 0

    def arrange(self, origin: Sequence[int], rules: Sequence[BudgetRule]) -> None:
        """Row i becomes what row origin[i] was, or a new miner where that is -1, under these rules."""
        fresh, kept = Ledger(rules), np.asarray(origin, np.int64)
        fresh.turn = self.turn
        rows = np.flatnonzero(kept >= 0)
        for name in self._STATE:
            getattr(fresh, name)[..., rows] = getattr(self, name)[..., kept[rows]]
        self.__dict__.update(fresh.__dict__)

    def state(self) -> dict[str, Any]:
        """Everything but the rules, as plain data."""
        return {"turn": self.turn} | {name: getattr(self, name).tolist() for name in self._STATE}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`, taken of the same rows."""
        self.turn = state["turn"]
        for name in self._STATE:
            book = getattr(self, name)
            book[...] = np.array(state[name], np.int64).reshape(book.shape)


def _percent(used: Ints, now: Ints, last: Ints, entitled: Ints, where: Bools) -> Floats:
    """Use between two readings in percent of entitlement, by the middles of their brackets."""
    elapsed = (now[0] - last[0] + (now[1] - now[0]) / 2 - (last[1] - last[0]) / 2).astype(float)
    share = np.full(len(used), np.nan)
    np.divide(used * 1e8, elapsed * entitled, out=share, where=where & (elapsed > 0))
    return share


def _compiled() -> Callable[..., None] | None:
    """budget.c's push, or None."""
    constants = {
        "DIP": DIP, "KEPT": KEPT, "UNQUIET_TICKS": UNQUIET, "BEGINNING": BEGINNING, "RESTARTS_KEPT": RESTARTS + 1,
        "MOST_STEP_NS": MOST_STEP_NS, "MOST_USE_NS": MOST_USE_NS, "FAR": int(FAR), "PPM": PPM,
        "CLOCK_TICK_NS": CLOCK_TICK_NS,
    }  # fmt: skip
    rows = {name.upper(): first for name, first in places(Ledger._ROWS).items()}
    library = exact(SOURCE, tuple((constants | rows).items()))
    if library is None:
        return None
    push = library.ledger_push
    push.restype, push.argtypes = None, [*(ctypes.c_int64,) * 4, *(ctypes.c_void_p,) * 5]
    return push
