"""A device that says anything: forged from all that was said, signed with its key, with work where that is cheap.

Nothing is raised for it, honest devices agree, and are paid.
"""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mint.chain.rules import root_of
from mint.errors import Rejected
from mint.messages.chain import Block
from tests.builders import T0_MS, key_of
from tests.chain.fog import Fog
from tests.chain.mine import Mine, net
from tests.fuzz.bend import bent
from tests.fuzz.forge import Forger

NET = net(miners=4, devices=3)  # m01 and m04 on edge1, m02 on edge2, m03 on edge3
MINE = Mine(NET)
LIAR = "edge3"
# Work that the liar is ready to spend on a lie, in hashes.
CHEAP = 200


class Liar:
    """Has the key of edge3, and hears everything."""

    def __init__(self, fog: Fog, rng: random.Random) -> None:
        self._fog, self._rng = fog, rng
        self._forger = Forger(NET.network, {LIAR: key_of(LIAR)}, NET.sealed.trust().members)
        self.told = 0

    def tell(self) -> None:
        rng, fog = self._rng, self._fog
        topic, data = rng.choice(fog.said[-60:])
        others = [data for _, data in rng.sample(fog.said, min(4, len(fog.said)))]
        forged = self._forger.forged(rng, data, others, fog.now.wall_ms)
        if rng.random() < 0.6:
            forged = self._worked_for(forged)
        if rng.random() < 0.1:
            topic = rng.choice(fog.said)[0]
        fog.say(topic, forged, to=rng.choice([None, None, "edge1"]))
        self.told += 1

    def _worked_for(self, data: bytes) -> bytes:
        """With the root and the nonce that it needs, if it is a block."""
        try:
            opened = NET.opened(data)
        except Rejected:
            return data
        block = opened.message
        if not isinstance(block, Block) or block.header.work > CHEAP:
            return data
        header = MINE.solved(msgspec.structs.replace(block.header, root=root_of(block.transactions), nonce=0))
        return NET.signer(LIAR).object(Block(header, block.transactions))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_one_device_says_the_others_mine_on_together(seed: int) -> None:
    rng = random.Random(seed)
    fog = Fog(NET)
    fog.run(6)
    verdict = MINE.verdict("m02")
    fog.say(fog.topics.verdict("det1", "m02"), verdict)
    fog.settle()
    liar = Liar(fog, rng)
    for _ in range(25):
        for _ in range(8):
            liar.tell()
            if rng.random() < 0.3:
                fog.settle()
        fog.pass_time(rng.uniform(1, 8))
        fog.mine(rng.choice(["m01", "m02", "m04"]), block=rng.random() < 0.5)
    honest = [fog.peers[name] for name in ("edge1", "edge2")]
    before = honest[0].node.totals
    fog.pass_time(125)
    for _ in range(8):
        fog.pass_time(10)
        for miner in ("m01", "m02", "m04"):
            fog.mine(miner)
        fog.mine("m01", block=True)
    assert len({peer.node.tree.tip.hash for peer in honest}) == 1
    tip = honest[0].node.tree.tip
    assert tip.height >= 14
    assert sum(honest[0].member.rejections.by_reason.values()) > 50
    # What m01 found since then is on the chain, but for what was found after the last block was begun.
    assert tip.totals["m01"] >= before["m01"] + 8
    for miner in ("m01", "m04"):
        assert tip.totals[miner] <= honest[0].node.totals[miner], "nobody shows shares in its name"


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_bytes_of_any_kind_are_refused_and_raise_nothing(rng: random.Random) -> None:
    fog, said = BASE
    peer = fog.peers["edge1"]
    topic, data = rng.choice(said)
    others = [data for _, data in rng.sample(said, 3)]
    before = sum(peer.member.rejections.by_reason.values())
    mutant = bent(rng, data, others)
    fog.receive(peer, topic, mutant)
    assert sum(peer.member.rejections.by_reason.values()) >= before
    assert peer.node.tree.tip.height == 6


def _base() -> tuple[Fog, list[tuple[str, bytes]]]:
    fog = Fog(NET)
    fog.run(6)
    assert fog.now.wall_ms > T0_MS
    return fog, list(fog.said)


BASE = _base()
