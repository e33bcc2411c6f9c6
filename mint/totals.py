"""A device's two words about the shares of its miners: those that it is paid for, and those that it reports.

A batch (`ShareBatch`) shows shares and says with each entry how many that miner ever found: it is paid by that. Samples
say the same number, and the law of work (mint/work.py) holds it against the CPU time that they report. An agent that
shows many to be paid, and reports few to seem honest, has to sign both.

A batch names the place of the newest sample that there was when it was made. In that run of the agent (its session)
what it counts only grows, over a change of the ledger too, so every later sample of that session counts those shares:
one that does not is a lie. Over a start this does not hold: a disk may have been lost, and an honest device then counts
from zero. What is to be seen there proves nothing by itself, and takes a quorum (detectors/batches.py).
"""

from __future__ import annotations

from mint.messages.chain import ShareBatch


def totals_in(batch: ShareBatch) -> dict[str, int]:
    """How many shares a batch says that each of its miners had found."""
    totals: dict[str, int] = {}
    for entry in batch.entries:
        totals[entry.miner] = max(entry.total, totals.get(entry.miner, 0))
    return totals


def denies(batch: ShareBatch, miner: str, place: tuple[int, int], shares: int) -> bool:
    """Whether a sample of this place (session, sequence) denies shares of `miner` that a batch has shown."""
    session, sequence = place
    later = session == batch.session and sequence > batch.sequence
    return later and shares < totals_in(batch).get(miner, 0)
