"""Proof-of-Behavior (section 4.4): which miners behave unlike the benchmark B*, and use more than their share.

Every d frames the behaviour vectors of all miners make the matrix G; Krum (equations 10 and 11) picks B*. The
paper's vectors hold d values of W; on those colluders hardly stand out (docs/detection.md), so B_i here holds
what miner i had used beyond its entitlement since the window began, frame by frame:

    b_k = excess of the window from its first frame to frame k, in ppm of one period's entitlement, k = 1..d

A constant +10 % grows linearly in it, noise does not grow at all. Integers throughout: every detector finds
the same B*.

Who is accused is far from B*, above its own entitlement by more than the law's burst, and has not begun to
give it back: a miner that merely slows down is never accused, nor one whose excess is the kernel's own
overrun, which falls again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.account import Account
from detectors.krum import far_from_benchmark, krum
from mint.budget import Reading, excess
from mint.wire import MOST

# Frames at the end of a window over which an excess must not have fallen: the kernel collects a debt within
# two periods (mint/budget.py).
HELD = 3


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the frame the window began at, every miner's score (equation 10), B*, and who is accused."""

    began: int
    scores: Mapping[str, int]
    benchmark: str
    accused: tuple[str, ...]


class Window:
    """The readings of every miner over the last d + 1 frames; None where there was none."""

    def __init__(self, d: int) -> None:
        self._d = d
        self._frames: deque[tuple[int, dict[str, tuple[bytes, int, Reading]]]] = deque(maxlen=d + 1)

    def push(self, number: int, accounts: Mapping[str, Account]) -> None:
        """Take in frame `number` after the accounts have."""
        readings = {}
        for name, account in accounts.items():
            if account.last is not None and account.silent == 0:
                boot, epoch, reading, _ = account.last
                readings[name] = (boot, epoch, reading)
        self._frames.append((number, readings))

    def forget(self, name: str) -> None:
        """Begin again with the next frame: what this miner used before has been decided on."""
        for _, readings in self._frames:
            readings.pop(name, None)

    def round(self, accounts: Mapping[str, Account], f_miners: int) -> Round | None:
        """Krum over the miners with a whole window; None when there are too few frames or miners for it."""
        if len(self._frames) <= self._d:
            return None
        vectors = {}
        for name in sorted(accounts):
            vector = self._vector(name, accounts[name])
            if vector is not None:
                vectors[name] = vector
        if len(vectors) < 2 * f_miners + 3:
            return None
        names = list(vectors)
        G = np.array([vectors[name] for name in names], dtype=np.int64)
        result = krum(G, f_miners, names)
        distances = far_from_benchmark(G, result.best)
        accused = tuple(
            name
            for name, distance in zip(names, distances, strict=True)
            if _deviates(vectors[name], distance, accounts[name])
        )
        return Round(
            self._frames[0][0], dict(zip(names, result.scores, strict=True)), names[result.best], accused
        )

    def _vector(self, name: str, account: Account) -> list[int] | None:
        readings = [readings.get(name) for _, readings in self._frames]
        if any(reading is None for reading in readings):
            return None
        whole = [reading for reading in readings if reading is not None]
        if len({(boot, epoch) for boot, epoch, _ in whole}) != 1:
            return None
        begin = whole[0][2]
        unit = account.rule.entitled_ppm * account.rule.period_ns // 1_000_000
        amounts = (excess(begin, reading, account.rule.entitled_ppm) // unit for _, _, reading in whole[1:])
        return [max(-MOST, min(amount, MOST)) for amount in amounts]  # what fits int64

    def state(self) -> list[Any]:
        """Everything but d, as plain data."""
        return [
            [number, {name: [boot.hex(), epoch, list(r)] for name, (boot, epoch, r) in readings.items()}]
            for number, readings in self._frames
        ]

    def restore(self, state: Sequence[Any]) -> None:
        """Continue from `state()`."""
        for number, readings in state:
            self._frames.append(
                (number, {name: (bytes.fromhex(b), e, Reading(*r)) for name, (b, e, r) in readings.items()})
            )


def _deviates(vector: Sequence[int], distance: int, account: Account) -> bool:
    """Whether a miner at this squared distance from B* is to be accused; see the module's text."""
    rule = account.rule
    burst = rule.burst * 1_000_000 // (rule.entitled_ppm * rule.period_ns)
    # As far from B* as a vector that is above it by the burst in every frame.
    if distance <= len(vector) * burst * burst:
        return False
    held = vector[-HELD:]
    return min(held) > burst and held[-1] >= held[0]
