"""What every miner told lately, one byte a tick, and where a short run of it was told before.

A told value is an exact number (ns from a counter; else the percentage's bits). Its **symbol** is a hash of it
in one byte, 1 to 255; 0 stands for a tick without one. Two equal values have equal symbols, two that differ
have equal symbols once in 255: what is counted in bits (`surprise.py`) is counted on symbols, so that allows
for it.

A **gram** is the last GRAM symbols of a miner, an integer of 64 bits and so exact. One gram in SAMPLED, chosen
by its content, is entered in a table of where it was told last. A copy chooses the same grams as its original,
whatever the shift in time, so each miner asks the table once in SAMPLED ticks, and finds its original in O(1).
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.native import exact

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Bools = NDArray[np.bool_]

SOURCE = Path(__file__).with_name("past.c")
# Ticks that are remembered: seven minutes at 1 Hz, in 420 bytes a miner.
HISTORY = 420
# Symbols in a gram.
GRAM = 8
# Of so many grams one is entered and looked for, to keep the table small.
SAMPLED = 8
# Places in the table for a miner: newer grams displace older ones, so that one told 300 ticks ago is still
# there 3 times of 10; a copy asks again until it is found.
PLACES = 32
# A small network's table takes no room worth saving.
LEAST_PLACES = 16384
# Ticks that a run is followed back: noise rounded to 5 % carries 80 bits in half as many.
REACH = 96
# A run is followed so far first, and further only if it went on: coarse values have many short runs.
FIRST_REACH = 13
# A gram in which fewer symbols differ from the one before them is neither entered nor looked for: what stands
# still proves nothing, and all that stand at 100 have it in common.
LEAST_LIVELY = 3
_HIGH_BYTES = np.uint64(0x8080808080808080)
_LOW_BYTES = np.uint64(0x0101010101010101)


def mixed(words: Words) -> Words:
    """A hash of 64-bit words, the same on every machine (the finaliser of SplitMix64)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def symbols(numbers: Ints) -> Bytes:
    """The symbol of each number, 1 to 255."""
    return (mixed(numbers.view(np.uint64)) % np.uint64(255) + np.uint64(1)).astype(np.uint8)


class Runs(NamedTuple):
    """Rows whose newest symbols are those of `sources`, `lags` ticks before; ticks in a run, and changes in it."""

    rows: Ints
    sources: Ints
    lags: Ints
    lengths: Ints
    changes: Ints


_NO_RUNS = Runs(*np.zeros((5, 0), np.int64))


