"""What a signature covers, byte for byte: pinned, and made once more with nothing of ours.

Whoever writes another implementation holds it against tests/core/sign_bytes.json. If a change is meant, write it anew
with `python -m tests.core.test_sign_bytes`, and raise the version in mint/sign_bytes.py: old and new nodes would not
believe each other.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mint.envelope import Envelope
from mint.keys import network_id
from mint.sign_bytes import DOMAIN, Object, Stream, body_bytes, sign_bytes
from mint.wire import decode
from tests.builders import key_of
from tests.core.test_golden import NET, made

FILE = Path(__file__).with_name("sign_bytes.json")
SIGNED_BY = {"vote": "det1", "frame": "manager", "sample": "edge1"}
SHAPES = {
    "vote": ["o", "vote", "det1"],
    "frame": ["o", "frame", "manager"],
    "sample": ["s", "sample", "edge1", 5, 1],
}
PINNED: dict[str, dict[str, str]] = json.loads(FILE.read_text()) if FILE.exists() else {}


def seed(name: str) -> bytes:
    """As tests/builders.py makes keys."""
    return hashlib.sha256(name.encode()).digest()


def vectors() -> dict[str, dict[str, str]]:
    """What is signed of a vote, a frame and a sample, and by which key."""
    written = {}
    for kind, name in SIGNED_BY.items():
        envelope = decode(made()[kind], Envelope)
        written[kind] = {
            "network": NET.network.hex(),
            "body": envelope.body.hex(),
            "sign_bytes": sign_bytes(NET.network, envelope.body).hex(),
            "seed": seed(name).hex(),
            "public": key_of(name).public.hex(),
            "signature": envelope.signature.hex(),
        }
    return written


@pytest.mark.parametrize("kind", SIGNED_BY)
def test_what_is_signed_is_as_pinned(kind: str) -> None:
    assert vectors()[kind] == PINNED[kind]


@pytest.mark.parametrize("kind", SIGNED_BY)
def test_another_implementation_signs_the_same(kind: str) -> None:
    vector = {name: bytes.fromhex(value) for name, value in PINNED[kind].items()}
    key = Ed25519PrivateKey.from_private_bytes(vector["seed"])
    assert key.public_key().public_bytes_raw() == vector["public"]
    signed = b"MinT/1" + vector["network"] + vector["body"]
    assert (signed, key.sign(signed)) == (vector["sign_bytes"], vector["signature"])
    fields = msgpack.unpackb(vector["body"])
    assert msgpack.packb(fields) == vector["body"]
    assert fields[: 5 if kind == "sample" else 3] == SHAPES[kind]


def test_the_network_is_the_hash_of_its_operators_key() -> None:
    assert network_id(NET.operator.public) == NET.network
    assert hashlib.sha256(b"MinT network\x00" + NET.operator.public).digest() == NET.network


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
NUMBERS = st.integers(0, 2**63 - 1)
BODIES = st.one_of(
    st.builds(Object, NAMES, NAMES, st.binary(max_size=20)),
    st.builds(
        Stream, NAMES, NAMES, NUMBERS, NUMBERS, NUMBERS, st.text("abc/", max_size=8), st.binary(max_size=20)
    ),
)
NETWORKS = st.binary(min_size=32, max_size=32)


@given(st.tuples(NETWORKS, BODIES), st.tuples(NETWORKS, BODIES))
def test_no_two_things_are_signed_alike(
    one: tuple[bytes, Stream | Object], other: tuple[bytes, Stream | Object]
) -> None:
    signed = [sign_bytes(network, body_bytes(body)) for network, body in (one, other)]
    assert (signed[0] == signed[1]) == (one == other)
    assert signed[0].startswith(DOMAIN + one[0])


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n")
