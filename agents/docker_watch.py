"""Miners that only Docker knows of, found and, where need be, read in a thread of its own.

Docker's API takes tens of milliseconds a miner and may hang for half a minute, which must hold up neither the
miners that files show nor the agent's end: hence a daemon thread that leaves its last readings where the
sampler picks them up. Their brackets say when they were really taken.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agents.reading import UNREADABLE, read_miner
from mint.bus.quiet import Quiet
from mint.containers.cgroup_v1 import HoldV1
from mint.containers.cgroup_v2 import HoldV2
from mint.containers.find import docker_client, find_docker
from mint.containers.model import Hold
from mint.errors import MachineError
from mint.messages.sample import MinerReading

if TYPE_CHECKING:
    from docker import DockerClient

# Listing costs the engine some milliseconds a container; one that fails to be read is looked for sooner.
LIST_EVERY_S = 30.0
LIST_AGAIN_S = 5.0


class DockerWatch:
    """Finds the containers of `scope` and reads those whose cgroup files are out of reach once a `period_s`."""

    def __init__(self, scope: str, cgroup_root: Path, period_s: float, log: logging.Logger) -> None:
        self.period_s = period_s
        self._scope, self._cgroup_root = scope, cgroup_root
        self._quiet = Quiet(log)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._by_files: dict[str, Hold] = {}
        self._by_api: dict[str, Hold] = {}
        self._read: dict[str, MinerReading] = {}
        self._client: DockerClient | None = None
        self._listed_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="docker watch", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread still runs: it ends with `stop`, once the call that it is in returns."""
        return self._thread.is_alive()

    def by_files(self) -> dict[str, Hold]:
        """Miners found by Docker whose cgroup files can be read here: the caller reads them."""
        with self._lock:
            return dict(self._by_files)

    def by_api(self) -> frozenset[str]:
        """Miners that this watch reads."""
        with self._lock:
            return frozenset(self._by_api)

    def take(self) -> dict[str, MinerReading]:
        """What was read since the last call."""
        with self._lock:
            taken, self._read = self._read, {}
        return taken

    def stop(self) -> None:
        """No more rounds; a call that hangs is left to hang."""
        self._stop.set()

    def _run(self) -> None:
        list_every_s = 0.0
        while not self._stop.is_set():
            began = time.monotonic()
            if began - self._listed_at >= list_every_s:
                self._list()
                self._listed_at = began
            failed = self._read_all()
            list_every_s = LIST_AGAIN_S if failed or self._client is None else LIST_EVERY_S
            self._stop.wait(max(0.0, began + self.period_s - time.monotonic()))
        if self._client is not None:
            self._client.close()

    def _list(self) -> None:
        try:
            if self._client is None:
                self._client = docker_client()
            found = find_docker(self._scope, self._client, cgroup_root=self._cgroup_root)
        except MachineError as error:
            self._quiet.warning("docker", f"containers cannot be listed: {error}")
            if self._client is not None:
                self._client.close()
                self._client = None
            return
        files: dict[str, Hold] = {
            miner: hold for miner, hold in found.items() if isinstance(hold, HoldV1 | HoldV2)
        }
        with self._lock:
            self._by_files = files
            self._by_api = {miner: hold for miner, hold in found.items() if miner not in files}

    def _read_all(self) -> bool:
        """Read each once; whether any failed."""
        failed = False
        for miner, hold in self._by_api.items():
            try:
                reading, _ = read_miner(hold)
            except UNREADABLE as error:
                failed = True
                self._quiet.warning(miner, f"left out of the sample: {error}")
                continue
            with self._lock:
                self._read[miner] = reading
        return failed