class Past:
    """The symbols of `miners` rows, newest HISTORY ticks, and the table."""

    def __init__(self, miners: int) -> None:
        # Tick-major, a ring: what is done to all miners of a tick lies side by side.
        self.ring: Bytes = np.zeros((HISTORY, miners), np.uint8)
        self.at = HISTORY - 1  # place of the newest tick
        self._grams: Words = np.zeros(miners, np.uint64)
        # Row x HISTORY + place of the tick that the gram ended at, or -1; 32 bits do for five million rows.
        self._table = np.full(max(miners * PLACES, LEAST_PLACES), -1, np.int32)

        # Where past.c writes what it chose; and where that and the grams are.
        self._rows: Ints = np.zeros(miners, np.int64)
        self._hashes: Words = np.zeros(miners, np.uint64)
        self._places = tuple(array.ctypes.data for array in (self._grams, self._rows, self._hashes))
        self._compiled = _compiled()

    def back(self, ticks: int | Ints) -> Bytes:
        """All rows' symbols `ticks` ago (0: the newest); (len(ticks), miners) for several."""
        return np.asarray(self.ring[(self.at - ticks) % HISTORY])

    def ordered(self, rows: Ints) -> Bytes:
        """(HISTORY, rows): oldest first."""
        return np.concatenate((self.ring[self.at + 1 :, rows], self.ring[: self.at + 1, rows]))

    def symbols(self, numbers: Ints, present: Bools) -> Bytes:
        """The symbols of what each row told, 0 where it is not present."""
        if self._compiled is None:
            return np.where(present, symbols(numbers), np.uint8(0))
        told = np.empty(len(numbers), np.uint8)
        self._compiled.symbols(len(told), numbers.ctypes.data, present.ctypes.data, told.ctypes.data)
        return told

    def push(self, now: Bytes) -> Runs:
        """One tick's symbols, 0 where there is none; gives the runs that were told before."""
        self.at = (self.at + 1) % HISTORY
        self.ring[self.at] = now
        rows, places = self._sampled()
        if not len(rows):
            return _NO_RUNS
        found = self._table[places]
        earlier = np.flatnonzero(found >= 0)
        self._enter(rows, places)
        grams = self._grams[rows]  # equal ones are next to each other
        twins = np.flatnonzero(grams[1:] == grams[:-1])
        if not len(earlier) and not len(twins):
            return _NO_RUNS
        candidates: Ints = np.concatenate((rows[earlier], rows[twins]))
        sources: Ints = np.concatenate((found[earlier] // HISTORY, rows[twins + 1]))
        lags: Ints = np.concatenate(
            ((self.at - found[earlier] % HISTORY) % HISTORY, np.zeros(len(twins), np.int64))
        )
        go_on = ~self._parted(candidates, sources, lags, FIRST_REACH)[-1]
        return self._follow(candidates[go_on], sources[go_on], lags[go_on])

    def _sampled(self) -> tuple[Ints, Ints]:
        """Rows whose gram is chosen in this tick, and its place in the table; in an order set by content."""
        rows, hashed = self._chosen()
        if len(rows) > 1:
            # The last one wins a place that two want: whose hash is higher, so that no order of rows matters.
            order = np.lexsort((-rows, hashed))
            rows, hashed = rows[order], hashed[order]
        places = (hashed >> np.uint64(3)) % np.uint64(len(self._table))
        return rows, places.astype(np.int64)

    def _chosen(self) -> tuple[Ints, Words]:
        """Take the newest symbols into the grams; the rows whose gram is chosen, and its hash."""
        if self._compiled is not None:
            miners = len(self._grams)
            newest = self.ring.ctypes.data + self.at * miners
            count = self._compiled.chosen(miners, newest, *self._places)
            return self._rows[:count].copy(), self._hashes[:count].copy()
        now = self.ring[self.at]
        self._grams[:] = (self._grams << np.uint64(8)) | now.astype(np.uint64)
        whole = ((self._grams - _LOW_BYTES) & ~self._grams & _HIGH_BYTES) == 0  # no byte is zero
        hashed = mixed(self._grams)
        rows = np.flatnonzero(whole & (hashed % np.uint64(SAMPLED) == 0))
        parts = self._grams[rows].view(np.uint8).reshape(len(rows), GRAM)
        rows = rows[(parts[:, 1:] != parts[:, :-1]).sum(axis=1) >= LEAST_LIVELY]
        return rows.astype(np.int64), hashed[rows]

    def _enter(self, rows: Ints, places: Ints) -> None:
        self._table[places] = (rows * HISTORY + self.at).astype(np.int32)

    def _parted(self, rows: Ints, sources: Ints, lags: Ints, reach: int) -> Bools:
        """(reach, candidates): whether row and source have differed in the newest 1, 2, ... ticks."""
        back = np.arange(reach)[:, None]
        mine, theirs = self._pair(rows, sources, lags, reach)
        differ = (mine != theirs) & (mine != 0) & (theirs != 0)
        return np.logical_or.accumulate(differ | (back + lags >= HISTORY), axis=0)

    def _pair(self, rows: Ints, sources: Ints, lags: Ints, reach: int) -> tuple[Bytes, Bytes]:
        """(reach, candidates): the newest symbols of the rows, and those of the sources `lags` ticks before."""
        back = np.arange(reach)[:, None]
        return self.ring[(self.at - back) % HISTORY, rows], self.ring[
            (self.at - back - lags) % HISTORY, sources
        ]

    def _follow(self, rows: Ints, sources: Ints, lags: Ints) -> Runs:
        """How far back each candidate's symbols are its source's, at most REACH ticks."""
        mine, theirs = self._pair(rows, sources, lags, REACH)
        same = (mine != 0) & (theirs != 0) & ~self._parted(rows, sources, lags, REACH)
        changes = same[:-1] & same[1:] & (mine[:-1] != mine[1:])
        lengths = (same * np.arange(1, REACH + 1)[:, None]).max(axis=0, initial=0)
        return Runs(rows, sources, lags, lengths, changes.sum(axis=0))

    def forget(self, rows: Ints) -> None:
        """Nothing was ever told by these rows."""
        self.ring[:, rows] = 0
        self._grams[rows] = 0

    @classmethod
    def of(cls, told: Bytes) -> Past:
        """The past in which this was told, (HISTORY, miners), oldest first: the table is made anew, tick by tick."""
        past = cls(told.shape[1])
        for now in told:
            past.at = (past.at + 1) % HISTORY
            past.ring[past.at] = now
            past._enter(*past._sampled())
        return past


def _compiled() -> ctypes.CDLL | None:
    """past.c, or None."""
    library = exact(SOURCE, (("SAMPLED", SAMPLED), ("LEAST_LIVELY", LEAST_LIVELY)))
    if library is not None:
        library.symbols.restype = None
        library.symbols.argtypes = [ctypes.c_int64, *(ctypes.c_void_p,) * 3]
        library.chosen.restype = ctypes.c_int64
        library.chosen.argtypes = [ctypes.c_int64, *(ctypes.c_void_p,) * 4]
    return library
