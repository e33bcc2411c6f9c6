"""Nodes of one ledger: they agree, pay what was shown, anchor verdicts, and come back to each other after any cut."""

from __future__ import annotations

import random

import pytest

from mint.errors import Reason
from mint.messages.chain import MAX_REPLY_BLOCKS, ShareBatch
from tests.chain.fog import Fog
from tests.chain.mine import Mine, net

NET = net(miners=4, devices=3)  # m01 and m04 on edge1, m02 on edge2, m03 on edge3
MINERS = ("m01", "m02", "m03", "m04")


def paid(fog: Fog, name: str = "edge1") -> dict[str, int]:
    """Work of the shares on the chain, by miner."""
    works: dict[str, int] = {}
    for stored in fog.peers[name].store.after(0):
        for miner, work in stored.works.items():
            works[miner] = works.get(miner, 0) + work
    return works


def test_a_new_network_begins_a_chain_and_all_have_the_same() -> None:
    fog = Fog(NET)
    fog.run(12)
    assert len(fog.tips()) == 1
    tip = fog.peers["edge1"].node.tree.tip
    assert tip.height == 12
    assert tip.terms is not None
    assert tip.terms.sealed.hash == NET.sealed.hash
    for peer in fog.peers.values():
        assert [stored.place.height for stored in peer.store.after(0)] == list(range(1, 13))
        assert peer.member.rejections.by_reason == {}


def test_every_share_that_was_shown_is_paid_once() -> None:
    fog = Fog(NET)
    fog.run(20)
    fog.pass_time(30)
    fog.run(3, ["m01"])
    counted = {name: peer.node.totals[name] for peer in fog.peers.values() for name in peer.node.totals}
    # A share each a block, and the block itself, found by each in turn.
    assert counted["m02"] == 20 + 5
    works = paid(fog)
    for miner in ("m02", "m03", "m04"):
        assert works[miner] == 4 * counted[miner]
    assert works["m01"] <= 4 * counted["m01"]


def test_a_batch_says_which_samples_count_its_shares_whenever_the_agent_began() -> None:
    fog = Fog(NET)
    fog.run(3)
    old = fog.peers["edge2"]
    again = fog.start("edge2", old.store)
    assert again.node.totals == old.node.totals
    assert again.node.totals["m02"] >= 3
    fog.said.clear()
    fog.mine("m02")
    fog.run(2, ["m01", "m02"])
    batches = [
        NET.message(data, ShareBatch) for topic, data in fog.said if topic == fog.topics.share("edge2")
    ]
    session = again.member.signer.session
    assert (batches[0].session, batches[0].sequence) == (session, 0)
    assert [batch.session for batch in batches] == [session] * len(batches)
    assert batches[-1].sequence > 0
    assert [batch.entries[0].total for batch in batches] == sorted(
        batch.entries[0].total for batch in batches
    )


