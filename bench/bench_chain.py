"""How fast a chain is validated from disk: `python -m bench chain`, or `python -m bench.bench_chain [BLOCKS]`.

A chain of BLOCKS blocks (100,000) is made and kept as a node keeps it (agents/pow/chain/store.py), opened anew, and
every block of it checked by every rule there is (mint/chain/rules.py): its hash, its root, its signature, its
difficulty, and of every batch of shares in it the signature and each share's hash. Nothing is skipped, batched or
helped by another core.

Beside it stands what `openssl speed ed25519` verifies in a second on one core: no way of checking a signature a
block can be faster than that. Making the chain takes longer than checking it; its blocks take few hashes, for a
hash costs a check alike whatever the work.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from agents.pow.chain.store import ChainStore
from agents.pow.chain.tree import Tree
from mint.chain.header import block_hash, meets
from mint.chain.rewards import Window
from mint.chain.rules import check_block, read_block, root_of
from mint.chain.state import Ledger, State, ledger_of
from mint.charter.model import Chain, DeviceClass
from mint.envelope import Envelope, Signer
from mint.keys import verifies
from mint.messages.chain import Block, Header, ShareBatch, Shares
from mint.sign_bytes import sign_bytes
from mint.wire import decode
from tests.builders import T0_MS, Net

BLOCKS = 100_000
INTERVAL_MS = 10_000
# First work of one hash a block; the clock keeps it there.
CHAIN = Chain(INTERVAL_MS, 400, 100, 1)
CLASSES = (DeviceClass("pi", 1),)
# Blocks that are added before they are kept, as a node that catches up does.
AT_ONCE = 64


class Load(NamedTuple):
    """A batch with so many shares in one of `every` blocks (0: none); `part` of the blocks, for those are large."""

    name: str
    every: int
    shares: int
    part: int

    @property
    def signatures(self) -> float:
        """In a block, on average."""
        return 1 + (1 / self.every if self.every else 0)


LOADS = (
    Load("no shares", 0, 0, 1),
    Load("a batch of 100 shares in four blocks", 4, 100, 1),
    Load("a batch of 25 shares a block: a miner", 1, 25, 1),
    Load("a batch of 400 shares a block: 16 miners", 1, 400, 10),
)


def made(net: Net, ledger: Ledger, load: Load, blocks: int) -> Iterator[bytes]:
    """A chain, block by block."""
    signer, state, total = net.signer("edge1"), ledger.genesis, 0
    for height in range(1, blocks + 1):
        transactions: tuple[bytes, ...] = (net.sealed.data,) if height == 1 else ()
        time_ms = T0_MS + height * INTERVAL_MS
        if load.every and height > 1 and height % load.every == 0:
            total += load.shares
            transactions = (batch(signer, state, load.shares, total, time_ms),)
        header = Header(state.hash, root_of(transactions), "m01", height, time_ms, state.next_work, 0)
        while not meets(block_hash(ledger.network, header), header.work):
            header = msgspec.structs.replace(header, nonce=header.nonce + 1)
        data = signer.object(Block(header, transactions))
        state = check_block(ledger, state, read_block(ledger.network, data)).state
        yield data


def batch(signer: Signer, parent: State, shares: int, total: int, time_ms: int) -> bytes:
    """A batch of shares on `parent`, each of which takes one hash."""
    nonces = b"".join(nonce.to_bytes(8, "big") for nonce in range(shares))
    entry = Shares("m01", parent.hash, bytes(32), parent.height + 1, time_ms, parent.next_work, total, nonces)
    return signer.object(ShareBatch("fog1", "edge1", 1, parent.height, (entry,)))


def keep(path: Path, ledger: Ledger, datas: Iterator[bytes]) -> float:
    """Have a chain on disk; seconds that it took a node, without making it."""
    spent = 0.0
    with closing(ChainStore(path)) as store:
        tree = Tree(ledger, store)
        for number, data in enumerate(datas, 1):
            began = time.process_time()
            tree.add(data, 2**62, 0, "edge1")
            if number % AT_ONCE == 0:
                _keep(store, tree)
            spent += time.process_time() - began
        _keep(store, tree)
    return spent


def _keep(store: ChainStore, tree: Tree) -> None:
    grown = tree.grown()
    if grown is not None:
        store.keep(grown)


def validate(path: Path, ledger: Ledger) -> tuple[float, int]:
    """CPU seconds to read a chain from disk, check every block of it and split its reward; and how many there were."""
    began = time.process_time()
    state, window = ledger.genesis, Window(ledger.chain.window_blocks)
    with closing(ChainStore(path)) as store:
        for stored in store.after(0):
            checked = check_block(ledger, state, read_block(ledger.network, stored.data))
            state = checked.state
            window.block(checked.works)
    return time.process_time() - began, state.height


def openssl() -> float | None:
    """Signatures that OpenSSL verifies in a second on one core; None: it is not here."""
    try:
        argv = ["openssl", "speed", "-seconds", "3", "ed25519"]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return float(re.findall(r"([\d.]+)\s*$", said.strip())[-1])


def bare(net: Net, ledger: Ledger) -> float:
    """Signatures of blocks that the library under us verifies in a second, called as mint/keys.py does."""
    data = next(made(net, ledger, LOADS[0], 1))
    key, times = net.signer("edge1").public, 3_000
    envelope = decode(data, Envelope)
    signed = sign_bytes(ledger.network, envelope.body)
    began = time.process_time()
    for _ in range(times):
        verifies(key, envelope.signature, signed)
    return times / (time.process_time() - began)


def main() -> None:
    """Make, keep and validate a chain of each load."""
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS
    net = Net(miners=4, devices=2, chain=CHAIN, classes=CLASSES)
    ledger = ledger_of(net.sealed, net.operator.public)
    fastest = openssl()
    if fastest is None:
        print("openssl is not here: compared with the signatures alone, checked as mint/keys.py does")
        fastest = bare(net, ledger)
    else:
        print(f"openssl speed ed25519: {fastest:9,.0f} signatures verified a second")
    for load in LOADS:
        count = max(1, blocks // load.part)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "chain.sqlite"
            took = keep(path, ledger, made(net, ledger, load, count))
            size = path.stat().st_size
            seconds, height = validate(path, ledger)
        if height != count:
            raise SystemExit(f"{height} of {count} blocks were read")
        rate = count / seconds
        print(
            f"{load.name:41} {count:7,} blocks, {size / count / 1024:4.1f} KiB each: validated {rate:7,.0f}/s, "
            f"{100 * rate * load.signatures / fastest:3.0f} % of openssl by its signatures; "
            f"kept {count / took:7,.0f}/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
