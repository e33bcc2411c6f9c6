"""Ed25519 keys (RFC 8032): made, kept in files, used to sign and to verify bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mint.errors import InputError
from mint.files import write_atomic

PUBLIC_KEY_SIZE = 32
SIGNATURE_SIZE = 64


def network_id(operator: bytes) -> bytes:
    """The network's identity: SHA-256 of the operator's raw public key; it is part of all that is signed."""
    return hashlib.sha256(b"MinT network\x00" + operator).digest()


class Key(Protocol):
    """What signs: `public` is what the charter says of its holder."""

    public: bytes

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`, `SIGNATURE_SIZE` bytes."""


# Whether a signature is by the holder of a public key over exactly those bytes: (public, signature, data).
Scheme = Callable[[bytes, bytes, bytes], bool]


class SigningKey:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """The key of 32 random bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """The key in a PEM (PKCS 8) file.

        Raises:
            InputError: no such file, not a key, or others than its owner may read it.
        """
        try:
            if path.stat().st_mode & 0o077:
                raise InputError(str(path), "others may read this private key", f"run: chmod 600 {path}")
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise InputError(
                str(path), f"cannot read the key ({error.strerror})", "make it with `mint init`"
            ) from None
        except (ValueError, TypeError):
            raise InputError(str(path), "is not a PEM private key", "make it anew with `mint init`") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(str(path), "is not an Ed25519 key", "make it anew with `mint init`")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the key to `path` for its owner alone (mode 0600), atomically."""
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_atomic(path, pem, mode=0o600)

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature of `data`."""
        return self._key.sign(data)


def new_key() -> SigningKey:
    """A key from the system's random source."""
    return SigningKey.from_seed(os.urandom(32))


def verifies(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is by the holder of `public` over exactly `data`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


# The scheme of every network; the simulator has one that is quicker and as strict (network/simulate/signing.py).
ED25519: Scheme = verifies


def load_public(path: Path) -> bytes:
    """The raw public key in a file of 64 hex digits.

    Raises:
        InputError: no such file or no such key.
    """
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise InputError(
            str(path), f"cannot read the public key ({error.strerror})", "copy operator.pub here"
        ) from None
    except ValueError:
        raise InputError(str(path), "is not a public key in hex", "copy operator.pub here again") from None
    if len(key) != PUBLIC_KEY_SIZE:
        raise InputError(str(path), f"holds {len(key)} bytes, not 32", "copy operator.pub here again")
    return key
