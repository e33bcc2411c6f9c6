"""Which blocks are the chain: a function of the blocks, whatever order they come in, and the same after a restart."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.pow.chain import tree as limits
from agents.pow.chain.store import ChainStore
from agents.pow.chain.tree import MAX_BEHIND, MAX_ORPHANS, MAX_STATES, SNAPSHOT_EVERY, Tree
from mint.chain.rewards import rewards
from mint.chain.rules import read_block
from mint.chain.state import STALE_BLOCKS, State
from mint.errors import Reason, Rejected
from tests.builders import T0_MS
from tests.chain.fog import IN_MEMORY
from tests.chain.mine import CHAIN, Mine, net

NET = net()
MINE = Mine(NET)
LATER_MS = T0_MS + 10**10


class Kept:
    """A tree with its disk."""

    def __init__(self, store: ChainStore | None = None) -> None:
        self.store = store or ChainStore(IN_MEMORY)
        self.tree = Tree(MINE.ledger, self.store)

    def add(self, data: bytes, sender: str = "edge1", *, asked: bool = True, now_ms: int = LATER_MS) -> bool:
        added = self.tree.add(data, now_ms, 0, sender, asked=asked)
        self.keep()
        return added.new

    def keep(self) -> None:
        grown = self.tree.grown()
        if grown is not None:
            self.store.keep(grown)

    def refused(
        self, data: bytes, sender: str = "edge1", *, asked: bool = True, now_ms: int = LATER_MS
    ) -> Reason:
        with pytest.raises(Rejected) as caught:
            self.add(data, sender, asked=asked, now_ms=now_ms)
        return caught.value.reason

    def pay(self) -> list[dict[str, int]]:
        return rewards((stored.works for stored in self.store.after(0)), CHAIN.window_blocks)

    def chain(self) -> list[bytes]:
        return [stored.place.hash for stored in self.store.after(0)]


@dataclass
class Wood:
    """Blocks on one another, as they were made."""

    datas: list[bytes]
    states: list[State]


def grown_wood(seed: int, blocks: int) -> Wood:
    """Each block stands on one of the last few: forks of any shape, with shares and verdicts here and there."""
    rng = random.Random(seed)
    mine = Mine(NET)
    wood = Wood([], [mine.genesis])
    for _ in range(blocks):
        parent = rng.choice(wood.states[-4:])
        transactions = []
        if parent.terms is not None:
            if rng.random() < 0.6:
                transactions.append(mine.shares(parent, rng.choice(["m01", "m02"]), rng.randrange(1, 4)))
            if rng.random() < 0.1 and "m03" not in parent.offences:
                transactions.append(mine.verdict("m03"))
        time_ms = mine.time_after(parent) - rng.choice([0, 8_000])
        data = mine.block(parent, rng.choice(["m01", "m02", "m04"]), *transactions, time_ms=time_ms)
        if data not in wood.datas:
            wood.datas.append(data)
            wood.states.append(mine.checked(parent, data).state)
    return wood


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_chain_and_the_same_pay(seed: int, rng: random.Random) -> None:
    wood = grown_wood(seed, 18)
    found = []
    for order in (wood.datas, wood.datas[::-1], rng.sample(wood.datas, len(wood.datas))):
        kept = Kept()
        for data in order:
            with suppress(Rejected):  # as an orphan, which is here all the same
                kept.add(data)
            kept.keep()
        assert kept.tree.orphans == 0
        found.append((kept.tree.tip, kept.chain(), kept.pay()))
    assert found[0] == found[1] == found[2]
    best = max(state.total_work for state in wood.states)
    assert found[0][0].hash == min(one.hash for one in wood.states if one.total_work == best)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 18))
def test_a_tree_goes_on_from_its_disk(seed: int, at: int) -> None:
    wood = grown_wood(seed, 18)
    whole, first = Kept(), Kept()
    for data in wood.datas:
        whole.add(data)
    for data in wood.datas[:at]:
        first.add(data)
    again = Kept(first.store)
    assert again.tree.tip == first.tree.tip
    for data in wood.datas:
        assert again.add(data) == (data not in wood.datas[:at])
    assert (again.tree.tip, again.chain(), again.pay()) == (whole.tree.tip, whole.chain(), whole.pay())


def test_nothing_is_paid_twice_on_any_chain_whatever_is_shown_again() -> None:
    mine = Mine(NET)
    first = mine.after(mine.genesis)
    batch = mine.shares(first, "m01", 3)
    one = mine.block(first, "m01", batch)
    other = mine.block(first, "m02", batch)  # another chain pays it itself
    kept = Kept()
    kept.add(mine.block(mine.genesis))
    for data in (one, other):
        kept.add(data)
    after = kept.tree.tip
    for _ in range(STALE_BLOCKS + 3):
        assert kept.refused(mine.block(after, "m02", batch)) in (Reason.REPLAYED, Reason.STALE)
        data = mine.block(after, "m02")
        kept.add(data)
        after = kept.tree.tip
    assert sum(stored.works.get("m01", 0) for stored in kept.store.after(0)) == 12


@pytest.fixture(scope="module")
def long() -> Wood:
    """One chain of many blocks."""
    mine = Mine(NET)
    wood = Wood([], [mine.genesis])
    for height in range(MAX_STATES + 3 * SNAPSHOT_EVERY):
        parent = wood.states[-1]
        some = (mine.shares(parent, "m01", 2),) if height and height % 5 == 0 else ()
        wood.datas.append(mine.block(parent, "m01", *some))
        wood.states.append(mine.checked(parent, wood.datas[-1]).state)
    return wood


def test_a_state_that_is_not_in_memory_is_rebuilt_as_it_was(long: Wood) -> None:
    kept = Kept()
    for data in long.datas:
        kept.add(data)
    assert len(kept.tree._states) <= MAX_STATES
    for height in (0, 1, SNAPSHOT_EVERY - 1, SNAPSHOT_EVERY, SNAPSHOT_EVERY + 1, 2 * SNAPSHOT_EVERY + 40):
        assert kept.tree.state(long.states[height].hash) == long.states[height]


def test_a_branch_from_far_back_is_taken_where_it_was_asked_for(long: Wood) -> None:
    kept = Kept()
    for data in long.datas:
        kept.add(data)
    base = long.states[-MAX_BEHIND - 20]
    branch = MINE.block(base, "m02")
    assert kept.refused(branch, asked=False) is Reason.STALE
    assert kept.add(branch)
    assert kept.tree.tip == long.states[-1]


def test_what_is_kept_is_the_way_from_one_chain_to_the_other() -> None:
    kept = Kept()
    first = MINE.after(MINE.genesis)
    kept.add(MINE.block(MINE.genesis))
    one, two = first, first
    for _ in range(5):
        kept.add(MINE.block(one, "m01"))
        one = MINE.after(one, "m01")
    assert kept.chain()[-1] == one.hash
    for _ in range(7):
        kept.add(MINE.block(two, "m02"))
        two = MINE.after(two, "m02")
    assert kept.tree.tip == two
    assert len(kept.chain()) == 8
    assert kept.store.place(one.hash) is not None


def test_more_blocks_than_states_may_be_added_before_they_are_kept(
    long: Wood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_STATES", 8)
    kept = Kept()
    for data in long.datas[:60]:
        kept.tree.add(data, LATER_MS, 0, "edge1")
    side = MINE.block(long.states[20], "m02")
    kept.tree.add(side, LATER_MS, 0, "edge1")
    kept.keep()
    assert kept.chain() == [state.hash for state in long.states[1:61]]


# --- what is refused ----------------------------------------------------------------------------------------


def test_blocks_without_a_parent_wait_in_bounds_and_a_flood_of_one_sender_costs_no_other(long: Wood) -> None:
    kept = Kept()
    for data in long.datas[2:10]:
        assert kept.refused(data, "edge2") is Reason.ORPHAN
    for data in long.datas[10 : 10 + 3 * MAX_ORPHANS]:
        assert kept.refused(data, "edge1") is Reason.ORPHAN
        assert kept.tree.orphans <= MAX_ORPHANS
    kept.add(long.datas[0])
    kept.add(long.datas[1])
    assert kept.tree.tip.height >= 10, "those of edge2 are there still"


def test_nothing_stands_on_an_invalid_block() -> None:
    kept = Kept()
    first = MINE.after(MINE.genesis)
    kept.add(MINE.block(MINE.genesis))
    batch = MINE.shares(first, "m01")
    bad = MINE.block(first, "m01", batch, batch)
    assert kept.refused(bad) is Reason.REPLAYED
    child = Rooted(bad).child()
    assert kept.refused(child) is Reason.BAD_CHAIN
    assert kept.refused(Rooted(child).child()) is Reason.BAD_CHAIN
    assert kept.tree.orphans == 0


def test_who_breaks_a_blocks_envelope_does_not_keep_the_block_out() -> None:
    kept = Kept()
    kept.add(MINE.block(MINE.genesis))
    data = MINE.block(MINE.after(MINE.genesis))
    assert kept.refused(data[:-1] + bytes([data[-1] ^ 1])) is Reason.BAD_SIGNATURE
    assert kept.refused(data + b"\0") is Reason.MALFORMED
    assert kept.add(data)
    assert kept.add(MINE.block(kept.tree.tip)), "nor what stands on it"


def test_a_block_of_a_time_to_come_may_come_again() -> None:
    kept = Kept()
    data = MINE.block(MINE.genesis)
    assert kept.refused(data, now_ms=T0_MS - 1) is Reason.FUTURE
    assert kept.tree.orphans == 0
    assert kept.add(data, now_ms=T0_MS)


def test_a_cheap_block_on_an_old_one_costs_no_rebuilding(long: Wood) -> None:
    kept = Kept()
    for data in long.datas:
        kept.add(data)
    before = list(kept.tree._states)
    cheap = MINE.block(long.states[3], "m01", work=1)
    assert kept.refused(cheap) is Reason.BAD_CHAIN
    assert list(kept.tree._states) == before


class Rooted:
    """An invalid block as a parent: what stands on it is as if it was valid."""

    def __init__(self, data: bytes) -> None:
        self.read = read_block(MINE.ledger.network, data)

    def child(self) -> bytes:
        header = self.read.header
        return MINE.block(
            MINE.after(MINE.genesis), "m01", parent=self.read.hash, height=header.height + 1, work=header.work
        )


def test_a_branch_that_was_given_up_is_said_and_nothing_stops(tmp_path: Path) -> None:
    store = ChainStore(tmp_path / "chain.sqlite")
    kept = Kept(store)
    state = MINE.after(MINE.genesis)
    kept.add(MINE.block(MINE.genesis))
    one = state
    for _ in range(6):
        kept.add(MINE.block(one, "m01"))
        one = MINE.after(one, "m01")
    side = MINE.after(state, "m02")
    kept.add(MINE.block(state, "m02"))
    tail = MINE.after(side, "m02")
    kept.add(MINE.block(side, "m02"))
    store._db.execute("DELETE FROM block WHERE hash = ?", (side.hash,))
    again = Kept(store)
    assert again.refused(MINE.block(tail, "m02")) is Reason.STALE
    assert again.tree.tip == one
