"""What waits to be in a block: batches of shares, verdicts, faults and absences.

They stay here after a block has them, for the chain may become another; what makes a block leaves out what the chain
holds already (mint/chain/body.py refuses it). Whatever is held is bounded, sender by sender, and goes when it is too
old for any block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents.pow.chain.held import Held
from mint.chain.body import MAX_FAULT_BYTES, Body, sample_time_ms, share_digests
from mint.chain.state import STALE_BLOCKS, Ledger, State, Terms
from mint.charter.seal import SealedCharter
from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.fault import verify_fault
from mint.messages.chain import MAX_TRANSACTIONS, ShareBatch
from mint.messages.fault import Fault
from mint.messages.judgement import Absence, Verdict
from mint.verdict import verify_verdict

# Batches of STALE_BLOCKS blocks of a large fog, one or two a device and block; a sixteen-miner fog has 16 KiB of them.
MAX_BATCHES = 8_192
MAX_BATCH_BYTES = 8 << 20
# One verdict a miner, the newest; they are some KiB each, and most miners have none.
MAX_VERDICTS = 256
MAX_VERDICT_BYTES = 8 << 20
# Where there are more dark miners than one names, several hold at a time.
MAX_ABSENCES = 8
# The newest lie of each miner about its shares; few devices lie.
MAX_FAULTS = 64
# A block that we make stays well below its limit (mint/kinds.py): a charter of a large fog still fits.
MAX_BODY_BYTES = 512 << 10
# A batch before it may be on its way, or lost: so many blocks are waited for it.
PATIENCE_BLOCKS = 3


@dataclass(frozen=True, slots=True)
class Content:
    """The transactions of a block that could be, and the terms that it would be under."""

    transactions: tuple[bytes, ...]
    terms: Terms


class Pool:
    """Batches and verdicts that are valid by themselves; whether a chain takes them is asked when a block is made."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._batches: Held[tuple[ShareBatch, bytes]] = Held(MAX_BATCHES, MAX_BATCH_BYTES)
        self._verdicts: Held[tuple[Verdict, bytes]] = Held(MAX_VERDICTS, MAX_VERDICT_BYTES)
        self._offences: dict[str, tuple[int, bytes]] = {}
        self._absences: dict[bytes, Absence] = {}
        self._faults: Held[tuple[Fault, bytes]] = Held(MAX_FAULTS, MAX_FAULTS * MAX_FAULT_BYTES)

    def __len__(self) -> int:
        return len(self._batches) + len(self._verdicts) + len(self._faults) + len(self._absences)

    def batch(self, opened: Opened, batch: ShareBatch, terms: Terms, height: int) -> None:
        """Hold a batch whose envelope is valid; the chain is at `height`.

        Raises:
            Rejected: of others' miners, too old, of blocks to come, not worked for, or here already.
        """
        if opened.hash in self._batches:
            raise Rejected(Reason.REPLAYED, f"a batch of {batch.device} is here")
        if (batch.fog, batch.device) != (self._ledger.fog, opened.sender):
            raise Rejected(Reason.WRONG_NETWORK, f"shares of {batch.device} of {batch.fog}")
        newest = _newest(batch)
        if newest <= height - STALE_BLOCKS:
            raise Rejected(Reason.STALE, f"shares of {batch.device} up to block {newest}")
        if newest > height + STALE_BLOCKS:  # which would wait here for ever
            raise Rejected(Reason.ORPHAN, f"shares of {batch.device} up to block {newest}, after {height}")
        miners = terms.sealed.charter.miners_by_name()
        for entry in batch.entries:
            if entry.miner not in miners or miners[entry.miner].device != batch.device:
                raise Rejected(
                    Reason.IMPOSSIBLE, f"{batch.device} shows shares of {entry.miner}, not its miner"
                )
            share_digests(self._ledger.network, entry, terms)
        self._batches.put(batch.device, opened.hash, (batch, opened.data), len(opened.data))

    def verdict(self, opened: Opened, verdict: Verdict, charters: Mapping[bytes, SealedCharter]) -> bool:
        """Hold a verdict whose envelope is valid; False: one on this offence, or a later one, is here.

        Raises:
            Rejected: it does not prove what it says.
        """
        held = self._offences.get(verdict.miner)
        if held is not None and held[1] in self._verdicts and held[0] >= verdict.offence:
            return False
        verify_verdict(verdict, charters)
        if held is not None and held[1] in self._verdicts:
            self._verdicts.take(held[1])
        self._offences[verdict.miner] = (verdict.offence, opened.hash)
        self._verdicts.put(verdict.miner, opened.hash, (verdict, opened.data), len(opened.data))
        return True

    def fault(self, opened: Opened, fault: Fault, charters: Mapping[bytes, SealedCharter]) -> bool:
        """Hold the newest lie about a miner's shares; False: it is another fault, or no newer one.

        Raises:
            Rejected: it does not show what it says, or is larger than a block takes.
        """
        key = fault.about.encode()
        if fault.kind != "two_totals":
            return False
        if len(opened.data) > MAX_FAULT_BYTES:
            raise Rejected(Reason.OVERSIZE, f"a fault of {len(opened.data)} bytes")
        verify_fault(fault, charters)
        if key in self._faults:
            held = self._faults.take(key)
            if sample_time_ms(held[0]) >= sample_time_ms(fault):
                self._faults.put(fault.about, key, held, len(held[1]))
                return False
        self._faults.put(fault.about, key, (fault, opened.data), len(opened.data))
        return True

    def absence(self, absence: Absence, data: bytes) -> None:
        """Hold what we have brought together and signed; the newest few are of use."""
        self._absences[data] = absence
        while len(self._absences) > MAX_ABSENCES:
            del self._absences[next(iter(self._absences))]

    def prune(self, height: int) -> None:
        """Forget what no block after `height` can hold."""
        for key in [key for key, (one, _) in self._batches if _newest(one) <= height - STALE_BLOCKS]:
            self._batches.take(key)

    def content(self, parent: State, newest: SealedCharter) -> Content:
        """What the block after `parent` can hold; `newest`: the charter that it should be under.

        Raises:
            Rejected: a chain cannot begin with that charter.
        """
        body = Body(self._ledger, parent)
        chosen: list[bytes] = []
        version = 0 if parent.terms is None else parent.terms.sealed.charter.version
        if newest.charter.version > version:
            body.add(newest.data)
            chosen.append(newest.data)
        size = sum(map(len, chosen))
        for data in (*self._due_proofs(parent), *self._due_batches(parent)):
            if len(chosen) == MAX_TRANSACTIONS or (size + len(data) > MAX_BODY_BYTES and size):
                break
            try:
                body.add(data)
            except Rejected:
                continue  # not on this chain
            chosen.append(data)
            size += len(data)
        return Content(tuple(chosen), body.in_force())

    def _due_proofs(self, parent: State) -> list[bytes]:
        verdicts = [
            data
            for _, (verdict, data) in self._verdicts
            if verdict.offence > parent.offences.get(verdict.miner, 0)
        ]
        lies = [
            data
            for _, (fault, data) in self._faults
            if sample_time_ms(fault) > parent.lies.get(fault.about, 0)
        ]
        absences = [
            data
            for data, absence in self._absences.items()
            if any(absence.frame > parent.dark.get(name, -1) for name in absence.miners)
        ]
        return [*verdicts, *lies, *absences]

    def _due_batches(self, parent: State) -> list[bytes]:
        """Batches with shares that the chain does not count yet, each miner's in their order."""
        shown, steps = dict(parent.totals), {step.hash for step in parent.steps}
        due: list[bytes] = []
        for batch, data in sorted((held for _, held in self._batches), key=_order):
            if any(entry.parent not in steps for entry in batch.entries):
                continue  # of another chain
            first = {entry.miner: entry for entry in reversed(batch.entries)}
            if any(
                entry.total - len(entry.nonces) // 8 < shown.get(name, 0) for name, entry in first.items()
            ):
                continue  # it is there, or what came after it is
            gap = any(
                entry.total - len(entry.nonces) // 8 > shown.get(name, 0) for name, entry in first.items()
            )
            if gap and _newest(batch) + PATIENCE_BLOCKS > parent.height + 1:
                continue
            due.append(data)
            shown |= {entry.miner: entry.total for entry in batch.entries}
        return due


def _newest(batch: ShareBatch) -> int:
    """The highest block that its shares could have been."""
    return max(entry.height for entry in batch.entries)


def _order(held: tuple[ShareBatch, bytes]) -> tuple[str, int, int]:
    """Each device's in the order in which it made them; those of one moment stay in the order in which they came."""
    batch, _ = held
    return batch.device, batch.session, batch.sequence
