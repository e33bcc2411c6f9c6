"""The miner in Python, for machines without a C compiler: a twentieth of the speed.

    python -m agents.pow.reference --miner NAME [--difficulty H] [--parent PID]

Same options, same output as miner.c.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from agents.pow.equation import GENESIS, NONCE_BYTES, block_data, block_hash, solve

# Nonces between two looks at whether the parent still lives: some 0.1 s of a whole core.
CHUNK = 1 << 17


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


def main() -> None:
    """Read the options and mine."""
    parser = argparse.ArgumentParser(description="MinT's proof-of-work miner, the slow reference")
    parser.add_argument("--miner", default="miner")
    parser.add_argument("--difficulty", type=int, default=24, choices=range(257), metavar="H")
    parser.add_argument("--parent", type=int, default=0, metavar="PID")
    options = parser.parse_args()
    mine(options.miner, options.difficulty, options.parent)


if __name__ == "__main__":
    main()
