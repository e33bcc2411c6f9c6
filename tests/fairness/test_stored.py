"""An agent's ledger, read where it lies: what it paid is what the rules pay, and what is wrong with it is said."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

import pytest

from agents.pow.chain.store import ChainStore
from agents.pow.chain.tree import Tree
from mint.chain.rewards import Window
from mint.errors import InputError
from network import commands
from network.fairness.plot import ledger_png
from network.fairness.stored import read
from tests.builders import T0_MS
from tests.fairness.real import CHAIN, CHEAT, NAMES, Real, judged


def made(path: Path, seed: int = 3, hashes: int = 500) -> Real:
    """A ledger of some minutes, kept in a file as an agent keeps it."""
    rng = random.Random(seed)
    real = Real(rng)
    judged(real, rng)
    for _ in range(hashes):
        real.hash()
    store = ChainStore(path)
    tree = Tree(real.mine.ledger, store)
    for data in real.datas:
        tree.add(data, T0_MS + real.now_ms, 1, "edge1", asked=True)
        grown = tree.grown()
        assert grown is not None
        store.keep(grown)
    store.close()
    return real


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Real]:
    path = tmp_path_factory.mktemp("state") / "ledger-1.sqlite"
    return path, made(path)


def test_what_is_read_is_what_the_rules_paid(kept: tuple[Path, Real]) -> None:
    path, real = kept
    record, window = read(path), Window(CHAIN.window_blocks)
    assert record.names == tuple(NAMES)
    assert [NAMES[row] for row in record.finder] == [miner for _, miner, _ in real.blocks]
    assert (record.time_ms - T0_MS).tolist() == [at_ns // 1_000_000 for at_ns, _, _ in real.blocks]
    for row, shares, (_, _, works) in zip(
        record.rewards.tolist(), record.shares.tolist(), real.blocks, strict=True
    ):
        paid = window.block(works)
        assert row == [paid.get(name, 0) for name in NAMES]
        assert shares == [works.get(name, 0) // 4 for name in NAMES]
    assert record.fair == pytest.approx(1 / len(NAMES))


def test_a_cheat_is_told_by_the_verdicts_in_it(kept: tuple[Path, Real]) -> None:
    path, real = kept
    record = read(path)
    assert [(one.miner, one.offence, one.evidence) for one in record.verdicts] == [
        (CHEAT, 1, "ssa"),
        (CHEAT, 2, "ssa"),
    ]
    first = record.verdicts[0]
    assert first.at_ms - first.began_ms == 1000  # as the verdict says: one frame
    assert first.at_ms == record.time_ms[first.height - 1]
    after = record.part(CHEAT, first.at_ms, T0_MS + real.now_ms)
    assert after.value < record.part(CHEAT, 0, first.began_ms).value


def test_it_is_read_beside_an_agent_that_has_it_open_and_nothing_is_left(kept: tuple[Path, Real]) -> None:
    path, _ = kept
    before = read(path)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    store = ChainStore(path)
    assert (read(path).rewards == before.rewards).all()
    store.close()


def test_the_command_tells_and_draws_it(
    kept: tuple[Path, Real],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, real = kept
    picture = tmp_path / "ledger.png"
    monkeypatch.setattr("sys.argv", ["mint", "fairness", "--chain", str(path), "--plot", str(picture)])
    assert commands.main() == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{len(real.blocks)} blocks in 0.03 hours, 4 miners\n")
    assert f"{CHEAT} was convicted 2 times, first at block " in said
    assert picture.read_bytes() == ledger_png(read(path))
    monkeypatch.setattr("sys.argv", ["mint", "fairness", "--chain", str(path), "--json"])
    assert commands.main() == 0
    plain = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert sum(one["blocks"] for one in plain["miners"].values()) == plain["blocks"] == len(real.blocks)
    assert plain["convicted"][0]["miner"] == CHEAT


def test_a_file_that_is_no_ledger_is_said(kept: tuple[Path, Real], tmp_path: Path) -> None:
    whole = kept[0].read_bytes()
    with pytest.raises(InputError, match="is no ledger"):
        read(tmp_path / "nothing.sqlite")
    empty = tmp_path / "empty.sqlite"
    ChainStore(empty).close()
    with pytest.raises(InputError, match="holds no block yet"):
        read(empty)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE frame (number)")
    db.close()
    with pytest.raises(InputError, match="another version"):
        read(other)
    text = tmp_path / "text.sqlite"
    text.write_bytes(b"a ledger, or is it?" * 100)
    with pytest.raises(InputError, match="cannot be read as a ledger"):
        read(text)
    cut = tmp_path / "cut.sqlite"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as a ledger"):
        read(cut)


@pytest.mark.parametrize("what", ["data = x'00'", "works = x'91'", "works = x'c0'", "miner = 'm99'"])
def test_a_damaged_block_is_said(kept: tuple[Path, Real], tmp_path: Path, what: str) -> None:
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(kept[0].read_bytes())
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE block SET {what} WHERE height = 3")
    db.close()
    with pytest.raises(InputError):
        read(path)