def test_a_device_that_lost_its_disk_says_so_and_never_counts_what_it_did_not_find(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fog = Fog(NET)
    fog.run(6)
    fog.start("edge2", quiet=True)  # with an empty disk
    fog.run(4, ["m01", "m02"])
    new = fog.peers["edge2"]
    assert len(fog.tips()) == 1
    counted = new.node.totals["m02"]
    assert 4 <= counted < 8
    assert new.node.tree.tip.totals["m02"] > counted
    assert caplog.text.count("shares of m02 and this disk") == 1
    # The operator takes the miner out of the charter and in again: it begins anew.
    without = NET.next_version(miners=[one for one in NET.charter.miners if one.name != "m02"])
    for version, sealed in ((2, without), (3, NET.next_version(version=3))):
        for peer in fog.peers.values():
            fog.receive(peer, fog.topics.charter(), sealed.data)
        fog.run(1, ["m01"])
        assert fog.peers["edge1"].node.tree.tip.charters[-1].charter.version == version
    before = paid(fog).get("m02", 0)
    fog.run(4, ["m01", "m02"])
    assert paid(fog)["m02"] > before


def test_a_late_joiner_asks_for_ranges_and_has_the_same() -> None:
    fog = Fog(NET, ["edge1", "edge2"])
    fog.pass_time(15)  # until nobody else is expected
    fog.run(130, ["m01", "m02"])
    late = fog.start("edge3", quiet=True)
    assert late.node.works() == {}
    fog.carry_out(late, late.node.connected(fog.now))
    fog.settle()
    assert late.node.tree.tip == fog.peers["edge1"].node.tree.tip
    assert paid(fog, "edge3") == paid(fog)
    assert late.node.works()
    replies = [topic for topic, _ in fog.said if topic == fog.topics.block_reply("edge3")]
    assert 3 <= len(replies) <= 4
    fog.run(3)
    assert len(fog.tips()) == 1


def test_who_was_cut_off_finds_back_by_what_it_hears_or_after_a_minute_at_most() -> None:
    fog = Fog(NET)
    fog.run(5)
    fog.peers["edge3"].cut = True
    fog.run(5, ["m01", "m02"])
    assert fog.peers["edge3"].node.tree.tip.height == 5
    fog.peers["edge3"].cut = False
    fog.run(1, ["m01"])  # which it cannot place
    assert len(fog.tips()) == 1
    assert fog.peers["edge3"].refused(Reason.ORPHAN) == 1
    fog.peers["edge3"].cut = True
    fog.run(5, ["m01", "m02"])
    fog.peers["edge3"].cut = False
    fog.pass_time(95)
    assert len(fog.tips()) == 1


def test_two_parts_of_a_network_become_one_by_the_most_work() -> None:
    fog = Fog(NET)
    fog.run(5)
    apart = fog.peers["edge3"]
    before = apart.node.tree.tip.height
    apart.cut = True
    for _ in range(25):  # alone
        fog.pass_time(5)
        fog.mine("m03", block=True)
    lonely = apart.node.tree.tip
    assert lonely.height == before + 25
    fog.run(60, ["m01", "m02"])
    apart.cut = False
    fog.run(2, ["m01"])
    assert len(fog.tips()) == 1
    heavier = fog.peers["edge1"].node.tree.tip
    assert heavier.total_work > lonely.total_work
    assert apart.store.on_chain(before + 25) != lonely.hash
    assert [stored.place.hash for stored in apart.store.after(0)] == [
        stored.place.hash for stored in fog.peers["edge1"].store.after(0)
    ]


def test_a_branch_wins_that_has_more_work_only_after_several_replies() -> None:
    fog = Fog(NET)
    fog.run(3)
    apart = fog.peers["edge3"]
    apart.cut = True
    fog.run(45, ["m01"])
    before = fog.peers["edge1"].node.tree.tip
    for _ in range(110):  # after a pause, so that each is less work
        fog.pass_time(10)
        fog.mine("m03", block=True)
    branch = [stored.place for stored in apart.store.after(3)]
    assert branch[MAX_REPLY_BLOCKS].total_work < before.total_work < branch[-1].total_work
    apart.cut = False
    fog.pass_time(20)
    fog.mine("m03", block=True)
    assert len(fog.tips()) == 1
    assert fog.peers["edge1"].store.on_chain(before.height) != before.hash


def test_honest_miners_anchor_a_verdict_and_its_miner_mines_for_nothing() -> None:
    fog = Fog(NET)
    fog.run(4)
    verdict = Mine(NET).verdict("m02")
    fog.say(fog.topics.verdict("det1", "m02"), verdict)
    fog.settle()
    fog.run(1, ["m01"])
    height = fog.peers["edge1"].node.tree.tip.height
    bars = fog.peers["edge3"].node.tree.tip.bars
    assert [(bar.miner, bar.first, bar.last) for bar in bars] == [("m02", height + 1, height + 6)]
    before = paid(fog)["m02"]
    # Its agent is honest and gives it work; what it finds is no block and its shares are not paid.
    said = len(fog.said)
    assert fog.mine("m02", block=True)
    assert not [topic for topic, _ in fog.said[said:] if topic == fog.topics.block()]
    assert fog.peers["edge2"].refused(Reason.BARRED) == 1
    fog.run(6, ["m01", "m03"])
    fog.pass_time(20)
    fog.run(2, ["m01"])
    assert paid(fog)["m02"] == before
    fog.run(4, ["m02"])
    assert paid(fog)["m02"] > before
    assert len(fog.tips()) == 1


def test_honest_miners_anchor_a_lie_about_shares_once() -> None:
    fog = Fog(NET)
    fog.run(4)
    for by in ("det1", "det2"):
        fog.say(fog.topics.fault(by), Mine(NET).lie("m02", by=by))
    fog.settle()
    fog.run(3, ["m01"])
    assert [bar.miner for bar in fog.peers["edge3"].node.tree.tip.bars] == ["m02"]
    assert fog.mine("m02", block=True)
    assert fog.peers["edge2"].refused(Reason.BARRED) == 1
    fog.say(fog.topics.fault("det1"), Mine(NET).lie("m02", 20))
    fog.settle()
    fog.run(1, ["m01"])
    assert [bar.miner for bar in fog.peers["edge3"].node.tree.tip.bars] == ["m02"]
    assert len(fog.tips()) == 1


def test_a_new_charter_is_anchored_by_whoever_has_it_first() -> None:
    fog = Fog(NET)
    fog.run(3)
    newer = NET.next_version(title="newer")
    fog.say(fog.topics.charter(), newer.data)
    for peer in fog.peers.values():
        fog.receive(peer, fog.topics.charter(), newer.data)
    fog.run(2)
    for peer in fog.peers.values():
        assert [one.charter.version for one in peer.node.tree.tip.charters] == [1, 2]
        assert not peer.node.ended


def test_a_charter_with_another_ledger_ends_this_one() -> None:
    fog = Fog(NET)
    fog.run(2)
    peer = fog.peers["edge1"]
    fog.receive(peer, fog.topics.charter(), NET.next_version(chain=None).data)
    assert peer.node.ended
    assert peer.node.works() == {}
    fog.pass_time(60)
    assert peer.node.works() == {}


@pytest.mark.parametrize("seed", range(5))
def test_nodes_that_hear_things_in_any_order_agree_on_chain_and_pay(seed: int) -> None:
    rng = random.Random(seed)
    fog = Fog(NET, shuffle=rng)
    for _ in range(60):
        fog.pass_time(rng.uniform(0, 6))
        miner = rng.choice(MINERS)
        fog.mine(miner, block=rng.random() < 0.5, settle=rng.random() < 0.6)
        cut = rng.choice(list(fog.peers.values()))
        if rng.random() < 0.1:
            cut.cut = not cut.cut
    for peer in fog.peers.values():
        peer.cut = False
    fog.settle()
    fog.pass_time(125)
    fog.run(1, ["m01"])
    assert len(fog.tips()) == 1
    assert paid(fog, "edge1") == paid(fog, "edge2") == paid(fog, "edge3")
