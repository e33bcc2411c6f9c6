"""What the agent costs: CPU of one core, memory, delay.

    sudo .venv/bin/python -m bench.bench_agent [--miners 16] [--seconds 30]

Starts a private broker, one busy process a miner in a cgroup of its own (1 % of a core each), the agent as a
process of its own at one sample a second, and a manager that acknowledges every sample. Needs root and cgroup
v1. The figures to reach: under 2 % of one core and under 60 MiB with 16 miners.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

import psutil

from mint.messages.sample import Sample
from network.mosquitto_program import find_mosquitto
from tests.agents.fog import AGENT, Cgroups, Fog, Manager, cgroups_of, manager_of

PERIOD_MS = 1_000
QUOTA_US = 1_000  # of 100,000: 1 % of a core
WARM_UP_SAMPLES = 3
MIB = 2**20


async def bench(miners: int, seconds: int) -> None:
    """Run it all and print the figures."""
    names = [f"miner_{number:02}" for number in range(1, miners + 1)]
    with tempfile.TemporaryDirectory(prefix="mint-bench-") as folder:
        Path(folder).chmod(0o755)  # Mosquitto runs without privileges
        fog = Fog(Path(folder), find_mosquitto(), names, PERIOD_MS)
        async with fog.broker, manager_of(fog) as manager:
            with cgroups_of(fog.keys.scope) as cgroups:
                _start(cgroups, names)
                words = ("-m", "tests.agents.agent_process", folder, AGENT, str(fog.broker.port))
                process = await asyncio.create_subprocess_exec(sys.executable, *words)
                try:
                    await _measure(manager, psutil.Process(process.pid), miners, seconds)
                finally:
                    process.kill()
                    await process.wait()


def _start(cgroups: Cgroups, names: list[str]) -> None:
    for name in names:
        cgroups.make(name, QUOTA_US)
        cgroups.run(name, "sh", "-c", "while :; do :; done")


async def _measure(manager: Manager, agent: psutil.Process, miners: int, seconds: int) -> None:
    await _acknowledged(manager, WARM_UP_SAMPLES)
    before, heard = agent.cpu_times(), len(manager.samples)
    await _acknowledged(manager, seconds * 1_000 // PERIOD_MS)
    after = agent.cpu_times()
    samples = [h.opened.message for h in manager.samples[heard:] if isinstance(h.opened.message, Sample)]
    elapsed_s = (samples[-1].miners[0].before_ns - samples[0].miners[0].before_ns) / 1e9 + PERIOD_MS / 1e3
    used_s = after.user - before.user + after.system - before.system
    spans_ms = [(s.miners[-1].after_ns - s.miners[0].before_ns) / 1e6 for s in samples]
    widths_us = [(r.after_ns - r.before_ns) / 1e3 for s in samples for r in s.miners]
    print(f"miners                      {miners:8d}")
    print(f"samples                     {len(samples):8d} in {elapsed_s:.1f} s")
    print(f"CPU of one core             {100 * used_s / elapsed_s:8.2f} %")
    print(f"  user, system              {after.user - before.user:8.2f} {after.system - before.system:.2f} s")
    print(f"resident memory             {agent.memory_info().rss / MIB:8.1f} MiB")
    print(f"reading all miners, median  {statistics.median(spans_ms):8.2f} ms")
    print(f"width of a bracket, median  {statistics.median(widths_us):8.1f} us")
    print(f"bytes of a sample           {len(manager.samples[-1].data):8d}")


async def _acknowledged(manager: Manager, samples: int) -> None:
    """Take in and acknowledge so many new samples."""
    for _ in range(samples):
        heard = len(manager.samples)
        await manager.until(lambda heard=heard: len(manager.samples) > heard)  # type: ignore[misc] # one a round
        await manager.acknowledge(manager.samples[-1].place)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--miners", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    asyncio.run(bench(options.miners, options.seconds))


if __name__ == "__main__":
    main()
