"""What a block may be after the one before it: valid as honest agents make it, and each rule broken in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from mint import kinds
from mint.chain.body import Body
from mint.chain.header import block_data, meets, pow_hash, target
from mint.chain.rules import better, read_block
from mint.chain.state import MAX_CHARTERS, STALE_BLOCKS, restored, snapshot
from mint.charter.model import DeviceClass
from mint.envelope import Envelope
from mint.errors import Reason, Rejected
from mint.messages.chain import Block, Header, Shares
from mint.sign_bytes import Object
from mint.wire import decode, encode
from tests.builders import T0_MS, key_of
from tests.chain.mine import CHAIN, Mine, net

NET = net()
MINE = Mine(NET)
# The states of one chain, by height.
STATES = [MINE.genesis]
for _ in range(10):
    STATES.append(MINE.after(STATES[-1]))
TENTH = STATES[10]


@contextmanager
def refused(reason: Reason, match: str | None = None) -> Iterator[None]:
    with pytest.raises(Rejected, match=match) as caught:
        yield
    assert caught.value.reason is reason, str(caught.value)


# --- the header -----------------------------------------------------------------------------------------


def test_a_header_is_hashed_as_the_protocol_says() -> None:
    header = Header(b"p" * 32, b"r" * 32, "m01", 258, 3, 4, 2**64 - 1)
    data = block_data(b"n" * 32, header)
    said = (
        b"n" * 32
        + b"p" * 32
        + b"r" * 32
        + b"m01"
        + bytes(29)
        + b"".join(n.to_bytes(8, "big") for n in (258, 3, 4))
    )
    assert (data, len(data)) == (said, 152)
    shares = Shares("m01", b"p" * 32, b"r" * 32, 258, 3, 4, 0, bytes(8))
    assert block_data(b"n" * 32, shares) == said


def test_a_target_is_met_by_one_hash_in_so_many() -> None:
    assert target(1) == 2**256 - 1
    for h in range(1, 63):
        assert target(2**h) == 2 ** (256 - h)
    assert target(3) == 2**256 // 3


def test_every_ledger_has_a_genesis_of_its_own() -> None:
    others = [
        net(fog="fog2"),
        net(chain=msgspec.structs.replace(CHAIN, window_blocks=5)),
        net(chain=msgspec.structs.replace(CHAIN, first_work=9)),
    ]
    assert len({MINE.genesis.hash, *(Mine(other).genesis.hash for other in others)}) == 4
    assert Mine(net(version=9, title="another")).genesis.hash == MINE.genesis.hash


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"height": 12}, Reason.BAD_CHAIN),
        ({"height": 10}, Reason.BAD_CHAIN),
        ({"work": TENTH.next_work + 1}, Reason.BAD_CHAIN),
        ({"work": 1}, Reason.BAD_CHAIN),
        ({"root": bytes(32)}, Reason.BAD_CHAIN),
        ({"miner": "m99"}, Reason.IMPOSSIBLE),
        ({"miner": "m02"}, Reason.UNKNOWN_SENDER),
        ({"time_ms": TENTH.median_ms}, Reason.WRONG_TIME),
    ],
)
def test_a_header_says_what_it_has_to(changes: dict[str, Any], reason: Reason) -> None:
    data = MINE.block(TENTH, "m01", **changes)
    with refused(reason):
        MINE.checked(TENTH, data)


def test_a_time_after_the_median_may_lie_before_the_parents() -> None:
    assert MINE.after(TENTH, "m01", time_ms=TENTH.median_ms + 1).height == 11


def test_a_hash_that_does_not_meet_its_work_is_no_block() -> None:
    header = Header(TENTH.hash, MINE.genesis.hash, "m01", 11, T0_MS, 2**40, 0)
    with refused(Reason.TOO_LITTLE_WORK):
        read_block(MINE.ledger.network, NET.signer("edge1").object(Block(header, ())))


@pytest.mark.parametrize(
    ("by", "reason"),
    [("edge2", Reason.UNKNOWN_SENDER), ("det1", Reason.WRONG_ROLE), ("edge9", Reason.UNKNOWN_SENDER)],
)
def test_a_block_is_signed_by_the_agent_of_its_miners_device(by: str, reason: Reason) -> None:
    with refused(reason):
        MINE.checked(TENTH, MINE.block(TENTH, "m01", by=by))


def test_a_signature_of_another_network_or_none_is_refused() -> None:
    envelope = decode(MINE.block(TENTH), Envelope)
    for signature in (bytes(64), key_of("edge1").sign(envelope.body)):
        with refused(Reason.BAD_SIGNATURE):
            MINE.checked(TENTH, encode(Envelope(envelope.body, signature)))


def test_transactions_that_were_changed_are_another_root_and_say_nothing_of_the_header() -> None:
    data = MINE.block(TENTH, "m01", MINE.shares(TENTH))
    body = decode(decode(data, Envelope).body, Object)
    block = decode(body.payload, Block)
    for transactions in ((), block.transactions * 2):
        changed = NET.signer("edge1").object(Block(block.header, transactions))
        with refused(Reason.BAD_CHAIN, "another root"):
            read_block(MINE.ledger.network, changed)


def test_what_is_too_large_or_of_another_kind_is_no_block() -> None:
    with refused(Reason.OVERSIZE):
        read_block(MINE.ledger.network, bytes(kinds.MAX_BLOCK_BYTES + 1))
    with refused(Reason.WRONG_KIND):
        read_block(MINE.ledger.network, MINE.verdict("m02"))
    with refused(Reason.MALFORMED):
        read_block(MINE.ledger.network, b"\xc1")


# --- charters ---------------------------------------------------------------------------------------------


def test_a_chain_begins_with_a_charter_of_its_ledger() -> None:
    with refused(Reason.UNKNOWN_CHARTER):
        MINE.checked(MINE.genesis, MINE.block(MINE.genesis, "m01", MINE.shares(MINE.genesis)))
    for other in (
        net(fog="fog2"),
        net(chain=msgspec.structs.replace(CHAIN, window_blocks=5)),
        net(chain=None),
    ):
        with refused(Reason.WRONG_NETWORK):
            MINE.checked(MINE.genesis, MINE.block(MINE.genesis, "m01", other.sealed.data))


def test_a_newer_charter_is_in_force_for_the_block_that_brings_it() -> None:
    nodes = tuple(
        msgspec.structs.replace(node, key=key_of("new").public) if node.name == "edge1" else node
        for node in NET.charter.nodes
    )
    newer = NET.next_version(nodes=nodes)
    with refused(Reason.BAD_SIGNATURE):  # edge1 has another key by it
        MINE.after(TENTH, "m01", newer.data)
    after = MINE.after(TENTH, "m02", newer.data)
    assert after.terms is not None
    assert after.terms.sealed.hash == newer.hash
    with refused(Reason.BAD_SIGNATURE):
        MINE.after(after, "m01")
    for old in (NET.sealed, newer):
        with refused(Reason.OLD_CHARTER):
            MINE.after(after, "m02", old.data)


def test_a_charter_comes_first_and_is_the_operators() -> None:
    newer = NET.next_version(title="newer")
    with refused(Reason.IMPOSSIBLE, "first"):
        MINE.after(TENTH, "m01", MINE.shares(TENTH), newer.data)
    envelope = decode(newer.data, Envelope)
    with refused(Reason.BAD_SIGNATURE):
        MINE.after(TENTH, "m01", encode(Envelope(envelope.body, bytes(64))))


def test_so_many_charters_are_known_and_no_more() -> None:
    state = TENTH
    for version in range(2, MAX_CHARTERS + 3):
        state = MINE.after(state, "m01", NET.next_version(version=version).data)
    assert [one.charter.version for one in state.charters] == list(range(3, MAX_CHARTERS + 3))


# --- shares -----------------------------------------------------------------------------------------------


def test_shares_are_paid_by_their_work() -> None:
    batches = (MINE.shares(TENTH, "m01", 3), MINE.shares(STATES[9], "m02", 2))
    checked = MINE.checked(TENTH, MINE.block(TENTH, "m01", *batches))
    assert checked.works == {"m01": 3 * 4, "m02": 2 * 4}
    assert len(checked.state.steps[-1].shares) == 5


def test_a_share_is_worth_what_its_class_hashes_in_the_share_interval() -> None:
    kinds_ = (DeviceClass("pi", 100), DeviceClass("fast", 200))
    devices = tuple(
        msgspec.structs.replace(device, kind="fast") if device.name == "edge2" else device
        for device in NET.charter.devices
    )
    unlike = net(classes=kinds_)
    unlike.sealed = unlike.next_version(devices=devices)
    mine = Mine(unlike)
    first = mine.after(mine.genesis)
    batches = (mine.shares(first, "m01", 2), mine.shares(first, "m02", 2))
    assert mine.checked(first, mine.block(first, "m01", *batches)).works == {"m01": 8, "m02": 16}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"miner": "m02"}, Reason.IMPOSSIBLE),
        ({"parent": bytes(32)}, Reason.STALE),
        ({"height": 12}, Reason.BAD_CHAIN),
        ({"work": TENTH.next_work + 1}, Reason.BAD_CHAIN),
        ({"time_ms": TENTH.median_ms}, Reason.BAD_CHAIN),
    ],
)
def test_shares_are_of_a_block_that_could_be(changes: dict[str, Any], reason: Reason) -> None:
    batch = MINE.batch(MINE.entry(TENTH, "m01", 2, **changes), by="edge1")
    with refused(reason):
        MINE.after(TENTH, "m01", batch)


def test_what_does_not_meet_the_share_target_is_no_share() -> None:
    good = MINE.entry(TENTH, "m01", 2)
    missed = next(
        nonce for nonce in range(99) if not meets(pow_hash(block_data(NET.network, good), nonce), 4)
    ).to_bytes(8, "big")
    for nonces, reason in (
        (good.nonces + missed, Reason.TOO_LITTLE_WORK),
        (missed, Reason.TOO_LITTLE_WORK),
        (good.nonces + b"half", Reason.MALFORMED),
    ):
        with refused(reason):
            MINE.after(TENTH, "m01", MINE.batch(msgspec.structs.replace(good, nonces=nonces)))


def test_a_batch_is_signed_by_its_device_for_this_fog() -> None:
    entry = MINE.entry(TENTH, "m01")
    with refused(Reason.IMPOSSIBLE):  # edge2 shows shares of another's miner
        MINE.after(TENTH, "m01", MINE.batch(entry, by="edge2"))
    for changes in ({"device": "edge2"}, {"fog": "fog2"}):
        with refused(Reason.WRONG_NETWORK):
            MINE.after(TENTH, "m01", MINE.batch(entry, **changes))


def test_no_share_is_on_one_chain_twice() -> None:
    entry = MINE.entry(TENTH, "m01", 2)
    twice = msgspec.structs.replace(entry, nonces=entry.nonces * 2, total=entry.total + 2)
    again = msgspec.structs.replace(entry, total=entry.total + 2)
    for batches in (
        (MINE.batch(twice),),
        (MINE.batch(entry, again),),
        (MINE.batch(entry), MINE.batch(again)),
        (MINE.batch(entry), MINE.batch(entry)),
    ):
        with refused(Reason.REPLAYED):
            MINE.after(TENTH, "m01", *batches)
    state = MINE.after(TENTH, "m01", MINE.batch(entry))
    for blocks in range(STALE_BLOCKS + 2):
        with refused(Reason.STALE if blocks >= STALE_BLOCKS - 1 else Reason.REPLAYED):
            MINE.after(state, "m02", MINE.batch(again))
        state = MINE.after(state)


def test_a_share_may_be_shown_so_many_blocks_late() -> None:
    state, batch = TENTH, MINE.shares(TENTH)
    for _ in range(STALE_BLOCKS - 1):
        state = MINE.after(state)
    assert MINE.after(state, "m01", batch).height == 10 + STALE_BLOCKS
    with refused(Reason.STALE):
        MINE.after(MINE.after(state), "m01", batch)


def test_a_miner_shows_no_more_shares_than_it_says_it_found() -> None:
    one, two = MINE.entry(TENTH, "m03", 3), MINE.entry(TENTH, "m03", 2, start=10_000)
    state = MINE.after(TENTH, "m01", MINE.batch(one))
    assert state.totals["m03"] == one.total
    for total in (one.total + 1, 0):
        with refused(Reason.REPLAYED, "after"):
            MINE.after(state, "m01", MINE.batch(msgspec.structs.replace(two, total=total)))
    for _ in range(3):
        state = MINE.after(state)
    assert MINE.after(state, "m01", MINE.batch(two)).totals["m03"] == one.total + 2


# --- what is in a block -------------------------------------------------------------------------------------


def test_nothing_else_is_a_transaction() -> None:
    for data, reason in ((MINE.block(TENTH), Reason.WRONG_KIND), (b"", Reason.MALFORMED)):
        with refused(reason):
            MINE.after(TENTH, "m01", data)


def test_what_is_refused_leaves_the_body_as_it_was() -> None:
    body = Body(MINE.ledger, TENTH)
    good, more = MINE.entry(TENTH, "m01", 2), MINE.entry(TENTH, "m03", 2)
    with refused(Reason.BAD_CHAIN):
        body.add(MINE.batch(good, msgspec.structs.replace(more, height=99)))
    assert (body.shares, body.totals, body.works) == (set(), {}, {})
    body.add(MINE.batch(good, more))
    assert body.works == {"m01": 8, "m03": 8}


# --- the state ----------------------------------------------------------------------------------------------


def test_a_state_comes_back_from_its_snapshot() -> None:
    state = MINE.after(TENTH, "m02", MINE.verdict("m01"), MINE.shares(TENTH, "m01", 2))
    for one in (MINE.genesis, TENTH, MINE.after(state, "m02", NET.next_version().data)):
        assert restored(MINE.ledger, snapshot(one)) == one


def test_more_work_is_chosen_and_of_equal_work_the_smaller_hash() -> None:
    one, other = MINE.after(TENTH, "m01"), MINE.after(TENTH, "m02")
    assert better(one, other) == (one.hash < other.hash)
    assert better(other, one) == (other.hash < one.hash)
    assert better(MINE.after(one), other)
    assert not better(one, MINE.after(other))
    assert not better(one, one)
