"""A ledger that an agent has on its disk: who was paid how much, against what the charters in it entitle to.

The agent checked every block by the rules (mint/chain/rules.py) before it kept it, so what is in its file is only read
here: blocks, the charters and verdicts that they anchor, and the work of the shares that each pays for. When a cheat
began is not in the ledger; a verdict says how many frames it had lasted, which is counted back from its block's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.pow.chain.storage import Stored
from agents.pow.chain.store import ChainReader
from mint.chain.rewards import Window
from mint.chain.shares import share_works
from mint.charter.model import Charter
from mint.envelope import Envelope, kind_in
from mint.errors import InputError, Rejected
from mint.messages.chain import Block
from mint.messages.judgement import Verdict
from mint.sign_bytes import Object
from mint.wire import T, decode
from network.fairness.charter import fair_counts, fair_shares
from network.fairness.hashing import Floats, Ints
from network.fairness.measures import Interval, chi_square, proportion


@dataclass(frozen=True, slots=True)
class Convicted:
    """A verdict in the ledger: on whom, by which evidence, in which block.

    `at_ms`: that block's time, `began_ms`: when the offence began by the frames that it had lasted (Unix ms).
    """

    miner: str
    offence: int
    evidence: str
    height: int
    at_ms: int
    began_ms: int


@dataclass(frozen=True)
class Record:
    """B blocks of n miners: their times (Unix ms), finders (rows), rewards (1e-9) and shares paid, (B, n).

    `fair` and `fair_counts`: which part of the rewards, and of the shares, of each block the charter in force let each
    miner expect, (B, n).
    """

    names: tuple[str, ...]
    time_ms: Ints
    finder: Ints
    rewards: Ints
    shares: Ints
    fair: Floats
    fair_counts: Floats
    verdicts: tuple[Convicted, ...]

    @property
    def times_fair(self) -> Floats:
        """Rewards of each miner, in fair ones, (n,)."""
        paid = self.rewards.sum(axis=1, keepdims=True) * self.fair
        return np.asarray(self.rewards.sum(axis=0) / np.maximum(paid.sum(axis=0), 1))

    def course(self, bins: int) -> tuple[Floats, Floats]:
        """Rewards of each miner in fair ones, over equal stretches of time: their middles (minutes), (bins, n)."""
        since_ms = self.time_ms - self.time_ms.min()
        wide_ms = max(1, -(-int(since_ms.max() + 1) // bins))
        place = since_ms // wide_ms
        paid, due = np.zeros((2, bins, len(self.names)))
        np.add.at(paid, place, self.rewards)
        np.add.at(due, place, self.rewards.sum(axis=1, keepdims=True) * self.fair)
        with np.errstate(invalid="ignore"):
            return (np.arange(bins) + 0.5) * wide_ms / 60_000, paid / due

    def blocks(self) -> Ints:
        """How many each miner found, (n,)."""
        return np.bincount(self.finder, minlength=len(self.names))

    def part(self, miner: str, since_ms: int, until_ms: int) -> Interval:
        """A miner's share of the shares paid by blocks of [since, until), in fair ones."""
        row, chosen = self.names.index(miner), (since_ms <= self.time_ms) & (self.time_ms < until_ms)
        if not chosen.any():
            return proportion(0, 0)
        return _times(
            proportion(int(self.shares[chosen, row].sum()), int(self.shares[chosen].sum())),
            float(self.fair_counts[chosen, row].mean()),
        )

    def shares_times_fair(self, row: int) -> Interval:
        """Shares paid to a miner, in fair ones."""
        return _times(
            proportion(int(self.shares[:, row].sum()), int(self.shares.sum())),
            self.fair_counts[:, row].mean(),
        )

    def blocks_times_fair(self, row: int) -> Interval:
        """Blocks found by a miner, in fair ones."""
        return _times(proportion(int(self.blocks()[row]), len(self.finder)), self.fair[:, row].mean())

    def p_blocks(self) -> float:
        """The chi-square test's, of blocks."""
        return chi_square(self.blocks(), self.fair.mean(axis=0)).p

    def p_shares(self) -> float:
        """The chi-square test's, of shares."""
        return chi_square(self.shares.sum(axis=0), self.fair_counts.mean(axis=0)).p


