"""What the miners of this device are given to work on, and what comes back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from agents.pow.chain.pool import Content
from agents.pow.work import Work
from mint.chain.header import block_data, meets, pow_hash, target
from mint.chain.rules import root_of
from mint.chain.state import State
from mint.errors import Reason, Rejected
from mint.messages.chain import MAX_NONCES, Block, Header

# Templates of a miner for which shares are still taken, as many as the exchange keeps (agents/pow/exchange.py).
KEPT = 16


@dataclass(slots=True)
class Template:
    """A block that could be, and the nonces that were found for it."""

    id: int
    header: Header
    transactions: tuple[bytes, ...]
    share_work: int
    data: bytes
    nonces: set[int] = field(default_factory=set)

    def work(self) -> Work:
        """As the miner is given it: told are shares, and blocks where those should be easier."""
        return Work(self.id, self.data, target(min(self.share_work, self.header.work)))


@dataclass(frozen=True, slots=True)
class Solved:
    """A nonce that is new, and what it makes: a share, a block, or both."""

    template: Template
    nonce: int
    share: bool
    block: Block | None


class Templates:
    """The last few templates of each miner; ids count up over all of them, from 1 in each run."""

    def __init__(self, network: bytes) -> None:
        self._network = network
        self._of: dict[str, OrderedDict[int, Template]] = {}
        self._id = 0

    def renew(self, miners: Iterable[str], parent: State, content: Content, now_ms: int) -> None:
        """Have each of `miners` work on the block after `parent`; who is not among them has no work."""
        root = root_of(content.transactions)
        time_ms = max(now_ms, parent.median_ms + 1)
        names = [name for name in miners if name in content.terms.works]
        for gone in self._of.keys() - set(names):
            del self._of[gone]
        for name in names:
            templates = self._of.setdefault(name, OrderedDict())
            header = Header(parent.hash, root, name, parent.height + 1, time_ms, parent.next_work, 0)
            # Two that are alike would have the same shares.
            while (data := block_data(self._network, header)) in [one.data for one in templates.values()]:
                header = msgspec.structs.replace(header, time_ms=header.time_ms + 1)
            self._id += 1
            work = content.terms.works[name]
            templates[self._id] = Template(self._id, header, content.transactions, work, data)
            while len(templates) > KEPT:
                templates.popitem(last=False)

    def clear(self) -> None:
        """Nobody works on anything."""
        self._of.clear()

    def works(self) -> dict[str, Work]:
        """What each miner is to work on now."""
        return {name: next(reversed(templates.values())).work() for name, templates in self._of.items()}

    def solved(self, miner: str, template_id: int, nonce: int) -> Solved:
        """Take a nonce that `miner` found.

        Raises:
            Rejected: STALE (or never given), REPLAYED, TOO_OFTEN, or TOO_LITTLE_WORK: it is no share.
        """
        templates = self._of.get(miner)
        template = None if templates is None else templates.get(template_id)
        if template is None:
            raise Rejected(Reason.STALE, f"{miner} has a nonce for work {template_id}")
        if nonce in template.nonces:
            raise Rejected(Reason.REPLAYED, f"{miner} has a nonce again")
        if len(template.nonces) == MAX_NONCES:
            raise Rejected(Reason.TOO_OFTEN, f"{miner} has more than {MAX_NONCES} nonces for one block")
        digest = pow_hash(template.data, nonce)
        share, found = meets(digest, template.share_work), meets(digest, template.header.work)
        if not share and not found:
            raise Rejected(Reason.TOO_LITTLE_WORK, f"{miner} has a nonce that is no share")
        template.nonces.add(nonce)
        block = None
        if found:
            block = Block(msgspec.structs.replace(template.header, nonce=nonce), template.transactions)
        return Solved(template, nonce, share, block)
