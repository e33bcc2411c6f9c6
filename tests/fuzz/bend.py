"""Bytes and typed messages with one thing changed: what a fault of a wire, a mistake or a liar makes of them.

Everything is drawn from one `random.Random`, so that a seed gives the same again; hypothesis brings a random source
of its own, whose choices it shrinks.
"""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from mint.wire import MOST

T = TypeVar("T", bound=msgspec.Struct)
Bend = Callable[[bytes], bytes]

EXTREMES = (0, 1, -1, 2, 127, 128, 255, 256, 2**31, 2**32, MOST - 1, MOST, MOST + 1, 2**64 - 1, -(2**63))
FLOATS = (0.0, -1.0, 1e308, math.inf, -math.inf, math.nan)
# Names that there are in a fog of the fuzzer, and what is no name.
NAMES = (
    "manager",
    "det1",
    "det4",
    "edge1",
    "edge2",
    "enforcer",
    "m01",
    "m02",
    "m03",
    "m04",
    "operator",
    "fog1",
)
TEXTS = (
    "",
    "x",
    "mint/1/fog1/frame",
    "x" * 33,
    "x" * 241,
    "+",
    "#",
    "../m01",
    "A",
    "\n",
    "é",
    "\x00",
    *NAMES * 3,
)
LENGTHS = (0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 300, 5_000)
# More than any list of a message may hold, and few enough to be made quickly.
MANY = 300
# MessagePack that promises more than follows: arrays, maps, strings and numbers at their ends, and deep nesting.
NASTY = (b"", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
         b"\xcf" + b"\xff" * 8, b"\xd3\x80" + bytes(7), b"\xcb\x7f\xf8" + bytes(6), b"\xa1\xff", b"\xc1",
         b"\x91" * 2_000, b"\x81" * 2_000, b"\xc9\xff\xff\xff\xff\xff", b"\xd6\xff" + bytes(4))  # fmt: skip


def bent(rng: random.Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """`data` flipped, cut, spliced, doubled or grown somewhere."""
    at, to = sorted((_below(rng, len(data) + 1), _below(rng, len(data) + 1)))
    match _below(rng, 9):
        case 0 if data:
            at = min(at, len(data) - 1)
            return data[:at] + bytes([data[at] ^ 1 << _below(rng, 8)]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + data[to:]
        case 3:
            return data[:to] + data[at:to] * (1 + _below(rng, 4)) + data[to:]
        case 4:
            return data[:at] + rng.randbytes(1 + _below(rng, 16)) + data[to:]
        case 5:
            return data[:at] + NASTY[_below(rng, len(NASTY))] + data[to:]
        case 6 if others:
            other = others[_below(rng, len(others))]
            return data[:at] + other[_below(rng, len(other) + 1) :]
        case 7:
            return data + rng.randbytes(1 + _below(rng, 64))
        case _:
            return rng.randbytes(_below(rng, 200))


def changed(rng: random.Random, message: T, bend: Bend) -> T:
    """`message` with one field, or a field of a field, set to another value of its type or an extreme.

    `bend` makes something else of a field of bytes: a hash, or an envelope within.
    """
    names = message.__struct_fields__
    # Deep down as likely as here: a name in a reading of a sample is one of many fields.
    sizes = [_size(getattr(message, name)) if rng.random() < 0.5 else 1 for name in names]
    at = _below(rng, sum(sizes))
    for name, size in zip(names, sizes, strict=True):
        at -= size
        if at < 0:
            return msgspec.structs.replace(message, **{name: _other(rng, getattr(message, name), bend)})
    return message


def _size(value: object) -> int:
    """How many plain values there are in it."""
    match value:
        case tuple():
            return 1 + sum(map(_size, value))
        case msgspec.Struct():
            return sum(_size(getattr(value, name)) for name in value.__struct_fields__)
        case _:
            return 1


def _other(rng: random.Random, value: object, bend: Bend) -> object:
    match value:
        case bool():
            return not value
        case enum.Enum():
            kinds = list(type(value))
            return kinds[_below(rng, len(kinds))]
        case int():
            return _integer(rng, value)
        case float():
            return FLOATS[_below(rng, len(FLOATS))]
        case str():
            return TEXTS[_below(rng, len(TEXTS))] if rng.random() < 0.8 else value + "x"
        case bytes():
            return _bytes(rng, value, bend)
        case tuple():
            return _items(rng, value, bend)
        case msgspec.Struct():
            return changed(rng, value, bend)
        case _:
            return value


def _integer(rng: random.Random, value: int) -> int:
    match _below(rng, 4):
        case 0:
            return value + 1
        case 1:
            return value - 1
        case 2:
            return value + int(rng.randrange(-100, 100) * 10 ** _below(rng, 12))
        case _:
            return EXTREMES[_below(rng, len(EXTREMES))]


def _bytes(rng: random.Random, value: bytes, bend: Bend) -> bytes:
    if rng.random() < 0.6:
        return bend(value)
    return rng.randbytes(LENGTHS[_below(rng, len(LENGTHS))])


def _items(rng: random.Random, value: tuple[object, ...], bend: Bend) -> tuple[object, ...]:
    if not value:
        return value
    at = _below(rng, len(value))
    match _below(rng, 7):
        case 0:
            return ()
        case 1:
            return value[:at] + value[at + 1 :]
        case 2:
            return (*value, value[at])
        case 3:
            return value[::-1]
        case 4 if rng.random() < 0.2:
            return (value[at],) * MANY
        case _:
            return (*value[:at], _other(rng, value[at], bend), *value[at + 1 :])


def _below(rng: random.Random, end: int) -> int:
    return int(rng.randrange(end)) if end > 0 else 0
