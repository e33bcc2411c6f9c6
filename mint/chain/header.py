"""The bytes that are hashed, equation 1: SHA-256(block_data | nonce), as an integer, is at most the target.

    block_data = network (32) | parent (32) | root (32) | miner (32, name, zeros after it)
                 | height (8) | time_ms (8) | work (8)                                        nonce (8)

all integers big-endian. The 152 bytes end in the middle of SHA-256's third 64-byte block, so that a miner hashes the
first two once a template and needs one compression a nonce. "Work" is the expected number of hashes, an integer:
equation 1's target D(h) = 2^(256 - h) is that of work 2^h.
"""

from __future__ import annotations

import hashlib
import struct

from mint.charter.model import Chain
from mint.messages.chain import NONCE_BYTES, Header, Shares
from mint.wire import encode

BLOCK_DATA = struct.Struct(">32s32s32s32sQQQ")
BLOCK_DATA_BYTES = BLOCK_DATA.size
_SPACE = 1 << 256


def block_data(network: bytes, header: Header | Shares) -> bytes:
    """All of a header but its nonce: what a miner is given (152 bytes)."""
    return BLOCK_DATA.pack(
        network,
        header.parent,
        header.root,
        header.miner.encode("ascii"),
        header.height,
        header.time_ms,
        header.work,
    )


def pow_hash(data: bytes, nonce: int) -> bytes:
    """SHA-256 of `data` (block_data) and a nonce."""
    return hashlib.sha256(data + nonce.to_bytes(NONCE_BYTES, "big")).digest()


def block_hash(network: bytes, header: Header) -> bytes:
    """The hash that a block is known by."""
    return pow_hash(block_data(network, header), header.nonce)


def target(work: int) -> int:
    """The largest hash that takes `work` hashes to find, on average."""
    return min(_SPACE // work, _SPACE - 1)


def meets(digest: bytes, work: int) -> bool:
    """Whether a hash is proof of `work`."""
    return int.from_bytes(digest, "big") <= target(work)


def genesis(network: bytes, fog: str, chain: Chain) -> bytes:
    """The parent of block 1: no block at all, but which ledger it is, so that each has its own."""
    said = b"".join((network, fog.encode("ascii"), b"\x00", encode(chain)))
    return hashlib.sha256(b"MinT chain\x00" + said).digest()
