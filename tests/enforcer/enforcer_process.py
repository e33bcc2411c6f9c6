"""An enforcer as a process of its own: `python -m tests.enforcer.enforcer_process FOLDER PORT`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from enforcer.service import run
from mint.containers.hierarchy import CGROUP_ROOT
from mint.names import Role
from mint.node import Node
from tests.enforcer.fog import options_of
from tests.enforcer.offences import ENFORCER


def main(folder: Path, port: int) -> None:
    node = Node(options_of(folder, ENFORCER, port), Role.ENFORCER)
    asyncio.run(run(node, asyncio.Event(), cgroup_root=CGROUP_ROOT, duty_dir=None, docker=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
