"""What devices show of their miners' shares to be paid, held against what their samples say (mint/totals.py).

Batches are those that everyone hears (chain/share/+), samples those that the frames rest on. That a batch is paid takes
its being heard, so who hides it from detectors hides it from the ledger as well. Two things come of it:

- **A lie that is signed.** A batch says something of later samples of its own session, so one that was made in that of
  the newest frame is kept, of a miner the one with the most shares. It and a later sample with fewer are a Fault.
- **A miner that is not believed.** Which session a batch is of its device says itself, and a liar may name another. But
  what we hear now was found by now: frames that come a good while later have to count it. Where they do not, `OFTEN`
  times, the miner's shares are `uncounted`, and it is voted dark until they are. That is no proof, and takes a quorum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from detectors.faults import Found
from mint.charter.model import Charter
from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.frames import LogFrame
from mint.messages.chain import ShareBatch
from mint.totals import denies, totals_in

# Frames until one lie is told again: the ledger bars its miner for a day, and what was told may have been missed.
AGAIN = 600
# Frames until one surely rests on a sample that was made after a batch came: samples are resent after two periods and
# after four, and a detector takes what the manager took. No less than so many ms: a busy machine takes its time.
PATIENCE, PATIENCE_MS = 8, 8_000
# How often frames have to count too few, each time held against another batch: half a minute, mostly. A device that
# loses its disk says too little once.
OFTEN = 3
# Moments of which what was shown is kept: while a device says nothing, or we are behind, the first of them.
MAX_PENDING = 32

# The envelope of the sample with a leaf hash; None: it is not at hand.
Envelopes = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class _Held:
    batch: ShareBatch
    data: bytes
    total: int


@dataclass(slots=True)
class _Shown:
    """What was shown of a miner and is not compared yet: the most shares, by the newest frame when they were.

    `few`: how many comparisons found that too few were counted, and `most` of which total, since all were.
    """

    totals: dict[int, int] = field(default_factory=dict)
    few: int = 0
    most: int = 0

    def compare(self, upto: int, shares: int) -> None:
        """Hold what was shown up to frame `upto` against the shares that a later frame counts."""
        due = {since: total for since, total in self.totals.items() if since <= upto}
        if not due:
            return
        total = max(due.values())
        if shares < total:
            self.few, self.most = self.few + 1, max(self.most, total)
            self.totals.clear()  # what came since would say the same of the same moment
            return
        if shares >= self.most:
            self.few = self.most = 0
        self.totals = {since: total for since, total in self.totals.items() if since not in due}


class Batches:
    """The batches that one detector has heard: one a miner at most, below 64 KiB each (mint/kinds.py)."""

    def __init__(self, charter: Charter) -> None:
        self._held: dict[str, _Held] = {}
        self._shown: dict[str, _Shown] = {}
        self._sessions: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self.take_charter(charter)

    def take_charter(self, charter: Charter) -> None:
        """Go by this charter: miners may be on other devices."""
        self._fog = charter.fog
        self._devices = {miner.name: miner.device for miner in charter.miners}
        self._patience = max(PATIENCE, -(-PATIENCE_MS // charter.period_ms))
        self._held.clear()
        self._shown.clear()

    def uncounted(self) -> frozenset[str]:
        """The miners that show more shares than their samples count."""
        return frozenset(name for name, one in self._shown.items() if one.few >= OFTEN)

    def heard(self, opened: Opened, batch: ShareBatch, newest: int) -> None:
        """A batch whose envelope is valid came; `newest` is the highest frame number that was heard of.

        Raises:
            Rejected: another's than its sender's.
        """
        if (batch.fog, batch.device) != (self._fog, opened.sender):
            raise Rejected(Reason.WRONG_NETWORK, f"shares of {batch.device} of {batch.fog}")
        for miner, total in totals_in(batch).items():
            if self._devices.get(miner) != batch.device:
                continue
            totals = self._shown.setdefault(miner, _Shown()).totals
            if len(totals) < MAX_PENDING or newest in totals:
                totals[newest] = max(total, totals.get(newest, 0))
            held = self._held.get(miner)
            if batch.session == self._sessions.get(batch.device) and (held is None or held.total < total):
                self._held[miner] = _Held(batch, opened.data, total)

    def step(self, frame: LogFrame, envelopes: Envelopes) -> list[Found]:
        """Compare the next frame with the batches."""
        devices = {entry.device: entry for entry in frame.frame.devices}
        self._sessions = {name: entry.session for name, entry in devices.items()}
        if self._shown:
            self._compare(frame, {name for name, entry in devices.items() if entry.leaf})
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

    def _compare(self, frame: LogFrame, spoke: set[str]) -> None:
        """Whether what was shown a good while ago is counted; `spoke`: the devices that the frame has samples of."""
        for entry in frame.frame.miners:
            shown = self._shown.get(entry.miner)
            if shown is not None and entry.present and self._devices[entry.miner] in spoke:
                shown.compare(frame.number - self._patience, entry.shares)

    def _due(self, miner: str, number: int) -> bool:
        told = self._told.get(miner)
        if told is not None and 0 <= number - told < AGAIN:
            return False
        self._told[miner] = number
        return True
