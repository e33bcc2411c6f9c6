"""The node's parts by themselves: what is held, what is shown, what is given to work on, who is asked."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.pow.chain.allowance import Allowance
from agents.pow.chain.catching_up import ALONE_NS, AVOID_NS, PATIENCE_NS, POLL_NS, CatchingUp
from agents.pow.chain.held import Held
from agents.pow.chain.pool import MAX_BODY_BYTES, PATIENCE_BLOCKS, Content, Pool
from agents.pow.chain.serving import DENSE, locator
from agents.pow.chain.showing import MAX_BATCH_NONCES, Showing
from agents.pow.chain.store import ChainStore
from agents.pow.chain.templates import KEPT, Templates
from agents.pow.chain.tree import Tree
from mint import kinds
from mint.chain.header import meets, pow_hash, target
from mint.chain.state import STALE_BLOCKS, State, Terms
from mint.envelope import open_envelope
from mint.errors import Reason, Rejected
from mint.messages.chain import MAX_LOCATOR, MAX_NONCES, ShareBatch, Shares
from tests.builders import T0_MS, S
from tests.chain.fog import IN_MEMORY
from tests.chain.mine import CLASSES, Mine, net

NET = net(miners=4, devices=2)
MINE = Mine(NET)
FIRST = MINE.after(MINE.genesis)
TERMS = Terms(NET.sealed)


# --- held -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.integers(1, 50)), max_size=200))
def test_what_is_held_is_bounded_and_a_part_of_it_is_safe_from_others(
    puts: list[tuple[str, int, int]],
) -> None:
    most, most_bytes = 12, 150
    held: Held[int] = Held(most, most_bytes)
    mine = [(bytes([255, n]), 10) for n in range(3)]  # 30 of 150 bytes: less than a fourth of them
    for key, size in mine:
        held.put("me", key, 0, size)
    for sender, number, size in puts:
        held.put(sender, sender.encode() + bytes([number]), number, size)
        assert len(held) <= most
        assert held.size <= most_bytes
        assert len(held) == len(list(held))
    if len(puts) and all(size <= 10 for _, _, size in puts):
        assert all(key in held for key, _ in mine)


def test_the_oldest_of_the_largest_sender_goes() -> None:
    held: Held[str] = Held(10, 100)
    held.put("b", b"b1", "b1", 30)
    for n in range(4):
        held.put("a", b"a%d" % n, f"a{n}", 25)
    assert [thing for _, thing in held] == ["a2", "a3", "b1"]
    held.put("a", b"a3", "again", 25)
    assert held.take(b"a3") == "a3"
    assert (len(held), held.size) == (2, 55)


# --- the pool -----------------------------------------------------------------------------------------------


def put(pool: Pool, data: bytes, height: int = 1) -> None:
    opened = open_envelope(data, NET.sealed.trust())
    assert isinstance(opened.message, ShareBatch)
    pool.batch(opened, opened.message, TERMS, height)


def chosen(pool: Pool, state: State) -> tuple[bytes, ...]:
    return pool.content(state, NET.sealed).transactions


def test_a_block_has_what_waits_in_the_order_in_which_it_was_shown() -> None:
    mine, pool = Mine(NET), Pool(MINE.ledger)
    one, two, three = (
        mine.batch(mine.entry(FIRST, "m01", 2, start=n * 1000), sequence=n) for n in range(1, 4)
    )
    other = mine.shares(FIRST, "m02")
    for data in (three, other, one):
        put(pool, data)
    assert set(chosen(pool, FIRST)) == {one, other}, "two is on its way"
    put(pool, two)
    assert chosen(pool, FIRST)[:3] == (one, two, three)
    state = MINE.after(FIRST, "m01", one, two)
    assert set(chosen(pool, state)) == {three, other}
    assert set(chosen(pool, FIRST)) == {one, two, three, other}, "for another chain all of it is there"


def test_shares_that_were_lost_keep_back_those_after_them_for_some_blocks_only() -> None:
    mine, pool = Mine(NET), Pool(MINE.ledger)
    mine.entry(FIRST, "m01", 2)
    late = mine.batch(mine.entry(FIRST, "m01", 2, start=1000), sequence=2)
    put(pool, late)
    state = FIRST
    for _ in range(PATIENCE_BLOCKS):
        assert chosen(pool, state) == ()
        state = MINE.after(state)
    assert chosen(pool, state) == (late,)


def test_a_new_chain_begins_with_the_charter_and_a_later_one_with_a_newer() -> None:
    pool = Pool(MINE.ledger)
    assert chosen(pool, MINE.genesis) == (NET.sealed.data,)
    assert chosen(pool, FIRST) == ()
    newer = NET.next_version(title="newer")
    content = pool.content(FIRST, newer)
    assert (content.transactions, content.terms.sealed) == ((newer.data,), newer)
    with pytest.raises(Rejected):
        pool.content(FIRST, NET.next_version(chain=None))


def test_a_verdict_waits_until_it_is_anchored_and_the_newest_offence_counts() -> None:
    pool, charters = Pool(MINE.ledger), {NET.sealed.hash: NET.sealed}

    def tell(offence: int, by: str = "det1") -> bool:
        data = MINE.verdict("m03", offence, by=by)
        opened = open_envelope(data, NET.sealed.trust())
        return pool.verdict(opened, opened.message, charters)  # type: ignore[arg-type]

    assert tell(1)
    assert not tell(1, "det2")
    first = chosen(pool, FIRST)
    assert first == (MINE.verdict("m03", 1),)
    state = MINE.after(FIRST, "m01", *first)
    assert chosen(pool, state) == ()
    assert tell(2)
    assert not tell(1)
    assert chosen(pool, state) == (MINE.verdict("m03", 2),)
    assert len(pool) == 1


def test_a_block_of_ours_stays_below_the_limit_and_the_rest_waits() -> None:
    many = net(miners=2, devices=1, classes=(msgspec.structs.replace(CLASSES[0], hashes_per_cpu_second=1),))
    mine, pool = Mine(many), Pool(Mine(many).ledger)
    first = mine.after(mine.genesis)
    terms = Terms(many.sealed)
    for n in range(14):
        entry = mine.entry(first, "m01", 0, total=5000 * (n + 1))
        nonces = b"".join((n * 5000 + k).to_bytes(8, "big") for k in range(5000))
        opened = open_envelope(
            mine.batch(msgspec.structs.replace(entry, nonces=nonces), sequence=n), many.sealed.trust()
        )
        assert isinstance(opened.message, ShareBatch)
        pool.batch(opened, opened.message, terms, 1)
    content = pool.content(first, many.sealed)
    assert 10 <= len(content.transactions) < 14
    assert sum(map(len, content.transactions)) <= MAX_BODY_BYTES
    rest = pool.content(mine.after(first, "m01", *content.transactions), many.sealed)
    assert len(rest.transactions) == 14 - len(content.transactions)


# --- templates and what is shown --------------------------------------------------------------------------


def nonces(templates: Templates, miner: str, count: int, *, block: bool = False) -> list[int]:
    work = templates.works()[miner]
    found: list[int] = []
    nonce = 0
    while len(found) < count:
        nonce += 1
        digest = pow_hash(work.data, nonce)
        if int.from_bytes(digest, "big") <= work.target and meets(digest, 8) == block:
            found.append(nonce)
    return found


@pytest.fixture
def templates() -> Templates:
    made = Templates(MINE.ledger.network)
    made.renew(["m01", "m03"], FIRST, Content((), TERMS), T0_MS + 20_000)
    return made


def test_every_miner_works_on_the_next_block_and_on_nothing_twice(templates: Templates) -> None:
    seen = {work.data for work in templates.works().values()}
    for _ in range(3):  # nothing has changed, not even the time
        templates.renew(["m01", "m03"], FIRST, Content((), TERMS), T0_MS + 20_000)
        seen |= {work.data for work in templates.works().values()}
    assert len(seen) == 8
    assert len({work.id for work in templates.works().values()}) == 2
    templates.renew(["m03"], FIRST, Content((), TERMS), 0)
    (work,) = templates.works().values()
    assert int.from_bytes(work.data[-16:-8], "big") == FIRST.median_ms + 1, "our clock is slow"
    templates.clear()
    assert templates.works() == {}


def test_shares_of_the_last_templates_are_taken(templates: Templates) -> None:
    work = templates.works()["m01"]
    one, two = nonces(templates, "m01", 2)
    for n in range(KEPT - 1):
        templates.renew(["m01"], FIRST, Content((), TERMS), T0_MS + 30_000 + n)
    assert templates.solved("m01", work.id, one).block is None
    templates.renew(["m01"], FIRST, Content((), TERMS), T0_MS + 90_000)
    with pytest.raises(Rejected) as caught:
        templates.solved("m01", work.id, two)
    assert caught.value.reason is Reason.STALE


def test_a_nonce_that_meets_the_blocks_target_is_a_block(templates: Templates) -> None:
    work = templates.works()["m03"]
    (nonce,) = nonces(templates, "m03", 1, block=True)
    solved = templates.solved("m03", work.id, nonce)
    assert solved.block is not None
    data = NET.signer("edge1").object(solved.block)
    assert MINE.checked(FIRST, data).state.height == 2


def test_a_block_that_is_easier_than_a_share_is_found_all_the_same(templates: Templates) -> None:
    hard = Terms(net(classes=(msgspec.structs.replace(CLASSES[0], hashes_per_cpu_second=10_000),)).sealed)
    templates.renew(["m01"], FIRST, Content((), hard), T0_MS + 20_000)
    work = templates.works()["m01"]
    assert work.target == target(FIRST.next_work)
    (nonce,) = nonces(templates, "m01", 1, block=True)
    solved = templates.solved("m01", work.id, nonce)
    assert solved.block is not None
    assert not solved.share


def test_a_template_takes_so_many_nonces(templates: Templates) -> None:
    work = templates.works()["m01"]
    template = templates._of["m01"][work.id]
    template.nonces.update(range(10**9, 10**9 + MAX_NONCES))
    with pytest.raises(Rejected) as caught:
        templates.solved("m01", work.id, nonces(templates, "m01", 1)[0])
    assert caught.value.reason is Reason.TOO_OFTEN


def test_what_is_shown_is_counted_once_and_grows_whatever_order_it_was_found_in(templates: Templates) -> None:
    showing = Showing({"m01": 10})
    old = templates.works()["m01"]
    early = nonces(templates, "m01", 3)
    showing.add(templates.solved("m01", old.id, early[0]))
    templates.renew(["m01", "m03"], FIRST, Content((), TERMS), T0_MS + 30_000)
    new = templates.works()["m01"]
    for nonce in nonces(templates, "m01", 2):
        showing.add(templates.solved("m01", new.id, nonce))
    for nonce in early[1:]:
        showing.add(templates.solved("m01", old.id, nonce))
    showing.add(templates.solved("m03", templates.works()["m03"].id, nonces(templates, "m03", 1)[0]))
    assert showing.uncounted() == {"m01": 15, "m03": 1}
    assert showing.uncounted() == {}
    batch = showing.batch("fog1", "edge1", (3, 4))
    assert batch is not None
    assert (batch.session, batch.sequence) == (3, 4)
    assert [(one.miner, one.total, len(one.nonces) // 8) for one in batch.entries] == [
        ("m01", 13, 3),
        ("m01", 15, 2),
        ("m03", 1, 1),
    ]
    checked = MINE.checked(FIRST, MINE.block(FIRST, "m01", NET.signer("edge1").object(batch)))
    assert checked.works == {"m01": 20, "m03": 4}
    assert showing.batch("fog1", "edge1", (3, 4)) is None


def test_a_full_batch_fits_into_its_kind() -> None:
    header = (bytes(32), bytes(32), 2**62, 2**62, 2**62, 2**62)
    entries = tuple(Shares("m" * 32, *header, bytes(8 * (MAX_BATCH_NONCES // 256 + 1))) for _ in range(256))
    assert len(NET.signer("edge1").object(ShareBatch("f" * 32, "e" * 32, 2**62, 2**62, entries))) <= (
        kinds.BY_NAME["shares"].max_bytes
    )


# --- catching up ------------------------------------------------------------------------------------------


def test_one_is_asked_at_a_time_in_turn_and_nobody_is_waited_for_for_ever() -> None:
    catching_up = CatchingUp(["c", "a", "b"], 0)
    assert catching_up.ask(0) == "a"
    assert catching_up.ask(PATIENCE_NS - 1) is None
    assert catching_up.due_ns() == PATIENCE_NS
    assert catching_up.ask(PATIENCE_NS) == "b"
    assert catching_up.behind
    catching_up.answered("b", PATIENCE_NS, more=True, wrong=False)
    assert catching_up.ask(PATIENCE_NS) == "b"
    catching_up.answered("b", PATIENCE_NS, more=False, wrong=False)
    assert not catching_up.behind
    assert catching_up.ask(PATIENCE_NS + POLL_NS - 1) is None
    assert catching_up.ask(PATIENCE_NS + POLL_NS) == "c"


def test_who_answers_what_is_wrong_is_left_for_a_while_and_who_is_silent_until_it_says_something() -> None:
    catching_up = CatchingUp(["a", "b"], 0)
    assert catching_up.ask(0) == "a"
    catching_up.answered("a", 0, more=False, wrong=True)
    catching_up.want("a", 0)
    assert catching_up.ask(0) == "b"
    assert catching_up.ask(PATIENCE_NS) is None  # b was silent
    catching_up.want("b", PATIENCE_NS)
    assert catching_up.ask(PATIENCE_NS) == "b"
    catching_up.want("a", AVOID_NS)
    assert catching_up.ask(AVOID_NS) == "a"


def test_who_is_alone_begins_after_a_while() -> None:
    assert not CatchingUp([], 0).behind
    catching_up, now = CatchingUp(["a", "b"], 0), 0
    catching_up.ask(now)
    while catching_up.behind:
        assert catching_up.due_ns() > now
        now = catching_up.due_ns()
        catching_up.ask(now)
    assert now == ALONE_NS
    catching_up.take([])
    assert catching_up.ask(now + POLL_NS) is None


def test_an_allowance_is_a_senders_own() -> None:
    allowance = Allowance(S, 3)
    for sender in ("a", "b"):
        for _ in range(3):
            allowance.take(sender, 0)
        with pytest.raises(Rejected) as caught:
            allowance.take(sender, 0)
        assert caught.value.reason is Reason.TOO_OFTEN
    allowance.take("a", S)


def test_a_locator_says_in_few_hashes_where_a_chain_comes_from() -> None:
    store = ChainStore(IN_MEMORY)
    tree, state = Tree(MINE.ledger, store), MINE.genesis
    assert locator(tree, store) == (MINE.genesis.hash,)
    states = [state]
    for _ in range(100):
        tree.add(MINE.block(state), 2**62, 0, "edge1")
        grown = tree.grown()
        assert grown is not None
        store.keep(grown)
        state = tree.tip
        states.append(state)
    heights = {one.hash: one.height for one in states}
    found = [heights[one] for one in locator(tree, store)]
    assert found[: DENSE + 1] == list(range(100, 99 - DENSE, -1))
    assert found[-1] == 0
    assert found == sorted(set(found), reverse=True)
    assert len(found) <= 16 < MAX_LOCATOR
    assert STALE_BLOCKS > DENSE
