"""Readings of one or a few miners, pushed into a ledger one tick after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from detectors.budget import Ledger
from detectors.observation import Observation
from mint.budget import BudgetRule, Reading

S = 1_000_000_000
ENTITLED = 50_000  # 0.05 CPU
SHARE = ENTITLED * 1000  # what it is entitled to in a second, ns
OVERRUN = 40_000_000
BRACKET = 30_000
# A burst of 200 ms of entitlement: 10 ms of CPU time, and slack.
RULE = BudgetRule(ENTITLED, SHARE // 5, OVERRUN)


def seen(
    number: int, readings: Sequence[Reading | None], epoch: Sequence[int] | None = None, boot: int = 1
) -> Observation:
    """One observation; None: no reading of that miner."""
    before, after, usage, steal = np.array([reading or Reading(0, 0, 0) for reading in readings], np.int64).T
    n = len(readings)
    present = np.array([reading is not None for reading in readings], bool)
    epochs = np.array(epoch or [1] * n, np.int64)
    boots = np.full(n, boot, np.int64)
    return Observation(number, present, before, after, usage, steal, boots, epochs)


def push(ledger: Ledger, number: int, reading: Reading | None, *, epoch: int = 1, boot: int = 1) -> None:
    """One observation of a ledger of one miner."""
    ledger.push(seen(number, [reading], [epoch], boot))


def ledger_of(trace: Sequence[Reading | None], rule: BudgetRule = RULE) -> Ledger:
    """The ledger after these readings, numbered from 0."""
    ledger = Ledger([rule])
    for number, reading in enumerate(trace):
        push(ledger, number, reading)
    return ledger


def convicted(
    use: Callable[[int], int],
    steal: Callable[[int], int] = lambda tick: 0,
    *,
    ticks: int = 130,
    rule: BudgetRule = RULE,
) -> list[int]:
    """The ticks at which a miner is convicted that has used `use` ns above entitlement by each tick."""
    ledger, found = Ledger([rule]), []
    for tick in range(ticks):
        usage = 10 * S + SHARE * tick + use(tick)
        push(ledger, tick, Reading(tick * S, tick * S + BRACKET, usage, steal(tick)))
        if ledger.convicted[0]:
            found.append(tick)
    return found
