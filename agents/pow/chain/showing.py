"""The shares of this device's miners on their way out: counted as they are found, shown in batches.

Samples say how many were found in all, so a number is on disk before it is said; batches show the shares themselves,
one a block or so, for each takes a signature to check wherever it goes.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.pow.chain.templates import Solved, Template
from mint.messages.chain import NONCE_BYTES, ShareBatch, Shares

# A batch of full size, below the limit of its kind (mint/kinds.py): a template takes some 120 bytes, a nonce 8.
MAX_BATCH_TEMPLATES = 256
MAX_BATCH_NONCES = 3_000


class Showing:
    """`totals` counts what each miner ever found."""

    def __init__(self, totals: Mapping[str, int]) -> None:
        """`totals`: as they were kept."""
        self.totals = dict(totals)
        self._changed: set[str] = set()
        # What was found and not shown, by template, in the order in which those had their first.
        self._found: dict[int, tuple[Template, bytearray]] = {}
        self.waiting = 0

    @property
    def full(self) -> bool:
        """Whether a batch takes no more."""
        return self.waiting >= MAX_BATCH_NONCES or len(self._found) >= MAX_BATCH_TEMPLATES

    def add(self, solved: Solved) -> None:
        """Count a share, to be shown."""
        template = solved.template
        miner = template.header.miner
        self.totals[miner] = self.totals.get(miner, 0) + 1
        self._changed.add(miner)
        _, nonces = self._found.setdefault(template.id, (template, bytearray()))
        nonces += solved.nonce.to_bytes(NONCE_BYTES, "big")
        self.waiting += 1

    def uncounted(self) -> dict[str, int]:
        """The totals that changed since this was last called: to be kept."""
        changed = {name: self.totals[name] for name in sorted(self._changed)}
        self._changed.clear()
        return changed

    def batch(self, fog: str, device: str, place: tuple[int, int]) -> ShareBatch | None:
        """Everything that waits, to be shown; None: nothing does. `place`: session and sequence of the last sample."""
        if not self._found:
            return None
        # A late share of an older template was counted after those of a newer one: in a batch all of one are together.
        shown = dict(self.totals)
        for template, nonces in self._found.values():
            shown[template.header.miner] -= len(nonces) // NONCE_BYTES
        entries = []
        for template, nonces in self._found.values():
            header = template.header
            shown[header.miner] += len(nonces) // NONCE_BYTES
            entries.append(
                Shares(
                    header.miner,
                    header.parent,
                    header.root,
                    header.height,
                    header.time_ms,
                    header.work,
                    shown[header.miner],
                    bytes(nonces),
                )
            )
        self._found, self.waiting = {}, 0
        return ShareBatch(fog, device, *place, tuple(entries))
