"""Signatures for the simulator: a keyed hash instead of Ed25519, a hundred times as fast.

The public key is 32 bytes that follow from a name, and it is the key of the hash too: whoever knows it could sign,
which on a real network would be the end. Here nobody does: liars get their own key's `sign` and no other. What
is kept is what the components rest on: a signature fits one key and exactly the bytes that were signed.
"""

from __future__ import annotations

import hashlib

from mint.keys import PUBLIC_KEY_SIZE, SIGNATURE_SIZE


def _tag(public: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=SIGNATURE_SIZE, key=public).digest()


class HashKey:
    """A node's key: signs as mint.keys.SigningKey does."""

    __slots__ = ("public",)

    def __init__(self, name: str) -> None:
        self.public = hashlib.blake2b(
            name.encode(), digest_size=PUBLIC_KEY_SIZE, person=b"simulated"
        ).digest()

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes that stand for the signature of `data`."""
        return _tag(self.public, data)


def verifies(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is of the key `public` over exactly `data`."""
    # No time to be told from: plain comparison will do.
    return len(public) == PUBLIC_KEY_SIZE and _tag(public, data) == signature
