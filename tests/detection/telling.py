"""Telemetry for the tests of detectors/nature/, and what is found in it."""

import numpy as np

from detectors.nature.lie import Lie
from detectors.nature.stream import Nature


def noise(seed: int, ticks: int = 700, miners: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 4, (ticks, miners))


def told(values: np.ndarray, nature: Nature | None = None, first: int = 0) -> list[tuple[int, Lie]]:
    """What is found in percentages without counters, (ticks, miners), nan where absent; with the tick."""
    nature = nature or Nature(values.shape[1])
    none = np.zeros(values.shape[1], np.int64)
    return [
        (tick, lie)
        for tick, row in enumerate(values, first)
        for lie in nature.push(tick, np.isfinite(row), row, none, none)
    ]


def counted(used: np.ndarray, elapsed: np.ndarray, cpus: float | np.ndarray = 0.1) -> list[tuple[int, Lie]]:
    """What is found in counters, (ticks, miners), ns."""
    nature = Nature(used.shape[1])
    here = np.ones(used.shape[1], bool)
    return [
        (tick, lie)
        for tick in range(len(used))
        for lie in nature.push(tick, here, used[tick] / elapsed[tick] / cpus * 100, used[tick], elapsed[tick])
    ]


def accused(found: list[tuple[int, Lie]]) -> list[tuple[int, Lie]]:
    return [(tick, lie) for tick, lie in found if lie.decides]


def clock(seed: int, ticks: int = 700, miners: int = 6) -> np.ndarray:
    """A second and what a sleeping reader makes of it, ns."""
    return (1e9 + np.random.default_rng(seed).normal(0, 1e6, (ticks, miners))).astype(np.int64)
