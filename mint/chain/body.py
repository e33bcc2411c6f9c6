"""What a block may hold, one transaction after the other: a charter, verdicts, faults, absences, batches of shares.

Whoever checks a block adds all of its transactions and takes none that is refused; whoever makes one adds what it knows
and leaves out what is refused. So both go by the same rules:

- **charter**: only as the first, of this ledger, newer than the one in force. It is in force for this very block:
  whoever it gives another key signs with that from here on.
- **verdict**: valid (mint/verdict.py) under a charter that the chain has anchored, on an offence after the last one
  of that miner that was.
- **fault**: only "two totals" (mint/fault.py), valid likewise, about a miner that is not barred for one; its
  sample is later than the one before was anchored, as far as blocks can tell, and not of a time to come.
- **absence**: valid under a charter that the chain has anchored (mint/absence.py), and still true: its frame is no
  older than it holds, as far as the median of the last eleven blocks can tell. It bars those of its miners of whom none
  was anchored within d frames before, one at least.
- **shares**: signed by the agent of the device on which their miners live. Each share's parent is one of the last
  STALE_BLOCKS blocks, its header says of height, work and time what a child of that block has to, and its hash
  meets the miner's share target. No share is on one chain twice; and what a miner said it had found in all has
  grown by as many at least, so that shares that are paid are shares that were counted (mint/work.py).

Shares of a miner that is barred, now or at the height that they were mined for, are taken and not paid.
"""

from __future__ import annotations

import hashlib
from itertools import takewhile

from mint.absence import verify_absence
from mint.chain.header import block_data
from mint.chain.penalties import LIE, Bar, bar, bar_of_absence, bar_of_lie, barred
from mint.chain.state import MAX_CHARTERS, Ledger, State, Step, Terms
from mint.charter.seal import SealedCharter, open_charter
from mint.envelope import Envelope, kind_in, open_envelope
from mint.errors import Reason, Rejected
from mint.fault import verify_fault
from mint.messages.chain import NONCE_BYTES, ShareBatch, Shares
from mint.messages.fault import Fault
from mint.messages.judgement import Absence, Verdict
from mint.sign_bytes import Stream
from mint.verdict import verify_verdict
from mint.wire import MOST, decode

# Verdicts, faults and absences: each takes the check of some ten signatures; what is more waits for the next block.
MAX_PROOFS = 16
# Of a fault: its shares and its sample may have 64 KiB each.
MAX_FAULT_BYTES = 192 << 10
# The end of a share's hash, by which it is known again: the beginning is zeros.
DIGEST_END = slice(16, 32)


