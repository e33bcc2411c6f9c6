"""Answering another device that lacks blocks."""

from __future__ import annotations

from agents.pow.chain.storage import Storage
from agents.pow.chain.tree import Tree
from mint.messages.chain import MAX_LOCATOR, MAX_REPLY_BLOCKS, BlockReply, BlockRequest

# A reply stays below the broker's packet limit with room for its envelope and one block more than asked for.
MAX_REPLY_BYTES = 512 << 10
# So many hashes of a locator follow one another before its steps double.
DENSE = 8


def locator(tree: Tree, storage: Storage) -> tuple[bytes, ...]:
    """Hashes of our chain from its tip back, in steps that double, and the genesis last."""
    tip = tree.tip
    hashes, height, step = [tip.hash], tip.height, 1
    while height > step and len(hashes) < MAX_LOCATOR - 2:
        height -= step
        at = storage.on_chain(height)
        if at is not None:  # just above it lies what is being kept
            hashes.append(at)
        if len(hashes) > DENSE:
            step *= 2
    genesis = tree.ledger.genesis.hash
    return tuple(hashes) if tip.height == 0 else (*hashes, genesis)


def reply(tree: Tree, storage: Storage, request: BlockRequest) -> BlockReply:
    """What comes on our chain after the newest block of a locator that is on it; nothing where none is."""
    blocks: list[bytes] = []
    common = _common(tree, storage, request.locator)
    if common is not None:
        size = 0
        for stored in storage.after(common):
            size += len(stored.data)
            if len(blocks) == min(request.count, MAX_REPLY_BLOCKS) or (blocks and size > MAX_REPLY_BYTES):
                break
            blocks.append(stored.data)
    return BlockReply(tree.tip.hash, tree.tip.height, tuple(blocks))


def _common(tree: Tree, storage: Storage, hashes: tuple[bytes, ...]) -> int | None:
    """The height of the first of these that is on our chain."""
    for one in hashes:
        place = tree.place(one)
        if place is not None and (place.height == 0 or storage.on_chain(place.height) == one):
            return place.height
    return None
