"""What others may say to a node of the ledger, and that it costs them and not us: refused by reason, and bounded."""

from __future__ import annotations

import msgspec
import pytest

from agents.pow.chain.node import ANSWER_BURST, BURST, Node
from agents.pow.chain.tree import MAX_ORPHANS
from agents.pow.work import Work
from mint import kinds
from mint.chain.header import meets, pow_hash
from mint.effects import Now
from mint.envelope import Envelope, Signer
from mint.errors import Reason
from mint.messages.chain import MAX_REPLY_BLOCKS, Block, BlockReply, BlockRequest, Header
from mint.wire import decode, encode
from tests.builders import T0_MS, key_of
from tests.chain.fog import Fog, Peer
from tests.chain.mine import INTERVAL_MS, Mine, net

NET = net(miners=4, devices=3)  # m01 and m04 on edge1, m02 on edge2, m03 on edge3
MINE = Mine(NET)


@pytest.fixture
def fog() -> Fog:
    fog = Fog(NET)
    fog.run(5)
    return fog


@pytest.fixture
def victim(fog: Fog) -> Peer:
    return fog.peers["edge1"]


def goes_on(fog: Fog) -> None:
    """All of them mine on, together."""
    before = max(peer.node.tree.tip.height for peer in fog.peers.values())
    fog.run(4)
    assert len(fog.tips()) == 1
    assert fog.peers["edge1"].node.tree.tip.height == before + 4


def block_after(fog: Fog, miner: str = "m03", **changes: object) -> bytes:
    tip = fog.peers["edge1"].node.tree.tip
    return MINE.block(tip, miner, time_ms=changes.pop("time_ms", fog.now.wall_ms), **changes)  # type: ignore[arg-type]


def test_invalid_blocks_are_refused_by_reason_and_what_stands_on_them_too(fog: Fog, victim: Peer) -> None:
    tip = victim.node.tree.tip
    batch = MINE.shares(tip, "m03")
    for data, reason in (
        (block_after(fog, work=tip.next_work + 1), Reason.BAD_CHAIN),
        (block_after(fog, height=9), Reason.BAD_CHAIN),
        (block_after(fog, root=bytes(32)), Reason.BAD_CHAIN),
        (block_after(fog, time_ms=tip.median_ms), Reason.WRONG_TIME),
        (block_after(fog, by="edge2"), Reason.UNKNOWN_SENDER),
        (MINE.block(tip, "m03", batch, batch, time_ms=fog.now.wall_ms), Reason.REPLAYED),
    ):
        before = victim.refused(reason)
        fog.say(fog.topics.block(), data)
        fog.settle()
        assert victim.refused(reason) == before + 1, reason
        assert victim.node.tree.tip == tip
    goes_on(fog)


def test_a_block_without_work_is_no_block(fog: Fog, victim: Peer) -> None:
    tip = victim.node.tree.tip
    header = Header(tip.hash, bytes(32), "m03", tip.height + 1, fog.now.wall_ms, 2**50, 1)
    fog.say(fog.topics.block(), NET.signer("edge3").object(Block(header, ())))
    fog.settle()
    assert victim.refused(Reason.TOO_LITTLE_WORK) == 1


def test_who_is_not_in_the_charter_or_signs_for_another_is_not_heard(fog: Fog, victim: Peer) -> None:
    data = block_after(fog)
    envelope = decode(data, Envelope)
    stranger = Signer("edge3", key_of("stranger"), NET.network)
    header = Header(bytes(32), bytes(32), "m03", 1, 1, 1, 1)
    for wrong, reason in (
        (encode(Envelope(envelope.body, bytes(64))), Reason.BAD_SIGNATURE),
        (stranger.object(Block(header, ())), Reason.BAD_SIGNATURE),
        (Signer("edge9", key_of("edge9"), NET.network).object(Block(header, ())), Reason.UNKNOWN_SENDER),
        (NET.signer("det1").object(Block(header, ())), Reason.WRONG_ROLE),
        (data + b"\0", Reason.MALFORMED),
        (bytes(kinds.MAX_BYTES + 1), Reason.OVERSIZE),
        (NET.signer("edge3").object(Block(header, (bytes(kinds.MAX_BLOCK_BYTES),))), Reason.OVERSIZE),
    ):
        before = victim.refused(reason)
        fog.say(fog.topics.block(), wrong)
        fog.settle()
        assert victim.refused(reason) == before + 1, reason
    goes_on(fog)


