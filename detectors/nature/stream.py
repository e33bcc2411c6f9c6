"""When telemetry itself changes its nature, tick by tick, for a changing set of miners.

    frozen      a value that was noisy is told again and again, or a few of them in turn      still.py
    replayed    a miner tells what it told before                                             copies.py
    copied      a miner tells what another one told before, or tells at the same time         copies.py
    alike       a miner moves as another does, or did (small networks only)                   alike.py
    fabricated  use keeps time to the ns, or its noise is gone                                still.py

A lie that `decides` is one that neither chance nor a machine explains: chance because 80 bits are counted
(`surprise.py`), a machine because no read is that exact (`steady.py`). The rest is for people to look at.

The same findings on every machine, whatever the order of rows. About 650 bytes a miner, and for networks of up
to 64 a kilobyte more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from detectors.nature.alike import EVERY, MOST_MINERS, SPAN, likenesses
from detectors.nature.copies import Copies
from detectors.nature.lie import Kind, Lie, Told
from detectors.nature.past import HISTORY, Bytes, Ints, Past
from detectors.nature.steady import Bools, Floats, Steady
from detectors.nature.still import REPEATED, exactness, repetitions
from mint.errors import InputError


class Nature:
    """The nature of the telemetry of `miners` rows (0 to miners - 1)."""

    def __init__(self, miners: int) -> None:
        self._clear(miners)

    def _clear(self, miners: int) -> None:
        self._past = Past(miners)
        self._steady = Steady(miners)
        self._copies = Copies(miners)
        self._told = Told(miners)
        self._stale = False  # rows were forgotten since the past's table was made
        self._values = np.full((SPAN, miners if miners <= MOST_MINERS else 0), np.nan)

    @property
    def miners(self) -> int:
        """How many rows there are."""
        return len(self._told.bits)

    def push(
        self, number: int, present: Bools, value: Floats, used_ns: Ints, elapsed_ns: Ints
    ) -> tuple[Lie, ...]:
        """Tick `number`, one more than the last; (miners,) each.

        `value`: percent of entitlement; `used_ns`, `elapsed_ns`: since the last reading, 0 without counters.
        What they are where a row is not `present` does not matter. InputError where a present value is not
        finite.
        """
        here, given = np.ascontiguousarray(present, bool), np.asarray(value, np.float64)
        used, elapsed = np.asarray(used_ns, np.int64), np.asarray(elapsed_ns, np.int64)
        if any(array.shape != (self.miners,) for array in (here, given, used, elapsed)):
            wrong = f"{given.shape} values"
            raise InputError("telemetry tick", wrong, f"give one for each of {self.miners} miners")
        if not np.isfinite(given[here]).all():
            row = int(np.flatnonzero(here & ~np.isfinite(given))[0])
            raise InputError(
                f"telemetry tick, row {row}", f"{given[row]} is no number", "mark the tick as missing"
            )
        given = np.where(here, given, 0.0) + 0.0  # there is but one zero
        elapsed = np.where(here, elapsed, 0)
        exact = np.where(elapsed > 0, used, given.view(np.int64))
        if self._stale:
            self._past, self._stale = Past.of(self._past.ordered(np.arange(self.miners))), False
        runs = self._past.push(self._past.symbols(exact, here))
        self._steady.push(self._past, here, given, exact, elapsed)
        self._release()
        lies = [
            *repetitions(self._steady, self._past, number),
            *exactness(self._steady, self._past, number),
            *self._alike(number, here, given),
        ]
        found = self._copies.push(self._past, self._steady, runs, number)
        return (*found, *(lie for lie in lies if self._told.fresh(lie)))

    def _release(self) -> None:
        """What has ended may be said again."""
        steady = self._steady
        frozen = np.flatnonzero(self._told.stands(Kind.FROZEN))
        made = np.flatnonzero(self._told.stands(Kind.FABRICATED))
        if len(frozen):
            self._told.end(frozen[(steady.loops[:, frozen] < REPEATED).all(axis=0)], Kind.FROZEN)
        if len(made):
            self._told.end(made[(steady.exact[made] == 0) & (steady.calm[made] == 0)], Kind.FABRICATED)

    def _alike(self, number: int, here: Bools, value: Floats) -> list[Lie]:
        if not self._values.shape[1]:
            return []
        self._values[:-1] = self._values[1:]
        self._values[-1] = np.where(here, value, np.nan)
        if number % EVERY:
            return []
        ended = self._told.stands(Kind.ALIKE)
        alike, lies = likenesses(self._values, number, ended)
        ended[alike] = False
        self._told.end(np.flatnonzero(ended), Kind.ALIKE)
        return [lie for lie in lies if self._copies.source[lie.row] < 0]  # else an exact copy was told of

    def reset(self, *rows: int) -> None:
        """Forget what these miners told, and begin with their next tick."""
        which = np.array(rows, np.int64)
        self._past.forget(which)
        self._steady.forget(which)
        self._copies.forget(which)
        self._told.bits[which] = 0
        if self._values.shape[1]:
            self._values[:, which] = np.nan
        self._stale = self._stale or len(rows) > 0

    def arrange(self, origin: Sequence[int]) -> None:
        """Row i becomes what row origin[i] was, or a new miner where that is -1: joins, leaves, another order."""
        kept = np.asarray(origin, np.int64)
        if kept.ndim != 1 or (kept < -1).any() or (kept >= self.miners).any():
            raise InputError("telemetry rows", f"{list(origin)}", f"name rows 0 to {self.miners - 1}, or -1")
        past, steady, copies, told, values = self._past, self._steady, self._copies, self._told, self._values
        self._clear(len(kept))
        into, rows = np.flatnonzero(kept >= 0), kept[kept >= 0]
        symbols_told: Bytes = np.zeros((HISTORY, len(kept)), np.uint8)
        symbols_told[:, into] = past.ordered(rows)
        self._past = Past.of(symbols_told)
        self._steady.take(steady, rows, into)
        self._copies.take(copies, rows, into)
        self._told.bits[into] = told.bits[rows]
        if self._values.shape[1] and values.shape[1]:
            self._values[:, into] = values[:, rows]

    def state(self) -> dict[str, Any]:
        """Everything, as plain data that JSON holds exactly: `restore` goes on bit for bit."""
        told = self._past.ordered(np.arange(self.miners))
        copies = self._copies
        return {
            "past": [row.tobytes().hex() for row in told.T],
            "steady": self._steady.state(),
            "copies": [copies.source.tolist(), copies.lag.tolist(), copies.apart.tolist()],
            "told": self._told.bits.tolist(),
            "values": [[None if math.isnan(x) else x for x in row] for row in self._values.tolist()],
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
        copies = nature._copies
        copies.source[:], copies.lag[:], copies.apart[:] = state["copies"]
        nature._told.bits[:] = state["told"]
        nature._values[:] = np.array(state["values"], float).reshape(nature._values.shape)
        return nature
