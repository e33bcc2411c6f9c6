"""Finds the miners of this device and reads them all: once a period, one `Sample`.

Cgroup files take some ten microseconds a miner and are read on the event loop; what only Docker's API shows
comes from docker_watch.py. A miner that cannot be read is left out, counted and mentioned; cumulative
counters make the next reading whole again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec.structs import replace

from agents.docker_watch import DockerWatch
from agents.gpu import GpuReader
from agents.reading import UNREADABLE, host_cpus, read_miner, steal_ns
from mint.boot import boot_id
from mint.bus.quiet import Quiet
from mint.containers.cgroup_v1 import HoldV1
from mint.containers.cgroup_v2 import HoldV2
from mint.containers.duty import DutyHold
from mint.containers.find import find_files
from mint.containers.hierarchy import CGROUP_ROOT
from mint.containers.model import Hold
from mint.messages.sample import MAX_MINERS_PER_DEVICE, MinerReading, Sample, State

KINDS = {HoldV1: "cgroup v1", HoldV2: "cgroup v2", DutyHold: "duty cycle"}
DOCKER_API = "Docker's API"


class Sampler:
    """The miners of one scope on this device.

    `failures` counts, by miner, how often one could not be read.
    """

    def __init__(
        self,
        scope: str,
        *,
        log: logging.Logger,
        cgroup_root: Path = CGROUP_ROOT,
        duty_dir: Path | None = None,
        gpu: GpuReader | None = None,
        docker: DockerWatch | None = None,
    ) -> None:
        self.failures: Counter[str] = Counter()
        self._scope, self._cgroup_root, self._duty_dir = scope, cgroup_root, duty_dir
        self._gpu, self._docker = gpu, docker
        self._log, self._quiet = log, Quiet(log)
        self._boot, self._cpus, self._steal_ns = boot_id(), host_cpus(), 0
        self._files: dict[str, Hold] = {}
        self._holds: dict[str, Hold] = {}
        self._by_api: frozenset[str] = frozenset()
        self._last: dict[str, MinerReading] = {}
        self.miners: tuple[str, ...] = ()

    def discover(self, expected: Collection[str]) -> None:
        """Look which of the `expected` miners are here now; where looking fails, those known stay."""
        try:
            files = find_files(
                self._scope, cgroup_root=self._cgroup_root, duty_dir=self._duty_dir, known=self._files
            )
        except OSError as error:  # a folder that went away while it was listed
            self._quiet.warning("discover", f"miners cannot be listed: {error}")
            return
        for miner, hold in self._files.items():
            if files.get(miner) is not hold:
                hold.close()
        self._files = files
        self._holds = {**(self._docker.by_files() if self._docker else {}), **files}
        by_api = self._docker.by_api() if self._docker else frozenset()
        self._by_api = by_api - self._holds.keys()
        found = self._holds.keys() | self._by_api
        # One reading that the charter does not know would have the manager reject the whole sample.
        if strangers := sorted(found - set(expected)):
            self._quiet.warning("strangers", f"not this device's in the charter: {', '.join(strangers)}")
        miners = tuple(sorted(found & set(expected)))[:MAX_MINERS_PER_DEVICE]
        if miners != self.miners:
            self._log.info("miners on this device: %s", ", ".join(miners) or "none")
            self._forget_all_but(expected)
        self.miners = miners

    def sample(self, shares: Mapping[str, int] | None = None) -> Sample:
        """Read every miner once, in the order of their names; `shares`: how many each has found for the ledger."""
        found = shares or {}
        by_api = self._docker.take() if self._docker else {}
        readings: list[MinerReading] = []
        processes: dict[str, tuple[int, ...]] = {}
        for miner in self.miners:
            hold = self._holds.get(miner)
            reading, pids = self._read(miner, hold) if hold else (by_api.get(miner), ())
            if reading is not None and self._sendable(reading):
                self._last[miner] = reading
                readings.append(replace(reading, shares=found.get(miner, 0)))
                if pids:
                    processes[miner] = pids
        if self._gpu is not None:
            shares = self._gpu(processes)
            readings = [replace(r, gpu_ppm=max(0, shares.get(r.miner, 0))) for r in readings]
        self._steal_ns = max(self._steal_ns, steal_ns())
        return Sample(boot=self._boot, cpus=self._cpus, steal_ns=self._steal_ns, miners=tuple(readings))

    def state(self) -> State:
        """What a birth says: the miners, and how they are read."""
        kinds = {KINDS.get(type(self._holds.get(miner)), DOCKER_API) for miner in self.miners}
        return State(alive=True, runtime=", ".join(sorted(kinds)), miners=self.miners)

    def close(self) -> None:
        """Let go of all files and of Docker."""
        for hold in self._holds.values():
            hold.close()
        if self._docker:
            self._docker.stop()

    def _read(self, miner: str, hold: Hold) -> tuple[MinerReading | None, tuple[int, ...]]:
        try:
            return read_miner(hold)
        except UNREADABLE as error:
            self._left_out(miner, str(error))
            return None, ()

    def _sendable(self, new: MinerReading) -> bool:
        """Whether the manager can take `new` after the last one sent: for one that cannot be, it would reject all.

        A limiter that was held up shows the same reading twice, which is no failure.
        """
        old = self._last.get(new.miner)
        if not new.before_ns <= new.after_ns <= time.monotonic_ns():
            self._left_out(new.miner, f"{new.miner} was read at a time that cannot be")
        elif old is None:
            return True
        elif new.epoch == old.epoch and new.usage_ns < old.usage_ns:
            self._left_out(new.miner, f"use of {new.miner} runs backwards")
        else:
            return new.before_ns >= old.after_ns
        return False

    def _left_out(self, miner: str, why: str) -> None:
        self.failures[miner] += 1
        self._quiet.warning(miner, f"left out of the sample: {why}")

    def _forget_all_but(self, expected: Collection[str]) -> None:
        """Keep what is known of the charter's miners only: others may come and go for years."""
        for kept in (self.failures, self._last):
            for miner in kept.keys() - set(expected):
                del kept[miner]