def test_a_block_that_is_here_is_counted_once_more_and_changes_nothing(fog: Fog, victim: Peer) -> None:
    data = block_after(fog)
    for _ in range(3):
        fog.say(fog.topics.block(), data)
    fog.settle()
    assert victim.refused(Reason.REPLAYED) == 2
    goes_on(fog)


def test_a_flood_of_blocks_is_not_checked_and_others_are(fog: Fog, victim: Peer) -> None:
    tip = victim.node.tree.tip
    flood = [block_after(fog, "m03", nonce=1000 * n) for n in range(BURST + 20)]
    for data in flood:
        fog.say(fog.topics.block(), data)
    fog.settle()
    assert victim.refused(Reason.TOO_OFTEN) == 20
    assert victim.node.tree.tip.height == tip.height + 1
    goes_on(fog)


def test_orphans_are_bounded_and_their_sender_is_asked_for_what_is_missing(fog: Fog, victim: Peer) -> None:
    orphan = block_after(fog, parent=b"x" * 32)
    fog.say(fog.topics.block(), orphan)
    fog.settle()
    asked = [data for topic, data in fog.said if topic == fog.topics.block_request()]
    assert NET.message(asked[-1], BlockRequest).holder == "edge3"
    for number in range(2 * MAX_ORPHANS):
        fog.pass_time(INTERVAL_MS / 1000)
        fog.say(fog.topics.block(), block_after(fog, parent=number.to_bytes(32, "big")))
        fog.settle()
        assert victim.node.tree.orphans <= MAX_ORPHANS
    assert victim.node.tree.orphans == MAX_ORPHANS
    goes_on(fog)


def test_a_block_of_a_time_to_come_is_asked_for_when_it_has_come(fog: Fog, victim: Peer) -> None:
    tolerance_ms = NET.charter.clock_tolerance_ms
    early = block_after(fog, "m03", time_ms=fog.now.wall_ms + tolerance_ms + 5_000)
    apart = fog.peers["edge3"]
    # edge3's clock is fast: it has that block itself.
    fast = Now(fog.now.monotonic_ns, fog.now.wall_ms + 60_000)
    apart.node.tree.add(early, fast.wall_ms, tolerance_ms, "edge3")
    for effect in apart.node._grown(fast)[:1]:
        fog.carry_out(apart, [effect])
    fog.say(fog.topics.block(), early)
    fog.settle()
    assert victim.refused(Reason.FUTURE) == 1
    assert len(fog.tips()) == 2
    fog.pass_time(4.9)
    assert len(fog.tips()) == 2
    fog.pass_time(0.2)
    assert len(fog.tips()) == 1
    assert victim.node.tree.tip.height == 6


def test_shares_that_are_none_are_refused_by_reason(fog: Fog, victim: Peer) -> None:
    tip = victim.node.tree.tip
    good = MINE.entry(tip, "m03", 2)
    for batch, reason in (
        (MINE.batch(msgspec.structs.replace(good, nonces=bytes(160))), Reason.TOO_LITTLE_WORK),
        (MINE.batch(msgspec.structs.replace(good, nonces=good.nonces + b"x")), Reason.MALFORMED),
        (MINE.batch(MINE.entry(tip, "m02"), by="edge3"), Reason.IMPOSSIBLE),
        (MINE.batch(MINE.entry(tip, "m03", height=10**9)), Reason.ORPHAN),
        (MINE.batch(*[msgspec.structs.replace(good, nonces=bytes(40_000))] * 2), Reason.OVERSIZE),
        (MINE.batch(good, fog="fog2"), Reason.WRONG_NETWORK),
        (MINE.batch(good, device="edge2", by="edge3"), Reason.WRONG_NETWORK),
    ):
        before, waiting = victim.refused(reason), len(victim.node._pool)
        fog.say(fog.topics.share("edge3"), batch)
        fog.settle()
        assert (victim.refused(reason), len(victim.node._pool)) == (before + 1, waiting), reason
    goes_on(fog)


