"""How fast the miner's inner loop is, against what else this machine can hash with.

    python bench/bench_miner.py [SECONDS]

What is hashed is a header of the chain: 160 bytes, nonce included, which are three compressions of SHA-256 (64-byte
blocks, the padding in the third). The miner does the first two once for all nonces, so that a hash costs it one;
OpenSSL, which is given 160 bytes, does all three, and sets up a context each time. So there are two comparisons, and
both are printed: hashes, and compressions, which leaves the miner's midstate out of it. OpenSSL's long messages are the
processor's rate for one stream with nothing around it; `hashlib` is the loop that a Python miner would run. All
figures are a second of CPU time, of one core.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agents.pow.build import native
from mint.chain.header import BLOCK_DATA_BYTES
from mint.messages.chain import NONCE_BYTES

BLOCK_BYTES = 64
HEADER_BYTES = BLOCK_DATA_BYTES + NONCE_BYTES
HEADER_BLOCKS = 3


def miner(seconds: int) -> dict[str, float]:
    """Hashes a CPU-second of every path that this processor has."""
    with tempfile.TemporaryDirectory() as folder:
        argv = native(Path(folder)).argv
        tested = subprocess.run([*argv, "--selftest"], capture_output=True, text=True, check=True).stdout
        paths = [path["path"] for path in map(json.loads, tested.splitlines()) if path["supported"]]
        rates = {}
        for path in paths:
            bench = [*argv, "--bench", str(seconds), "--path", path]
            ran = json.loads(subprocess.run(bench, capture_output=True, check=True).stdout)
            rates[f"miner.c, path {path}"] = ran["hashes_per_cpu_second"]
        return rates


def openssl(size: int, seconds: int) -> float:
    """Compressions a second of `openssl speed` on messages of `size` bytes."""
    argv = ["openssl", "speed", "-evp", "sha256", "-bytes", str(size), "-seconds", str(seconds)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    kilobytes = float(re.findall(r"([\d.]+)k", said)[-1])
    compressions = size // BLOCK_BYTES + 1  # the padding takes one more
    return kilobytes * 1000 / size * compressions


def python(seconds: float) -> float:
    """Hashes a CPU-second of a loop over nonces in Python, the midstate copied."""
    midstate = hashlib.sha256(bytes(BLOCK_DATA_BYTES))
    begin, nonce = time.process_time(), 0
    while (spent := time.process_time() - begin) < seconds:
        for _ in range(10_000):
            attempt = midstate.copy()
            attempt.update(nonce.to_bytes(NONCE_BYTES, "big"))
            attempt.digest()
            nonce += 1
    return nonce / spent


def main() -> None:
    """Measure and print the tables."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    rates = miner(seconds)
    best = max(rates.values())
    rates["Python hashlib, midstate loop"] = python(seconds)
    short = long = 0.0
    if shutil.which("openssl"):
        short, long = openssl(HEADER_BYTES, seconds), openssl(16384, seconds)
        rates[f"openssl speed, {HEADER_BYTES}-byte messages"] = short
        rates["openssl speed, 16384-byte messages"] = long
    print(f"{'compressions':36} {'million/s':>9}  {'miner is':>8}")
    for name, rate in rates.items():
        print(f"{name:36} {rate / 1e6:9.2f}  {best / rate:7.2f}x")
    if short:
        hashes = short / HEADER_BLOCKS
        print(
            f"\nof openssl speed on {HEADER_BYTES} bytes the miner has {100 * best / hashes:.0f}% in hashes "
            f"({best / 1e6:.1f} against {hashes / 1e6:.1f} million/s),\n{100 * best / short:.0f}% in compressions "
            f"without the midstate's share, and {100 * best / long:.0f}% of the rate on long messages"
        )


if __name__ == "__main__":
    main()
