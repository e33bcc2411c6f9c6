"""A miner's program replaced by another one: in the same cgroup and under the same quota, at the same agent's socket.

Part of the attacks that `mint demo` shows. The pinned program is ended, and the one that takes its place hashes with
whatever the processor can do.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from agents.pow.build import native
from agents.pow.cgroups import procs_files
from agents.pow.runtime import DUTY, Runtime
from agents.pow.runtime_cgroup import ENTER
from agents.pow.work_folder import options
from mint.containers import hierarchy
from mint.errors import MachineError


def swap(runtime: Runtime, scope: str, miner: str, cache: Path, exchange: Path) -> subprocess.Popen[bytes]:
    """End the miner's program and start another in its place; it ends with us, and with its cgroup.

    Raises:
        MachineError: miners have no cgroups here, or it cannot be started.
    """
    here = hierarchy.detect()
    enter = procs_files(here, scope, miner)
    if runtime.name == DUTY or not all(Path(file).exists() for file in enter):
        raise MachineError(
            "the attack swap needs miners in cgroups of their own", "use --runtime cgroup, as root"
        )
    program = native(cache)
    runtime.stop(miner)
    argv = ["/bin/sh", "-c", ENTER, "sh", *enter, "--", *program.argv, "--miner", miner]
    argv += ["--parent", str(os.getpid()), *options(exchange, miner)]
    nothing = subprocess.DEVNULL
    return subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing)