def test_shares_are_held_once_and_a_flood_of_them_is_not_looked_at(fog: Fog, victim: Peer) -> None:
    tip = victim.node.tree.tip
    batches = [MINE.shares(tip, "m03", 1, start=1000 * n) for n in range(BURST + 5)]
    waiting = len(victim.node._pool)
    fog.pass_time(60)
    for data in (batches[0], *batches):
        fog.say(fog.topics.share("edge3"), data)
    fog.settle()
    assert (victim.refused(Reason.REPLAYED), victim.refused(Reason.TOO_OFTEN)) == (1, 6)
    assert len(victim.node._pool) == waiting + BURST - 1
    goes_on(fog)


def test_shares_of_no_block_of_the_last_are_stale(fog: Fog, victim: Peer) -> None:
    batch = MINE.shares(MINE.genesis, "m03")
    fog.run(20)
    fog.say(fog.topics.share("edge3"), batch)
    fog.settle()
    assert victim.refused(Reason.STALE) == 1


def test_what_waits_goes_when_no_block_can_hold_it_any_more(fog: Fog, victim: Peer) -> None:
    for number in range(10):
        fog.say(fog.topics.share("edge3"), MINE.shares(victim.node.tree.tip, "m03", 1, start=number * 1000))
    fog.settle()
    fog.run(40)
    assert len(victim.node._pool) < 60


def test_verdicts_that_prove_nothing_are_refused(fog: Fog, victim: Peer) -> None:
    verdict = decode(MINE.verdict("m02"), Envelope)
    fog.say(fog.topics.verdict("det1", "m02"), encode(Envelope(verdict.body, bytes(64))))
    fog.settle()
    assert victim.refused(Reason.BAD_SIGNATURE) == 1
    opened = NET.opened(MINE.verdict("m02"))
    few = msgspec.structs.replace(opened.message, votes=())
    fog.say(fog.topics.verdict("det1", "m02"), NET.signer("det1").object(few))
    fog.settle()
    assert victim.refused(Reason.NO_QUORUM) == 1
    goes_on(fog)


# --- asking and answering -----------------------------------------------------------------------------------


def asks(fog: Fog, signer: Signer, holder: str = "edge1", client: str = "edge3") -> None:
    request = BlockRequest(client, holder, (bytes(32), MINE.genesis.hash), 3)
    fog.say(fog.topics.block_request(), signer.stream(request, fog.topics.block_request(), fog.now.wall_ms))
    fog.settle()


def answers(fog: Fog) -> list[BlockReply]:
    topic = fog.topics.block_reply("edge3")
    return [NET.message(data, BlockReply) for where, data in fog.said if where == topic]


def test_requests_are_answered_once_in_ones_own_name_and_not_without_end(fog: Fog, victim: Peer) -> None:
    signer = NET.signer("edge3", 99)
    fog.said.clear()
    asks(fog, signer)
    assert [len(reply.blocks) for reply in answers(fog)] == [3]
    asks(fog, signer, holder="edge2")
    asks(fog, signer, client="edge2")
    assert victim.refused(Reason.IMPOSSIBLE) == 1
    data = signer.stream(BlockRequest("edge3", "edge1", (), 1), fog.topics.block_request(), fog.now.wall_ms)
    for _ in range(2):
        fog.say(fog.topics.block_request(), data)
    fog.settle()
    assert victim.refused(Reason.REPLAYED) == 1
    before = len(answers(fog))
    for _ in range(ANSWER_BURST + 10):
        asks(fog, signer)
    assert victim.refused(Reason.TOO_OFTEN) == 10 + before - 1
    goes_on(fog)


def test_who_knows_nothing_of_ours_gets_nothing_and_all_of_it_from_the_genesis_on(
    fog: Fog, victim: Peer
) -> None:
    fog.run(MAX_REPLY_BLOCKS)
    signer, tip = NET.signer("edge3", 99), victim.node.tree.tip
    fog.said.clear()
    for locator in ((b"x" * 32,), (MINE.genesis.hash,)):
        request = BlockRequest("edge3", "edge1", locator, MAX_REPLY_BLOCKS)
        fog.say(
            fog.topics.block_request(), signer.stream(request, fog.topics.block_request(), fog.now.wall_ms)
        )
    fog.settle()
    assert [(len(reply.blocks), reply.tip, reply.height) for reply in answers(fog)[-2:]] == [
        (0, tip.hash, tip.height),
        (MAX_REPLY_BLOCKS, tip.hash, tip.height),
    ]