class Body:
    """The transactions of the block after `parent`, as far as they were added."""

    def __init__(self, ledger: Ledger, parent: State) -> None:
        self._ledger, self._parent = ledger, parent
        self._height = parent.height + 1
        self._steps = {step.hash: place for place, step in enumerate(parent.steps)}
        self._count = self._proofs = 0
        self.terms: Terms | None = parent.terms
        self.charters = parent.charters
        self.shares: set[bytes] = set()
        self.bars: list[Bar] = []
        self.offences: dict[str, int] = {}
        self.totals: dict[str, int] = {}
        self.lies: dict[str, int] = {}
        self.dark: dict[str, int] = {}
        # Work of the shares that are paid for, by miner.
        self.works: dict[str, int] = {}

    def in_force(self) -> Terms:
        """The terms that this block is under.

        Raises:
            Rejected: UNKNOWN_CHARTER, a chain begins with a charter.
        """
        if self.terms is None:
            raise Rejected(Reason.UNKNOWN_CHARTER, "the first block does not begin with a charter")
        return self.terms

    def add(self, data: bytes) -> None:
        """Add an envelope as the next transaction; nothing is changed where it is refused.

        Raises:
            Rejected: with what it breaks.
        """
        match kind_in(data):
            case "charter":
                self._charter(data)
            case "verdict":
                self._verdict(data)
            case "fault":
                self._fault(data)
            case "absence":
                self._absence(data)
            case "shares":
                self._batch(data)
            case kind:
                raise Rejected(Reason.WRONG_KIND, f"a block holds no {kind}")
        self._count += 1

    def _charter(self, data: bytes) -> None:
        if self._count:
            raise Rejected(Reason.IMPOSSIBLE, "a charter is a block's first transaction")
        sealed = open_charter(data, self._ledger.operator, self._ledger.scheme)
        if not self._ledger.holds(sealed.charter):
            raise Rejected(Reason.WRONG_NETWORK, "a charter of another ledger")
        version = sealed.charter.version
        if self.terms is not None and version <= self.terms.sealed.charter.version:
            raise Rejected(Reason.OLD_CHARTER, f"version {version} is not newer than the one in force")
        self.terms = Terms(sealed)
        self.charters = (*self.charters[1 - MAX_CHARTERS :], sealed)

    def _verdict(self, data: bytes) -> None:
        self._room_for_a_proof()
        opened = open_envelope(data, self.in_force().sealed.trust(), expect="verdict")
        verdict = opened.message
        assert isinstance(verdict, Verdict)  # noqa: S101 (`expect` says so; this tells the type checker)
        anchored = self.offences.get(verdict.miner, self._parent.offences.get(verdict.miner, 0))
        if verdict.offence <= anchored:
            raise Rejected(Reason.REPLAYED, f"offence {verdict.offence} of {verdict.miner} is anchored")
        proven = verify_verdict(verdict, self._charters_with(verdict.miner))
        self.bars.append(bar(self._ledger.chain, proven, self._height))
        self.offences[verdict.miner] = verdict.offence
        self._proofs += 1

    def _fault(self, data: bytes) -> None:
        self._room_for_a_proof()
        if len(data) > MAX_FAULT_BYTES:
            raise Rejected(Reason.OVERSIZE, f"a fault of {len(data)} bytes in a block")
        fault = open_envelope(data, self.in_force().sealed.trust(), expect="fault").message
        assert isinstance(fault, Fault)  # noqa: S101 (`expect` says so; this tells the type checker)
        if fault.kind != "two_totals":
            raise Rejected(Reason.WRONG_KIND, f"a block holds no fault {fault.kind}")
        miner, signed_ms = fault.about, sample_time_ms(fault)
        bars = (*self._parent.bars, *self.bars)
        lasting = any((one.miner, one.offence) == (miner, LIE) and self._height < one.last for one in bars)
        if lasting or signed_ms <= self.lies.get(miner, self._parent.lies.get(miner, 0)):
            raise Rejected(Reason.REPLAYED, f"a lie about {miner} is anchored, and this one no later")
        newest_ms = max(self._parent.times, default=0)
        # One of a far future would make room for lies until then.
        if signed_ms > newest_ms + self.in_force().sealed.charter.clock_tolerance_ms:
            raise Rejected(Reason.WRONG_TIME, f"a lie about {miner} of a time to come")
        verify_fault(fault, self._charters_with(miner))
        self.bars.append(bar_of_lie(self._ledger.chain, miner, self._height))
        self.lies[miner] = max(signed_ms, newest_ms)  # whatever it had signed before is dealt with
        self._proofs += 1

    def _absence(self, data: bytes) -> None:
        self._room_for_a_proof()
        terms = self.in_force()
        absence = open_envelope(data, terms.sealed.trust(), expect="absence").message
        assert isinstance(absence, Absence)  # noqa: S101 (`expect` says so; this tells the type checker)
        since = {name: absence.frame - self._dark(name) for name in absence.miners if name in terms.works}
        if max(since.values(), default=0) <= 0:
            raise Rejected(
                Reason.REPLAYED, f"an absence at frame {absence.frame} of whom later ones are anchored"
            )
        absent = verify_absence(absence, {sealed.hash: sealed for sealed in self.charters})
        if absent.time_ms < self._parent.median_ms - absent.lasting_ms:
            raise Rejected(Reason.STALE, f"an absence at frame {absent.frame}, which is long past")
        due = [name for name, frames in since.items() if 2 * frames >= absent.lasting]
        if not due:
            raise Rejected(Reason.REPLAYED, f"an absence at frame {absent.frame}, said a moment before")
        self.bars += [bar_of_absence(self._ledger.chain, absent, name, self._height) for name in due]
        self.dark |= dict.fromkeys(due, absent.frame)
        self._proofs += 1

    def _dark(self, miner: str) -> int:
        """The frame of the newest absence of a miner; one that never was is long past."""
        return self.dark.get(miner, self._parent.dark.get(miner, -MOST))

    def _room_for_a_proof(self) -> None:
        if self._proofs == MAX_PROOFS:
            raise Rejected(
                Reason.OVERSIZE, f"more than {MAX_PROOFS} verdicts, faults and absences in a block"
            )

    def _charters_with(self, miner: str) -> dict[bytes, SealedCharter]:
        """The charters since this miner came; before that, another may have had its name."""
        since = takewhile(lambda one: miner in one.charter.miners_by_name(), reversed(self.charters))
        return {sealed.hash: sealed for sealed in since}

    def _batch(self, data: bytes) -> None:
        terms = self.in_force()
        opened = open_envelope(data, terms.sealed.trust(), expect="shares")
        batch = opened.message
        assert isinstance(batch, ShareBatch)  # noqa: S101 (`expect` says so; this tells the type checker)
        if (batch.fog, batch.device) != (self._ledger.fog, opened.sender):
            raise Rejected(Reason.WRONG_NETWORK, f"shares of {batch.device} of {batch.fog}")
        found: set[bytes] = set()
        totals: dict[str, int] = {}
        works: dict[str, int] = {}
        for entry in batch.entries:
            step, place = self._place(entry, batch.device, terms)
            digests = share_digests(self._ledger.network, entry, terms)
            self._new(digests, found, place, entry.miner)
            found.update(digests)
            totals[entry.miner] = self._grown(entry, totals, len(digests))
            heights = (self._height, step.height + 1)
            if not barred(self._parent.bars, terms.sealed.charter, entry.miner, heights):
                works[entry.miner] = works.get(entry.miner, 0) + terms.works[entry.miner] * len(digests)
        self.shares |= found
        self.totals |= totals
        for name, work in works.items():
            self.works[name] = self.works.get(name, 0) + work

    def _place(self, entry: Shares, device: str, terms: Terms) -> tuple[Step, int]:
        """The block that shares were mined on, and how far back in our steps it is."""
        miner = terms.sealed.charter.miners_by_name().get(entry.miner)
        if miner is None or miner.device != device:
            raise Rejected(Reason.IMPOSSIBLE, f"{device} shows shares of {entry.miner}, not its miner")
        place = self._steps.get(entry.parent)
        if place is None:
            raise Rejected(Reason.STALE, f"shares of {entry.miner} on no block of the last on this chain")
        step = self._parent.steps[place]
        if (entry.height, entry.work) != (step.height + 1, step.work) or entry.time_ms <= step.median_ms:
            raise Rejected(Reason.BAD_CHAIN, f"shares of {entry.miner} are of no block that could be")
        return step, place

    def _new(self, digests: list[bytes], found: set[bytes], place: int, miner: str) -> None:
        """Check that none of the shares is in this block or one after the block that they were mined on."""
        several = set(digests)
        held = [self.shares, found, *(step.shares for step in self._parent.steps[place + 1 :])]
        if len(several) != len(digests) or any(not several.isdisjoint(one) for one in held):
            raise Rejected(Reason.REPLAYED, f"a share of {miner} is shown twice")

    def _grown(self, entry: Shares, totals: dict[str, int], count: int) -> int:
        miner = entry.miner
        before = totals.get(miner, self.totals.get(miner, self._parent.totals.get(miner, 0)))
        if entry.total - count < before:
            raise Rejected(
                Reason.REPLAYED, f"{miner} shows {count} shares of {entry.total}, after {before} of them"
            )
        return entry.total


def share_digests(network: bytes, entry: Shares, terms: Terms) -> list[bytes]:
    """The ends of the hashes of shares, each of which meets the miner's target.

    Raises:
        Rejected: TOO_LITTLE_WORK, or MALFORMED: half a nonce.
    """
    if len(entry.nonces) % NONCE_BYTES:
        raise Rejected(Reason.MALFORMED, f"{len(entry.nonces)} bytes of nonces")
    target, begun = terms.targets[entry.miner], hashlib.sha256(block_data(network, entry))
    digests = []
    for at in range(0, len(entry.nonces), NONCE_BYTES):
        attempt = begun.copy()
        attempt.update(entry.nonces[at : at + NONCE_BYTES])
        digest = attempt.digest()
        if digest > target:
            raise Rejected(Reason.TOO_LITTLE_WORK, f"no share of {entry.miner}")
        digests.append(digest[DIGEST_END])
    return digests


def sample_time_ms(fault: Fault) -> int:
    """When the sample in a valid fault "two totals" was signed, by its device's clock."""
    return decode(decode(fault.proof[-1], Envelope).body, Stream).time_ms
