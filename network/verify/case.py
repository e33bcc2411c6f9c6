"""A case: everything that shows what was decided and why, in one file that needs nothing but the operator's key.

The file is the line `MAGIC` and the MessagePack of `Case`. Nothing in it has to be trusted: charters are signed by the
operator, frames by the manager, votes by detectors, samples by devices (network/verify/checks.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta

from mint import kinds
from mint.errors import InputError, Rejected
from mint.frames import frame_in
from mint.merkle import leaf_hash
from mint.wire import Wire, decode, encode
from network.outputs import whole_file

MAGIC = b"MinT case 1\n"
# An hour of a large fog; a stored log is verified where it lies.
MAX_CASE_BYTES = 512 * 2**20

Envelopes = Annotated[tuple[bytes, ...], Meta(max_length=1 << 20)]


class Page(NamedTuple):
    """A frame's envelope, and the envelopes of samples that came with it."""

    frame: bytes
    samples: tuple[bytes, ...]


class Case(Wire, frozen=True):
    """Envelopes: signed charters, frames in order, the samples they rest on, verdicts."""

    charters: Envelopes
    frames: Envelopes
    samples: Envelopes
    verdicts: Envelopes

    def pages(self) -> Iterator[Page]:
        """Frame by frame, each with its samples."""
        by_leaf = {leaf_hash(sample): sample for sample in self.samples}
        for data in self.frames:
            try:
                leaves = [entry.leaf for entry in frame_in(data).devices]
            except Rejected:  # no frame; whoever checks it says so
                leaves = []
            yield Page(data, tuple(by_leaf[leaf] for leaf in leaves if leaf in by_leaf))

    def __len__(self) -> int:
        return len(self.frames)


def write_case(case: Case, path: Path) -> None:
    """Write a case.

    Raises:
        InputError: the file cannot be made.
    """
    with whole_file(path) as file:
        file.write(MAGIC)
        file.write(encode(case))


def read_case(path: Path, charters: tuple[bytes, ...] = ()) -> Case:
    """The case in a file, or a verdict as it came from the bus, which needs its `charters` beside it.

    Raises:
        InputError: it cannot be read, or is neither.
    """
    try:
        if path.stat().st_size > MAX_CASE_BYTES:
            raise InputError(
                str(path), f"is larger than {MAX_CASE_BYTES >> 20} MiB", "name the manager's --state folder"
            )
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            str(path), f"cannot be read ({error.strerror})", "name a case, a verdict or a --state folder"
        ) from None
    try:
        if data.startswith(MAGIC):
            case = decode(data[len(MAGIC) :], Case)
            return Case((*case.charters, *charters), case.frames, case.samples, case.verdicts)
    except Rejected as rejected:
        raise InputError(
            str(path), f"is damaged ({rejected.detail})", "get it again from its sender"
        ) from None
    if len(data) > kinds.MAX_BYTES:
        raise InputError(
            str(path), "is neither a case nor a verdict", "make one: mint verify --live --save FILE"
        )
    return Case(charters, (), (), (data,))
