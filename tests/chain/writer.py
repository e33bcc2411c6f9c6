"""Adds blocks to a ledger on disk until it is killed: `python -m tests.chain.writer DATABASE BLOCKS`.

BLOCKS holds them one after the other, each after its length (4 bytes). After each one that is kept, the height of the
chain is printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agents.pow.chain.storage import Counted
from agents.pow.chain.store import ChainStore
from agents.pow.chain.tree import Tree
from tests.chain.mine import Mine, net


def write_blocks(path: Path, blocks: list[bytes]) -> None:
    path.write_bytes(b"".join(len(data).to_bytes(4, "big") + data for data in blocks))


def read_blocks(path: Path) -> list[bytes]:
    content, blocks, at = path.read_bytes(), [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        blocks.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    return blocks


def main(database: Path, blocks: Path) -> None:
    store = ChainStore(database)
    tree = Tree(Mine(net()).ledger, store)
    for data in read_blocks(blocks):
        if not tree.add(data, 2**62, 0, "edge1").new:
            continue
        grown = tree.grown()
        assert grown is not None
        store.keep(grown)
        store.keep(Counted({"m01": tree.tip.height}))
        print(tree.tip.height, flush=True)
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
