"""Whether a block may stand after the one before it: a pure function of the chain, whatever came when.

A block is valid when its parent is, and

1. its hash meets the work that it says it took, and that is what difficulty asks for after its parent;
2. its height is the next, its time later than the median of the eleven before it;
3. its root is that of its transactions, and each of them is valid here (mint/chain/body.py);
4. its miner is in the charter in force, which is the newest that a block up to this one anchors, and it is signed
   by the agent of that miner's device;
5. no ancestor anchors a verdict, the proof of a lie, or an absence that covers its miner at its height
   (mint/chain/penalties.py).

Whoever disables the enforcer on its own host therefore mines for nothing, as soon as one honest miner finds a block.
"""

from __future__ import annotations

from dataclasses import dataclass

from mint import kinds
from mint.chain.body import Body
from mint.chain.difficulty import clock_after, work_after
from mint.chain.header import block_hash, meets
from mint.chain.penalties import barred
from mint.chain.state import STALE_BLOCKS, Ledger, State, Step
from mint.chain.times import median, with_next
from mint.envelope import Envelope, open_envelope
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash, root
from mint.messages.chain import Block, Header
from mint.sign_bytes import Object
from mint.wire import decode

# Reasons that lie in what is around a header, and not in what its hash stands for: another may send the same better.
OF_ENVELOPE = frozenset(
    {Reason.MALFORMED, Reason.UNKNOWN_SENDER, Reason.WRONG_ROLE, Reason.WRONG_KIND, Reason.BAD_SIGNATURE}
)


@dataclass(frozen=True, slots=True)
class Read:
    """A block whose hash is proof of the work that it claims, over just these transactions; all else is unchecked."""

    hash: bytes
    header: Header
    transactions: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """A valid block: the state after it, and the work of the shares in it that are paid, by miner (rewards.py)."""

    read: Read
    state: State
    works: dict[str, int]


def read_block(network: bytes, data: bytes) -> Read:
    """Read a block's envelope, as far as that can be checked without its parent.

    Raises:
        Rejected: OVERSIZE, MALFORMED, WRONG_KIND, TOO_LITTLE_WORK, or BAD_CHAIN where the root is not theirs.
    """
    if len(data) > kinds.MAX_BLOCK_BYTES:
        raise Rejected(Reason.OVERSIZE, f"a block of {len(data)} bytes, at most {kinds.MAX_BLOCK_BYTES}")
    body = decode(decode(data, Envelope).body, Object)
    if body.kind != "block":
        raise Rejected(Reason.WRONG_KIND, f"a {body.kind} is no block")
    block = decode(body.payload, Block)
    digest = block_hash(network, block.header)
    if not meets(digest, block.header.work):
        raise Rejected(Reason.TOO_LITTLE_WORK, f"block {block.header.height} of {block.header.miner}")
    if root_of(block.transactions) != block.header.root:
        raise Rejected(Reason.BAD_CHAIN, f"block {block.header.height} has another root")
    return Read(digest, block.header, block.transactions, data)


def root_of(transactions: tuple[bytes, ...]) -> bytes:
    """A header's root: of RFC 6962, over the leaf hashes of the envelopes."""
    return root([leaf_hash(data) for data in transactions])


def check_header(parent: State, header: Header) -> None:
    """Check a header after `parent`, whose hash it names (rules 1 and 2).

    Raises:
        Rejected: BAD_CHAIN or WRONG_TIME.
    """
    step = parent.steps[-1]
    if (header.height, header.work) != (step.height + 1, step.work):
        raise Rejected(
            Reason.BAD_CHAIN,
            f"block {header.height} with work {header.work}, due is {step.height + 1} with {step.work}",
        )
    if header.time_ms <= step.median_ms:
        raise Rejected(Reason.WRONG_TIME, f"block {header.height} is not later than those before it")


def check_block(ledger: Ledger, parent: State, read: Read) -> Checked:
    """Check a block after `parent`, whose hash it names.

    Raises:
        Rejected: with the first rule that it breaks.
    """
    header = read.header
    check_header(parent, header)
    body = Body(ledger, parent)
    rest = iter(read.transactions)
    # The charter that the first may be says whose signature the block needs; the others cost more than that one.
    for data in rest:
        body.add(data)
        break
    terms = body.in_force()
    charter = terms.sealed.charter
    miner = charter.miners_by_name().get(header.miner)
    if miner is None:
        raise Rejected(Reason.IMPOSSIBLE, f"a block of {header.miner}, which is not in the charter")
    opened = open_envelope(read.data, terms.sealed.trust(), expect="block")
    if opened.sender != miner.device:
        raise Rejected(Reason.UNKNOWN_SENDER, f"a block of {header.miner}, signed by {opened.sender}")
    bar = barred(parent.bars, charter, header.miner, (header.height,))
    if bar is not None:
        raise Rejected(Reason.BARRED, f"{header.miner} is barred up to block {bar.last} for {bar.reason}")
    for data in rest:
        body.add(data)
    return Checked(read, state_after(ledger, parent, read, body), body.works)


def state_after(ledger: Ledger, parent: State, read: Read, body: Body) -> State:
    """The state after a valid block."""
    header = read.header
    times = with_next(parent.times, header.time_ms)
    middle = median(times)
    # The clock starts at block 1.
    clock_ms = clock_after(ledger.chain, parent.clock_ms, parent.median_ms, middle) if parent.times else 0
    work = work_after(ledger.chain, header.height, clock_ms)
    step = Step(read.hash, header.height, middle, work, frozenset(body.shares))
    # Shares may be shown some blocks after they were mined.
    oldest = header.height - STALE_BLOCKS
    bars = (*parent.bars, *body.bars)
    offences = {**parent.offences, **body.offences} if body.offences else parent.offences
    totals = {**parent.totals, **body.totals} if body.totals else parent.totals
    lies = {**parent.lies, **body.lies} if body.lies else parent.lies
    dark = {**parent.dark, **body.dark} if body.dark else parent.dark
    terms = body.in_force()
    if terms is not parent.terms:
        # A miner that is taken out of the charter is forgotten: another may have its name later.
        there = terms.works.keys()
        bars = tuple(one for one in bars if one.miner in there)
        offences = {name: number for name, number in offences.items() if name in there}
        totals = {name: total for name, total in totals.items() if name in there}
        lies = {name: at_ms for name, at_ms in lies.items() if name in there}
        dark = {name: frame for name, frame in dark.items() if name in there}
    return State(
        hash=read.hash,
        height=header.height,
        total_work=parent.total_work + header.work,
        times=times,
        clock_ms=clock_ms,
        steps=(*parent.steps[1 - STALE_BLOCKS :], step),
        terms=terms,
        charters=body.charters,
        bars=tuple(one for one in bars if one.last >= oldest) if bars else (),
        offences=offences,
        totals=totals,
        lies=lies,
        dark=dark,
    )


def better(one: State, other: State) -> bool:
    """Whether the chain up to `one` is chosen over that up to `other`: more work, and if alike the smaller hash."""
    return (-one.total_work, one.hash) < (-other.total_work, other.hash)
