"""An agent as a process of its own, and nothing but it: `python -m tests.agents.agent_process FOLDER NODE PORT`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agents import service
from mint.names import Role
from mint.node import Node, NodeOptions


def main(folder: Path, name: str, port: int) -> None:
    own = folder / name
    options = NodeOptions(folder / "charter.signed", name, own, "127.0.0.1", port, own / "state")
    service.WILL_DELAY_S = 1  # who waits for its death waits no longer than it takes to be sure
    asyncio.run(service.run(Node(options, Role.AGENT), asyncio.Event()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
