"""A small ledger made hash by hash, each block checked by the real rules; verdicts on one miner come in between."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec
import numpy as np

from mint.chain.header import block_data, block_hash, meets, pow_hash, target
from mint.chain.rules import root_of
from mint.chain.shares import share_works
from mint.chain.state import State
from mint.charter.model import Chain
from mint.errors import Reason, Rejected
from mint.messages.chain import Block, Header, Shares
from mint.messages.judgement import Verdict
from mint.verdict import verify_verdict
from network.fairness.hashing import Found
from network.fairness.hours import Convicted, Mined, Setting
from network.fairness.ledger import TOLD_NS, Ledger, ledger_of
from tests.builders import T0_MS
from tests.chain.mine import Mine, net

MS = 1_000_000
# A share is 4 hashes, a block 15 shares at first.
CHAIN = Chain(block_interval_ms=10_000, share_interval_ms=400, window_blocks=4, first_work=60)
NET = net(chain=CHAIN)
NAMES = sorted(NET.charter.miners_by_name())
WORKS = share_works(NET.charter)
SETTING = Setting("double", True, "one")
CHEAT = "m02"


@dataclass
class Real:
    """A chain made hash by hash, each block checked by the real rules; and the hashes that were good enough."""

    rng: random.Random
    mine: Mine = field(default_factory=lambda: Mine(NET))
    found: list[tuple[int, int, float]] = field(default_factory=list)
    told: list[tuple[int, Shares]] = field(default_factory=list)
    verdicts: list[tuple[int, bytes]] = field(default_factory=list)
    blocks: list[tuple[int, str, dict[str, int]]] = field(default_factory=list)
    datas: list[bytes] = field(default_factory=list)
    now_ms: int = 0

    def __post_init__(self) -> None:
        self.state: State = self.mine.genesis
        self._totals = dict.fromkeys(NAMES, 0)

    def hash(self) -> None:
        """The next good hash, of some miner, a while later."""
        self.now_ms += self.rng.randint(1, 500)
        miner = self.rng.choice(NAMES)
        transactions = self._template(miner)
        time_ms, work = T0_MS + self.now_ms, self.state.next_work
        header = Header(
            self.state.hash, root_of(transactions), miner, self.state.height + 1, time_ms, work, 0
        )
        data = block_data(self.mine.ledger.network, header)
        nonce = self.rng.getrandbits(63)
        while not meets(pow_hash(data, nonce), WORKS[miner]):
            nonce += 1
        digest = pow_hash(data, nonce)
        self.found.append(
            (self.now_ms * MS, NAMES.index(miner), 2**256 / (int.from_bytes(digest, "big") + 1))
        )
        self._totals[miner] += 1
        self.told.append(
            (
                self.now_ms,
                Shares(
                    miner, header.parent, header.root, header.height, time_ms, work,
                    self._totals[miner], nonce.to_bytes(8, "big"),
                ),
            )
        )  # fmt: skip
        if int.from_bytes(digest, "big") <= target(work):
            self._block(msgspec.structs.replace(header, nonce=nonce), transactions)

    def _template(self, miner: str) -> tuple[bytes, ...]:
        """What a block of `miner` would hold now: everything that was told a second ago, but no verdict on itself."""
        ready = self.now_ms - TOLD_NS // MS
        self._verdicts = [one for one in self.verdicts if one[0] <= ready and miner != CHEAT]
        self._shares = [one for one in self.told if one[0] <= ready]
        transactions = [] if self.state.terms else [NET.sealed.data]
        transactions += [data for _, data in self._verdicts]
        for device in ("edge1", "edge2"):
            entries = [entry for _, entry in self._shares if self.mine.device(entry.miner) == device]
            if entries:
                transactions.append(self.mine.batch(*entries))
        return tuple(transactions)

    def _block(self, header: Header, transactions: tuple[bytes, ...]) -> None:
        assert meets(block_hash(self.mine.ledger.network, header), header.work)
        data = NET.signer(self.mine.device(header.miner)).object(Block(header, transactions))
        try:
            checked = self.mine.checked(self.state, data)
        except Rejected as rejected:
            if rejected.reason is not Reason.BARRED:
                raise
            return
        self.state = checked.state
        self.datas.append(data)
        self.blocks.append((self.now_ms * MS, header.miner, dict(checked.works)))
        self.verdicts = [one for one in self.verdicts if one not in self._verdicts]
        self.told = [one for one in self.told if one not in self._shares]

    def ledger(self, verdicts: list[Convicted]) -> Ledger:
        """The same hashes by the simulated hours' ledger."""
        at_ns, miner, proves = zip(*self.found, strict=True)
        found = Found(np.array(at_ns), np.array(miner), np.array(proves))
        return ledger_of(Mined(SETTING, NET.sealed, found, verdicts))


def judged(real: Real, rng: random.Random) -> list[Convicted]:
    """Two verdicts on the cheat that come at some time."""
    verdicts = []
    for offence, frame in ((1, 20), (2, 40)):
        data = real.mine.verdict(CHEAT, offence, frame)
        at_ms = rng.randint(10_000, 60_000)
        verdict = NET.message(data, Verdict)
        verdicts.append(Convicted(at_ms * MS, verify_verdict(verdict, {NET.sealed.hash: NET.sealed})))
        real.verdicts.append((at_ms, data))
    return verdicts
