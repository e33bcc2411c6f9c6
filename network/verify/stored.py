"""A log where it lies: the --state folder of a manager, read beside it while it runs or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mint.node import CHARTERS
from network.verify.case import Page
from twin_broker.service import DATABASE
from twin_broker.store import FrameReader

# Frames read at a time.
PAGE = 256


class StoredLog:
    """Charters, verdicts and frames of one manager's disk."""

    def __init__(self, state: Path) -> None:
        """InputError when there is no frame log in `state`."""
        self._reader = FrameReader(state / DATABASE)
        folder = state / CHARTERS
        self.charters = tuple(path.read_bytes() for path in sorted(folder.glob("*.signed")))
        self.verdicts = self._reader.verdicts()
        self._numbers = self._reader.numbers()

    def __len__(self) -> int:
        return 0 if self._numbers is None else self._numbers[1] - self._numbers[0] + 1

    def pages(self) -> Iterator[Page]:
        """Frame by frame, as far as the log went when it was opened."""
        if self._numbers is None:
            return
        first, last = self._numbers
        while first <= last:
            kept = self._reader.kept(first, last, PAGE)
            if not kept:
                return
            for one in kept:
                yield Page(one.data, self._reader.envelopes(one.number))
            first = kept[-1].number + 1
