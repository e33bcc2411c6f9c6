"""How far the frame log has come, by the word of others: asked before anything is signed.

A node whose disk was put back to an older state would sign again what it has signed already, and differently. So a
component that starts asks the others for their newest frames and waits until enough of them have answered:

- **the manager** for 2 f_detectors + 1 detectors, and closes its next frame after all that they showed it;
- **a detector** for the manager and 2 f_detectors other detectors, and votes on frames beyond all that they showed.

Whoever voted on a frame had it, so among that many there is an honest one that knows the newest frame that a
verdict can rest on. An answer proves itself: it holds the frame. Waiting costs nothing that could be had: without
that many detectors there is no verdict.
"""

from __future__ import annotations

from collections.abc import Collection

# An unanswered request, of whatever kind, is made again after this long.
ASK_AGAIN_NS = 1_000_000_000


class Heads:
    """Who has answered: enough when all of `needed`, and `enough` of `others`, have."""

    def __init__(self, needed: Collection[str], others: Collection[str], enough: int) -> None:
        self._needed, self._others, self._enough = frozenset(needed), tuple(sorted(others)), enough
        self._heard: set[str] = set()
        self._asked_ns: int | None = None
        self.head = 0

    @property
    def known(self) -> bool:
        """Whether enough have answered."""
        heard = sum(name in self._heard for name in self._others)
        return self._needed <= self._heard and heard >= self._enough

    def heard(self, holder: str, newest: int) -> None:
        """`holder` showed its newest frame, of this number (0: it has none)."""
        self._heard.add(holder)
        self.head = max(self.head, newest)

    def ask(self, now_ns: int) -> tuple[str, ...]:
        """Whom to ask now: everyone who has not answered, once a second until enough have."""
        if self.known or (self._asked_ns is not None and now_ns - self._asked_ns < ASK_AGAIN_NS):
            return ()
        self._asked_ns = now_ns
        return tuple(name for name in (*sorted(self._needed), *self._others) if name not in self._heard)

    def due_ns(self) -> int | None:
        """When to ask next; None: there is no need."""
        if self.known:
            return None
        return 0 if self._asked_ns is None else self._asked_ns + ASK_AGAIN_NS
