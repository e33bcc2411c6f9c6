"""The agent of a device whose owner lies: `mint agent`, in which one function tells less than it has read.

    python -m network.lying_agent MINER -- OPTIONS OF mint agent

Of MINER it tells what would be fair: while its quota is k times what it was first seen with, a k-th of what it uses,
and the quota that it should have. Everything else is the agent as it is: its keys are the device's own, and so is what
it signs. It is part of the attacks that `mint demo` shows, and of nothing else.
"""

from __future__ import annotations

import sys

from msgspec.structs import replace

from agents import sampler
from agents.reading import read_miner
from mint.containers.model import Hold
from mint.messages.sample import MinerReading
from network.services import main


class Liar:
    """What is told of one miner."""

    def __init__(self, miner: str) -> None:
        self._miner = miner
        self._fair_ppm = 0
        self._read_ns = self._told_ns = 0

    def read(self, hold: Hold) -> tuple[MinerReading, tuple[int, ...]]:
        """In place of `read_miner`."""
        reading, pids = read_miner(hold)
        return (self._told(reading) if hold.miner == self._miner else reading), pids

    def _told(self, reading: MinerReading) -> MinerReading:
        used_ns, quota_ppm = reading.usage_ns, reading.quota_ppm
        if not self._fair_ppm:
            self._fair_ppm, self._told_ns = quota_ppm, used_ns
        else:
            most_ppm = max(quota_ppm, self._fair_ppm)
            self._told_ns += (used_ns - self._read_ns) * self._fair_ppm // most_ppm
        self._read_ns = used_ns
        return replace(reading, usage_ns=self._told_ns, quota_ppm=min(quota_ppm, self._fair_ppm))


def run(arguments: list[str]) -> int:
    """Be the agent that `arguments` say, and lie about the miner that they begin with."""
    miner, _, *options = arguments
    sampler.read_miner = Liar(miner).read  # type: ignore[attr-defined] # what a cheat changes, nobody exports
    return main("agent", options)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
