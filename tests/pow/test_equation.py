import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.pow import equation

NONCES = st.integers(0, 2**64 - 1)


@given(st.binary(max_size=200), NONCES)
def test_the_hash_is_sha256_of_data_and_big_endian_nonce(data: bytes, nonce: int) -> None:
    assert equation.block_hash(data, nonce) == hashlib.sha256(data + nonce.to_bytes(8, "big")).digest()


@given(st.binary(max_size=200), NONCES, st.integers(1, 256))
def test_h_leading_zero_bits_solve(data: bytes, nonce: int, h: int) -> None:
    value = int.from_bytes(equation.block_hash(data, nonce), "big")
    # D(h) itself, 2^(256-h), solves as well by the paper's "<="; it has one zero bit less.
    assert equation.solves(data, nonce, h) == (value.bit_length() <= 256 - h or value == 2 ** (256 - h))


@given(st.binary(max_size=100), st.integers(0, 6))
def test_the_first_solution_is_found(data: bytes, h: int) -> None:
    nonce = equation.solve(data, h, 5, 1000)
    expected = next((n for n in range(5, 1005) if equation.solves(data, n, h)), None)
    assert nonce == expected


def test_every_hash_solves_difficulty_0_and_none_beyond_256() -> None:
    assert equation.solve(b"", 0) == 0
    assert equation.solve(b"", 200, 0, 50) is None
    for h in (-1, 257):
        with pytest.raises(ValueError, match="is not 0 to 256"):
            equation.target(h)
