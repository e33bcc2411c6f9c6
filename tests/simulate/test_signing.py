"""The keyed hash that stands for signatures: it fails on any changed byte, and for any other key."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from mint.keys import PUBLIC_KEY_SIZE, SIGNATURE_SIZE
from network.simulate.signing import HashKey, verifies

KEY, OTHER = HashKey("det1"), HashKey("det2")


@given(st.binary(max_size=200))
def test_what_was_signed_verifies_under_its_key_alone(data: bytes) -> None:
    signature = KEY.sign(data)
    assert len(KEY.public) == PUBLIC_KEY_SIZE
    assert len(signature) == SIGNATURE_SIZE
    assert verifies(KEY.public, signature, data)
    assert not verifies(OTHER.public, signature, data)
    assert not verifies(b"short", signature, data)


@given(st.binary(min_size=1, max_size=64), st.data())
def test_any_changed_bit_is_seen(data: bytes, draw: st.DataObject) -> None:
    signature = KEY.sign(data)
    checks: list[tuple[bytes, Callable[[bytes], bool]]] = [
        (data, lambda changed: verifies(KEY.public, signature, changed)),
        (signature, lambda changed: verifies(KEY.public, changed, data)),
        (KEY.public, lambda changed: verifies(changed, signature, data)),
    ]
    for whole, check in checks:
        bit = draw.draw(st.integers(0, 8 * len(whole) - 1))
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        assert not check(bytes(changed))


@given(st.binary(min_size=1, max_size=64))
def test_a_byte_more_or_less_is_seen(data: bytes) -> None:
    signature = KEY.sign(data)
    assert not verifies(KEY.public, signature, data + b"\0")
    assert not verifies(KEY.public, signature, data[:-1])
    assert not verifies(KEY.public, signature[:-1], data)
    assert not verifies(KEY.public, signature + b"\0", data)
