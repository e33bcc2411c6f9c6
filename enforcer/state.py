"""What the core knows, intends and says: plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from enforcer.ledger import Case
from enforcer.reconcile import Seen, Step, Wish, steps
from mint.messages.receipt import Action, Receipt

# Offences open at once on one miner. Detectors name a new one at most every few seconds while an old penalty
# lasts; beyond this many the newest is folded into the one before it, which keeps the longer books.
MAX_CASES = 8
# Offences taken up before those of lower numbers, whose verdicts have not come yet. Beyond this many those that
# are missing will not come any more, and are taken for settled.
MAX_KNOWN = 64


class MinerState(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a miner between looks, and kept on disk.

    Offences taken up, so that none is punished twice: all up to number `settled`, and `known` beyond it (sorted).
    `counted`: we have been here when the log counted them, so that one which we lack has passed us by.
    `imposed`: we have put its quota low; `halvings` and `paused`: how much lower than the rung says. `drift`
    is the drift told last.
    """

    known: Annotated[tuple[int, ...], Meta(max_length=MAX_KNOWN)] = ()
    settled: int = 0
    cases: Annotated[tuple[Case, ...], Meta(max_length=MAX_CASES)] = ()
    imposed: bool = False
    halvings: int = 0
    paused: bool = False
    drift: str = ""
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A receipt to be, before what was done is known."""

    action: Action
    case: Case | None
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about a miner, and what is true once it is done.

    `wish` None: nothing is to be done. `watch`: since when (ns) use is being watched, and the excess then.
    `base` is what the plan was made on.
    """

    seen: Seen
    state: MinerState
    wish: Wish | None = None
    notes: tuple[Note, ...] = ()
    watch: tuple[int, int] | None = None
    base: MinerState | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """What to do, in order."""
        return steps(self.wish, self.seen) if self.wish else ()


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be on disk, in one transaction, before any of its receipts is told.

    `forgotten`: miners of which nothing is to be known any more.
    """

    states: Mapping[str, MinerState]
    forgotten: tuple[str, ...]
    receipts: tuple[Receipt, ...]
    number: int
    frame: int


@dataclass(frozen=True, slots=True)
class Saved:
    """What was known when the last change was stored."""

    states: dict[str, MinerState]
    number: int
    frame: int


class Memory(Protocol):
    """Where an enforcer keeps what it may not forget: a file (store.py), or a simulated disk."""

    def load(self) -> Saved:
        """Everything but the receipts that wait."""

    def commit(self, change: Change, receipts: Iterable[bytes]) -> None:
        """Store a change with its signed receipts, all or nothing."""

    def waiting(self) -> tuple[int, bytes] | None:
        """The oldest receipt that the broker has not acknowledged, with its number."""

    def acknowledged(self, number: int) -> None:
        """The broker has this receipt."""
