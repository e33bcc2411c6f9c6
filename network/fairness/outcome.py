"""What an hour came to, in numbers small enough to keep a thousand of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mint.chain.shares import share_works
from network.fairness.attacks import CHEAT
from network.fairness.hashing import Ints
from network.fairness.hours import Mined, Setting, mine
from network.fairness.ledger import Ledger, ledger_of
from network.simulate.schedule import MS, S

MINUTE_MS = 60_000
# Before the cheat begins, while nothing is known of it, and after its first verdict.
PHASES = ("before", "during", "after")


@dataclass(frozen=True)
class Hour:
    """One hour of n miners, in the order of their names.

    `blocks` found and `shares` paid of each, (n,); `rewards` of each minute's blocks in 1e-9, (minutes, n); `work`: the
    hashes that paid shares found in each of PHASES stand for, (3, n). `convicted_s`, `put_back_s`: how long after it
    began the cheat was first convicted, and its quota last put right; None: never. `void`: blocks' heights at which
    nothing of the cheat counted.
    """

    blocks: Ints
    shares: Ints
    rewards: Ints
    work: Ints
    convicted_s: float | None
    put_back_s: float | None
    void: int
    accused: tuple[str, ...]


def hour(setting: Setting, seed: int) -> Hour:
    """An hour of a seed."""
    mined = mine(setting, seed)
    return outcome(mined, ledger_of(mined))


def outcome(mined: Mined, ledger: Ledger) -> Hour:
    """What an hour and its ledger come to."""
    works = share_works(mined.charter.charter)
    names = sorted(works)
    n, cheat = len(names), names.index(CHEAT)
    found, paid = mined.found, ledger.paid
    setting = mined.setting
    rewards = np.zeros((-(-setting.ends_ms // MINUTE_MS), n), np.int64)
    np.add.at(rewards, ledger.at_ns // (MINUTE_MS * MS), ledger.rewards)
    first = next((one.at_ns for one in mined.verdicts if one.proven.miner.name == CHEAT), None)
    begins_ns, ends_ns = setting.begins_ms * MS, setting.ends_ms * MS
    phase = np.digitize(found.at_ns, [begins_ns, max(begins_ns, ends_ns if first is None else first)])
    counts = np.zeros((len(PHASES), n), np.int64)
    np.add.at(counts, (phase[paid], found.miner[paid]), 1)
    return Hour(
        blocks=np.bincount(ledger.finder, minlength=n),
        shares=np.bincount(found.miner[paid], minlength=n),
        rewards=rewards,
        work=counts * np.array([works[name] for name in names]),
        convicted_s=None if first is None else (first - begins_ns) / S,
        put_back_s=None if mined.put_back_ns is None else (mined.put_back_ns - begins_ns) / S,
        void=int(ledger.void[:, cheat].sum()),
        accused=tuple(sorted({one.proven.miner.name for one in mined.verdicts})),
    )
