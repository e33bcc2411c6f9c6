"""What passes between agent and miner, as bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.pow.build import INCLUDES, SOURCE
from agents.pow.work import WORK, Work, decode
from mint.chain.header import BLOCK_DATA_BYTES

U64 = st.integers(0, 2**64 - 1)
WORKS = st.builds(Work, U64, st.binary(min_size=152, max_size=152), st.integers(0, 2**256 - 1), U64)


@given(WORKS)
def test_work_is_what_was_given(work: Work) -> None:
    message = work.encode()
    assert decode(message) == work
    head, body = message[:24], message[24:]
    assert head == b"MiNTwrk1" + struct.pack(">QQ", work.id, work.start)
    assert body == work.data + work.target.to_bytes(32, "big")


@given(st.binary(max_size=250))
def test_what_is_no_work_of_this_version_is_a_value_error(message: bytes) -> None:
    with pytest.raises(ValueError, match="of another version"):
        decode(message)


@given(WORKS)
def test_work_of_another_version_or_length_is_a_value_error(work: Work) -> None:
    for message in (b"MiNTwrk2" + work.encode()[8:], work.encode()[:-1], work.encode() + b"\0"):
        with pytest.raises(ValueError, match="of another version"):
            decode(message)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": -1},
        {"id": 2**64},
        {"start": 2**64},
        {"target": 2**256},
        {"target": -1},
        {"data": bytes(151)},
        {"data": bytes(153)},
    ],
    ids=str,
)
def test_what_does_not_fit_cannot_be_made(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is not 152|is out of range"):
        Work(**{"id": 1, "data": bytes(152), "target": 1, **wrong})  # type: ignore[arg-type]


def test_a_template_is_a_header_of_the_chain() -> None:
    assert BLOCK_DATA_BYTES == 152
    assert WORK.size == 208


def test_the_program_is_made_anew_when_anything_of_it_changes() -> None:
    assert {SOURCE, *INCLUDES} == {*SOURCE.parent.glob("*.c"), *SOURCE.parent.glob("*.h")}