def _times(one: Interval, fair: float) -> Interval:
    return Interval(one.value / fair, one.low / fair, one.high / fair)


@dataclass(frozen=True, slots=True)
class _Row:
    """One block as it is read."""

    time_ms: int
    finder: str
    paid: dict[str, int]
    shares: dict[str, int]
    charter: Charter


def read(path: Path) -> Record:
    """The ledger in a file.

    Raises:
        InputError: it is none, is damaged, or has no block.
    """
    rows: list[_Row] = []
    verdicts: list[Convicted] = []
    charter: Charter | None = None
    window = Window(1)
    try:
        for stored in ChainReader(path).blocks():
            block = _message(stored.data, Block)
            before, charter = charter, _charter_of(block, charter)
            if charter is None or charter.chain is None:
                raise InputError(str(path), "begins without a charter", "read that of another device")
            if before is None:
                window = Window(charter.chain.window_blocks)
            if not {stored.miner, *stored.works} <= charter.miners_by_name().keys():
                raise InputError(
                    str(path), "names miners that its charter does not", "read that of another device"
                )
            rows.append(_row(stored, block, charter, window))
            verdicts += [_convicted(one, block, charter) for one in _held(block, "verdict", Verdict)]
    except Rejected as rejected:
        raise InputError(
            str(path), f"holds a block that is none ({rejected})", "read that of another device"
        ) from None
    if not rows:
        raise InputError(str(path), "holds no block yet", "wait for one")
    return _record(rows, verdicts)


def _row(stored: Stored, block: Block, charter: Charter, window: Window) -> _Row:
    works = share_works(charter)
    shares = {name: work // works[name] for name, work in stored.works.items()}
    return _Row(block.header.time_ms, stored.miner, window.block(stored.works), shares, charter)


def _record(rows: list[_Row], verdicts: list[Convicted]) -> Record:
    charters = {id(row.charter): row.charter for row in rows}
    names = tuple(sorted({name for charter in charters.values() for name in charter.miners_by_name()}))
    fair = {key: (fair_shares(charter), fair_counts(charter)) for key, charter in charters.items()}

    def columns(of: list[dict[str, int]] | list[dict[str, float]]) -> list[list[float]]:
        return [[one.get(name, 0) for name in names] for one in of]

    return Record(
        names,
        np.array([row.time_ms for row in rows], np.int64),
        np.array([names.index(row.finder) for row in rows], np.int64),
        np.array(columns([row.paid for row in rows]), np.int64),
        np.array(columns([row.shares for row in rows]), np.int64),
        np.array(columns([fair[id(row.charter)][0] for row in rows]), float),
        np.array(columns([fair[id(row.charter)][1] for row in rows]), float),
        tuple(verdicts),
    )


def _charter_of(block: Block, before: Charter | None) -> Charter | None:
    """The charter in force in a block: it may anchor one, as its first transaction."""
    for charter in _held(block, "charter", Charter):
        return charter
    return before


def _held(block: Block, kind: str, as_type: type[T]) -> list[T]:
    return [_message(data, as_type) for data in block.transactions if kind_in(data) == kind]


def _message(data: bytes, as_type: type[T]) -> T:
    """The message in the envelope of an object that was checked before: only decoded."""
    return decode(decode(decode(data, Envelope).body, Object).payload, as_type)


def _convicted(verdict: Verdict, block: Block, charter: Charter) -> Convicted:
    lasted_ms = (verdict.frame - verdict.began) * charter.period_ms
    at_ms = block.header.time_ms
    return Convicted(
        verdict.miner, verdict.offence, verdict.evidence, block.header.height, at_ms, at_ms - lasted_ms
    )
