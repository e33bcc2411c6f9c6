"""An agent as a process of its own: `python -m tests.agents.agent_process FOLDER PORT`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agents.service import run
from mint.names import Role
from mint.node import Node, NodeOptions
from tests.agents.fog import AGENT


def main(folder: Path, port: int) -> None:
    own = folder / AGENT
    options = NodeOptions(folder / "charter.signed", AGENT, own, "127.0.0.1", port, own / "state")
    asyncio.run(run(Node(options, Role.AGENT), asyncio.Event()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
