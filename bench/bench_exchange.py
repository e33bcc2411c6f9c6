"""What the exchange of work costs a miner, and what it costs the agent.

    python bench/bench_exchange.py [ROUNDS]

A real miner at a real exchange, given a template a second and telling two shares a second, against the same miner that
hashes without looking up (`--bench`), in turns on one core of one machine; what it costs is the median of the ratios of
two turns that follow one another. How many hashes it did is known exactly: each piece of work begins so few nonces
before the last one that the miner comes to its end, and waits. A miner with a small quota has as many messages in less
CPU time, so it is measured with as many for each of its hashes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.pow import exchange
from agents.pow.build import native
from agents.pow.duty_limiter import cpu_clock
from agents.pow.work import DATA_BYTES, NONCES, Work
from agents.pow.work_folder import socket_of
from mint.chain.header import target

SHARES_PER_S, WORKS_PER_S = 2, 1
# Of a CPU: a miner that has one to itself, and one of sixteen that share half of two.
QUOTAS = (1.0, 0.0625)
CPU_SECONDS = 1  # of hashing in each turn
LOOK_S = 0.002
MINER = "m1"
# Shares a second of the agent's turn: each comes alone, and the agent is not pressed.
SPARSE_PER_S, SPARSE_S = 500, 4.0


@dataclass(frozen=True)
class Met:
    """A miner that is connected to an exchange."""

    exchange: exchange.Exchange
    pid: int

    def cpu_s(self) -> float:
        """CPU time that the miner has used."""
        return time.clock_gettime(cpu_clock(self.pid))

    def waits(self) -> bool:
        """Whether the miner waits for work: it does not run, and would not if it had a core (proc(5))."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@asynccontextmanager
async def met(argv: list[str]) -> AsyncIterator[Met]:
    """A miner and an exchange, until the end of the block."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = logging.getLogger("bench")
        async with exchange.Exchange(folder, lambda _miner, _number, _nonce: None, log) as agent:
            agent.serve([MINER])
            command = [*argv, "--work", str(socket_of(folder, MINER))]
            with subprocess.Popen(command) as miner:  # noqa: ASYNC220 - nothing else goes on yet
                try:
                    while not agent.connected:  # noqa: ASYNC110 - another process, which tells nobody
                        await asyncio.sleep(LOOK_S)
                    yield Met(agent, miner.pid)
                finally:
                    miner.kill()


def without(argv: list[str]) -> float:
    """Hashes a CPU second of the miner alone."""
    ran = subprocess.run([*argv, "--bench", str(CPU_SECONDS)], capture_output=True, check=True)
    return float(json.loads(ran.stdout)["hashes_per_cpu_second"])


async def with_exchange(argv: list[str], rate: float, quota: float) -> tuple[float, int]:
    """Hashes a CPU second at the exchange with the messages of a miner under `quota`, and how many shares it told.

    `rate`: what it hashes in a CPU second, about.
    """
    hashes = int(rate * quota / WORKS_PER_S)  # of one piece of work
    bound, works = target(int(rate * quota / SHARES_PER_S)), round(CPU_SECONDS / quota * WORKS_PER_S)
    async with met(argv) as both:
        began = both.cpu_s()
        for number in range(works):
            both.exchange.give(MINER, Work(number, os.urandom(DATA_BYTES), bound, NONCES - hashes))
            before, expected = both.cpu_s(), hashes / rate
            # Looked at ever more often towards the end: who looks takes caches from who is looked at.
            while (used := both.cpu_s() - before) < expected / 2 or not both.waits():  # noqa: ASYNC110 - the same
                await asyncio.sleep(max(LOOK_S, (0.98 * expected - used) / 2))
        spent = both.cpu_s() - began
        return works * hashes / spent, both.exchange.counts[MINER]["shares"]


async def agents_cost(argv: list[str], rate: float) -> float:
    """CPU seconds that the agent spends on a share."""
    async with met(argv) as both:
        began = time.process_time()
        both.exchange.give(MINER, Work(1, os.urandom(DATA_BYTES), target(int(rate / SPARSE_PER_S))))
        await asyncio.sleep(SPARSE_S)
        return (time.process_time() - began) / both.exchange.counts[MINER]["shares"]


def main() -> None:
    """Measure in turns and print the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    *ours, core = sorted(os.sched_getaffinity(0))
    if ours:
        os.sched_setaffinity(0, ours)  # the last core is the miner's alone, as far as we go
    with tempfile.TemporaryDirectory() as folder:
        argv = ["taskset", "-c", str(core), *native(Path(folder)).argv]
        rate = without(argv)
        alone: dict[float, list[float]] = {quota: [] for quota in QUOTAS}
        turns: dict[float, list[tuple[float, int]]] = {quota: [] for quota in QUOTAS}
        for _ in range(rounds):
            for quota in QUOTAS:
                alone[quota].append(without(argv))
                turns[quota].append(asyncio.run(with_exchange(argv, rate, quota)))
        print(
            f"{'million hashes a CPU second':27} {'alone':>7} {'with':>7} {'costs':>8}  shares a CPU second"
        )
        for quota, turn in turns.items():
            rates, shares = zip(*turn, strict=True)
            costs = [1 - ours / best for ours, best in zip(rates, alone[quota], strict=True)]
            print(
                f"{f'a miner with {quota:g} CPU':27} {statistics.median(alone[quota]) / 1e6:7.2f} "
                f"{statistics.median(rates) / 1e6:7.2f} {100 * statistics.median(costs):7.2f}%  "
                f"{statistics.mean(shares) / CPU_SECONDS:.0f}"
            )
        exchange.RATE = exchange.BURST = 10.0 * SPARSE_PER_S
        cost = asyncio.run(agents_cost(argv, rate))
    print(
        f"the agent's CPU time a share: {cost * 1e6:.0f} us, {100 * SHARES_PER_S * cost:.3f}% of one CPU a miner"
    )


if __name__ == "__main__":
    main()
