"""This device's part in the miners' ledger: its node of the chain, that node's disk, and the exchange of work.

A thin shell around agents/pow/chain/node.py, beside the agent's own (service.py) and on the same bus: what the broker
brings, what the miners find and what time it is goes in, and what it answers is carried out, the disk before the bus.
Where the charter has no chain there is nothing here, until one comes that has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from agents.pow.chain.node import Node as ChainNode
from agents.pow.chain.storage import Counted
from agents.pow.chain.store import ChainStore, totals_in
from agents.pow.exchange import Exchange
from agents.pow.work_folder import exchange_folder
from mint.bus.options import Incoming
from mint.chain.state import ledger_of
from mint.effects import Effect, Keep, Post, Say
from mint.names import scope
from mint.node import Node, now

Send = Callable[[Iterable[Post | Say]], None]


class Mining:
    """`async with`: gives the device's miners work, and has what they find in the ledger."""

    def __init__(self, node: Node, send: Send) -> None:
        self._node, self._send = node, send
        where = exchange_folder(node.options.state, scope(node.charter.charter.network))
        self._exchange = Exchange(where, self._found, node.log)
        self._changed = asyncio.Event()
        self._store: ChainStore | None = None
        self._chain: ChainNode | None = None
        self._sampled = (node.session, 0)
        self._begin()

    async def __aenter__(self) -> Self:
        await self._exchange.__aenter__()
        self._serve()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.__aexit__(kind, error, trace)
        if self._store is not None:
            self._store.close()

    async def run(self) -> None:
        """Do what is due, for ever."""
        while True:
            self._changed.clear()
            wait_s = None if self._chain is None else (self._chain.due_ns() - time.monotonic_ns()) / 1e9
            if self._chain is not None and wait_s is not None and wait_s <= 0:
                self._carry_out(self._chain.tick(now()))
                await asyncio.sleep(0)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    # --- what comes ---

    def connected(self) -> None:
        """A connection stands."""
        if self._chain is not None:
            self._carry_out(self._chain.connected(now()))

    def receive(self, incoming: Incoming) -> None:
        """A message of the ledger came."""
        if self._chain is not None:
            self._carry_out(self._chain.receive(incoming, now()))

    def take_charter(self) -> None:
        """Go by the charter that is in force now."""
        if self._chain is not None:
            self._carry_out(self._chain.tick(now()))
        if self._chain is None or self._chain.ended:
            self._begin()
            self._exchange.serve(())
        self._serve()

    # --- samples ---

    def counted(self) -> Mapping[str, int]:
        """How many shares each miner ever found, on disk by now: what the next sample says."""
        if self._chain is None:
            return self._found_before
        self._carry_out(self._chain.counted())
        return self._chain.totals

    def sampled(self, session: int, sequence: int) -> None:
        """The sample that said so has this place in the device's stream."""
        self._sampled = (session, sequence)
        if self._chain is not None:
            self._chain.sampled(session, sequence)

    # --- the ledger ---

    def _begin(self) -> None:
        """Be of the charter's ledger, if it has one."""
        if self._store is not None:
            self._store.close()
        self._store = self._chain = None
        # A miner's shares are counted on over ledgers: what a sample says of them never falls.
        self._found_before = totals_in(self._node.options.state)
        sealed = self._node.charter
        if sealed.charter.chain is None:
            return
        genesis = ledger_of(sealed, self._node.operator).genesis.hash.hex()
        self._store = ChainStore(self._node.options.state / f"ledger-{genesis[:16]}.sqlite")
        self._store.keep(Counted(self._found_before))
        self._chain = ChainNode(self._node, self._store, now())
        self._chain.sampled(*self._sampled)
        self._node.log.info("ledger %s, at block %d", genesis[:16], self._chain.tree.tip.height)

    def _serve(self) -> None:
        """Have the miners that the charter gives this device work for the ledger, if there is one."""
        miners = self._node.charter.charter.miners_on(self._node.name) if self._chain is not None else ()
        self._exchange.serve([miner.name for miner in miners])
        self._give()

    def _give(self) -> None:
        if self._chain is not None:
            for miner, work in self._chain.works().items():
                self._exchange.give(miner, work)

    def _found(self, miner: str, work: int, nonce: int) -> None:
        if self._chain is not None:
            self._carry_out(self._chain.found(miner, work, nonce, now()))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Keep):
                self._send([effect])
            elif self._store is not None:
                self._store.keep(effect.what)
        self._give()
        self._changed.set()
