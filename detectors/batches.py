"""What devices show of their miners' shares to be paid, held against what their samples say (mint/totals.py).

Batches are those that everyone hears (chain/share/+), samples those that the frames rest on. A batch says something of
later samples of its own session only, so none of another is kept; of a miner the one with the most shares is. That
it is paid takes its being heard, so who hides it from detectors hides it from the ledger as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detectors.faults import Found
from mint.charter.model import Charter
from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.frames import LogFrame
from mint.messages.chain import ShareBatch
from mint.totals import denies, totals_in

# Frames until one lie is told again: the ledger bars its miner for a day, and what was told may have been missed.
AGAIN = 600

# The envelope of the sample with a leaf hash; None: it is not at hand.
Envelopes = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class _Held:
    batch: ShareBatch
    data: bytes
    total: int


class Batches:
    """The batches that one detector has heard: one a miner at most, below 64 KiB each (mint/kinds.py)."""

    def __init__(self, charter: Charter) -> None:
        self._held: dict[str, _Held] = {}
        self._sessions: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self.take_charter(charter)

    def take_charter(self, charter: Charter) -> None:
        """Go by this charter: miners may be on other devices."""
        self._fog = charter.fog
        self._devices = {miner.name: miner.device for miner in charter.miners}
        self._held.clear()

    def heard(self, opened: Opened, batch: ShareBatch) -> None:
        """A batch whose envelope is valid came.

        Raises:
            Rejected: another's than its sender's.
        """
        if (batch.fog, batch.device) != (self._fog, opened.sender):
            raise Rejected(Reason.WRONG_NETWORK, f"shares of {batch.device} of {batch.fog}")
        if batch.session != self._sessions.get(batch.device):
            return
        for miner, total in totals_in(batch).items():
            held = self._held.get(miner)
            if self._devices.get(miner) == batch.device and (held is None or held.total < total):
                self._held[miner] = _Held(batch, opened.data, total)

    def step(self, frame: LogFrame, envelopes: Envelopes) -> list[Found]:
        """Compare the next frame with the batches."""
        devices = {entry.device: entry for entry in frame.frame.devices}
        self._sessions = {name: entry.session for name, entry in devices.items()}
        if not self._held:
            return []
        found = []
        for entry in frame.frame.miners:
            held = self._held.get(entry.miner)
            device = None if held is None else devices.get(held.batch.device)
            if held is None or device is None:
                continue
            if device.session != held.batch.session:
                del self._held[entry.miner]  # its agent has begun anew: what it showed before says no more
                continue
            place = (device.session, device.sequence)
            if not (device.leaf and entry.present) or not denies(
                held.batch, entry.miner, place, entry.shares
            ):
                continue
            sample = envelopes(device.leaf)
            if sample is not None and self._due(entry.miner, frame.number):
                found.append(Found("two_totals", device.device, 0, entry.miner, (held.data, sample)))
        return found

    def _due(self, miner: str, number: int) -> bool:
        told = self._told.get(miner)
        if told is not None and 0 <= number - told < AGAIN:
            return False
        self._told[miner] = number
        return True
