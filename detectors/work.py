"""The books of all miners by the law of work (mint/work.py): who showed more shares than its CPU time explains.

For each design z is the sum of ln(r) * shares - (r - 1) * lambda0 * CPU time since a miner's past began, in
micro-nats, and its **level** how far z has risen above the lowest that it was since then: the largest LLR of
all windows that end now. Page's test (1954), O(1) a reading. A level at the bound convicts, and the two
readings prove it.

**A dip proves nothing.** An agent that stands still while its miners go on takes in late what they told it; in
its next sample CPU time has run on and shares have not. From there, the sample after it looks like work for
many. So where z is more than half a bound below its highest of the last DIP readings, that highest counts
instead (as in detectors/budget.py).

A counter that is made anew, a boot, use or shares that run backwards: what was used in between is not known,
and the miner's past begins again. Twice in an hour is said (`restless` in detectors/budget.py).

What a step costs is rounded up, so that the level is never more than what `WorkRule.proves` finds between the
same two readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detectors.observation import Bools, Ints, Observation
from mint.work import DESIGNS, WorkRule

# Readings for which the bottom of a dip is no beginning.
DIP = 10
US_PER_S = 1_000_000
NS_PER_US = 1_000
# More in one step is no telemetry (13 CPU-days), or is convicted for less; and no product overflows: a charter
# has 50,000 shares in a second of CPU time at most (0.001 CPU, one in 50 ms, a target rounded in the miner's
# favour).
MOST_USE_NS = 1 << 50
MOST_SHARES = 1 << 40
FAR = np.int64(1) << 61
LN = np.array([[one.ln] for one in DESIGNS], np.int64)


class WorkLedger:
    """The books of n miners, by row; a row without a rule is never convicted.

    After a `push`: `convicted`, (n,), of miners read just now. z, `low` and what belongs to it have one row a design.
    """

    _STATE = ("z", "low", "low_at", "past", "last", "read_at")

    def __init__(self, rules: Sequence[WorkRule | None]) -> None:
        n, k = len(rules), len(DESIGNS)
        self.rules = tuple(rules)
        self._ruled = np.array([rule is not None for rule in rules], bool)
        self._any = bool(self._ruled.any())
        none = (0,) * k
        costs = [none if rule is None else rule.costs for rule in rules]
        bounds = [none if rule is None else rule.bounds for rule in rules]
        self._cost, self._bound = (np.array(rows, np.int64).reshape(n, k).T for rows in (costs, bounds))
        self.z, self.low = np.zeros((k, n), np.int64), np.zeros((k, n), np.int64)
        # The reading at which z was lowest: its number (-1: none yet), usage and shares.
        self.low_at = np.zeros((3, k, n), np.int64)
        self.low_at[0] = -1
        # z after the last DIP observations, the next in place `turn`.
        self.past, self.turn = np.full((DIP, k, n), -FAR), 0
        # The last reading: usage, shares, boot, epoch; and its number (-1: none yet).
        self.last, self.read_at = np.zeros((4, n), np.int64), np.full(n, -1, np.int64)
        self.convicted = np.zeros(n, bool)

    def push(self, seen: Observation, present: Bools) -> None:
        """Take in one observation of all miners; `present` says whose readings count."""
        if seen.shares is None or not self._any:
            return
        now = np.array((seen.usage_ns, seen.shares, seen.boot, seen.epoch))
        step = now - self.last
        used, shown = step[:2]
        here = present & self._ruled
        continues = here & (self.read_at >= 0) & (used < MOST_USE_NS) & (step[:2] >= 0).all(axis=0)
        continues &= (now[2:] == self.last[2:]).all(axis=0)
        self._shift(used * continues, np.minimum(shown, MOST_SHARES) * continues)
        begun = here & ~continues
        if begun.any():
            self.low[:, begun], self.past[:, :, begun] = FAR, -FAR
        depth = self.past.max(axis=0) - self.z
        start = self.z + depth * (depth > self._bound // 2)
        lower = (start <= self.low) & here
        np.copyto(self.low, start, where=lower)
        np.copyto(self.past[self.turn], self.z, where=here | (self.read_at >= 0))
        self.turn = (self.turn + 1) % DIP
        at = np.array((np.full_like(used, seen.number), now[0], now[1]))
        np.copyto(self.low_at, at[:, None], where=lower)
        np.copyto(self.last, now, where=here)
        np.copyto(self.read_at, seen.number, where=here)
        self.convicted = continues & (self._beyond() >= 0).any(axis=0)

    def _shift(self, used: Ints, shown: Ints) -> None:
        seconds, part = np.divmod(-(-used // NS_PER_US), US_PER_S)
        self.z += LN * shown - self._cost * seconds + (-self._cost * part // US_PER_S)
        np.clip(self.z, -FAR, FAR, out=self.z)

    def _beyond(self) -> Ints:
        """By how much each design's level is above its bound."""
        return np.asarray(self.z - self.low - self._bound)

    def began(self, row: int) -> int:
        """The number of the reading that the worst window of `row` begins at."""
        return int(self.low_at[0, self._worst(row), row])

    def shown(self, row: int) -> tuple[int, int]:
        """Shares shown and CPU ns reported by `row` since then."""
        usage, shares = self.last[:2, row] - self.low_at[1:, self._worst(row), row]
        return int(shares), int(usage)

    def _worst(self, row: int) -> int:
        return int(np.argmax(self._beyond()[:, row]))

    def above(self, row: int) -> bool:
        """Whether the level of `row` is at its bound."""
        return bool((self._beyond()[:, row] >= 0).any()) and self.rules[row] is not None

    def origins(self, row: int) -> set[int]:
        """Numbers of the readings that an accusation of `row` might still need."""
        return {
            number for number in (*self.low_at[0, :, row].tolist(), int(self.read_at[row])) if number >= 0
        }

    def rebaseline(self, *rows: int) -> None:
        """Begin again at the last reading: what these miners did before has been decided on."""
        chosen = list(rows)
        self.z[:, chosen] = self.low[:, chosen] = 0
        self.past[:, :, chosen] = -FAR
        self.past[self.turn - 1][:, chosen] = 0
        self.low_at[0][:, chosen] = self.read_at[chosen]
        self.low_at[1:][:, :, chosen] = self.last[:2, None, chosen]

    def arrange(self, origin: Sequence[int], rules: Sequence[WorkRule | None]) -> None:
        """Row i becomes what row origin[i] was, or a new miner where that is -1, under these rules."""
        fresh, kept = WorkLedger(rules), np.asarray(origin, np.int64)
        fresh.turn = self.turn
        rows = np.flatnonzero(kept >= 0)
        for name in self._STATE:
            getattr(fresh, name)[..., rows] = getattr(self, name)[..., kept[rows]]
        self.__dict__.update(fresh.__dict__)

    def state(self) -> dict[str, Any]:
        """Everything but the rules, as plain data; nothing where nobody has a rule."""
        if not self._any:
            return {}
        return {"turn": self.turn} | {name: getattr(self, name).tolist() for name in self._STATE}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`, taken of the same rows."""
        for name in self._STATE if state else ():
            book = getattr(self, name)
            book[...] = np.array(state[name], np.int64).reshape(book.shape)
        self.turn = state.get("turn", 0)
