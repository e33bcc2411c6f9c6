"""How fast the miner's inner loop is, against what else this machine can hash with.

    python bench/bench_miner.py [SECONDS]

Every figure is SHA-256 compressions (64-byte blocks) a second of CPU time. The miner needs one for each
hash; OpenSSL's long messages are the processor's rate for one stream; `hashlib` is the loop that a Python
miner would run.
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

BLOCK_BYTES = 64


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
    midstate = hashlib.sha256(bytes(BLOCK_BYTES))
    begin, nonce = time.process_time(), 0
    while (spent := time.process_time() - begin) < seconds:
        for _ in range(10_000):
            attempt = midstate.copy()
            attempt.update(nonce.to_bytes(8, "big"))
            attempt.digest()
            nonce += 1
    return nonce / spent


def main() -> None:
    """Measure and print the table."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    rates = miner(seconds)
    if shutil.which("openssl"):
        rates["openssl speed, 16384-byte messages"] = openssl(16384, seconds)
        rates["openssl speed, 64-byte messages"] = openssl(64, seconds)
    rates["Python hashlib, midstate loop"] = python(seconds)
    best = next(iter(rates.values()))
    print(f"{'':36} {'million/s':>9}  {'miner is':>8}")
    for name, rate in rates.items():
        print(f"{name:36} {rate / 1e6:9.2f}  {best / rate:7.2f}x")


if __name__ == "__main__":
    main()
