"""Judging runs that were told before: by another miner, or by the same one.

Whoever tells a thing later has copied it, for nobody foresees 80 bits of another's noise. Of two that tell the
same at the same time it does not show who copies: an alarm on both.
"""

from __future__ import annotations

import numpy as np

from detectors.nature.alike import NEAR
from detectors.nature.lie import Kind, Lie
from detectors.nature.past import HISTORY, Bytes, Ints, Past, Runs
from detectors.nature.steady import CIRCLE, Steady
from detectors.nature.surprise import ENOUGH_BITS, LEAST_TOLD, MOST_BITS, surprise

# Symbols in a run that are not the one before: fewer cannot carry ENOUGH_BITS.
LEAST_CHANGES = int(ENOUGH_BITS / MOST_BITS) + 1
# Runs whose surprise is computed in one tick (0.5 ms each); a copy comes again, SAMPLED ticks later on average.
TRIALS = 16
# Miners of one host are disturbed together, and may then be rounded to the same coarse values. So what is NEAR
# in time decides only where values are so fine that no disturbance makes two the same: bits a tick.
FINE_BITS = 5.0
# Ticks in a row that differ from the source's before a run has ended.
APART = 8


class Copies:
    """The run that each of `miners` rows is in: `source` (-1: none), `lag`, and ticks that it has been `apart`."""

    def __init__(self, miners: int) -> None:
        self.source = np.full(miners, -1, np.int32)
        self.lag = np.zeros(miners, np.int16)
        self.apart = np.zeros(miners, np.uint8)

    def push(self, past: Past, steady: Steady, runs: Runs, number: int) -> list[Lie]:
        """Those of the runs of tick `number` that are new and carry ENOUGH_BITS."""
        self._go_on(past)
        if not len(runs.rows):
            return []
        # Who is in a run that decides need not be looked at; nor who is in one with a twin, but for older ones.
        known = (self.source[runs.rows] >= 0) & ((self.lag[runs.rows] > 0) | (runs.lags == 0))
        circle = (runs.rows == runs.sources) & (runs.lags <= CIRCLE)  # `still.py` judges it
        likely = np.flatnonzero((runs.changes >= LEAST_CHANGES) & ~known & ~circle)[:TRIALS]
        lies = []
        for row, source, lag, reached in zip(*(part[likely].tolist() for part in runs[:4]), strict=True):
            mine, theirs = past.ordered(np.array([row, source])).T
            bits = surprise(mine, None if source == row else theirs, lag, reached)
            if lag == 0:
                bits = min(bits, surprise(theirs, mine, 0, reached))
            if bits >= ENOUGH_BITS:
                self._enter(row, source, lag)
                since = number + 1 - _length(mine, theirs, lag)
                if lag == 0:
                    self._enter(source, row, 0)
                    lies += [_together(row, source, since, bits), _together(source, row, since, bits)]
                elif source != row:
                    decides = lag > NEAR or bits >= FINE_BITS * reached
                    lies.append(_told_before(row, source, lag, since, bits=bits, decides=decides))
                else:
                    # Without counters, what went in circles from its first tick on may be a simulator's.
                    other = int(steady.age[row]) - (number + 1 - since) - lag
                    decides = bool(other >= LEAST_TOLD or steady.elapsed[row] > 0)
                    lies.append(_told_before(row, row, lag, since, bits=bits, decides=decides))
        return lies

    def _enter(self, row: int, source: int, lag: int) -> None:
        self.source[row], self.lag[row], self.apart[row] = source, lag, 0

    def _go_on(self, past: Past) -> None:
        """See which rows are still in the run that was found."""
        rows = np.flatnonzero(self.source >= 0)
        if not len(rows):
            return
        mine = past.back(0)[rows]
        theirs = past.ring[(past.at - self.lag[rows].astype(np.int64)) % HISTORY, self.source[rows]]
        apart = np.where(mine == theirs, 0, self.apart[rows].astype(np.int64) + 1)
        self.apart[rows] = np.where((mine != 0) & (theirs != 0), apart, self.apart[rows])
        self.source[rows[self.apart[rows] >= APART]] = -1

    def forget(self, rows: Ints) -> None:
        """Nobody is in a run with these rows."""
        self.source[np.isin(self.source, rows)] = -1
        self.source[rows], self.lag[rows], self.apart[rows] = -1, 0, 0

    def take(self, other: Copies, rows: Ints, into: Ints) -> None:
        """Rows `into` become what `rows` of the other are, where the source was taken too."""
        place = np.full(len(other.source) + 1, -1, np.int32)  # the last one for no source at all
        place[rows] = into
        self.source[into], self.lag[into], self.apart[into] = (
            place[other.source[rows]],
            other.lag[rows],
            other.apart[rows],
        )


def _length(mine: Bytes, theirs: Bytes, lag: int) -> int:
    """For how many ticks `mine` has been what `theirs` was `lag` ticks before, as far as is remembered."""
    now, before = mine[lag:][::-1], theirs[: HISTORY - lag][::-1]
    known = (now != 0) & (before != 0)
    differ = np.flatnonzero(known & (now != before))
    end = int(differ[0]) if len(differ) else HISTORY - lag
    return int(np.flatnonzero(known[:end])[-1]) + 1


def _together(row: int, source: int, since: int, bits: float) -> Lie:
    detail = f"tells what {{}} tells at the same time ({bits:.0f} bits); which of them copies does not show"
    return Lie(row, Kind.COPIED, False, since, source, 0, bits, detail)


def _told_before(row: int, source: int, lag: int, since: int, *, bits: float, decides: bool) -> Lie:
    kind, who = (Kind.REPLAYED, "it") if source == row else (Kind.COPIED, "{}")
    detail = f"tells since {since} what {who} told {lag} ticks before; chance does so once in 2^{bits:.0f}"
    return Lie(row, kind, decides, since, source, lag, bits, detail)
