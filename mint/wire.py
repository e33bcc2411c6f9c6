"""MessagePack as MinT writes and reads it: typed, strict, positional.

Every message is a `Wire` struct, encoded as a MessagePack array in field order: no keys, so none can be
doubled. Decoding refuses wrong types, values out of range, missing or additional fields and trailing bytes.
What is signed or hashed is always the bytes as sent, never an encoding made anew (facts: MessagePack has many
encodings of one value).
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from mint.errors import Reason, Rejected
from mint.names import NAME

T = TypeVar("T")

Name = Annotated[str, Meta(pattern=rf"^{NAME.pattern}\Z")]
# Whatever is computed from others' numbers is held to this before it is sent: a forged counter must stop nobody.
MOST = 2**63 - 1
Nat = Annotated[int, Meta(ge=0, le=MOST)]
Int = Annotated[int, Meta(ge=-(2**63), le=MOST)]
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
# Text for people: long enough for a sentence, short enough for a log line.
Text = Annotated[str, Meta(max_length=240)]


class Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of everything that crosses the bus."""


def encode(message: msgspec.Struct) -> bytes:
    """MessagePack bytes of `message`."""
    return msgspec.msgpack.encode(message)


def decode(data: bytes, as_type: type[T]) -> T:
    """The message in `data`.

    Raises:
        Rejected: MALFORMED, with the path of the field that is wrong.
    """
    try:
        return msgspec.msgpack.decode(data, type=as_type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(Reason.MALFORMED, str(error)[:200]) from None
