"""Equation 1 of the paper: hash_block = SHA-256(block_data | nonce) <= D(h) = 2^(256-h).

The readable reference: miner.c does the same twenty times faster, and is tested against this.
"""

from __future__ import annotations

import hashlib

NONCE_BYTES = 8  # big-endian
HASH_BITS = 256
GENESIS = bytes(32)  # what stands for the previous hash in a first block
NAME_BYTES, HEIGHT_BYTES = 32, 24


def target(h: int) -> int:
    """D(h): the largest hash that solves difficulty `h` (leading zero bits, 0 to 256), as a big-endian integer.

    Raises:
        ValueError: h is out of range.
    """
    if not 0 <= h <= HASH_BITS:
        raise ValueError(f"difficulty {h} is not 0 to {HASH_BITS}")
    return 1 << (HASH_BITS - h)


def block_hash(block_data: bytes, nonce: int) -> bytes:
    """SHA-256(block_data | nonce), 32 bytes.

    >>> block_hash(b"MinT", 7).hex()[:16]
    '0bd27d5d2f15b8d9'
    """
    return hashlib.sha256(block_data + nonce.to_bytes(NONCE_BYTES, "big")).digest()


def solves(block_data: bytes, nonce: int, h: int) -> bool:
    """Whether `nonce` solves the block at difficulty `h`."""
    return int.from_bytes(block_hash(block_data, nonce), "big") <= target(h)


def solve(block_data: bytes, h: int, start: int = 0, tries: int = 1 << 20) -> int | None:
    """The first nonce from `start` on that solves the block, or None after `tries` of them."""
    return search(block_data, target(h), start, tries)


def search(block_data: bytes, bound: int, start: int, tries: int) -> int | None:
    """The first nonce from `start` on whose hash is at most `bound`, or None after `tries` of them."""
    midstate = hashlib.sha256(block_data)
    for nonce in range(start, start + tries):
        attempt = midstate.copy()
        attempt.update(nonce.to_bytes(NONCE_BYTES, "big"))
        if int.from_bytes(attempt.digest(), "big") <= bound:
            return nonce
    return None


def block_data(previous: bytes, miner: str, height: int) -> bytes:
    """What a miner without a ledger hashes: the last block's hash (32 bytes), its name (32, zero-padded), the height.

    The height is big-endian, as the nonce is, in 24 bytes: so the nonce lies where it does in a header of the chain
    (mint/chain/header.py), which is what miners are fast at.
    """
    return previous + miner.encode().ljust(NAME_BYTES, b"\0") + height.to_bytes(HEIGHT_BYTES, "big")
