"""When telemetry itself changes its nature, tick by tick, for a changing set of miners.

    frozen      a value that was noisy is told again and again; or a few of them in a small circle (looped)
    replayed    a miner tells what it told before
    copied      a miner tells what another one told before, or tells at the same time
    alike       a miner moves as another does, or did (small networks only)
    fabricated  use keeps time to the ns, or its noise is gone

A lie that `decides` is one that neither chance nor a machine explains: chance because ENOUGH_BITS are counted
(`surprise.py`), a machine because no read is that exact (`steady.py`). Whoever told a thing later copied it; of
two that tell the same at the same time nobody can say who copied. The rest is for people to look at.

Everything is integer arithmetic or sums in a fixed order: the same findings on every machine. About 680 bytes a
miner, and for networks of up to 64 a kilobyte more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from detectors.nature import alike
from detectors.nature.past import HISTORY, Bytes, Ints, Past, Runs, symbols
from detectors.nature.steady import CIRCLE, LEAST_CLOCKED, Bools, Floats, Steady
from detectors.nature.surprise import ENOUGH_BITS, LEAST_TOLD, MOST_BITS, surprise
from mint.errors import InputError

# Repetitions that are looked at: at five bits each they carry what decides.
REPEATED = 16
# The chance that two of a miner's symbols are equal above which its repetitions say nothing: five bits.
OFTEN = 1 / 32
# Repetitions that decide. A counter's number never comes twice by a stall (a late read adds); a percentage may
# be held for a while by whoever collects it.
STUCK_COUNTERS, STUCK_PERCENT = 30, 60
# Exact ticks that decide: each is one in a few by chance where a read takes microseconds.
EXACT = 30
# Of a miner that has a CPU to itself: it uses as much as time passes, so that only the read makes a difference,
# and a simulated read makes none. It is an alarm.
EXACT_WHOLE = 240
# Calm ticks that are told: a minute.
CALM = 60
# Symbols in a run that are not the one before: fewer cannot carry ENOUGH_BITS.
LEAST_CHANGES = int(ENOUGH_BITS / MOST_BITS) + 1
# Runs whose surprise is computed in one tick (0.5 ms each); copies come again, SAMPLED ticks later on average.
TRIALS = 16
# Ticks in a row that differ from the source's before a run has ended.
APART = 8


class Kind(StrEnum):
    """What is wrong with the telemetry."""

    FROZEN = "frozen"
    REPLAYED = "replayed"
    COPIED = "copied"
    ALIKE = "alike"
    FABRICATED = "fabricated"


@dataclass(frozen=True, slots=True)
class Lie:
    """One finding: `row` has told what it cannot have measured since tick `since`.

    `decides`: whether this accuses; otherwise it is an alarm. `source`: the row compared with, or `row`
    itself. `lag`: ticks between the two. `bits`: what chance would have had to guess; 0 where that is not how
    it was found.
    """

    row: int
    kind: Kind
    decides: bool
    since: int
    source: int
    lag: int
    bits: float
    detail: str

    def reason(self, names: Sequence[str]) -> str:
        """In words, for people; `names` by row."""
        return self.detail.format(names[self.source])


class Nature:
    """The nature of the telemetry of `miners` rows (0 to miners - 1)."""

    def __init__(self, miners: int) -> None:
        self._clear(miners)

    def _clear(self, miners: int) -> None:
        self._past = Past(miners)
        self._steady = Steady(miners)
        self._stale = False  # rows were forgotten since the past's table was made
        # What was told already, a bit for each kind and twice for those that decide.
        self._told = np.zeros(miners, np.int16)
        # The run that a row is in.
        self._source = np.full(miners, -1, np.int32)
        self._lag = np.zeros(miners, np.int16)
        self._apart = np.zeros(miners, np.uint8)
        few = miners if miners <= alike.MOST_MINERS else 0
        self._values = np.full((alike.SPAN, few), np.nan)

    @property
    def miners(self) -> int:
        """How many rows there are."""
        return len(self._told)

    def push(
        self, number: int, present: Bools, value: Floats, used_ns: Ints, elapsed_ns: Ints
    ) -> tuple[Lie, ...]:
        """Tick `number`; (miners,) each.

        `value`: percent of entitlement; `used_ns`, `elapsed_ns`: since the last reading, 0 without counters;
        what they are where a row is not `present` does not matter. InputError where a present value is not
        finite.
        """
        here, given = np.asarray(present, bool), np.asarray(value, np.float64)
        used, elapsed = np.asarray(used_ns, np.int64), np.asarray(elapsed_ns, np.int64)
        if any(array.shape != (self.miners,) for array in (here, given, used, elapsed)):
            raise InputError(
                "telemetry tick", f"{given.shape} values", f"give one for each of {self.miners} miners"
            )
        if not np.isfinite(given[here]).all():
            row = int(np.flatnonzero(here & ~np.isfinite(given))[0])
            raise InputError(
                f"telemetry tick, row {row}", f"{given[row]} is no number", "mark the tick as missing"
            )
        given = np.where(here, given, 0.0) + 0.0  # there is but one zero
        told = np.where(elapsed > 0, used, given.view(np.int64))
        if self._stale:
            self._past, self._stale = Past.of(self._past.ordered(np.arange(self.miners))), False
        runs = self._past.push(np.where(here, symbols(told), np.uint8(0)))
        self._steady.push(self._past, here, given, told, np.where(here, elapsed, 0))
        lies = self._repetitions(number) + self._exactness(number) + self._copies(number, runs)
        return tuple(lies + self._likeness(number, here, given))

    # --- standing still -----------------------------------------------------------------------------

    def _repetitions(self, number: int) -> list[Lie]:
        loops = self._steady.loops
        self._end(np.flatnonzero((loops < REPEATED).all(axis=0)), Kind.FROZEN)
        circling = loops >= REPEATED
        smallest = circling.argmax(axis=0)  # a value that stands still goes round in every circle
        count = loops[smallest, np.arange(self.miners)].astype(np.int64)
        due = (count == REPEATED) | (count == STUCK_COUNTERS) | (count == STUCK_PERCENT)
        rows = np.flatnonzero(due & circling.any(axis=0) & (self._steady.age > count + LEAST_TOLD))
        if not len(rows):
            return []
        circles = smallest[rows] + 1
        counts = count[rows]
        often = self._often(rows, counts, circles)
        needed = np.where(self._steady.elapsed[rows] > 0, STUCK_COUNTERS, STUCK_PERCENT)
        real = self._steady.real(rows)
        lies = []
        for k in np.flatnonzero(often <= OFTEN):
            row, circle, count = int(rows[k]), int(circles[k]), int(counts[k])
            decides = bool(count >= needed[k] and real[k])
            what = "the same value" if circle == 1 else f"the same {circle} values in turn"
            detail = f"tells {what} for {count} ticks; before, its values repeated in {often[k]:.1%} of ticks"
            bits = float(-count * np.log2(often[k]))
            lies += self._tell(Lie(row, Kind.FROZEN, decides, number - count, row, circle, bits, detail))
        return lies

    def _often(self, rows: Ints, counts: Ints, circles: Ints) -> Floats:
        """How often symbols of these rows were equal before they began to repeat; 1 where that is not known."""
        told = self._past.ordered(rows)
        begin = HISTORY - counts - circles
        before = np.where(np.arange(HISTORY)[:, None] < begin, told, 0)
        equal, pairs = np.zeros((CIRCLE, len(rows))), np.zeros((CIRCLE, len(rows)))
        for ticks in range(1, CIRCLE + 1):
            both = (before[ticks:] != 0) & (before[:-ticks] != 0)
            pairs[ticks - 1] = both.sum(axis=0)
            equal[ticks - 1] = (both & (before[ticks:] == before[:-ticks])).sum(axis=0)
        rates = (equal + 0.5) / (pairs + 0.5)
        overall = (equal.sum(axis=0) + 0.5) / (pairs.sum(axis=0) + 0.5)
        often = np.maximum.reduce([rates[0], rates[circles - 1, np.arange(len(rows))], overall])
        return np.where((before != 0).sum(axis=0) >= LEAST_TOLD, often, 1.0)

    def _exactness(self, number: int) -> list[Lie]:
        steady = self._steady
        self._end(np.flatnonzero((steady.exact == 0) & (steady.calm == 0)), Kind.FABRICATED)
        moving = (steady.loops < REPEATED).all(axis=0)
        noisy, clocked = steady.uneven >= LEAST_TOLD, steady.clocked >= LEAST_CLOCKED
        exact = np.flatnonzero(np.isin(steady.exact, (EXACT, EXACT_WHOLE)) & moving & (noisy | clocked))
        lies = []
        for row, whole in zip(exact.tolist(), steady.whole(exact).tolist(), strict=True):
            ticks = int(steady.exact[row])
            if whole and ticks < EXACT_WHOLE:
                continue
            decides = bool(noisy[row] and clocked[row] and not whole)
            detail = f"use is in proportion to time to within rounding for {ticks} ticks: no counter is read like that"
            lies += self._tell(Lie(row, Kind.FABRICATED, decides, number - ticks, row, 0, 0.0, detail))
        for row in np.flatnonzero(
            (steady.calm == CALM) & moving & (steady.age >= CALM + LEAST_TOLD)
        ).tolist():
            detail = (
                f"has told no noise for {CALM} ticks; before, steps of {steady.usual[row]:.3g} % were usual"
            )
            lies += self._tell(Lie(row, Kind.FABRICATED, False, number - CALM, row, 0, 0.0, detail))
        return lies

    # --- telling what was told ----------------------------------------------------------------------

    def _copies(self, number: int, runs: Runs) -> list[Lie]:
        self._go_on()
        rows, sources, lags = runs.rows, runs.sources, runs.lags
        known = (self._source[rows] == sources) & (self._lag[rows] == lags)
        circle = (rows == sources) & (lags <= CIRCLE)  # judged as frozen
        likely = (runs.changes >= LEAST_CHANGES) & ~known & ~circle
        lies: list[Lie] = []
        for k in np.flatnonzero(likely)[:TRIALS].tolist():
            lies += self._try(number, int(rows[k]), int(sources[k]), int(lags[k]), int(runs.lengths[k]))
        return lies

    def _try(self, number: int, row: int, source: int, lag: int, length: int) -> list[Lie]:
        mine, theirs = self._past.ordered(np.array([row, source])).T
        bits = surprise(mine, None if source == row else theirs, lag, length)
        if lag == 0:
            bits = min(bits, surprise(theirs, mine, 0, length))
        if bits < ENOUGH_BITS:
            return []
        for one, other in ((row, source), (source, row)) if lag == 0 else ((row, source),):
            self._source[one], self._lag[one], self._apart[one] = other, lag, 0
            self._end(np.array([one]), Kind.COPIED)
            self._end(np.array([one]), Kind.REPLAYED)
        since = number - length + 1
        chance = f"for {length} ticks; the chance is 2^-{bits:.0f}"
        if lag == 0:
            detail = f"tells what {{}} tells, at the same time, {chance}; which of them copies does not show"
            return self._tell(Lie(row, Kind.COPIED, False, since, source, 0, bits, detail)) + self._tell(
                Lie(source, Kind.COPIED, False, since, row, 0, bits, detail)
            )
        if source != row:
            detail = f"tells what {{}} told {lag} ticks before, {chance}"
            return self._tell(Lie(row, Kind.COPIED, True, since, source, lag, bits, detail))
        # What goes in circles from its first tick on may be a simulator's.
        steady = self._steady
        decides = bool(steady.elapsed[row] > 0 or steady.age[row] - length >= 2 * lag)
        detail = f"tells what it told {lag} ticks before, {chance}"
        return self._tell(Lie(row, Kind.REPLAYED, decides, since, row, lag, bits, detail))

    def _go_on(self) -> None:
        """See which rows are still in the run that was found."""
        rows = np.flatnonzero(self._source >= 0)
        if not len(rows):
            return
        past = self._past
        mine = past.back(0)[rows]
        theirs = past.ring[(past.at - self._lag[rows].astype(np.int64)) % HISTORY, self._source[rows]]
        both = (mine != 0) & (theirs != 0)
        apart = np.where(mine == theirs, 0, self._apart[rows].astype(np.int64) + 1)
        self._apart[rows] = np.where(both, apart, self._apart[rows])
        self._source[rows[self._apart[rows] >= APART]] = -1

    def _likeness(self, number: int, here: Bools, value: Floats) -> list[Lie]:
        if not self._values.shape[1]:
            return []
        self._values = np.concatenate((self._values[1:], np.where(here, value, np.nan)[None]))
        if number % alike.EVERY:
            return []
        found = alike.pairs(self._values)
        alone = set(range(self.miners)) - {pair.row for pair in found}
        self._end(np.array(sorted(alone), np.int64), Kind.ALIKE)
        lies = []
        for row, source, lag, r in found:
            if self._source[row] >= 0:
                continue  # an exact copy was told of
            when = "at the same time" if lag == 0 else f"{lag} ticks before"
            detail = f"its steps are those of {{}} {when} (correlation {r:.3f} over {alike.WINDOW} ticks)"
            lies += self._tell(Lie(row, Kind.ALIKE, False, number - alike.WINDOW, source, lag, 0.0, detail))
        return lies

    # --- what was told already ----------------------------------------------------------------------

    def _tell(self, lie: Lie) -> list[Lie]:
        """The finding, unless it was told since it began: as an alarm once, and once as what decides."""
        bit = 1 << (2 * list(Kind).index(lie.kind))
        bit |= bit << 1 if lie.decides else 0
        if self._told[lie.row] & bit == bit:
            return []
        self._told[lie.row] |= bit
        return [lie]

    def _end(self, rows: Ints, kind: Kind) -> None:
        self._told[rows] &= ~(3 << (2 * list(Kind).index(kind)))

    # --- rows ---------------------------------------------------------------------------------------

    def reset(self, *rows: int) -> None:
        """Forget what these miners told, and begin with their next tick."""
        if not rows:
            return
        which = np.array(rows, np.int64)
        self._past.forget(which)
        self._stale = True
        self._steady.forget(which)
        self._told[which] = 0
        self._source[np.isin(self._source, which)] = -1
        self._source[which] = -1
        if self._values.shape[1]:
            self._values[:, which] = np.nan

    def arrange(self, origin: Sequence[int]) -> None:
        """Row i becomes what row origin[i] was, or a new miner where that is -1: joins, leaves, another order."""
        kept = np.asarray(origin, np.int64)
        if kept.ndim != 1 or (kept < -1).any() or (kept >= self.miners).any():
            raise InputError("telemetry rows", f"{list(origin)}", f"name rows 0 to {self.miners - 1}, or -1")
        old = Nature.__new__(Nature)
        old.__dict__.update(self.__dict__)
        self._clear(len(kept))
        new, rows = np.flatnonzero(kept >= 0), kept[kept >= 0]
        told: Bytes = np.zeros((HISTORY, len(kept)), np.uint8)
        told[:, new] = old._past.ordered(rows)
        self._past = Past.of(told)
        self._steady.take(old._steady, rows, new)
        place = np.full(old.miners + 1, -1, np.int32)  # the last one for no source at all
        place[rows] = new
        self._told[new], self._lag[new], self._apart[new] = old._told[rows], old._lag[rows], old._apart[rows]
        self._source[new] = place[old._source[rows]]
        if self._values.shape[1] and old._values.shape[1]:
            self._values[:, new] = old._values[:, rows]

    def state(self) -> dict[str, Any]:
        """Everything, as plain data that JSON holds exactly: `restore` goes on bit for bit."""
        told = self._past.ordered(np.arange(self.miners))
        return {
            "past": [row.tobytes().hex() for row in told.T],
            "steady": self._steady.state(),
            "told": self._told.tolist(),
            "source": self._source.tolist(),
            "lag": self._lag.tolist(),
            "apart": self._apart.tolist(),
            "values": [[None if np.isnan(x) else x for x in row] for row in self._values.tolist()],
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Nature:
        """What `state()` was taken of; InputError when another version took it."""
        past = [np.frombuffer(bytes.fromhex(row), np.uint8) for row in state["past"]]
        if any(len(row) != HISTORY for row in past):
            raise InputError("telemetry state", "taken by another version", "start afresh")
        nature = cls(len(past))
        nature._past = Past.of(np.array(past, np.uint8).reshape(len(past), HISTORY).T)
        nature._steady.restore(state["steady"])
        nature._told[:] = state["told"]
        nature._source[:] = state["source"]
        nature._lag[:] = state["lag"]
        nature._apart[:] = state["apart"]
        nature._values[:] = np.array(state["values"], float).reshape(nature._values.shape)
        return nature
