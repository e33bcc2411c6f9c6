"""Miners as plain processes, each in a cgroup of its own; they end with this process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agents.pow import cgroups, work_folder
from agents.pow.build import Program
from agents.pow.runtime import CGROUP, MEMORY_LIMIT_BYTES
from mint.containers.find import cgroup_hold
from mint.containers.hierarchy import CGROUPFS, Hierarchy, miner_path
from mint.containers.model import Hold, Quota
from mint.errors import ContainerError, MachineError

# The process enters its cgroups before it becomes the miner: not a moment of its work is outside of them. When it
# does become it, it lets go of its standard output, which whoever started it waits for.
ENTER = 'until [ "$1" = -- ]; do echo $$ > "$1" || exit 3; shift; done; shift; exec "$@" > /dev/null'
END_WITHIN_S = 5.0


class CgroupRuntime:
    """See Runtime. Needs a writable cpu cgroup (in general: root)."""

    name = CGROUP

    def __init__(self, scope: str, here: Hierarchy, program: Program, exchange: Path | None) -> None:
        self.digest = program.digest
        self._scope, self._here, self._program, self._exchange = scope, here, program, exchange
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._holds: dict[str, Hold] = {}
        self._lock = threading.Lock()
        # The kernel ends a miner with the *thread* that started it (PR_SET_PDEATHSIG): one that lives as
        # long as this.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="miners")

    def start(self, miner: str, quota: Quota) -> None:
        """See Runtime."""
        with self._lock:
            if self.running(miner):
                return
            cgroups.make(self._here, self._scope, miner, quota, MEMORY_LIMIT_BYTES)
            if self._exchange is not None:
                work_folder.make_folder(self._exchange, miner)
            self._children[miner] = self._starter.submit(self._spawn, miner).result()

    def stop(self, miner: str) -> None:
        """See Runtime."""
        with self._lock:
            child = self._children.pop(miner, None)
            if child is not None:
                with contextlib.suppress(ContainerError):
                    self.hold(miner).thaw()  # a frozen process dies of nothing
                child.kill()
                child.wait(END_WITHIN_S)

    def running(self, miner: str) -> bool:
        """See Runtime."""
        child = self._children.get(miner)
        return child is not None and child.poll() is None

    def hold(self, miner: str) -> Hold:
        """See Runtime."""
        if miner not in self._holds:
            self._holds[miner] = cgroup_hold(self._here, miner, miner_path(CGROUPFS, self._scope, miner))
        return self._holds[miner]

    def sweep(self) -> None:
        """See Runtime."""
        cgroups.remove_scope(self._here, self._scope)

    def close(self) -> None:
        """See Runtime."""
        for hold in self._holds.values():
            hold.close()
        cgroups.remove_scope(self._here, self._scope)
        for child in self._children.values():
            child.kill()
            child.wait(END_WITHIN_S)
        self._children.clear()
        self._starter.shutdown()

    def _spawn(self, miner: str) -> subprocess.Popen[bytes]:
        enter = ["/bin/sh", "-c", ENTER, "sh", *cgroups.procs_files(self._here, self._scope, miner), "--"]
        options = [
            "--miner",
            miner,
            "--parent",
            str(os.getpid()),
            *work_folder.options(self._exchange, miner),
        ]
        argv = [*enter, *self._program.argv, *options]
        nothing = subprocess.DEVNULL
        try:
            child = subprocess.Popen(argv, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing)
        except OSError as error:
            raise MachineError(
                f"the miner cannot be started ({error})", "see that /bin/sh can run"
            ) from error
        if child.stdout is not None:
            with child.stdout as until_it_mines:
                until_it_mines.read()
        return child
