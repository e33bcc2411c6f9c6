"""The miners' ledger: blocks, the shares they pay for, and how a node that lacks blocks gets them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from mint.messages.sample import MAX_MINERS_PER_DEVICE
from mint.wire import MOST, Hash, Name, Nat, Wire

NONCE_BYTES = 8
# Envelopes in one block: a batch of the largest fog's devices each, twice, and some verdicts.
MAX_TRANSACTIONS = 2048
# Solutions in one entry of a batch: fifty minutes of a miner at two shares a second.
MAX_NONCES = 6_000
# Templates that one batch has shares of: two for each miner of the largest device.
MAX_ENTRIES = 2 * MAX_MINERS_PER_DEVICE
# Hashes that say how far a chain is known: steps that double reach back over 2^50 blocks.
MAX_LOCATOR = 64
# Blocks in one reply, which are checked at one go: a tenth of a second; its bytes are bounded too (serving.py).
MAX_REPLY_BLOCKS = 64

# Any 64 bits: MessagePack has no larger integers.
Nonce = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1, le=MOST)]


class Header(Wire, frozen=True):
    """What is hashed (equation 1, mint/chain/header.py has the bytes).

    `parent` is the hash of the block before it (of no block for height 1: the genesis), `root` the RFC 6962 tree hash
    over the leaf hashes of the block's transactions, `work` the expected number of hashes that finding it took.
    """

    parent: Hash
    root: Hash
    miner: Name
    height: Positive
    time_ms: Nat
    work: Positive
    nonce: Nonce


class Block(Wire, frozen=True):
    """A block, signed by the agent of the device that `header.miner` lives on.

    `transactions` are envelopes as they came: charters, verdicts, faults, absences and batches of shares.
    """

    header: Header
    transactions: Annotated[tuple[bytes, ...], Meta(max_length=MAX_TRANSACTIONS)]


class Shares(Wire, frozen=True):
    """Solutions of one template of a miner that were easy enough to be shares, and maybe not to be blocks.

    Each of `nonces` (8 bytes each, big-endian) makes a header with the other fields that meets the miner's share
    target. `total` counts the shares that the miner ever found, these included.
    """

    miner: Name
    parent: Hash
    root: Hash
    height: Positive
    time_ms: Nat
    work: Positive
    total: Nat
    nonces: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES * MAX_NONCES)]


class ShareBatch(Wire, frozen=True):
    """Shares of the miners of one device since its last batch, signed by its agent.

    `session` and `sequence` are those of the agent's newest sample: later samples count these shares too.
    """

    fog: Name
    device: Name
    session: Nat
    sequence: Nat
    entries: Annotated[tuple[Shares, ...], Meta(min_length=1, max_length=MAX_ENTRIES)]


class BlockRequest(Wire, frozen=True):
    """`client` asks `holder` for `count` blocks after the newest of `locator` that the holder has on its chain.

    `locator`: hashes of the client's chain from its tip back, in growing steps.
    """

    client: Name
    holder: Name
    locator: Annotated[tuple[Hash, ...], Meta(max_length=MAX_LOCATOR)]
    count: Annotated[int, Meta(ge=1, le=MAX_REPLY_BLOCKS)]


class BlockReply(Wire, frozen=True):
    """Blocks of the sender's chain as they came, in order; `tip` and `height` are where that chain ends."""

    tip: Hash
    height: Nat
    blocks: Annotated[tuple[bytes, ...], Meta(max_length=MAX_REPLY_BLOCKS)]
