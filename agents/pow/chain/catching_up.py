"""Whom to ask for blocks, and when.

A node asks one holder at a time: whoever sent it what it cannot place, and every now and then the next of the
others. A reply that brings something new is followed by the next question; who does not answer is left alone for a
while, until it says something, and who answers what is wrong whatever it says. Until one holder had nothing new, or
nobody brought anything for a while, a node is `behind` and does not mine: it would mine on what is past.
"""

from __future__ import annotations

from collections.abc import Collection

NS_PER_S = 1_000_000_000
# An answer takes the time of some dozens of blocks to be read, and of a loaded broker.
PATIENCE_NS = 5 * NS_PER_S
# What was missed without a sign of it (a device that was cut off and came back) is found within so long.
POLL_NS = 60 * NS_PER_S
# The first devices of a network have nobody to ask: three try, then they begin.
ALONE_NS = 3 * PATIENCE_NS
# Who did not answer, or what was wrong, is not asked again for so long.
AVOID_NS = 30 * NS_PER_S


class CatchingUp:
    """Names are agents', without our own."""

    def __init__(self, others: Collection[str], now_ns: int) -> None:
        self._others: tuple[str, ...] = ()
        # Until when a holder is not asked: by itself, and even if it has something.
        self._silent: dict[str, int] = {}
        self._wrong: dict[str, int] = {}
        self._wanted: dict[str, None] = {}
        self._asked: tuple[str, int] | None = None
        self._next = 0
        self._poll_ns, self._alone_ns = now_ns, now_ns + ALONE_NS
        self.behind = True
        self.take(others)

    def take(self, others: Collection[str]) -> None:
        """Go by these agents from now on."""
        self._others = tuple(sorted(others))
        self._silent = {name: until for name, until in self._silent.items() if name in self._others}
        self._wrong = {name: until for name, until in self._wrong.items() if name in self._others}
        self._wanted = {name: None for name in self._wanted if name in self._others}
        if not self._others:
            self.behind = False

    def again(self, now_ns: int) -> None:
        """A connection stands anew: what was asked for may not come."""
        self._asked, self._poll_ns = None, now_ns

    def want(self, holder: str, now_ns: int) -> None:
        """`holder` has something that we lack."""
        if holder in self._others and self._wrong.get(holder, 0) <= now_ns:
            self._wanted[holder] = None

    def awaits(self, holder: str) -> bool:
        """Whether an answer of `holder` is due."""
        return self._asked is not None and self._asked[0] == holder

    def answered(self, holder: str, now_ns: int, *, more: bool, wrong: bool) -> None:
        """An answer came; `more`: it brought something and there is more; `wrong`: it held what is invalid."""
        self._asked = None
        self._wanted.pop(holder, None)
        if wrong:
            self._wrong[holder] = now_ns + AVOID_NS
        elif more:
            self._wanted = {holder: None} | self._wanted
            self._alone_ns = now_ns + ALONE_NS
        else:
            self.behind = False
            self._poll_ns = now_ns + POLL_NS

    def ask(self, now_ns: int) -> str | None:
        """Whom to ask now; None: nobody, or an answer is due."""
        if now_ns >= self._alone_ns:
            self.behind = False
        if self._asked is not None:
            holder, until_ns = self._asked
            if now_ns < until_ns:
                return None
            self._asked = None
            self._silent[holder] = now_ns + AVOID_NS
        holder_ = self._choose(now_ns)
        if holder_ is not None:
            self._asked = (holder_, now_ns + PATIENCE_NS)
        return holder_

    def due_ns(self) -> int:
        """When to ask next, or to give up waiting."""
        if self._asked is not None:
            return self._asked[1]
        if self._wanted:
            return 0
        return min(self._poll_ns, self._alone_ns) if self.behind else self._poll_ns

    def _choose(self, now_ns: int) -> str | None:
        if self._wanted:
            wanted = next(iter(self._wanted))
            del self._wanted[wanted]
            return wanted
        if now_ns < self._poll_ns:
            return None
        for _ in self._others:
            name = self._others[self._next % len(self._others)]
            self._next += 1
            if max(self._silent.get(name, 0), self._wrong.get(name, 0)) <= now_ns:
                return name
        self._poll_ns = now_ns + POLL_NS
        return None
