"""What a ledger paid to whom, read from the store of a device that mines it (agents/pow/chain/store.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agents.pow.chain.store import ChainStore
from mint.chain.rewards import Window
from mint.envelope import Envelope
from mint.errors import InputError
from mint.messages.chain import Block
from mint.sign_bytes import Object
from mint.wire import decode


@dataclass(frozen=True, slots=True)
class Paid:
    """A block of the chain: its time (Unix ms, by its finder's clock), its finder, and its reward, by miner."""

    height: int
    time_ms: int
    finder: str
    rewards: Mapping[str, int]


def store_in(state: Path) -> Path:
    """The store of the ledger that the device with this `--state` folder mines.

    Raises:
        InputError: there is none.
    """
    found = sorted(state.glob("ledger-*.sqlite"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError(str(state), "holds no ledger", "name the --state folder of a device that mines one")
    return found[-1]


def paid(path: Path, window_blocks: int) -> list[Paid]:
    """Every block of the chain in a store, first to last; `window_blocks` is the charter's.

    Raises:
        InputError: it is no ledger.
    """
    if not path.is_file():
        raise InputError(str(path), "is no file", "name the ledger in a device's --state folder")
    window, blocks = Window(window_blocks), []
    with closing(ChainStore(path)) as store:
        for stored in store.after(0):
            body = decode(decode(stored.data, Envelope).body, Object)
            header = decode(body.payload, Block).header
            blocks.append(Paid(stored.place.height, header.time_ms, stored.miner, window.block(stored.works)))
    return blocks


def together(blocks: Iterable[Paid]) -> dict[str, int]:
    """What each miner was paid in some blocks."""
    sums: Counter[str] = Counter()
    for block in blocks:
        sums.update(block.rewards)
    return dict(sums)
