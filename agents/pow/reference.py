"""The miner in Python, for machines without a C compiler: a twentieth of the speed.

    python -m agents.pow.reference --miner NAME [--difficulty H | --work SOCKET] [--parent PID]

Same options, same output as miner.c.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from agents.pow.equation import GENESIS, NONCE_BYTES, block_data, block_hash, search, solve
from agents.pow.work import NONCES, SOLUTION, WORK, Work, decode

# Nonces between two looks at whether the parent still lives: some 0.1 s of a whole core.
CHUNK = 1 << 17
# Nonces between two looks at the socket: some 5 ms of it.
LOOK = 1 << 13
# So long it waits for an agent that is not there, and for work before it looks whether its parent lives.
RETRY_S, WAIT_S = 0.2, 1.0


def mine(miner: str, difficulty: int, parent: int) -> None:
    """Mine until the process `parent` is no longer the parent (0: for ever), one line of JSON a block."""
    previous, height, hashes = GENESIS, 0, 0
    while True:
        height += 1
        data = block_data(previous, miner, height)
        start, nonce = 0, None
        while nonce is None:
            if parent and os.getppid() != parent:
                return
            nonce = solve(data, difficulty, start, min(CHUNK, (1 << 8 * NONCE_BYTES) - start))
            start += CHUNK
        hashes += nonce + 1
        previous = block_hash(data, nonce)
        found = {"miner": miner, "height": height, "nonce": nonce, "hash": previous.hex()}
        line = json.dumps(found | {"hashes": hashes, "cpu_seconds": round(time.process_time(), 6)})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def exchange(path: Path, parent: int) -> None:
    """Work for the agent that listens at `path` whenever there is one, until `parent` is no longer the parent."""
    while not parent or os.getppid() == parent:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as agent:
            _connect(agent, path)
            try:
                _serve(agent, parent)
            except ValueError as error:
                sys.stderr.write(f"miner: {error}\n")
        time.sleep(RETRY_S)


def _connect(agent: socket.socket, path: Path) -> None:
    # A socket's address holds 107 characters, a path may have more: its folder is named by a descriptor.
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        agent.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _serve(agent: socket.socket, parent: int) -> None:
    """Do what the agent gives until one of the two has gone."""
    work, nonce, coming = None, 0, b""
    while not parent or os.getppid() == parent:
        agent.settimeout(WAIT_S if work is None else 0)
        try:
            got = agent.recv(WORK.size - len(coming))
        except (TimeoutError, BlockingIOError):
            if work is not None:
                work, nonce = _grind(agent, work, nonce)
            continue
        if not got:
            return
        coming += got
        if len(coming) == WORK.size:  # and there may be newer work
            work = decode(coming)
            nonce, coming = work.start, b""


def _grind(agent: socket.socket, work: Work, start: int) -> tuple[Work | None, int]:
    """Try some nonces from `start` on; what to go on with, which is nothing where no nonce is left."""
    tries = min(LOOK, NONCES - start)
    nonce = search(work.data, work.target, start, tries)
    if nonce is not None:
        agent.settimeout(None)  # it waits where the agent does not read
        agent.sendall(SOLUTION.pack(work.id, nonce))
    after = start + tries if nonce is None else nonce + 1
    return (work if after < NONCES else None), after


def main() -> None:
    """Read the options and mine."""
    parser = argparse.ArgumentParser(description="MinT's proof-of-work miner, the slow reference")
    parser.add_argument("--miner", default="miner")
    parser.add_argument("--difficulty", type=int, default=24, choices=range(257), metavar="H")
    parser.add_argument("--work", type=Path, metavar="SOCKET")
    parser.add_argument("--parent", type=int, default=0, metavar="PID")
    options = parser.parse_args()
    if options.work is not None:
        exchange(options.work, options.parent)
    else:
        mine(options.miner, options.difficulty, options.parent)


if __name__ == "__main__":
    main()
