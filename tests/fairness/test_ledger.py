"""The chain that an hour's shares make: on small chains, to the last unit paid, what the real rules make of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mint.chain.penalties import barred
from mint.chain.rewards import REWARD, Window
from tests.fairness.real import CHAIN, CHEAT, NAMES, NET, Real, judged


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_chain_that_the_real_rules_make_of_the_same_hashes(seed: int) -> None:
    rng = random.Random(seed)
    real = Real(rng)
    verdicts = judged(real, rng)
    for _ in range(500):
        real.hash()
    ledger = real.ledger(verdicts)
    # Something happened: blocks were found, and the cheat was barred for some.
    assert len(real.blocks) > 10
    assert ledger.void.any()
    assert ledger.at_ns.tolist() == [at_ns for at_ns, _, _ in real.blocks]
    assert [NAMES[row] for row in ledger.finder] == [miner for _, miner, _ in real.blocks]
    window = Window(CHAIN.window_blocks)
    for row, (_, _, works) in zip(ledger.rewards.tolist(), real.blocks, strict=True):
        paid = window.block(works)
        assert row == [paid.get(name, 0) for name in NAMES]
    height = len(real.blocks) + 1
    assert [bool(one) for one in ledger.void[-1]] == [
        barred(real.state.bars, NET.charter, name, (height,)) is not None for name in NAMES
    ]


def test_every_block_pays_all_of_its_reward_to_those_whose_shares_count() -> None:
    rng = random.Random(9)
    real = Real(rng)
    verdicts = judged(real, rng)
    for _ in range(400):
        real.hash()
    ledger, cheat = real.ledger(verdicts), NAMES.index(CHEAT)
    assert set(ledger.rewards.sum(axis=1).tolist()) <= {0, REWARD}
    assert (ledger.rewards >= 0).all()
    barred_at = np.flatnonzero(ledger.void[:-1, cheat])
    assert len(barred_at)
    assert not (ledger.finder[barred_at] == cheat).any()
    # Shares that it found while barred are paid by no block, then or later.
    own = np.searchsorted(ledger.at_ns, np.array([at_ns for at_ns, _, _ in real.found]))
    row = np.array([row for _, row, _ in real.found])
    assert not ledger.paid[(row == cheat) & ledger.void[own, cheat]].any()
