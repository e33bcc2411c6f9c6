"""The ledger on a real bus: a real miner gets its work from the agent, and what it finds is in samples and blocks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agents.pow.build import Program
from agents.pow.chain.store import ChainReader
from agents.pow.work_folder import exchange_folder, options
from mint.bus import Bus, Subscription
from mint.charter.model import Chain, DeviceClass, replaced
from mint.charter.seal import SealedCharter, seal
from mint.courier import bus_of
from mint.envelope import open_envelope
from mint.messages.chain import Block, ShareBatch
from mint.messages.sample import Sample
from mint.node import Node
from tests.agents.fog import AGENT, DETECTOR, WAIT_S, Cgroups, Fog, Manager, until
from tests.agents.test_service import agent_of

pytestmark = pytest.mark.cgroup
MINER = "miner_01"
# A share in a twentieth of a second of a whole core at 50 million hashes a second, a block in a fifth.
CLASSES = (DeviceClass("pi", 50_000_000),)
CHAIN = Chain(block_interval_ms=1_000, share_interval_ms=500, window_blocks=10, first_work=10_000_000)


def mined(fog: Fog, version: int = 2, chain: Chain | None = CHAIN) -> SealedCharter:
    """The charter in which the miners mine a ledger."""
    charter = replaced(fog.sealed.charter, version=version, classes=CLASSES, chain=chain)
    return seal(charter, fog.keys.operator)


class Ledger:
    """What is said of the ledger on the bus."""

    def __init__(self, fog: Fog) -> None:
        self.node = fog.node(DETECTOR)
        self.blocks: list[Block] = []
        self.batches: list[ShareBatch] = []
        topics = self.node.topics
        self.bus: Bus = bus_of(
            self.node, [Subscription(topics.block(), limit=256), Subscription(topics.share("+"), limit=256)]
        )
        self._news = asyncio.Condition()

    async def listen(self) -> None:
        async for incoming in self.bus.messages():
            message = open_envelope(incoming.payload, self.node.trust, topic=incoming.topic).message
            async with self._news:
                if isinstance(message, Block):
                    self.blocks.append(message)
                elif isinstance(message, ShareBatch):
                    self.batches.append(message)
                self._news.notify_all()

    async def until_blocks(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(lambda: len(self.blocks) >= count and bool(self.batches))


@pytest.fixture
async def ledger(fog: Fog) -> AsyncIterator[Ledger]:
    made = Ledger(fog)
    async with made.bus:
        listening = asyncio.create_task(made.listen())
        yield made
        listening.cancel()


@contextlib.contextmanager
def mining(fog: Fog, program: Program) -> Iterator[None]:
    """The compiled miner at its agent's socket, whenever that is there."""
    where = exchange_folder(fog.folder / AGENT / "state", fog.keys.scope)
    argv = [*program.argv, "--miner", MINER, "--parent", str(os.getpid()), *options(where, MINER)]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.kill()
        child.wait()


def counts(manager: Manager) -> list[int]:
    """How many shares the samples say, in their order."""
    samples = {heard.place: heard.opened.message for heard in manager.samples}
    return [
        next(reading.shares for reading in sample.miners if reading.miner == MINER)
        for _, sample in sorted(samples.items())
        if isinstance(sample, Sample) and any(reading.miner == MINER for reading in sample.miners)
    ]


def files(fog: Fog) -> list[Path]:
    return sorted((fog.folder / AGENT / "state").glob("ledger-*.sqlite"))


def heights(fog: Fog) -> list[int]:
    """Of the blocks on the agent's disk."""
    return [stored.place.height for stored in ChainReader(files(fog)[0]).blocks()]


async def publish(fog: Fog, node: Node, bus: Bus, sealed: SealedCharter) -> None:
    """As the operator would; the manager hands the charter on."""
    await bus.publish(node.topics.charter(), sealed.data, retain=True)


async def test_what_a_miner_finds_is_counted_in_samples_shown_in_batches_and_makes_blocks(
    fog: Fog, manager: Manager, ledger: Ledger, cgroups: Cgroups, miner_program: Program
) -> None:
    (fog.folder / "charter.signed").write_bytes(mined(fog).data)
    with mining(fog, miner_program):
        async with agent_of(fog.node(AGENT)):
            await ledger.until_blocks(3)
            await manager.until(lambda: counts(manager)[-1:] > [0])
    told = counts(manager)
    assert told == sorted(told), "counted, never back"
    assert {block.header.miner for block in ledger.blocks} == {MINER}
    assert [block.header.height for block in ledger.blocks] == list(range(1, len(ledger.blocks) + 1))
    assert {batch.device for batch in ledger.batches} == {AGENT}
    assert heights(fog)[: len(ledger.blocks)] == [block.header.height for block in ledger.blocks]


async def test_a_restart_goes_on_counting_and_mining(
    fog: Fog, manager: Manager, ledger: Ledger, cgroups: Cgroups, miner_program: Program
) -> None:
    (fog.folder / "charter.signed").write_bytes(mined(fog).data)
    with mining(fog, miner_program):
        async with agent_of(fog.node(AGENT)):
            await ledger.until_blocks(2)
            await manager.until(lambda: counts(manager)[-1:] > [0])
        before, blocks = counts(manager)[-1], len(ledger.blocks)
        async with agent_of(fog.node(AGENT)):  # the miner comes back by itself
            await ledger.until_blocks(blocks + 2)
            await manager.until(lambda: counts(manager)[-1] > before)
    told = counts(manager)
    assert told == sorted(told)
    assert [block.header.height for block in ledger.blocks] == list(range(1, len(ledger.blocks) + 1))
    assert len(files(fog)) == 1


async def test_a_ledger_begins_with_the_charter_that_has_it_and_another_with_another(
    fog: Fog, manager: Manager, ledger: Ledger, cgroups: Cgroups, miner_program: Program
) -> None:
    with mining(fog, miner_program):
        async with agent_of(fog.node(AGENT)):
            await manager.until(lambda: len(manager.samples) >= 2)
            assert files(fog) == []
            first = mined(fog)
            await publish(fog, manager.node, manager.bus, first)
            ledger.node.take_charter(first.data, 0)
            await ledger.until_blocks(2)
            other = mined(fog, 3, Chain(2_000, 400, 10, 10_000_000))
            await publish(fog, manager.node, manager.bus, other)
            await until(lambda: len(files(fog)) == 2)
            ledger.blocks.clear()
            ledger.batches.clear()
            await ledger.until_blocks(2)
            shown = [entry.total for batch in ledger.batches for entry in batch.entries]
            placed = [(batch.session, batch.sequence) for batch in ledger.batches]
            none = mined(fog, 4, None)
            await publish(fog, manager.node, manager.bus, none)
            ended = len(manager.samples)
            await manager.until(lambda: len(manager.samples) >= ended + 3)
    told = counts(manager)
    assert told == sorted(told), "counted on over ledgers, and where there is none"
    assert told[0] == 0
    assert told[-1] >= max(shown)
    assert all(sequence > 1 for _, sequence in placed), "after the samples that the ledger before it counted'"
