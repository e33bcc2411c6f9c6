"""What a chain says up to a block: all that the rules for the next block, and its reward, depend on.

A pure function of the blocks, whatever order they came in. It is small and shares most of itself with the state before,
so that a node can hold many; `snapshot` and `restored` take one to a disk and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mint.chain import header
from mint.chain.penalties import Bar
from mint.chain.shares import share_works
from mint.charter.model import Chain, Charter
from mint.charter.seal import SealedCharter, open_charter
from mint.errors import MintError
from mint.keys import ED25519, Scheme, network_id
from mint.messages.chain import Positive
from mint.wire import Hash, Int, Name, Nat, Wire, decode, encode

# Blocks on which a share's parent may lie: what a batch that was lost once, or an agent that was cut off for a
# moment, needs to be paid still, and how far back a block looks for shares that were paid already.
STALE_BLOCKS = 16
# Charters under which a verdict may be anchored, newest last: a network has a new one every few months.
MAX_CHARTERS = 16


@dataclass(frozen=True)
class Ledger:
    """Which ledger it is, and by which operator's word: the same for each of its blocks."""

    operator: bytes
    fog: str
    chain: Chain
    scheme: Scheme = ED25519

    @cached_property
    def network(self) -> bytes:
        """The network's id."""
        return network_id(self.operator)

    @cached_property
    def genesis(self) -> State:
        """The state before block 1."""
        beginning = header.genesis(self.network, self.fog, self.chain)
        step = Step(beginning, 0, 0, self.chain.first_work, frozenset())
        return State(beginning, 0, 0, (), 0, (step,), None, (), (), {}, {}, {}, {})

    def holds(self, charter: Charter) -> bool:
        """Whether a charter is of this ledger."""
        return (charter.network, charter.fog, charter.chain) == (self.network, self.fog, self.chain)


def ledger_of(sealed: SealedCharter, operator: bytes) -> Ledger:
    """The ledger that a charter has its miners mine.

    Raises:
        MintError: it has none (a mistake in the program).
    """
    charter = sealed.charter
    if charter.chain is None:
        raise MintError("this charter has no chain")
    return Ledger(operator, charter.fog, charter.chain, sealed.scheme)


@dataclass(frozen=True)
class Terms:
    """A charter as the rules use it: what a share of each miner is worth, and its target as it is compared."""

    sealed: SealedCharter
    works: Mapping[str, int] = field(init=False)
    targets: Mapping[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        works = share_works(self.sealed.charter)
        targets = {name: header.target(work).to_bytes(32, "big") for name, work in works.items()}
        object.__setattr__(self, "works", works)
        object.__setattr__(self, "targets", targets)


@dataclass(frozen=True, slots=True)
class Step:
    """A block as those after it see it: what a child of it needs, and which shares it holds (ends of their hashes)."""

    hash: bytes
    height: int
    median_ms: int
    work: int
    shares: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class State:
    """The chain up to block `hash`; `total_work` is what the fork choice compares.

    `times` are of the last eleven blocks, `clock_ms` is difficulty's. `steps` are the last STALE_BLOCKS, newest last.
    `terms` are of the charter in force (None before block 1), `charters` those anchored, newest last. `bars` may cover
    heights to come; by miner, `offences` is the newest offence anchored, `totals` the most shares said to be found, and
    `lies` the time (Unix ms) up to which lies about them were dealt with, and
    `dark` the frame of the newest absence.
    """

    hash: bytes
    height: int
    total_work: int
    times: tuple[int, ...]
    clock_ms: int
    steps: tuple[Step, ...]
    terms: Terms | None
    charters: tuple[SealedCharter, ...]
    bars: tuple[Bar, ...]
    offences: Mapping[str, int]
    totals: Mapping[str, int]
    lies: Mapping[str, int]
    dark: Mapping[str, int]

    @property
    def next_work(self) -> int:
        """The work that the next block takes."""
        return self.steps[-1].work

    @property
    def median_ms(self) -> int:
        """The time that the next block is later than."""
        return self.steps[-1].median_ms


class _Step(Wire, frozen=True):
    hash: Hash
    height: Nat
    median_ms: Nat
    work: Positive
    shares: tuple[bytes, ...]


class _Bar(Wire, frozen=True):
    miner: Name
    offence: Int
    first: Positive
    last: Positive


class _Snapshot(Wire, frozen=True):
    hash: Hash
    height: Nat
    total_work: bytes
    times: tuple[Nat, ...]
    clock_ms: Int
    steps: tuple[_Step, ...]
    charters: tuple[bytes, ...]
    bars: tuple[_Bar, ...]
    offences: tuple[tuple[Name, Positive], ...]
    totals: tuple[tuple[Name, Nat], ...]
    lies: tuple[tuple[Name, Nat], ...]
    dark: tuple[tuple[Name, Nat], ...]


def snapshot(state: State) -> bytes:
    """A state as bytes, for our own disk."""
    return encode(
        _Snapshot(
            state.hash,
            state.height,
            work_bytes(state.total_work),
            state.times,
            state.clock_ms,
            tuple(
                _Step(one.hash, one.height, one.median_ms, one.work, tuple(sorted(one.shares)))
                for one in state.steps
            ),
            tuple(sealed.data for sealed in state.charters),
            tuple(_Bar(one.miner, one.offence, one.first, one.last) for one in state.bars),
            tuple(sorted(state.offences.items())),
            tuple(sorted(state.totals.items())),
            tuple(sorted(state.lies.items())),
            tuple(sorted(state.dark.items())),
        )
    )


def restored(ledger: Ledger, data: bytes) -> State:
    """The state in a snapshot of this ledger.

    Raises:
        Rejected: it is none.
    """
    kept = decode(data, _Snapshot)
    charters = tuple(open_charter(one, ledger.operator, ledger.scheme) for one in kept.charters)
    return State(
        kept.hash,
        kept.height,
        int.from_bytes(kept.total_work, "big"),
        kept.times,
        kept.clock_ms,
        tuple(
            Step(one.hash, one.height, one.median_ms, one.work, frozenset(one.shares)) for one in kept.steps
        ),
        Terms(charters[-1]) if charters else None,
        charters,
        tuple(Bar(one.miner, one.offence, one.first, one.last) for one in kept.bars),
        dict(kept.offences),
        dict(kept.totals),
        dict(kept.lies),
        dict(kept.dark),
    )


def work_bytes(total: int) -> bytes:
    """Cumulative work, which may not fit a number of the wire, as bytes that compare as it does."""
    return total.to_bytes(16, "big")
