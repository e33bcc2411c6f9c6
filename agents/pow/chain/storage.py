"""What the node has on its disk, and what it asks of it. Blocks are named by their hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Place(NamedTuple):
    """A valid block's place: `total_work` up to it, `next_work` that of a child of it."""

    hash: bytes
    parent: bytes
    height: int
    total_work: int
    next_work: int


class Stored(NamedTuple):
    """A valid block as it came; `works`: of the shares in it that are paid, by miner."""

    place: Place
    miner: str
    works: Mapping[str, int]
    data: bytes


class Snapshot(NamedTuple):
    """The state after a block (mint/chain/state.py)."""

    hash: bytes
    height: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Grown:
    """To keep, all of it or nothing: new blocks, and which are the chain.

    `chain`: its hashes from height `fork` + 1 on; what was the chain above `fork` is not any more.
    """

    blocks: tuple[Stored, ...]
    snapshots: tuple[Snapshot, ...]
    fork: int
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """To keep: how many shares each miner ever found, of those whose number changed."""

    totals: Mapping[str, int]


class Storage(Protocol):
    """What was kept, for reading."""

    def tip(self) -> Place | None:
        """The end of the chain; None: there is no block."""

    def place(self, block: bytes) -> Place | None:
        """Where a block stands, on the chain or beside it; None: it is not here."""

    def data(self, block: bytes) -> bytes:
        """A block that is here, as it came."""

    def on_chain(self, height: int) -> bytes | None:
        """The hash of the chain's block at this height."""

    def after(self, height: int) -> Iterator[Stored]:
        """The chain's blocks above this height, in order, read one by one."""

    def snapshot(self, block: bytes) -> bytes | None:
        """The state after this block, where it was kept."""

    def totals(self) -> dict[str, int]:
        """How many shares each miner ever found."""
