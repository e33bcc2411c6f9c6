"""What passes between a device's agent and a miner: work, and the nonces that it found. work.h says the same in C.

    agent to miner   "MiNTwrk1" | id (8) | first nonce (8) | block_data (152) | target (32)   new work replaces old
    miner to agent   id (8) | nonce (8)                                             each once, smallest first

All numbers are big-endian. A nonce is told if SHA-256(block_data | nonce), as an integer, is at most the target.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAGIC = b"MiNTwrk1"  # its last digit is the version
DATA_BYTES = 152  # block_data of a header of the chain (mint/chain/header.py)
HASH_BYTES = 32
NONCES = 1 << 64
WORK = struct.Struct(f">8sQQ{DATA_BYTES}s{HASH_BYTES}s")
SOLUTION = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True)
class Work:
    """A template and how small a hash of it is to be told; nonces are tried upwards from `start`.

    `id` is the giver's name for it, 0 to 2^64 - 1. `data` is 152 bytes, `target` 0 to 2^256 - 1.

    Raises:
        ValueError: one of them is out of its range.
    """

    id: int
    data: bytes
    target: int
    start: int = 0

    def __post_init__(self) -> None:
        if len(self.data) != DATA_BYTES:
            raise ValueError(f"block_data of {len(self.data)} bytes is not {DATA_BYTES}")
        if not (
            0 <= self.id < NONCES and 0 <= self.start < NONCES and 0 <= self.target < 1 << 8 * HASH_BYTES
        ):
            raise ValueError(
                f"work {self.id} from nonce {self.start} with target {self.target} is out of range"
            )

    def encode(self) -> bytes:
        """As it is sent."""
        return WORK.pack(MAGIC, self.id, self.start, self.data, self.target.to_bytes(HASH_BYTES, "big"))


def decode(message: bytes) -> Work:
    """The work in a message of WORK.size bytes.

    Raises:
        ValueError: it is not of this length or version.
    """
    if len(message) != WORK.size or not message.startswith(MAGIC):
        raise ValueError("the agent gives another kind of work: it is of another version")
    _, number, start, data, target = WORK.unpack(message)
    return Work(number, data, int.from_bytes(target, "big"), start)