def test_answers_that_were_not_asked_for_are_not_read(fog: Fog, victim: Peer) -> None:
    signer, topic = NET.signer("edge3", 99), fog.topics.block_reply("edge1")
    reply = BlockReply(bytes(32), 99, (block_after(fog),))
    fog.say(topic, signer.stream(reply, topic, fog.now.wall_ms))
    fog.settle()
    assert victim.refused(Reason.TOO_OFTEN) == 1
    assert victim.node.tree.tip.height == 5
    goes_on(fog)


def test_who_answers_with_what_is_invalid_is_left_and_another_is_asked() -> None:
    fog = Fog(NET, ["edge1", "edge2"])
    fog.pass_time(15)
    fog.run(10, ["m01", "m02"])
    late = fog.start("edge3", quiet=True)
    liar = NET.signer("edge1", 99)
    fog.peers["edge1"].cut = True
    topic = fog.topics.block_reply("edge3")
    fog.carry_out(late, late.node.connected(fog.now))
    assert late.node._catching_up.awaits("edge1")
    bad = MINE.block(MINE.genesis, "m01", height=2)
    fog.say(topic, liar.stream(BlockReply(bytes(32), 99, (bad,)), topic, fog.now.wall_ms), to="edge3")
    fog.settle()
    assert late.refused(Reason.BAD_CHAIN) == 1
    fog.pass_time(1)
    assert late.node.tree.tip.height == 10, "edge2 has answered"


def test_a_holder_that_claims_more_than_it_has_is_not_asked_for_ever(fog: Fog, victim: Peer) -> None:
    liar, topic = NET.signer("edge3", 99), fog.topics.block_reply("edge1")
    fog.peers["edge3"].cut = True
    fog.say(fog.topics.block(), block_after(fog, parent=b"x" * 32))
    fog.settle()
    assert victim.node._catching_up.awaits("edge3")
    before = len(fog.said)
    reply = BlockReply(b"x" * 32, 10**9, ())
    fog.say(topic, liar.stream(reply, topic, fog.now.wall_ms))
    fog.settle()
    assert not victim.node._catching_up.awaits("edge3")
    assert len(fog.said) <= before + 2


# --- the miners ---------------------------------------------------------------------------------------------


def nonce_of(work: Work, share: bool) -> int:
    def is_share(nonce: int) -> bool:
        return int.from_bytes(pow_hash(work.data, nonce), "big") <= work.target

    return next(n for n in range(10**6) if is_share(n) == share and not meets(pow_hash(work.data, n), 8))


def test_a_miner_that_babbles_is_counted_and_earns_nothing(fog: Fog, victim: Peer) -> None:
    node: Node = victim.node
    work = node.works()["m01"]
    before = node.totals["m01"]
    good, bad = nonce_of(work, True), nonce_of(work, False)
    for miner, id_, nonce, reason in (
        ("m01", work.id, bad, Reason.TOO_LITTLE_WORK),
        ("m01", work.id + 10**6, good, Reason.STALE),
        ("m02", work.id, good, Reason.STALE),
        ("nobody", work.id, good, Reason.STALE),
        ("m04", work.id, good, Reason.STALE),
    ):
        counted = victim.refused(reason)
        assert node.found(miner, id_, nonce, fog.now) == []
        assert victim.refused(reason) == counted + 1
    assert node.totals["m01"] == before
    node.found("m01", work.id, good, fog.now)
    node.found("m01", work.id, good, fog.now)
    assert victim.refused(Reason.REPLAYED) == 1
    assert node.totals["m01"] == before + 1


def test_a_node_holds_no_more_however_long_it_is_lied_to(fog: Fog, victim: Peer) -> None:
    assert victim.node.tree.tip.times[-1] >= T0_MS
    for number in range(100):
        fog.pass_time(6)
        tip = victim.node.tree.tip
        lies = (
            (fog.topics.block(), block_after(fog, parent=number.to_bytes(32, "big"))),
            (fog.topics.block(), block_after(fog, height=99)),
            (fog.topics.share("edge3"), MINE.shares(tip, "m03", 1, start=number * 100)),
        )
        for topic, data in lies:
            fog.say(topic, data)
        fog.settle()
        if number % 2:
            fog.mine("m01", block=True)
    node = victim.node
    assert node.tree.orphans <= MAX_ORPHANS
    assert len(node.tree._bad) <= 256
    assert len(node._pool) <= 17 * 6
    assert node.tree.tip.height > 40
    goes_on(fog)
