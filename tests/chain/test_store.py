"""The ledger on disk: all of what is kept together or none, whenever it is killed, and bounded beside the chain."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agents.pow.chain import store as limits
from agents.pow.chain.storage import Counted, Grown, Place, Snapshot, Stored
from agents.pow.chain.store import ChainStore, totals_in
from agents.pow.chain.tree import SNAPSHOT_EVERY, Tree
from mint.errors import InputError
from tests.chain.mine import Mine, net
from tests.chain.writer import read_blocks, write_blocks

NET = net()
MINE = Mine(NET)
ROOT = Path(__file__).parent.parent.parent


def hash_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


def stored(number: int, parent: int, height: int, work: int = 1) -> Stored:
    place = Place(hash_of(number), hash_of(parent), height, work, 7)
    return Stored(place, "m01", {"m01": number, "m02": 2}, b"block %d" % number)


def store_at(path: Path) -> ChainStore:
    return ChainStore(path / "chain.sqlite")


def test_what_was_kept_is_read_as_it_was(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert (store.tip(), store.place(hash_of(1)), store.totals(), list(store.after(0))) == (
        None,
        None,
        {},
        [],
    )
    blocks = (stored(1, 0, 1), stored(2, 1, 2, 2**100), stored(3, 1, 2))
    store.keep(Grown(blocks, (Snapshot(hash_of(2), 2, b"state"),), 0, (hash_of(1), hash_of(2))))
    store.keep(Counted({"m01": 5}))
    store.keep(Counted({"m01": 6, "m02": 1}))
    store.close()
    store = store_at(tmp_path)
    assert store.tip() == blocks[1].place
    assert [store.place(hash_of(n)) for n in (1, 2, 3)] == [one.place for one in blocks]
    assert [store.on_chain(n) for n in (0, 1, 2, 3)] == [None, hash_of(1), hash_of(2), None]
    assert list(store.after(0)) == [blocks[0], blocks[1]]
    assert list(store.after(1)) == [blocks[1]]
    assert (store.data(hash_of(3)), store.snapshot(hash_of(2)), store.snapshot(hash_of(1))) == (
        b"block 3",
        b"state",
        None,
    )
    assert store.totals() == {"m01": 6, "m02": 1}


def test_totals_are_of_every_ledger_in_a_folder_that_can_be_read(tmp_path: Path) -> None:
    assert totals_in(tmp_path) == {}
    for name, totals in (("1", {"m01": 5, "m02": 9}), ("2", {"m01": 7}), ("3", {})):
        with closing(ChainStore(tmp_path / f"ledger-{name}.sqlite")) as store:
            store.keep(Counted(totals))
    (tmp_path / "ledger-4.sqlite").write_bytes(b"no database at all, but as long as its header is" * 3)
    (tmp_path / "other.sqlite").write_bytes(b"")
    assert totals_in(tmp_path) == {"m01": 7, "m02": 9}


def test_another_chain_takes_the_place_of_the_one_above_the_fork(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.keep(
        Grown(
            (stored(1, 0, 1), stored(2, 1, 2), stored(3, 2, 3)), (), 0, (hash_of(1), hash_of(2), hash_of(3))
        )
    )
    store.keep(Grown((stored(4, 1, 2),), (), 1, (hash_of(4),)))
    assert [one.place.hash for one in store.after(0)] == [hash_of(1), hash_of(4)]
    store.keep(Grown((stored(5, 3, 4),), (), 1, (hash_of(2), hash_of(3), hash_of(5))))
    assert [one.place.hash for one in store.after(0)] == [hash_of(n) for n in (1, 2, 3, 5)]
    assert store.place(hash_of(4)) is not None
    store.keep(Grown((stored(6, 3, 4),), (), 4, ()))  # beside the chain
    assert store.tip() == stored(5, 3, 4).place


def test_blocks_beside_the_chain_are_bounded_and_the_heaviest_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_SIDE", 5)
    monkeypatch.setattr(limits, "RECENT_SNAPSHOTS", 10)
    monkeypatch.setattr(limits, "SPARSE", 16)
    store = store_at(tmp_path)
    for height in range(1, 40):
        side = tuple(stored(1000 * height + n, height - 1, height, 1000 * height + n) for n in range(3))
        snapshot = Snapshot(hash_of(height), height, b"state")
        store.keep(
            Grown((stored(height, height - 1, height), *side), (snapshot,), height - 1, (hash_of(height),))
        )
        assert len(list(store.after(0))) == height
    beside = [n for height in range(1, 40) for n in range(3) if store.place(hash_of(1000 * height + n))]
    assert len(beside) == 5
    assert store.place(hash_of(39_002)) is not None
    kept = [height for height in range(1, 40) if store.snapshot(hash_of(height)) is not None]
    assert kept == [16, *range(29, 40)]


def test_what_is_refused_is_not_kept_in_part(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.keep(Grown((stored(1, 0, 1),), (), 0, (hash_of(1),)))
    two_at_one_height = Grown((stored(2, 1, 2), stored(3, 1, 2)), (), 1, (hash_of(2), hash_of(3)))
    with pytest.raises(sqlite3.Error):
        store.keep(two_at_one_height)
    assert store.place(hash_of(2)) is None
    assert store.tip() == stored(1, 0, 1).place


def test_a_file_that_is_no_ledger_is_said(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match="cannot be used as the ledger"):
        store_at(tmp_path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="format 99"):
        store_at(tmp_path)


@pytest.fixture(scope="module")
def blocks() -> list[bytes]:
    """A chain with a fork every few blocks, which is overtaken a block later."""
    mine, state = Mine(NET), MINE.genesis
    made = []
    for height in range(300):
        if height and height % 7 == 0:
            side = mine.block(state, "m02")
            made.append(side)
        data = mine.block(state, "m01", *([mine.shares(state)] if height else []))
        made.append(data)
        state = mine.checked(state, data).state
    return made


@pytest.mark.parametrize("seed", range(2))
def test_a_node_that_is_killed_at_any_moment_goes_on_from_its_disk(
    tmp_path: Path, blocks: list[bytes], seed: int
) -> None:
    rng = random.Random(seed)
    database, file = tmp_path / "chain.sqlite", tmp_path / "blocks"
    write_blocks(file, blocks)
    assert read_blocks(file) == blocks
    told = killed = 0
    while True:
        argv = [sys.executable, "-m", "tests.chain.writer", str(database), str(file)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as writer:
            assert writer.stdout is not None
            for _ in range(rng.randrange(1, 120)):
                line = writer.stdout.readline()
                if not line:
                    break
                told = int(line)
            writer.send_signal(signal.SIGKILL)
        killed += writer.returncode == -signal.SIGKILL
        store = ChainStore(database)
        tip = store.tip()
        assert tip is not None
        assert tip.height >= told, "what was told is on the disk"
        assert store.totals()["m01"] in (tip.height, tip.height - 1)
        tree = Tree(MINE.ledger, store)  # which checks it from the last snapshot on
        chain = list(store.after(0))
        assert [one.place.height for one in chain] == list(range(1, tip.height + 1))
        assert tree.tip.hash == chain[-1].place.hash
        store.close()
        if tip.height == 300:
            break
    assert killed
    assert 4 * SNAPSHOT_EVERY < 300
