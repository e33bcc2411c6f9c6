"""Blocks, shares and verdicts of a small ledger, as honest agents make them unless told otherwise.

Work is a few hashes, so that a test may mine for itself.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

import msgspec

from mint.chain.header import block_data, block_hash, meets, pow_hash
from mint.chain.rules import Checked, check_block, read_block, root_of
from mint.chain.state import State, ledger_of
from mint.charter.model import Chain, DeviceClass
from mint.charter.seal import SealedCharter
from mint.merkle import leaf_hash
from mint.messages.chain import Block, Header, ShareBatch, Shares
from mint.messages.fault import Fault
from mint.messages.judgement import Accusation, SampleRef, Verdict, Vote
from mint.messages.sample import MinerReading, Sample
from mint.sign_bytes import Stream
from tests.builders import T0_MS, Edge, Net, S

INTERVAL_MS = 10_000
CHAIN = Chain(block_interval_ms=INTERVAL_MS, share_interval_ms=400, window_blocks=4, first_work=8)
# A share is 4 hashes, a block 8.
CLASSES = (DeviceClass("pi", 100),)


def net(miners: int = 4, devices: int = 2, chain: Chain | None = CHAIN, **changes: Any) -> Net:
    """A network that mines: m01, m03, ... on edge1, m02, m04, ... on edge2."""
    return Net(miners, devices, **({"chain": chain, "classes": CLASSES} | changes))


class Mine:
    """What the agents of a network make on its ledger."""

    def __init__(self, of: Net) -> None:
        self.net = of
        self.ledger = ledger_of(of.sealed, of.operator.public)
        self.genesis = self.ledger.genesis
        self._totals: dict[str, int] = {}

    def device(self, miner: str) -> str:
        return self.net.charter.miners_by_name()[miner].device

    def solved(self, header: Header) -> Header:
        while not meets(block_hash(self.ledger.network, header), header.work):
            header = msgspec.structs.replace(header, nonce=header.nonce + 1)
        return header

    def block(
        self,
        parent: State,
        miner: str = "m01",
        /,
        *transactions: bytes,
        by: str | None = None,
        time_ms: int | None = None,
        **changes: Any,
    ) -> bytes:
        """A block after `parent`, an interval later than the last; `changes` are of its header."""
        if parent.terms is None and not transactions:
            transactions = (self.net.sealed.data,)
        time_ms = self.time_after(parent) if time_ms is None else time_ms
        header = Header(
            parent.hash, root_of(transactions), miner, parent.height + 1, time_ms, parent.next_work, 0
        )
        header = self.solved(msgspec.structs.replace(header, **changes))
        return self.net.signer(by or self.device(miner)).object(Block(header, transactions))

    def time_after(self, parent: State) -> int:
        return parent.times[-1] + INTERVAL_MS if parent.times else T0_MS

    def checked(self, parent: State, data: bytes) -> Checked:
        return check_block(self.ledger, parent, read_block(self.ledger.network, data))

    def after(self, parent: State, miner: str = "m01", *transactions: bytes, **changes: Any) -> State:
        """The state after a block of this kind."""
        return self.checked(parent, self.block(parent, miner, *transactions, **changes)).state

    def grown(self, state: State, blocks: int, miner: str = "m01") -> State:
        for _ in range(blocks):
            state = self.after(state, miner)
        return state

    def entry(
        self, parent: State, miner: str = "m01", /, count: int = 1, start: int = 0, **changes: Any
    ) -> Shares:
        """Shares of `miner` on `parent`; those that start at another nonce are others."""
        total = self._totals[miner] = self._totals.get(miner, 0) + count
        time_ms = self.time_after(parent)
        made = Shares(
            miner, parent.hash, bytes(32), parent.height + 1, time_ms, parent.next_work, total, bytes(8)
        )
        made = msgspec.structs.replace(made, **changes)
        work = 4 if parent.terms is None else parent.terms.works[miner]
        data, nonces, nonce = block_data(self.ledger.network, made), b"", start
        while len(nonces) < 8 * count:
            if meets(pow_hash(data, nonce), work):
                nonces += nonce.to_bytes(8, "big")
            nonce += 1
        return msgspec.structs.replace(made, nonces=nonces)

    def batch(self, *entries: Shares, by: str | None = None, **changes: Any) -> bytes:
        device = by or self.device(entries[0].miner)
        made = ShareBatch("fog1", device, 1, 1, entries)
        return self.net.signer(device).object(msgspec.structs.replace(made, **changes))

    def shares(self, parent: State, miner: str = "m01", count: int = 1, start: int = 0) -> bytes:
        return self.batch(self.entry(parent, miner, count, start))

    def lie(self, miner: str, sequence: int = 9, time_ms: int | None = None, by: str = "det1") -> bytes:
        """A fault: the miner's device showed a share of it that a later sample does not count."""
        device, topic = self.device(miner), self.net.sealed.topics().sample(self.device(miner))
        entry = Shares(miner, bytes(32), bytes(32), 1, 1, 1, 10**6, bytes(8))
        batch = self.batch(entry, sequence=sequence)
        signer = self.net.signer(device)
        signer._sequence = sequence
        reading = MinerReading(miner, 1, 0, 1, 0, 0, 0, 0, 0, 0, -1, -1, True, 10**6 - 1)
        at_ms = T0_MS + 1000 * sequence if time_ms is None else time_ms
        sample = signer.stream(Sample(b"B" * 16, 4, 0, (reading,)), topic, at_ms)
        fault = Fault("fog1", "two_totals", device, 0, miner, (batch, sample))
        return self.net.signer(by).object(fault)

    def verdict(
        self,
        miner: str,
        offence: int = 1,
        frame: int = 20,
        by: str = "det1",
        sealed: SealedCharter | None = None,
    ) -> bytes:
        """A valid verdict, by evidence that rests on the quorum alone."""
        sealed = sealed or self.net.sealed
        edge = Edge(self.net, self.device(miner), random.Random(1))
        first, last = edge.sealed(1000 * S), edge.sealed(1010 * S)
        refs = []
        for data in (first, last):
            body = self.net.opened(data).body
            assert isinstance(body, Stream)
            refs.append(SampleRef(edge.name, body.session, body.sequence, leaf_hash(data)))
        accusation = Accusation(miner, offence, frame - 1, "ssa", 0, *refs)
        vote = Vote("fog1", frame, hashlib.sha256(b"%d" % frame).digest(), sealed.hash, (accusation,))
        votes = tuple(self.net.signer(name).object(vote) for name in self.net.detectors[:3])
        made = Verdict("fog1", sealed.hash, miner, offence, frame, frame - 1, "ssa", 0, votes, first, last)
        return self.net.signer(by).object(made)
