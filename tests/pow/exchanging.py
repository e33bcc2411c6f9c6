"""What the tests of the exchange of work share: an exchange that is listened to, miners, and shares to compare with."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agents.pow.build import Program
from agents.pow.exchange import Exchange
from agents.pow.work import Work
from agents.pow.work_folder import socket_of
from mint.chain.header import pow_hash

LOG = logging.getLogger("test.exchange")
REFERENCE = Program((sys.executable, "-m", "agents.pow.reference"), "")
WITHIN_S = 30.0


def some_data(seed: int) -> bytes:
    """152 bytes like no others."""
    return bytes((i * i + 31 * i + seed * (i + 7)) % 256 for i in range(152))


def value(data: bytes, nonce: int) -> int:
    return int.from_bytes(pow_hash(data, nonce), "big")


def brute_force(work: Work, end: int) -> list[int]:
    """Every share of `work` from its first nonce up to `end`, `end` included."""
    return [nonce for nonce in range(work.start, end + 1) if value(work.data, nonce) <= work.target]


@dataclass
class Heard:
    """An exchange, and what it heard: (miner, work's id, nonce)."""

    exchange: Exchange
    queue: asyncio.Queue[tuple[str, int, int]] = field(default_factory=asyncio.Queue)

    async def next(self) -> tuple[str, int, int]:
        async with asyncio.timeout(WITHIN_S):
            return await self.queue.get()

    async def shares(self, number: int, count: int) -> list[int]:
        """The next `count` nonces of work `number`; those of other works are passed over."""
        nonces: list[int] = []
        while len(nonces) < count:
            _, told, nonce = await self.next()
            if told == number:
                nonces.append(nonce)
        return nonces


@asynccontextmanager
async def exchanging(folder: Path, *miners: str) -> AsyncIterator[Heard]:
    heard: list[Heard] = []
    async with Exchange(folder, lambda *found: heard[0].queue.put_nowait(found), LOG) as exchange:
        heard.append(Heard(exchange))
        exchange.serve(miners)
        yield heard[0]


@contextmanager
def mining(
    program: Program, folder: Path, miner: str = "m1", *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    argv = [*program.argv, "--work", str(socket_of(folder, miner)), "--parent", str(os.getpid()), *options]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


async def until(holds: Callable[[], object]) -> None:
    """Wait until `holds`: for what the kernel or another process does, which tells nobody."""
    async with asyncio.timeout(WITHIN_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
